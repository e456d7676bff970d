"""The session message of Eitri Push Server: the form of each of its parts."""

from collections.abc import Iterator

from local.sandbox.exchange import Json, VendorResponse
from local.sandbox.formats import E164, Check, anything, is_email, misfits, one_of, text, true_or_false, whole_number

SCHEMA = "eitri-session/1"
LOGIN, LOGOUT = "session.login", "session.logout"
PUSH, PUSH_REMOVED = "device.push_token", "device.push_token_removed"
TYPES = (LOGIN, LOGOUT, PUSH, PUSH_REMOVED, "app.open", "identity.updated", "event.track")
NEEDS_CUSTOMER = (LOGIN, "identity.updated")

ENDING = (LOGOUT, PUSH_REMOVED)
"""What ends pushes: the device's id is enough for it."""

BODY: dict[str, Check] = {
    "schema": one_of(SCHEMA),
    "type": one_of(*TYPES),
    "id": text(),
    "release_of": text(),
    "received_at": text(
        r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z",
        form="ISO 8601 in UTC with microseconds",
    ),
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


def refusal(status: int, name: str) -> VendorResponse:
    """A failure as the server responds, with its name."""
    return VendorResponse.json(status, {"name": name})


def message_faults(message: dict[str, Json]) -> Iterator[tuple[str, str]]:
    """Yield every place in a message where something is wrong, and what."""
    kind = message.get("type")
    yield from misfits(message, "", BODY, REQUIRED)
    yield from misfits(message.get("store"), "store", STORE, ("account", "environment"))
    if "customer" in message or kind in NEEDS_CUSTOMER:
        yield from misfits(message.get("customer"), "customer", CUSTOMER, ("id",))
    device = message.get("device")
    yield from misfits(device, "device", DEVICE, ("id",) if kind in ENDING else ("id", "platform"))
    if "release_of" in message and kind != LOGOUT:
        yield "release_of", "is for a logout alone"
    if isinstance(device, dict) and ("push" in device or kind == PUSH):
        yield from misfits(device.get("push"), "device.push", PUSH_ADDRESS, ("provider", "token"))
    if "session" in message:
        yield from misfits(message["session"], "session", SESSION, ("id", "verified"))
    yield from _property_faults(message.get("properties", None if kind == "event.track" else {}))
    session = message.get("session")
    if kind == LOGIN and isinstance(session, dict) and session.get("verified") is False:
        yield "session.verified", "is false: an unproven login must not be sent as one"


def _property_faults(properties: Json) -> Iterator[tuple[str, str]]:
    if not isinstance(properties, dict):
        yield "properties", "is not an object"
        return
    for name, held in properties.items():
        if not isinstance(held, str):
            yield f"properties.{name}", "is not a string"
