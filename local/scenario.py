"""The demo's scenario: the seeds' examples as bare calls, then one phone used by two people, and a site."""

from dataclasses import dataclass
from typing import Any

CUSTOMER = "12345"
CONTACT = {"email": "user@example.com", "phone": "+5511999887766"}

FIRST, SECOND = "ana-1", "bruno-2"
FIRST_CONTACT = {"email": "ana@example.com", "phone": "+5511999990000"}
FIRST_VISITOR = "3f0c2a58-6f1b-4f0e-9a7d-51c8a2b4e901"
SECOND_VISITOR = "a81d4e2f-0b7c-4c55-8f1e-2d3c4b5a6978"
DEVICE = "6b1f0a52-7a1e-4d0c-9a35-0d1f6f2b7c11"
PUSH_TOKEN = "fcm-example-token"  # noqa: S105 - an example

PHONE: dict[str, Any] = {
    "device": {
        "id": DEVICE,
        "platform": "android",
        "manufacturer": "Samsung",
        "model": "SM-S911B",
        "osVersion": "14",
        "appId": "com.example.shop",
        "appVersion": "4.12.0",
        "appBuild": "5120",
        "language": "pt-BR",
        "timezone": "America/Sao_Paulo",
        "pushToken": PUSH_TOKEN,
        "advertisingId": "9c9a82fb-d5de-4cd1-90c3-527441c11828",
        "adTracking": True,
        "screen": {"width": 1080, "height": 2340, "density": 3.0},
    },
    "ids": {
        "appsflyerId": "1731923741208-4410928837465120934",
        "gaAppInstanceId": "c2f0a6d1b94e4c7a8d3b5e6f70819a2b",
        "gaSessionId": "1795166098",
        "fbAnonId": "2f8b4a1c-0d3e-4a55-9c7e-6f1b2a3c4d5e",
    },
}

SILENT_PHONE: dict[str, Any] = {**PHONE, "device": {**PHONE["device"], "pushToken": False}}
"""The same phone before push was accepted."""

INCOMPLETE_PHONE: dict[str, Any] = {
    **PHONE,
    "device": {name: value for name, value in PHONE["device"].items() if name != "platform"},
}
"""The same phone as an app describes it that leaves out what Emarsys and Eitri need."""

NOBODY = "None"

BROWSER: dict[str, Any] = {
    "device": {"id": "b7c5e0c4-5c1d-4f5e-8e7a-0a1b2c3d4e5f", "platform": "web", "language": "pt-BR"},
    "ids": {
        "gaClientId": "1872054418.1795100000",
        "gaSessionId": "1795166098",
        "fbp": "fb.1.1795100000000.1098115397",
    },
    "context": {"url": "https://shop.example.com/account"},
}


@dataclass(frozen=True)
class Step:
    """One call: its title, path and body (None for none); whose identity token goes with it; the key that it carries.

    `late` marks a call that was held up on its way: its sequence is of the moment before the step of that number.
    `phone_of` is whose pushes the phone must get after it, where that is checked at once.
    """

    title: str
    path: str
    body: dict[str, Any] | None
    token_of: str | None = None
    key: str = "public"
    late: int | None = None
    phone_of: str | None = None


def _first(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"customerId": FIRST, "anonymousId": FIRST_VISITOR, **FIRST_CONTACT, **PHONE, **more}


STEPS = [
    Step("bare login", "/login", {"customerId": CUSTOMER}),
    Step("complete login", "/login", {"customerId": CUSTOMER, **CONTACT}),
    Step("bare logout", "/logout", None),
    Step("a visitor opens the app", "/open", {"anonymousId": FIRST_VISITOR, **SILENT_PHONE}),
    Step("Ana signs up", "/signup", _first(traits={"firstName": "Ana"}, **SILENT_PHONE), key="secret"),
    Step("Ana logs in", "/login", _first(method="password", **SILENT_PHONE), token_of=FIRST),
    Step("Ana accepts push", "/push-token", _first(), token_of=FIRST),
    Step("Ana does something", "/track", _first(name="checkout_started", properties={"items": 3}), token_of=FIRST),
    Step("Ana's app comes to the fore", "/open", _first(), token_of=FIRST),
    Step("Ana logs out", "/logout", _first(), token_of=FIRST),
    Step(
        "Bruno logs in on her phone",
        "/login",
        {"customerId": SECOND, "anonymousId": SECOND_VISITOR, **PHONE},
        token_of=SECOND,
    ),
    Step("Ana's login, held up on its way", "/login", _first(), token_of=FIRST, late=9),
    Step("Ana logs in again", "/login", _first(), token_of=FIRST),
    Step(
        "Bruno logs in, without platform",
        "/login",
        {"customerId": SECOND, "anonymousId": SECOND_VISITOR, **INCOMPLETE_PHONE},
        token_of=SECOND,
        phone_of=NOBODY,
    ),
    Step(
        "Bruno's app comes to the fore",
        "/open",
        {"customerId": SECOND, "anonymousId": SECOND_VISITOR, **PHONE},
        token_of=SECOND,
        phone_of=SECOND,
    ),
    Step(
        "Ana logs in on the site",
        "/login",
        {"customerId": FIRST, "method": "google", **FIRST_CONTACT, **BROWSER},
        token_of=FIRST,
    ),
    Step("Ana logs out on the site", "/logout", BROWSER, token_of=FIRST),
]
