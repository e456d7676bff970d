"""What the demo tells: the seed's examples as bare calls, then the same moments as an app and a site send them."""

from dataclasses import dataclass
from typing import Any

CUSTOMER = "12345"
CONTACT = {"email": "user@example.com", "phone": "+5511999887766"}

PHONE: dict[str, Any] = {
    "device": {
        "id": "6b1f0a52-7a1e-4d0c-9a35-0d1f6f2b7c11",
        "platform": "android",
        "manufacturer": "Samsung",
        "model": "SM-S911B",
        "osVersion": "14",
        "appId": "com.example.shop",
        "appVersion": "4.12.0",
        "appBuild": "5120",
        "language": "pt-BR",
        "timezone": "America/Sao_Paulo",
        "pushToken": "fcm-example-token",
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
    """One call of the story: its title, path, and body (None for none)."""

    title: str
    path: str
    body: dict[str, Any] | None


STEPS = [
    Step("login, bare", "/login", {"customerId": CUSTOMER}),
    Step("login, complete", "/login", {"customerId": CUSTOMER, **CONTACT}),
    Step("logout, bare", "/logout", None),
    Step("login in the app", "/login", {"customerId": CUSTOMER, **CONTACT, "method": "password", **PHONE}),
    Step("logout in the app", "/logout", {"customerId": CUSTOMER, **PHONE}),
    Step("login on the site", "/login", {"customerId": CUSTOMER, **CONTACT, "method": "google", **BROWSER}),
    Step("logout on the site", "/logout", {"customerId": CUSTOMER, **BROWSER}),
]
