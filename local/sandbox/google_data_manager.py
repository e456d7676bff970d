"""Google's Data Manager API for a Google Analytics property, as the sandbox plays it, and Google's token endpoints."""

import uuid
from collections import OrderedDict

from local.sandbox.exchange import (
    KEPT,
    CheckResult,
    EventLog,
    Findings,
    Json,
    Request,
    Settings,
    VendorResponse,
    not_found,
    transport_faults,
)
from local.sandbox.formats import Check, anything, list_of, misfits, one_of, text, true_or_false
from local.sandbox.google_event import Fault, check_event
from local.sandbox.google_tokens import TokenOffice

INGEST = "/v1/events:ingest"
STATUS = "/v1/requestStatus:retrieve"
DESTINATIONS, EVENTS = 10, 2_000
WORKING_SECONDS = 600
REQUEST: dict[str, Check] = {
    "destinations": list_of(anything),
    "events": list_of(anything),
    "encoding": one_of("HEX", "BASE64"),
    "validateOnly": true_or_false,
    "consent": lambda _: "holds for all events of the request",
}
DESTINATION: dict[str, Check] = {
    "reference": text(),
    "operatingAccount": anything,
    "loginAccount": anything,
    "productDestinationId": text(),
}


class GoogleDataManager:
    """Takes events of one property's streams, many by one request, and says later what became of them."""

    name = "google_data_manager"
    title = "Google Data Manager"

    def __init__(self, settings: Settings) -> None:
        """Begin with no events, no tokens and no requests."""
        self.settings = settings
        self._events = EventLog()
        self._tokens = TokenOffice()
        self._requests: OrderedDict[str, tuple[float, dict[str, int]]] = OrderedDict()

    def check(self, request: Request, now: float) -> CheckResult:
        """Check a request for a token, for ingestion or for a status."""
        token = self._tokens.check(request, now, self.settings)
        if token:
            return token
        if (request.method, request.path) == ("POST", INGEST):
            return self._ingest(request, now)
        if (request.method, request.path) == ("GET", STATUS):
            return self._status(request, now)
        return not_found(request)

    def state(self) -> dict[str, Json]:
        """Show the events that were taken, and how many requests they came by."""
        return {**self._events.display(), "requests": len(self._requests)}

    def reset(self) -> None:
        """Lose the events and the requests; tokens live on."""
        self._events.clear()
        self._requests.clear()

    def subject(self, request: Request) -> str:
        """Name what a request is about: the events, a token or a status."""
        if request.path == INGEST:
            return ", ".join(dict.fromkeys(str(event["eventName"]) for event in request.json()["events"]))
        return "status" if request.path == STATUS else "access token"

    def _caller(self, request: Request, now: float, findings: Findings) -> None:
        if not self._tokens.honours(request.bearer(), now, self.settings):
            findings.refuse("authorization: the token is none of this account", _problem(401, "UNAUTHENTICATED"))

    def _ingest(self, request: Request, now: float) -> CheckResult:
        findings = Findings(transport_faults(request))
        self._caller(request, now, findings)
        body = findings.read(request, _problem(400, "INVALID_ARGUMENT")) or {}
        unreadable = [
            {"field": where, "description": "Invalid JSON payload."} for where, _ in misfits(body, "", REQUEST)
        ]
        findings.refuse_each(misfits(body, "", REQUEST, ("destinations", "events")), _invalid(unreadable))
        references = self._destinations(body.get("destinations"), findings)
        listed = body.get("events")
        events = listed if isinstance(listed, list) else []
        if len(events) > EVENTS:
            findings.refuse(f"events: more than {EVENTS}", _invalid([_violation("events", "TOO_MANY_EVENTS")]))
        faults = [
            (at, fault)
            for at, event in enumerate(events)
            for fault in check_event(event, references, body.get("encoding"), now)
        ]
        _judge(faults, findings)
        warnings = [(at, fault) for at, fault in faults if fault.is_warning]
        if body.get("validateOnly"):
            return findings.result(lambda: VendorResponse.json(200, {}))
        return findings.result(lambda: self._take(body, warnings, now))

    def _destinations(self, listed: Json, findings: Findings) -> dict[str, Json]:
        """Give each destination's stream by its reference."""
        given = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        if len(given) > DESTINATIONS:
            findings.refuse(
                "destinations: more than 10", _invalid([_violation("destinations", "TOO_MANY_DESTINATIONS")])
            )
        references: dict[str, Json] = {}
        streams = {
            self.settings.get(name) for name in ("measurement_id", "firebase_app_id_ios", "firebase_app_id_android")
        }
        for at, one in enumerate(given):
            place = f"destinations[{at}]"
            required = ("operatingAccount", "productDestinationId", *(["reference"] if len(given) > 1 else []))
            invalid = _invalid([_violation(place, "INVALID_DESTINATION")])
            findings.refuse_each(misfits(one, place, DESTINATION, required), invalid)
            reference = one.get("reference", "")
            if reference in references:
                twice = _invalid([_violation(place, "DUPLICATE_DESTINATION_REFERENCE")])
                findings.refuse(f"{place}: its reference is there twice", twice)
            if self.settings and one.get("operatingAccount") != self._account():
                findings.refuse(f"{place}: not the account's property", _problem(404, "NOT_FOUND"))
            elif self.settings and one.get("productDestinationId") not in streams:
                findings.refuse(f"{place}: no stream of the property", _problem(404, "NOT_FOUND"))
            references[reference] = one.get("productDestinationId")
        return references

    def _account(self) -> Json:
        return {"accountType": "GOOGLE_ANALYTICS_PROPERTY", "accountId": self.settings.get("property_id")}

    def _take(self, body: Json, warnings: list[tuple[int, Fault]], now: float) -> VendorResponse:
        for event in body["events"]:
            self._events.add(event)
        reference, destinations = (
            str(uuid.uuid4()),
            dict.fromkeys((one.get("reference", "") for one in body["destinations"]), 0),
        )
        for event in body["events"]:
            destinations[event.get("destinationReferences", [""])[0]] += 1
        self._requests[reference] = (now, destinations)
        if len(self._requests) > KEPT:
            self._requests.popitem(last=False)
        warned = [
            {
                "field": f"events.events[{at}].{one.place}",
                "reason": f"WARNING_REASON_{one.reason}",
                "description": one.text,
            }
            for at, one in warnings
        ]
        return VendorResponse.json(200, {"requestId": reference} | ({"fieldWarnings": warned} if warned else {}))

    def _status(self, request: Request, now: float) -> CheckResult:
        findings = Findings()
        self._caller(request, now, findings)
        reference = request.query.get("requestId", "")
        if reference not in self._requests:
            unknown = _invalid([_violation("request_id", "INVALID_REQUEST_ID")])
            findings.refuse("requestId is of no request that was taken", unknown)
        return findings.result(lambda: self._became(reference, now))

    def _became(self, reference: str, now: float) -> VendorResponse:
        taken, destinations = self._requests[reference]
        state = "SUCCESS" if now - taken >= WORKING_SECONDS else "PROCESSING"
        listed = [
            {
                "destination": {"reference": name},
                "requestStatus": state,
                "eventsIngestionStatus": {"recordCount": str(number)},
            }
            for name, number in destinations.items()
        ]
        return VendorResponse.json(200, {"requestStatusPerDestination": listed})


def _judge(faults: list[tuple[int, Fault]], findings: Findings) -> None:
    """Refuse the request for what is refused of its events, and name all of it."""
    refused = [
        {"field": f"events.events[{at}].{one.place}", "description": one.text, "reason": one.reason}
        for at, one in faults
        if one.reason and not one.is_warning
    ]
    for at, one in faults:
        if one.reason and not one.is_warning:
            findings.refuse(f"events[{at}]: {one.text}", _invalid(refused))
        else:
            findings.note(f"events[{at}]: {one.text}")


def _violation(field: str, reason: str) -> dict[str, str]:
    return {"field": field, "description": "refused", "reason": reason}


def _invalid(violations: list[dict[str, str]]) -> VendorResponse:
    return _problem(400, "INVALID_ARGUMENT", violations)


def _problem(status: int, code: str, violations: list[dict[str, str]] | None = None) -> VendorResponse:
    reference, kind = f"t-{uuid.uuid4().hex[:8]}", "type.googleapis.com/google.rpc"
    info = {"reason": code, "domain": "datamanager.googleapis.com", "metadata": {"requestId": reference}}
    details: list[Json] = [{"@type": f"{kind}.ErrorInfo", **info}]
    details.append({"@type": f"{kind}.RequestInfo", "requestId": reference})
    if violations is not None:
        details.append({"@type": f"{kind}.BadRequest", "fieldViolations": violations})
    message = "There was a problem with the request."
    return VendorResponse.json(
        status, {"error": {"code": status, "message": message, "status": code, "details": details}}
    )
