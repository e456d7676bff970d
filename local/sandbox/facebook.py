"""Meta's Conversions API as the sandbox plays it: up to 1000 events a request, all or nothing."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from local.sandbox.exchange import (
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
from local.sandbox.facebook_event import check_event, error, invalid, trace
from local.sandbox.formats import Check, anything, misfits, text

PATH = re.compile(r"/(?P<version>[^/]+)/(?P<dataset>[^/]+)/events")
# Graph API changelog: the day on which each version ends; v27.0 of 2026-11-04 is the newest, and a later one is taken.
LAST_DAYS = {
    "v21.0": "2027-01-21",
    "v22.0": "2027-05-20",
    "v23.0": "2027-10-08",
    "v24.0": "2028-02-18",
    "v25.0": "2028-07-29",
}
OLDEST = 21
# Marketing API changelog, whose clock is shorter: v24.0 and all before it had ended by 2026-11-10. Which of the two
# clocks rules this edge Meta does not say.
MARKETING_LAST_DAYS = {
    "v21.0": "2026-11-10", "v22.0": "2026-11-10", "v23.0": "2026-11-10", "v24.0": "2026-11-10", "v25.0": "2027-02-23",
}  # fmt: skip
MOST_EVENTS = 1000


def or_null(check: Check) -> Check:
    """Require a value of a form, or the null that Meta's SDK for Node.js sends for what is not set."""
    return lambda value: "" if value is None else check(value)


_OPTIONAL = ("test_event_code", "partner_agent", "namespace_id", "upload_id", "upload_tag", "upload_source")
BODY: dict[str, Check] = {
    "data": anything,
    # The SDK for Node.js sends the dataset's id once more.
    "id": text(),
    **dict.fromkeys(_OPTIONAL, or_null(text())),
}


class Facebook:
    """Takes events for one dataset."""

    name = "facebook"
    title = "Facebook"

    def __init__(self, settings: Settings) -> None:
        """Begin with no events."""
        self.settings = settings
        self._events = EventLog()

    def check(self, request: Request, now: float) -> CheckResult:
        """Check one batch of events."""
        match = PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            return not_found(request)
        findings = Findings()
        self._check_version(match["version"], now, findings)
        request, parameters = _as_json(request)
        self._check_caller(request, parameters, match["dataset"], findings)
        findings.note(*transport_faults(request))
        events = _parse(request, findings)
        for at, event in enumerate(events):
            check_event(event, f"data[{at}]", now, findings)
        return findings.result(lambda: self._record(events))

    def state(self) -> dict[str, Json]:
        """Show the events that were taken, and how many of them Meta would take for duplicates."""
        shown = self._events.display()
        pairs = {(event["eventName"], event["eventId"]) for event in shown["events"]}
        return {**shown, "duplicates": shown["count"] - len(pairs)}

    def reset(self) -> None:
        """Lose the events."""
        self._events.clear()

    def subject(self, request: Request) -> str:
        """Name the request in the vendor's own word."""
        return ", ".join(str(event["event_name"]) for event in request.json()["data"])

    def _check_version(self, version: str, now: float, findings: Findings) -> None:
        today = datetime.fromtimestamp(now, UTC).date().isoformat()
        number = re.fullmatch(r"v(\d{1,3})\.\d", version)
        if not number or int(number[1]) < OLDEST or LAST_DAYS.get(version, today) < today:
            findings.refuse(
                f"path: {version} is not a living version",
                error(400, 2635, "You are calling a deprecated version of the Ads API."),
            )
        elif MARKETING_LAST_DAYS.get(version, today) < today:
            findings.note(f"path: {version} has ended as a version of the Marketing API")
        elif self.settings and version != self.settings.get("api_version", version):
            findings.note(f"path: {version} is not the configured version")

    def _check_caller(self, request: Request, parameters: dict[str, str], dataset: str, findings: Findings) -> None:
        for name in request.query:
            leak = name in SECRETS
            findings.note(f"query: {name} " + ("is a secret and must not be in a URL" if leak else "is not expected"))
        # Meta takes the token as a parameter as well, of the query or of the body, which its own SDKs make use of.
        token = request.bearer() or request.query.get("access_token") or parameters.get("access_token")
        if not token or (self.settings and token != self.settings.get("access_token")):
            findings.refuse(
                "authorization: no access token in the header or the parameters, or a wrong one",
                error(400, 190, "Error validating access token: Session has expired.", 463),
            )
        if self.settings and dataset != str(self.settings.get("dataset_id")):
            message = f"Unsupported post request. Object with ID '{dataset}' does not exist."
            findings.refuse(f"path: {dataset} is not the dataset", error(400, 100, message, 33))

    def _record(self, events: list[Json]) -> VendorResponse:
        for event in events:
            people = event["user_data"]
            self._events.add(
                {
                    "eventName": event["event_name"],
                    "eventId": event.get("event_id"),
                    "actionSource": event["action_source"],
                    "externalId": people.get("external_id"),
                    "userDataKeys": sorted(people),
                }
            )
        return VendorResponse.json(200, {"events_received": len(events), "messages": [], "fbtrace_id": trace()})


SECRETS = {"access_token", "appsecret_proof"}


def _as_json(request: Request) -> tuple[Request, dict[str, str]]:
    """Give the request with a JSON body where it came as a form, and the credentials that stood in its body."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
            body = {**fields, **({"data": _list(json.loads(fields["data"]))} if "data" in fields else {})}
        else:
            body = request.json()
    except ValueError:
        return request, {}
    if not isinstance(body, dict):
        return request, {}
    credentials = {name: str(body.pop(name)) for name in SECRETS & body.keys()}
    headers = (
        {**request.headers, "content-type": "application/json"} if kind.endswith("urlencoded") else request.headers
    )
    return replace(request, headers=headers, body=json.dumps(body).encode()), credentials


def _list(events: Json) -> Json:
    """Give the events of a form, each of which the SDK for Python writes as JSON text within the JSON list."""
    return [json.loads(one) if isinstance(one, str) else one for one in events] if isinstance(events, list) else events


def _parse(request: Request, findings: Findings) -> list[Json]:
    body = findings.read(request, invalid())
    if body is None:
        return []
    findings.refuse_each(misfits(body, "", BODY), invalid())
    events = body.get("data")
    if not isinstance(events, list) or not 1 <= len(events) <= MOST_EVENTS:
        findings.refuse(f"data is not a list of 1 to {MOST_EVENTS} events", invalid())
        return []
    return events
