"""What the table of AppsFlyer's contract cannot say: the edge of 1 KB, and settings that must not load."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from functions.agents.appsflyer.app import Settings, build_requests
from relay.errors import Skip
from relay.event.model import Event

APPS = {"android_app_id": "com.example.shop"}


def settings(**fields: Any) -> Settings:
    return Settings.model_validate({"s2s_key": "S2S-KEY-PLACEHOLDER", **(fields or APPS)})


def tracked(**fields: Any) -> Event:
    said = {
        "type": "track",
        "appId": "shop",
        "eventId": "e1",
        "name": "viewed",
        "occurredAt": "2026-11-20T09:15:42.318Z",
        "receivedAt": "2026-11-20T09:15:42.318Z",
        "sequence": 1,
        "device": {"platform": "android"},
        "ids": {"appsflyerId": "1731923741208-4410928837465120934"},
    }
    return Event.load(json.dumps(said | fields))


def test_a_body_of_1024_bytes_goes_whole_and_one_byte_more_goes_without_its_last_property() -> None:
    [smallest] = build_requests(tracked(properties={"a": "x"}), settings())
    room = 1024 - len(smallest.body)
    [whole] = build_requests(tracked(properties={"a": "x" * (room + 1)}), settings())
    assert len(whole.body) == 1024
    assert json.loads(json.loads(whole.body)["eventValue"]) == {"a": "x" * (room + 1), "event_id": "e1"}
    [less] = build_requests(tracked(properties={"a": "x" * (room + 2)}), settings())
    assert json.loads(less.body)["eventValue"] == '{"event_id":"e1"}'


def test_what_cannot_be_made_small_enough_is_skipped_and_not_sent() -> None:
    device = {"platform": "android", "appId": "é" * 256, "appVersion": "é" * 256}
    with pytest.raises(Skip, match=r"^larger than AppsFlyer's 1 KB$"):
        build_requests(tracked(device=device), settings())


def test_the_key_is_in_a_header_that_does_not_print() -> None:
    [request] = build_requests(tracked(), settings())
    assert "S2S-KEY-PLACEHOLDER" not in repr(request)
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"ios_app_id": "1234567890"}, "AppsFlyer drops events for a number without 'id'"),
        ({"ios_app_id": "id"}, "must be 'id' and digits"),
        ({"android_app_id": "id1234567890"}, "android_app_id"),
        ({"android_app_id": None}, "android_app_id, ios_app_id or both are required"),
        ({**APPS, "s2s_key": ""}, "s2s_key"),
        ({**APPS, "s2s_key": "SECRET-PLACEHOLDER\n"}, "without blanks or line ends"),
        ({**APPS, "base_url": "https://appsflyer.example.com/"}, "base_url"),
        ({**APPS, "event_names": {"logout": "af_logout"}}, "begin with af_ only if AppsFlyer has predefined it"),
        ({**APPS, "event_names": {"login": "n" * 101}}, "1 to 100 characters"),
        ({**APPS, "event_names": {"identify": "x"}}, "event_names.identify"),
        ({**APPS, "dev_key": "x"}, "dev_key"),
    ],
)
def test_wrong_settings_do_not_load_and_say_why(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as refused:
        settings(**fields)
    assert complaint in str(refused.value)
