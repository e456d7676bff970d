"""An operator's webhook as the sandbox plays it: checks signature and form of each event document, and keeps it."""

import base64
import binascii
import hashlib
import hmac
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
from local.sandbox.formats import ISO_UTC, Check, anything, misfits, one_of, text, whole_number

HOOK = "/hooks/events"
TOLERANCE = 300
TYPES = ("login", "logout", "open", "signup", "identify", "track", "push_token")
REQUIRED = ("schema", "id", "type", "app", "occurredAt", "sequence")
PERSON = (
    "customerId",
    "anonymousId",
    "email",
    "phone",
    "emailSha256",
    "phoneSha256",
    "traits",
    "ids",
    "context",
    "consent",
)
BODY: dict[str, Check] = {
    "schema": one_of("session-relay-event/1"),
    "id": text(),
    "type": one_of(*TYPES),
    "app": text(),
    "occurredAt": text(ISO_UTC, form="ISO 8601 in UTC"),
    "sequence": whole_number(1),
    **dict.fromkeys(("method", "name", "device", "properties", *PERSON), anything),
}


class Webhook:
    """Takes one event a request."""

    name = "webhook"
    title = "Webhook"

    def __init__(self, settings: Settings) -> None:
        """Begin with no events and no messages seen."""
        self.settings = settings
        self._events = EventLog()
        self._seen: OrderedDict[str, None] = OrderedDict()

    def check(self, request: Request, now: float) -> CheckResult:
        """Check one event document."""
        if (request.method, request.path) != ("POST", HOOK):
            return not_found(request)
        findings = Findings(transport_faults(request))
        self._check_signature(request, now, findings)
        body = findings.read(request, VendorResponse.json(400, {"error": "body"})) or {}
        findings.refuse_each(misfits(body, "", BODY, REQUIRED), VendorResponse.json(400, {"error": "invalid_event"}))
        if body.get("id") != request.headers.get("webhook-id"):
            findings.refuse("webhook-id is not the id of the body", VendorResponse.json(400, {"error": "id"}))
        if self.settings.get("personal_data", "none") == "none":
            findings.note(*(f"body: {name} tells of a person" for name in PERSON if name in body))
        return findings.result(lambda: self._keep(body))

    def state(self) -> dict[str, Json]:
        """Show the events that were taken."""
        return self._events.display()

    def reset(self) -> None:
        """Delete them."""
        self._events.clear()
        self._seen.clear()

    def subject(self, request: Request) -> str:
        """Name the request by the event's type."""
        return str(request.json()["type"])

    def _check_signature(self, request: Request, now: float, findings: Findings) -> None:
        stamp = request.headers.get("webhook-timestamp", "")
        refusal = VendorResponse.json(401, {"error": "signature"})
        if not stamp.isascii() or not stamp.isdigit() or abs(now - int(stamp[:18])) > TOLERANCE:
            findings.refuse(f"webhook-timestamp {stamp or 'missing'} is not within {TOLERANCE} s of now", refusal)
        signed = f"{request.headers.get('webhook-id', '')}.{stamp}.".encode() + request.body
        right = [_signature(secret, signed) for secret in self.settings.get("signing_secrets", ())]
        offered = request.headers.get("webhook-signature", "").split()
        if not any(hmac.compare_digest(one.encode(), other.encode()) for one in offered for other in right):
            findings.refuse("webhook-signature fits no secret", refusal)

    def _keep(self, body: dict[str, Json]) -> VendorResponse:
        if body["id"] in self._seen:
            return VendorResponse.json(409, {"error": "already_seen"})
        self._seen[body["id"]] = None
        if len(self._seen) > KEPT:
            self._seen.popitem(last=False)
        self._events.add({**body, "eventName": body["type"]})
        return VendorResponse.json(202, {})


def _signature(secret: str, signed: bytes) -> str:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return ""
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
