"""Eitri Push Server as the sandbox plays it: signed session messages, OAuth2 tokens, devices bound to people."""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl

from local.sandbox.exchange import (
    KEPT,
    Answer,
    Findings,
    Json,
    Judgement,
    Request,
    Settings,
    misdirected,
    transport_faults,
)
from local.sandbox.formats import (
    E164,
    Check,
    anything,
    is_email,
    misfits,
    one_of,
    text,
    true_or_false,
    whole_number,
)

HOOK = "/hooks/session"
TOKEN = "/v1/oauth/token"  # noqa: S105 - a path
LARGEST_BODY = 16 * 1024
TOLERANCE = 300
TOKEN_LIFE = 900
SCHEMA = "eitri-session/1"
LOGIN, LOGOUT = "session.login", "session.logout"
PUSH, PUSH_REMOVED = "device.push_token", "device.push_token_removed"
TYPES = (LOGIN, LOGOUT, PUSH, PUSH_REMOVED, "app.open", "identity.updated", "event.track")
NEEDS_CUSTOMER = (LOGIN, "identity.updated")

BODY: dict[str, Check] = {
    "schema": one_of(SCHEMA),
    "type": one_of(*TYPES),
    "id": text(),
    "occurred_at": text(
        r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z",
        form="ISO 8601 in UTC with milliseconds",
    ),
    "sequence": whole_number(0),
    **dict.fromkeys(("store", "customer", "device", "session", "properties"), anything),
}
REQUIRED = ("schema", "type", "id", "occurred_at", "sequence", "store", "device")
STORE: dict[str, Check] = {"account": text(), "environment": text()}
CUSTOMER: dict[str, Check] = {
    "id": text(longest=128),
    "email": lambda value: "" if isinstance(value, str) and is_email(value) else "is not an e-mail address",
    "phone": text(E164, form="an E.164 number"),
}
DEVICE: dict[str, Check] = {
    "id": text(),
    "platform": one_of("ios", "android", "web"),
    "app_version": text(),
    "os_version": text(),
    "push": anything,
}
PUSH_ADDRESS: dict[str, Check] = {"provider": one_of("fcm"), "token": text()}
SESSION: dict[str, Check] = {"id": text(), "verified": true_or_false}


@dataclass
class Device:
    """What the receiver keeps of one device of one store."""

    customer: str | None = None
    push_token: str | None = None
    sequence: int = -1
    last_type: str = ""

    def apply(self, message: dict[str, Json]) -> bool:
        """Apply a message that is newer than the last one, or a logout that ties with it; tell whether it was."""
        kind, sequence = message["type"], message["sequence"]
        ties = sequence == self.sequence and kind == LOGOUT and self.last_type != LOGOUT
        if sequence <= self.sequence and not ties:
            return False
        self.sequence, self.last_type = sequence, kind
        customer = message.get("customer", {}).get("id")
        if kind == LOGIN:
            self.customer = customer
        elif kind == LOGOUT and customer in (None, self.customer):
            self.customer = None
        if kind == PUSH_REMOVED:
            self.push_token = None
        elif "push" in message["device"]:
            self.push_token = message["device"]["push"]["token"]
        return True


class EitriPush:
    """Binds devices to customers, in the order of their sequence numbers and not of their arrival."""

    name = "eitri_push"

    def __init__(self, settings: Settings) -> None:
        """Begin with no devices, no tokens and no messages seen."""
        self.settings = settings
        self._devices: dict[tuple[str, str, str], Device] = {}
        self._seen: OrderedDict[str, bytes] = OrderedDict()
        self._tokens: dict[str, tuple[float, str]] = {}
        self._counts = {"applied": 0, "superseded": 0, "alreadySeen": 0}

    def judge(self, request: Request, now: float) -> Judgement:
        """Check one message or one request for a token."""
        if request.method == "POST" and request.path == HOOK:
            return self._judge_message(request, now)
        if request.method == "POST" and request.path == TOKEN:
            return self._judge_token_request(request, now)
        return misdirected(request)

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

    def forget(self) -> None:
        """Lose devices, tokens and the memory of messages."""
        self._devices.clear()
        self._seen.clear()
        self._tokens.clear()
        self._counts = dict.fromkeys(self._counts, 0)

    def _judge_message(self, request: Request, now: float) -> Judgement:
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
            findings.refuse("webhook-id is not the id of the body", _refusal(400, "invalid_request"))
        before = self._seen.get(message_id)
        if before is not None and before != _fingerprint(request):
            findings.note("webhook-id was used before for another body")
        return findings.judgement(lambda: self._apply(message, request))

    def _check_signature(self, request: Request, now: float, findings: Findings) -> None:
        headers = request.headers
        stamp = headers.get("webhook-timestamp", "")
        if not stamp.isascii() or not stamp.isdigit() or abs(now - int(stamp[:18])) > TOLERANCE:
            findings.refuse(
                f"webhook-timestamp {stamp or 'missing'} is not within {TOLERANCE} s of now",
                _refusal(401, "UNAUTHORIZED"),
            )
        signed = f"{headers.get('webhook-id', '')}.{stamp}.".encode() + request.body
        right = {_signature(secret, signed) for secret in self.settings.get("signing_secrets", ())}
        offered = headers.get("webhook-signature", "").split()
        if not any(hmac.compare_digest(one.encode(), other.encode()) for one in offered for other in right):
            findings.refuse("webhook-signature fits no secret", _refusal(401, "UNAUTHORIZED"))
        for one in offered:
            if not re.fullmatch(r"v1,[A-Za-z0-9+/]{43}=", one):
                findings.note(f"webhook-signature: {one} is not v1,{{base64 of 32 bytes}}")

    def _check_token(self, request: Request, now: float, findings: Findings) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        expires, credentials = self._tokens.get(token, (0.0, ""))
        # Rotation kills the old credentials at once, and revocation is checked at each request.
        if scheme != "Bearer" or expires <= now or credentials != self._credentials():
            findings.refuse("authorization: no living Bearer token", _refusal(401, "invalid_token"))

    def _check_static_header(self, request: Request, findings: Findings) -> None:
        expected = self.settings.get("static_header", {})
        if request.headers.get(str(expected.get("name", "")).lower()) != expected.get("value"):
            findings.refuse("the static header is missing or wrong", _refusal(401, "UNAUTHORIZED"))

    def _check_store(self, message: dict[str, Json], findings: Findings) -> None:
        store = self.settings.get("store")
        if message and store and message.get("store") != store:
            findings.refuse("store is not the configured one", _refusal(404, "store.not.found"))

    def _apply(self, message: dict[str, Json], request: Request) -> Answer:
        if message["id"] in self._seen:
            self._counts["alreadySeen"] += 1
            return _refusal(409, "already_seen")
        self._seen[message["id"]] = _fingerprint(request)
        if len(self._seen) > KEPT:
            self._seen.popitem(last=False)
        store = message["store"]
        key = (store["account"], store["environment"], message["device"]["id"])
        applied = self._devices.setdefault(key, Device()).apply(message)
        self._counts["applied" if applied else "superseded"] += 1
        return Answer.json(202, {"accepted": True, "requestId": f"r-{len(self._seen)}"})

    def _judge_token_request(self, request: Request, now: float) -> Judgement:
        findings = Findings()
        oauth = self.settings.get("oauth") or {}
        style = oauth.get("style", "json_body")
        asked = _token_request(request, style, findings)
        if asked.get("grant_type") != "client_credentials":
            wrong = "unsupported_grant_type" if asked.get("grant_type") else "invalid_request"
            findings.refuse("grant_type is not client_credentials", _refusal(400, wrong))
        presented = f"{asked.get('client_id')}:{asked.get('client_secret')}"
        if self.settings and presented != self._credentials():
            findings.refuse("client_id and client_secret are not the store's", _refusal(401, "invalid_client"))
        return findings.judgement(lambda: self._issue(now, oauth.get("expires_in", TOKEN_LIFE)))

    def _credentials(self) -> str:
        oauth = self.settings.get("oauth") or {}
        return f"{oauth.get('client_id')}:{oauth.get('client_secret')}"

    def _issue(self, now: float, life: float) -> Answer:
        self._tokens = {token: held for token, held in self._tokens.items() if held[0] > now}
        token = f"eyJ{secrets.token_urlsafe(24)}.{secrets.token_urlsafe(48)}.{secrets.token_urlsafe(32)}"
        self._tokens[token] = (now + life, self._credentials())
        body = {"access_token": token, "token_type": "Bearer", "expires_in": life, "scope": "push:send"}
        return Answer.json(200, body)


def _refusal(status: int, name: str) -> Answer:
    return Answer.json(status, {"name": name})


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
        findings.refuse(f"body: {len(request.body)} bytes, more than {LARGEST_BODY}", _refusal(413, "invalid_request"))
    try:
        message = request.json()
    except ValueError as error:
        message = None
        findings.refuse(f"body: not JSON: {error}", _refusal(400, "invalid_request"))
    if not isinstance(message, dict):
        findings.refuse("body: not a JSON object", _refusal(400, "invalid_request"))
        return {}
    for fault in _misfits(message):
        findings.refuse(fault, _refusal(400, "invalid_request"))
    return message


def _misfits(message: dict[str, Json]) -> Iterator[str]:
    kind = message.get("type")
    tables: list[tuple[Json, str, dict[str, Check], tuple[str, ...]]] = [(message, "", BODY, REQUIRED)]
    tables.append((message.get("store"), "store", STORE, ("account", "environment")))
    if "customer" in message or kind in NEEDS_CUSTOMER:
        tables.append((message.get("customer"), "customer", CUSTOMER, ("id",)))
    device = message.get("device")
    tables.append((device, "device", DEVICE, ("id", "platform")))
    if isinstance(device, dict) and ("push" in device or kind == PUSH):
        tables.append((device.get("push"), "device.push", PUSH_ADDRESS, ("provider", "token")))
    session = message.get("session", {"id": "-", "verified": True})
    tables.append((session, "session", SESSION, ("id", "verified")))
    for value, where, table, required in tables:
        for place, wrong in misfits(value, where, table, required):
            yield f"{place} {wrong}"
    yield from _property_faults(message.get("properties", None if kind == "event.track" else {}))
    if kind == LOGIN and isinstance(session, dict) and session.get("verified") is False:
        yield "session.verified is false: an unproven login must not be sent as one"


def _property_faults(properties: Json) -> Iterator[str]:
    if not isinstance(properties, dict):
        yield "properties is not an object"
        return
    yield from (f"properties.{name} is not a string" for name, held in properties.items() if not isinstance(held, str))


def _token_request(request: Request, style: str, findings: Findings) -> dict[str, Json]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    expected = "application/x-www-form-urlencoded" if style == "form" else "application/json"
    if kind != expected:
        findings.refuse(f"content-type is {kind or 'missing'}, not {expected}", _refusal(400, "invalid_request"))
    try:
        asked = dict(parse_qsl(request.body.decode())) if style == "form" else request.json()
    except ValueError as error:
        findings.refuse(f"body: cannot be read: {error}", _refusal(400, "invalid_request"))
        return {}
    in_header = ("client_id", "client_secret") if style == "basic_json" else ()
    table: dict[str, Check] = dict.fromkeys(("grant_type", "client_id", "client_secret", "scope"), text())
    for name in in_header:
        del table[name]
    for where, wrong in misfits(asked, "", table):
        findings.refuse(f"{where} {wrong}", _refusal(400, "invalid_request"))
    if not isinstance(asked, dict):
        return {}
    if style == "basic_json":
        asked = asked | dict(zip(in_header, _basic(request), strict=False))
    elif "authorization" in request.headers:
        findings.note("authorization: the credentials belong into the body alone")
    return asked


def _basic(request: Request) -> list[str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        decoded = base64.b64decode(encoded, validate=True).decode() if scheme == "Basic" else ""
    except ValueError:
        decoded = ""
    return decoded.split(":", 1)
