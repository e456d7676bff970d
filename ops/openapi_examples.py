"""Examples of each call for the OpenAPI document: those of the seeds, as far as they have one."""

from collections.abc import Mapping

from relay.event.model import EventType

_DEVICE = {
    "id": "8E3FD635-7D9C-497E-AB84-1D61BED61F4B",
    "platform": "ios",
    "model": "iPhone7,1",
    "osVersion": "9.2",
    "appVersion": "10.1.2",
    "language": "en",
    "timezone": "Europe/Budapest",
}
_VISITOR = "3d1e7a4c-6f0b-4c9e-9b2a-5a8f0c7d2e11"
_LOGIN = {"customerId": "12345", "email": "ana@example.com", "phone": "+5511999887766"}

EVENTS: Mapping[EventType, Mapping[str, object]] = {
    "login": {
        "basic": {"customerId": "12345"},
        "complete": _LOGIN,
        "device": {
            **_LOGIN,
            "loyaltyTier": "gold",
            "anonymousId": _VISITOR,
            "device": {**_DEVICE, "pushToken": "f2411061"},
        },
    },
    "logout": {"basic": {}, "device": {"customerId": "12345", "anonymousId": _VISITOR, "device": _DEVICE}},
    "open": {
        "anonymous": {"anonymousId": _VISITOR, "device": {**_DEVICE, "pushToken": "false"}},
        "known": {"customerId": "12345", "device": {**_DEVICE, "pushToken": "f2411061"}},
    },
    "signup": {
        "backend": {
            "customerId": "12345",
            "email": "john@example.com",
            "traits": {"firstName": "John", "lastName": "Doe"},
        }
    },
    "identify": {
        "user": {"customerId": "12345", "traits": {"firstName": "John"}},
        "visitor": {"anonymousId": _VISITOR, "traits": {"firstName": "John"}},
    },
    "track": {
        "visitor": {"anonymousId": _VISITOR, "name": "checkout_started", "properties": {"cart": "42", "total": 99.9}}
    },
    "push_token": {
        "accepted": {"device": {**_DEVICE, "pushToken": "f2411061"}},
        "declined": {"device": {**_DEVICE, "pushToken": False, "previousPushToken": "f2411061"}},
    },
}
BATCH: Mapping[str, object] = {
    "two": {
        "events": [{"type": "logout", "device": _DEVICE}, {"type": "login", "customerId": "12345", "device": _DEVICE}]
    }
}
DRY_RUN: Mapping[str, object] = {"login": {"type": "login", **_LOGIN, "device": {**_DEVICE, "pushToken": "f2411061"}}}
TOKEN: Mapping[str, object] = {"week": {"uid": "12345", "expiresIn": 604800}, "basic": {"uid": "12345"}}
