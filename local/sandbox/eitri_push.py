"""Eitri Push Server as the sandbox plays it: signed session messages, OAuth2 tokens, devices bound to people."""

import base64
import binascii
import hashlib
import hmac
import re
from collections import OrderedDict
from dataclasses import dataclass

from local.sandbox.eitri_message import LOGOUT, PUSH_REMOVED, message_faults, refusal
from local.sandbox.eitri_oauth import TokenOffice
from local.sandbox.exchange import (
    KEPT,
    CheckResult,
    Findings,
    Json,
    Request,
    Settings,
    VendorResponse,
    not_found,
    transport_faults,
)

HOOK = "/hooks/session"
TOKEN = "/v1/oauth/token"  # noqa: S105 - a path
LARGEST_BODY = 16 * 1024
TOLERANCE = 300
RELEASE = "release"


@dataclass
class Device:
    """What the receiver keeps of one device of one store."""

    customer: str | None = None
    push_token: str | None = None
    sequence: int = -1
    last_type: str = ""

    received_at: str = ""

    def apply(self, message: dict[str, Json]) -> bool:
        """Apply a message that is newer than the last one; whether it was."""
        kind = message["type"]
        if self._is_newer(message):
            return False
        self.sequence, self.received_at = message["sequence"], message.get("received_at", "")
        # The event that a release stands for may follow with the same sequence.
        self.last_type = RELEASE if "release_of" in message else kind
        named = message.get("customer", {}).get("id")
        if kind == PUSH_REMOVED:
            self.push_token = None
            self.customer = named or self.customer
            return True
        if named != self.customer:
            # A push token belongs to the person whom its message named.
            self.push_token = None
        self.customer = None if kind == LOGOUT else named
        if "push" in message["device"]:
            self.push_token = message["device"]["push"]["token"]
        return True

    def _is_newer(self, message: dict[str, Json]) -> bool:
        """Say whether what was applied last is newer than a message."""
        sequence, received_at = message["sequence"], message.get("received_at", "")
        if sequence != self.sequence:
            return bool(sequence < self.sequence)
        if "release_of" in message or self.last_type == RELEASE:
            return False
        if received_at and self.received_at:
            return bool(received_at < self.received_at)
        if received_at or self.received_at:
            return False
        return self.last_type == LOGOUT or message["type"] != LOGOUT


class EitriPush:
    """Binds devices to customers, in the order of their sequence numbers and not of their arrival."""

    name = "eitri_push"
    title = "Eitri Push"

    def __init__(self, settings: Settings) -> None:
        """Begin with no devices, no tokens and no messages seen."""
        self.settings = settings
        self._devices: dict[tuple[str, str, str], Device] = {}
        self._seen: OrderedDict[str, bytes] = OrderedDict()
        self._tokens = TokenOffice()
        self._counts = {"applied": 0, "superseded": 0, "alreadySeen": 0}

    def check(self, request: Request, now: float) -> CheckResult:
        """Check one message or one request for a token."""
        if request.method == "POST" and request.path == HOOK:
            return self._check_message(request, now)
        if request.method == "POST" and request.path == TOKEN:
            return self._tokens.check(request, now, self.settings)
        return not_found(request)

    def state(self) -> dict[str, Json]:
        """Show who is bound to each device and whose pushes it gets."""
        devices = {
            device_id: {
                "customer": device.customer,
                "pushToken": device.push_token,
                "pushesGoTo": device.customer if device.push_token else None,
                "sequence": device.sequence,
                "store": {"account": account, "environment": environment},
            }
            for (account, environment, device_id), device in self._devices.items()
        }
        return {"devices": devices, "messages": dict(self._counts)}

    def reset(self) -> None:
        """Lose devices, tokens and the memory of messages."""
        self._devices.clear()
        self._seen.clear()
        self._tokens.reset()
        self._counts = dict.fromkeys(self._counts, 0)

    def subject(self, request: Request) -> str:
        """Name the request in the vendor's own word."""
        return "a token" if request.path == TOKEN else str(request.json()["type"])

    def _check_message(self, request: Request, now: float) -> CheckResult:
        findings = Findings()
        mode = self.settings.get("auth_mode", "hmac")
        if self.settings and "hmac" in mode:
            self._check_signature(request, now, findings)
        if self.settings and "oauth2" in mode:
            self._check_token(request, now, findings)
        if self.settings and mode == "static_header":
            self._check_static_header(request, findings)
        findings.note(*transport_faults(request))
        agent = request.headers.get("user-agent", "")
        if not re.match(r"[\w.-]+/[\w.-]+", agent) or agent.lower().startswith("python"):
            findings.note(f"user-agent: {agent or 'missing'} is not <product>/<version>")
        message = _parse(request, findings)
        self._check_store(message, findings)
        message_id = request.headers.get("webhook-id", "")
        if message.get("id") != message_id:
            findings.refuse("webhook-id is not the id of the body", refusal(400, "invalid_request"))
        before = self._seen.get(message_id)
        if before is not None and before != _fingerprint(request):
            findings.note("webhook-id was used before for another body")
        return findings.result(lambda: self._apply(message, request))

    def _check_signature(self, request: Request, now: float, findings: Findings) -> None:
        headers = request.headers
        stamp = headers.get("webhook-timestamp", "")
        if not stamp.isascii() or not stamp.isdigit() or abs(now - int(stamp[:18])) > TOLERANCE:
            findings.refuse(
                f"webhook-timestamp {stamp or 'missing'} is not within {TOLERANCE} s of now",
                refusal(401, "UNAUTHORIZED"),
            )
        signed = f"{headers.get('webhook-id', '')}.{stamp}.".encode() + request.body
        right = {_signature(secret, signed) for secret in self.settings.get("signing_secrets", ())}
        offered = headers.get("webhook-signature", "").split()
        if not any(hmac.compare_digest(one.encode(), other.encode()) for one in offered for other in right):
            findings.refuse("webhook-signature fits no secret", refusal(401, "UNAUTHORIZED"))
        for one in offered:
            if not re.fullmatch(r"v1,[A-Za-z0-9+/]{43}=", one):
                findings.note(f"webhook-signature: {one} is not v1,{{base64 of 32 bytes}}")

    def _check_token(self, request: Request, now: float, findings: Findings) -> None:
        if not self._tokens.honours(request.bearer(), now, self.settings):
            findings.refuse("authorization: no living Bearer token", refusal(401, "invalid_token"))

    def _check_static_header(self, request: Request, findings: Findings) -> None:
        expected = self.settings.get("static_header", {})
        if request.headers.get(str(expected.get("name", "")).lower()) != expected.get("value"):
            findings.refuse("the static header is missing or wrong", refusal(401, "UNAUTHORIZED"))

    def _check_store(self, message: dict[str, Json], findings: Findings) -> None:
        store = self.settings.get("store")
        if message and store and message.get("store") != store:
            findings.refuse("store is not the configured one", refusal(404, "store.not.found"))

    def _apply(self, message: dict[str, Json], request: Request) -> VendorResponse:
        if message["id"] in self._seen:
            self._counts["alreadySeen"] += 1
            return refusal(409, "already_seen")
        self._seen[message["id"]] = _fingerprint(request)
        if len(self._seen) > KEPT:
            self._seen.popitem(last=False)
        store = message["store"]
        key = (store["account"], store["environment"], message["device"]["id"])
        # A released message may come again, and counts then.
        self._seen.pop(message.get("release_of", ""), None)
        applied = self._devices.setdefault(key, Device()).apply(message)
        self._counts["applied" if applied else "superseded"] += 1
        return VendorResponse.json(202, {"accepted": True, "requestId": f"r-{len(self._seen)}"})


def _fingerprint(request: Request) -> bytes:
    return hashlib.sha256(request.body).digest()


def _signature(secret: str, signed: bytes) -> str:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return ""
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def _parse(request: Request, findings: Findings) -> dict[str, Json]:
    if len(request.body) > LARGEST_BODY:
        findings.refuse(f"body: {len(request.body)} bytes, more than {LARGEST_BODY}", refusal(413, "invalid_request"))
    message = findings.read(request, refusal(400, "invalid_request"))
    if message is None:
        return {}
    findings.refuse_each(message_faults(message), refusal(400, "invalid_request"))
    return message
