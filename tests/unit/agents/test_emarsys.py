"""emarsys: settings that could not work are refused when loaded, and odd time zones never raise."""

import hmac
import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from functions.agents.emarsys.app import Settings, build_requests, remarks
from relay.event.model import Event

ANDROID = {"android": {"code": "4F7AC-90B1D", "password": "example-only"}}
WORKING = {"applications": ANDROID, "contact_field_id": 9127, "contact_key": "a-key-of-this-example-only"}
SETTINGS = Settings.model_validate(WORKING)


def _open(timezone: str, occurred_at: str = "2026-11-20T09:15:42.318Z") -> Event:
    device = {"id": "d1", "platform": "android", "model": "SM-S911B", "osVersion": "14", "appVersion": "3.4.0"}
    event = {"type": "open", "appId": "shop", "eventId": "e1", "occurredAt": occurred_at, "sequence": 1}
    event["receivedAt"] = "2026-11-20T09:15:42.318Z"
    return Event.load(json.dumps({**event, "device": {**device, "language": "pt", "timezone": timezone}}))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"applications": {}}, "must have android, ios or both"),
        ({"applications": {"ios": {"code": "a:b", "password": "p"}}}, "String should match pattern"),
        ({"applications": {"ios": {"code": "a", "password": "p\n"}}}, "nor begin or end with a blank"),
        ({"contact_key": None}, "needs a contact_key of 16 characters or more"),
        ({"contact_key": "too-short"}, "needs a contact_key of 16 characters or more"),
        ({"contact_key": "a-key-read-with-its-line-end\n"}, "nor begin or end with a blank"),
        ({"contact_field_id": 3}, "contact_field_id 3 is the e-mail address"),
        ({"base_url": "https://emarsys.example.com/"}, "String should match pattern"),
        ({"contact_feild_id": 9127}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_could_not_work_are_refused_when_loaded(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate({**WORKING, **wrong})


def test_a_customers_own_id_needs_no_key() -> None:
    settings = Settings.model_validate({**WORKING, "contact_value": "customer_id", "contact_key": None})
    assert settings.contact_key is None


def test_printing_a_request_shows_no_password() -> None:
    [request] = build_requests(_open("America/Sao_Paulo"), Settings.model_validate(WORKING))
    assert "**********" in repr(request)
    assert "NEY3QUMtOTBCMUQ6ZXhhbXBsZS1vbmx5" not in repr(request)


def _body(zone: str, occurred_at: str = "2026-11-20T09:15:42.318Z") -> dict[str, Any]:
    [request] = build_requests(_open(zone, occurred_at), SETTINGS)
    body: dict[str, Any] = json.loads(request.body)
    return body


@pytest.mark.parametrize(
    "zone", ["America", "../etc/passwd", "/etc/localtime", "é", "z" * 256, "+1500", "-0360", "GMT+24", "SystemV/AST4"]
)
def test_a_time_zone_without_a_meaning_becomes_the_offset_of_the_event_and_is_remarked(zone: str) -> None:
    moment = "2026-11-20T06:15:42.318-03:00"
    assert _body(zone, moment)["timezone"] == "-0300"
    assert remarks(_open(zone, moment), SETTINGS) == ("timezone is the offset of occurredAt",)


def test_a_time_before_the_calendar_begins_and_an_offset_that_no_place_has_are_utc() -> None:
    assert _body("America/Sao_Paulo", "0001-01-01T00:00:00Z")["timezone"] == "+0000"
    assert _body("Nowhere/Land", "2026-11-20T09:15:42.318+23:00")["timezone"] == "+0000"
    assert remarks(_open("Nowhere/Land", "2026-11-20T09:15:42.318+23:00"), SETTINGS) == ("timezone is UTC",)


@pytest.mark.parametrize("event_type", ["logout", "track"])
def test_calls_that_do_not_describe_the_device_are_not_remarked(event_type: str) -> None:
    event = _open("Nowhere/Land").model_copy(update={"type": event_type, "name": "checkout"})
    assert remarks(event, SETTINGS) == ()


@pytest.mark.parametrize("fallback", ["", "eng", "EN", "e"])
def test_a_fallback_language_has_two_letters(fallback: str) -> None:
    with pytest.raises(ValidationError, match="String should match pattern"):
        Settings.model_validate({**WORKING, "fallback_language": fallback})


def test_each_customer_has_the_digest_of_its_own_id_under_the_settings_key() -> None:
    def value(customer_id: str, key: str) -> str:
        settings = Settings.model_validate({**WORKING, "contact_key": key})
        event = _open("UTC").model_copy(update={"customer_id": customer_id})
        return str(json.loads(build_requests(event, settings)[0].body)["contact_field_value"])

    asked = [
        ("ana", "a-key-of-this-example"),
        ("rui", "a-key-of-this-example"),
        ("ana", "another-key-of-it"),
        ("é", "é" * 16),
    ]
    # The key's own digest is kept between customers, and what one customer adds to it must not reach the next.
    for customer_id, key in [*asked, *asked]:
        assert value(customer_id, key) == hmac.digest(key.encode(), customer_id.encode(), "sha256").hex()[:56]


@pytest.mark.parametrize(
    "zone", ["Asia/Kolkata", "America/St_Johns", "Pacific/Kiritimati", "Europe/Lisbon", "Asia/Kathmandu"]
)
@pytest.mark.parametrize("moment", ["2026-07-01T12:00:00Z", "2026-01-01T00:30:00+05:30", "1890-01-01T00:00:00Z"])
def test_the_offset_of_a_zone_is_the_one_of_that_moment_without_its_seconds(zone: str, moment: str) -> None:
    local = datetime.fromisoformat(moment).astimezone(ZoneInfo(zone))
    assert _body(zone, moment)["timezone"] == local.strftime("%z")[:5]
