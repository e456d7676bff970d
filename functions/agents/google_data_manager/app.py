"""google_data_manager: sends a Google Analytics 4 property what happened, by the Data Manager API, many at a time."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from relay.agent.auth import Attempt, with_headers
from relay.agent.definition import Agent, BatchSpec, RequestStatus, StatusQuestion
from relay.agent.ga4 import (
    APPS,
    Ga4Settings,
    ad_grants,
    event_name,
    letters,
    may_send_contacts,
    stream_and_visitor,
    user_id,
    user_properties,
)
from relay.agent.ga4_parameters import Params, parameters
from relay.agent.google_identity import ServiceAccountKey, WorkloadIdentity, access_token
from relay.agent.http import Request, Response, bounded, json_request
from relay.agent.languages import two_letters
from relay.agent.once import once
from relay.agent.privacy import client_ip, count_withheld, scrub_emails
from relay.agent.profile import digest, fact
from relay.agent.settings import BaseUrl, iso8601_z
from relay.agent.verdict import MAX_WAIT_SECONDS, Verdict, VerdictKind, by_status, retry_after
from relay.delivery.handler import lambda_handler
from relay.encoding import encode
from relay.errors import Skip
from relay.event.model import Device, Event, PropertyValue

SCOPE = "https://www.googleapis.com/auth/datamanager"
ACCOUNT_TYPE = "GOOGLE_ANALYTICS_PROPERTY"

MAX_EVENTS = 2_000
"""Events of one request (Data Manager API, limits, 2026); the text of TOO_MANY_EVENTS still says 10,000."""


class Settings(Ga4Settings):
    """A property and its data streams, at least one of them, and the service account that may edit the property.

    The account signs in by `workload_identity`, without any key, or by `service_account_key`: one of the two.
    `debug_mode` shows events in DebugView, never in production; `user_properties` names the traits that become user
    properties; `send_address` lets names (digests) and the address (in clear) go along.
    """

    property_id: str = Field(pattern=r"^[0-9]+$")
    workload_identity: WorkloadIdentity | None = None
    service_account_key: ServiceAccountKey | None = None
    base_url: BaseUrl = "https://datamanager.googleapis.com"

    @model_validator(mode="after")
    def _has_one_identity(self) -> Self:
        if bool(self.workload_identity) == bool(self.service_account_key):
            raise PydanticCustomError("one_identity", "needs either workload_identity or service_account_key")
        return self


def build_requests(event: Event, settings: Settings) -> list[Request]:
    """One POST of one event to the stream of the event's platform; `merge` makes one request of many.

    Raises:
        Skip: Google has no use for the event, would refuse it, or could not tell the visitor.
    """
    return [_made(event, settings)[0]]


def remarks(event: Event, settings: Settings) -> tuple[str, ...]:
    """What the request cuts or leaves out of the event."""
    return _made(event, settings)[1]


@once
def _made(event: Event, settings: Settings) -> tuple[Request, tuple[str, ...]]:
    event = scrub_emails(event)
    name = event_name(event, settings.event_names)
    platform, stream, visitor = stream_and_visitor(event, settings)
    shown_id = user_id(event.customer_id)
    properties, lost_properties = user_properties(event, settings.user_properties, settings.not_phone_numbers)
    commerce, lost = _commerce(name, event, settings)
    account = {"accountType": ACCOUNT_TYPE, "accountId": settings.property_id}
    destination = {"reference": platform, "operatingAccount": account, "productDestinationId": stream}
    known = {
        # An event that names no destination goes to all of its request, which fails the request (reason 49).
        "destinationReferences": [platform],
        "eventName": name,
        "eventSource": "WEB" if platform == "web" else "APP",
        "eventTimestamp": iso8601_z(event.occurred_at),
        "clientId" if platform == "web" else "appInstanceId": visitor,
        "userId": shown_id,
        # On the event: a request's own would hold for all of its events.
        "consent": _consent(event),
        "userData": _user_data(event, settings),
        "userProperties": _user_properties(properties),
        "eventDeviceInfo": _device(event),
        **commerce,
    }
    body = {
        "destinations": [destination],
        "encoding": "HEX",
        "events": [{field: value for field, value in known.items() if value not in (None, {}, [])}],
    }
    hidden = ["user_id is left out: it looks like a contact"] if event.customer_id and not shown_id else []
    return json_request(f"{settings.base_url}/v1/events:ingest", body), (*hidden, *lost_properties, *lost)


def _consent(event: Event) -> dict[str, str]:
    names = {"user_data": "adUserData", "personalization": "adPersonalization"}
    grants = ad_grants(event.consent)
    return {names[to]: "CONSENT_GRANTED" if grant else "CONSENT_DENIED" for to, grant in grants.items()}


def _user_data(event: Event, settings: Settings) -> dict[str, Any]:
    """Digests of e-mail address and phone number, one identifier each, and the address by setting."""
    if not settings.send_user_data or not may_send_contacts(event.consent):
        return {}
    contact = {
        "emailAddress": digest(event.email, normal_email(event.email)) if event.email else event.email_sha256,
        "phoneNumber": digest(event.phone, event.phone) if event.phone else event.phone_sha256,
        "address": _address(event) if settings.send_address else None,
    }
    identifiers = [{field: known} for field, known in contact.items() if known]
    return {"userIdentifiers": identifiers} if identifiers else {}


def normal_email(address: str) -> str:
    """An address as the Data Manager API digests it: for Gmail without dots and without what follows a `+`.

    The Measurement Protocol keeps the `+tag`: the same person has another digest there.
    Source: Data Manager API, formatting; google-ads-datamanager-util 0.4.0.
    """
    local, _, domain = "".join(address.lower().split()).rpartition("@")
    if domain in {"gmail.com", "googlemail.com"}:
        local = local.partition("+")[0].replace(".", "")
    return f"{local}@{domain}" if local else ""


def _address(event: Event) -> dict[str, str]:
    """What Google matches by name: both names, region and postal code, or nothing (AddressInfo, 2026-10)."""
    traits = event.traits
    region = fact(traits, "country").upper()
    first, last = traits.first_name or "", traits.last_name or ""
    known = {
        "givenName": digest(first, letters(first, "LMN")),
        "familyName": digest(last, letters(last, "LMN")),
        "regionCode": region if re.fullmatch("[A-Z]{2}", region) else "",
        "postalCode": fact(traits, "zip"),
    }
    if not all(known.values()):
        return {}
    street = letters(fact(traits, "street"), "LMN")
    more = {
        "addressLine": digest(street, street),
        "city": letters(fact(traits, "city"), "LMN"),
        "administrativeArea": letters(fact(traits, "state"), "LMN"),
    }
    return {field: text for field, text in (known | more).items() if text}


def _user_properties(taken: Params) -> dict[str, Any]:
    listed = [{"propertyName": name, "value": _text(value)} for name, value in taken.items()]
    return {"additionalUserProperties": listed} if listed else {}


_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*")


def _device(event: Event) -> dict[str, Any]:
    described = _described(event.device) if event.device.platform in APPS else {}
    # As in the Measurement Protocol, where Google does not look at the user agent beside a device.
    browser = {} if described else {"userAgent": event.context.user_agent}
    known = {**described, **browser, "ipAddress": client_ip(event.context.ip)}
    return {field: value for field, value in known.items() if value}


def _described(device: Device) -> dict[str, Any]:
    screen = device.screen if device.screen and device.screen.width and device.screen.height else None
    known = {
        "languageCode": two_letters(device.language),
        "screenWidth": screen and screen.width,
        "screenHeight": screen and screen.height,
        "operatingSystemVersion": device.os_version if _VERSION.fullmatch(device.os_version or "") else None,
        "model": device.model,
        "brand": device.manufacturer,
    }
    said = {field: value for field, value in known.items() if value}
    system = {"category": "mobile", "operatingSystem": "iOS" if device.platform == "ios" else "Android"}
    return system | said if said else {}


_TRANSACTIONS = {"purchase", "refund"}
"""Events that need a transactionId; at any other it might make a multi-source event, which needs Google's leave."""


def _commerce(name: str, event: Event, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """The parameters, those of commerce in fields of their own, all others as text; and the remarks.

    Raises:
        Skip: a purchase or a refund has no transaction_id, without which Google refuses it.
    """
    known, lost = parameters(event, settings)
    transaction = known.pop("transaction_id", None)
    if name in _TRANSACTIONS and transaction is None:
        raise Skip("no transaction_id")
    if name not in _TRANSACTIONS and transaction is not None:
        lost = ["transaction_id is left out: it belongs to purchase and refund", *lost]
    items, coupon = known.pop("items", None), known.get("coupon")
    cart: dict[str, Any] = {"items": [_item(one) for one in _objects(items)]} if items else {}
    if isinstance(coupon, str):
        cart["couponCodes"] = [known.pop("coupon")]
    fields = {
        "transactionId": transaction if name in _TRANSACTIONS else None,
        "currency": known.pop("currency", None),
        "conversionValue": known.pop("value", None),
        "cartData": cart,
        "additionalEventParameters": _named(known),
    }
    return fields, lost


def _item(given: Mapping[str, PropertyValue]) -> dict[str, Any]:
    """An item of a cart: its id, whole quantity and price in fields of their own."""
    rest = dict(given)
    known = {"itemId": rest.pop("item_id", None), "unitPrice": rest.pop("price", None)}
    if type(rest.get("quantity")) is int:
        known["quantity"] = rest.pop("quantity")
    known["additionalItemParameters"] = _named(rest)
    return {field: value for field, value in known.items() if value not in (None, [])}


def _named(values: Params) -> list[dict[str, str]]:
    return [{"parameterName": name, "value": _text(value)} for name, value in values.items()]


def _text(value: PropertyValue) -> str:
    # A JSON number fails the whole request.
    return value if isinstance(value, str) else encode(value).decode()


def merge(requests: Sequence[Request]) -> Request:
    """One request of many: their destinations, each once, and their events in one list."""
    if len(requests) == 1:
        return requests[0]
    bodies = [json.loads(request.body) for request in requests]
    destinations = {one["reference"]: one for body in bodies for one in body["destinations"]}
    events = [event for body in bodies for event in body["events"]]
    joined = {**bodies[0], "destinations": list(destinations.values()), "events": events}
    return requests[0]._replace(body=encode(joined))


def authorize(request: Request, settings: Settings, attempt: Attempt) -> Request:
    """The request with the service account's access token."""
    identity = settings.workload_identity or settings.service_account_key
    if identity is None:
        raise TypeError("settings name one identity")
    token = access_token(identity, SCOPE, attempt)
    return with_headers(request, {"authorization": SecretStr(f"Bearer {token.get_secret_value()}")})


# Reasons of a 400 that are about the settings, so that every event would be refused (ErrorReason, 2026-10).
_OF_SETTINGS = {
    "INVALID_DESTINATION", "INVALID_PROPERTY_TYPE", "INVALID_STREAM_TYPE", "NOT_ALLOWLISTED",
    "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH", "DESTINATION_ACCOUNT_TYPE_MISMATCH",
    "GOOGLE_ANALYTICS_SUBPROPERTY_OR_ROLLUP_PROPERTY_NOT_ALLOWED",
}  # fmt: skip
_BAD_REQUEST, _NOT_FOUND, _CONFLICT, _TOO_MANY = 400, 404, 409, 429
_QUOTA_SECONDS = 60
"""How long to wait for a quota that is counted by the minute, where the response does not say."""


def classify(response: Response, _number: int = 1) -> Verdict:
    """Reads the error's details: a 400 is about the settings or about events, and then names the events.

    Source: Data Manager API, understand API errors (2026-09); a 404 also means that the account may not see the
    property.
    """
    if response.ok:
        return _taken(response)
    error = _Error(response)
    if response.status == _BAD_REQUEST:
        if error.is_of_settings:
            return Verdict(VerdictKind.UNAUTHORIZED, error.reason)
        return Verdict(VerdictKind.REJECTED, error.reason, suspects=error.suspects)
    if response.status == _NOT_FOUND:
        return Verdict(VerdictKind.UNAUTHORIZED, error.reason)
    if response.status == _CONFLICT:
        return Verdict(VerdictKind.RETRY, error.reason, retry_after(response))
    verdict = by_status(response)._replace(reason=error.reason)
    if response.status == _TOO_MANY:
        return verdict._replace(wait=verdict.wait or error.retry_seconds or _QUOTA_SECONDS)
    return verdict


_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,80}")


def _taken(response: Response) -> Verdict:
    """Google has the events: token, property, names and required fields passed. What follows is asked of a sample."""
    document = _object(response.json())
    reference = document.get("requestId")
    if not isinstance(reference, str) or not _REQUEST_ID.fullmatch(reference):
        return Verdict(VerdictKind.RETRY, f"HTTP {response.status} without requestId")
    # A warning's description may quote a value.
    warnings = [_code(one.get("reason")) for one in _objects(document.get("fieldWarnings"))]
    said = f", {len(warnings)} warnings: {', '.join(_first(warnings))}" if warnings else ""
    return Verdict(VerdictKind.DELIVERED, f"request {reference}{said}", reference=reference)


class _Error:
    """The body of an error, of which the codes and places are kept: texts may quote a person."""

    def __init__(self, response: Response) -> None:
        error = _object(_object(response.json()).get("error"))
        details = list(_objects(error.get("details")))
        self.violations = [one for detail in details for one in _objects(detail.get("fieldViolations"))]
        codes = [_code(one.get("reason")) for one in (*self.violations, *details) if one.get("reason")]
        self.codes = list(dict.fromkeys(code for code in codes if code != "INVALID_ARGUMENT"))
        references = [str(detail["requestId"]) for detail in details if "requestId" in detail]
        named = [f"request {one}" for one in references[:1] if _REQUEST_ID.fullmatch(one)]
        self.reason = ", ".join((f"HTTP {response.status}", *_first(self.codes), *named))
        self.retry_seconds = next((_seconds(one["retryDelay"]) for one in details if "retryDelay" in one), None)

    @property
    def is_of_settings(self) -> bool:
        """Whether every event by these settings would be refused."""
        places = [str(one.get("field", "")) for one in self.violations]
        return any(place.startswith("destinations") for place in places) or not _OF_SETTINGS.isdisjoint(self.codes)

    @property
    def suspects(self) -> tuple[int, ...]:
        """The positions of the events that it names: of `events.events[1].consent`, the last number."""
        found = [re.findall(r"events\[([0-9]{1,5})\]", str(one.get("field", ""))) for one in self.violations]
        return tuple(sorted({int(numbers[-1]) for numbers in found if numbers}))


def _first(codes: Sequence[str]) -> list[str]:
    """Three codes at most: a reason is a line."""
    return list(dict.fromkeys(codes))[:3]


def _code(value: object) -> str:
    return value if isinstance(value, str) and _CODE.fullmatch(value) else "UNKNOWN"


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> Iterator[dict[str, Any]]:
    yield from (one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()


def _seconds(delay: object) -> int | None:
    """A protobuf Duration as JSON has it, `30s` or `1.5s`, in whole seconds."""
    found = re.fullmatch(r"([0-9]{1,9})(?:\.[0-9]+)?s", str(delay))
    return bounded(found[1], MAX_WAIT_SECONDS) if found else None


def status_request(reference: str, settings: Settings) -> Request:
    """Asks what became of a request."""
    url = f"{settings.base_url}/v1/requestStatus:retrieve"
    return Request(url, b"", query={"requestId": reference}, method="GET")


_FINAL = {"SUCCESS", "PARTIAL_SUCCESS", "FAILED", "FAILURE"}
_FAULTY = _FINAL - {"SUCCESS"}
"""The types say FAILED, the guide says FAILURE (2026-10)."""


def read_status(response: Response) -> RequestStatus | None:
    """What became of a request's events, over all of its destinations."""
    statuses = list(_objects(_object(response.json()).get("requestStatusPerDestination"))) if response.ok else []
    if not statuses:
        return None
    faults: dict[str, int] = {}
    for one in statuses:
        counts = list(_objects(_object(one.get("errorInfo")).get("errorCounts")))
        for count in counts:
            code = _code(count.get("reason"))
            faults[code] = faults.get(code, 0) + _count(count.get("recordCount"))
        if one.get("requestStatus") in _FAULTY and not counts:
            faults["UNKNOWN"] = faults.get("UNKNOWN", 0) + 1
    events = sum(_count(_object(one.get("eventsIngestionStatus")).get("recordCount")) for one in statuses)
    return RequestStatus(all(one.get("requestStatus") in _FINAL for one in statuses), events, faults)


def _count(value: object) -> int:
    # An int64 is text in JSON.
    return bounded(value, 10**9) or 0 if isinstance(value, str | int) else 0


AGENT = Agent(
    name="google_data_manager",
    purpose="analytics",
    settings=Settings,
    build_requests=build_requests,
    classify=classify,
    authorize=authorize,
    # Google refuses an older event, and with it the whole request.
    max_age=timedelta(hours=72),
    # Of login and logout Google cannot tell a repetition.
    repeatable=False,
    batching=BatchSpec(MAX_EVENTS, merge, classify, StatusQuestion(status_request, read_status)),
    count_withheld=lambda event, settings: count_withheld(
        event.properties, settings.properties, settings.not_phone_numbers
    ),
    remarks=remarks,
)
handler = lambda_handler(AGENT)
