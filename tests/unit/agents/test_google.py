"""What the table of Google's contract cannot say: numbers on the wire, the secret, settings that must not load."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from functions.agents.google.app import Settings, build_requests
from relay.encoding import sha256
from relay.event.model import Event

WEB = {"measurement_id": "G-ABC1234567"}


def settings(**fields: Any) -> Settings:
    return Settings.model_validate({"api_secret": "SECRET-PLACEHOLDER", **(fields or WEB)})


def login(**fields: Any) -> Event:
    said = {
        "type": "login",
        "appId": "shop",
        "eventId": "e1",
        "customerId": "usr_7f3a9c21",
        "occurredAt": "2026-11-20T09:15:42.318457Z",
        "receivedAt": "2026-11-20T09:15:42.318457Z",
        "sequence": 1,
        "ids": {"gaClientId": "1872054418.1795100000"},
    }
    return Event.load(json.dumps(said | fields))


def test_time_is_a_whole_number_of_microseconds_and_a_flag_is_1() -> None:
    [request] = build_requests(login(properties={"gift": True, "total": 1.0}), settings())
    assert b'"timestamp_micros":1795166142318457,' in request.body
    assert b'"gift":1,' in request.body
    assert b'"total":1.0}' in request.body


@pytest.mark.parametrize(
    ("address", "digested"),
    [
        ("J.Doe.Smith@gmail.com", "jdoesmith@gmail.com"),
        ("j.doe+news.letter@googlemail.com", "jdoe+newsletter@googlemail.com"),
        ("J.Doe@Example.com", "j.doe@example.com"),
        ("j.doe@mail.gmail.com", "j.doe@mail.gmail.com"),
    ],
)
def test_only_gmail_loses_the_dots_before_the_at_sign(address: str, digested: str) -> None:
    [request] = build_requests(login(email=address), settings())
    assert json.loads(request.body)["user_data"] == {"sha256_email_address": [sha256(digested)]}


def test_the_secret_does_not_print() -> None:
    [request] = build_requests(login(), settings())
    assert "SECRET-PLACEHOLDER" not in repr(request)
    assert "SECRET-PLACEHOLDER" not in request.url


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"firebase_app_id_ios": "1:123456789012:web:3f2a9c0b1d4e5f60"}, "firebase_app_id_ios"),
        ({"firebase_app_id_ios": "1:123456789012:android:3f2a9c0b1d4e5f60"}, "firebase_app_id_ios"),
        ({"firebase_app_id_android": "1:123456789012:ios:3f2a9c0b1d4e5f60"}, "firebase_app_id_android"),
        ({"measurement_id": "UA-12345-1"}, "measurement_id"),
        ({"measurement_id": None}, "measurement_id, firebase_app_id_ios or firebase_app_id_android is required"),
        ({**WEB, "api_secret": ""}, "api_secret"),
        ({**WEB, "api_secret": "SECRET-PLACEHOLDER\n"}, "without blanks or line ends"),
        ({**WEB, "base_url": "https://google.example.com/"}, "base_url"),
        ({**WEB, "event_names": {"login": "session_start"}}, "not a name that Google reserves"),
        ({**WEB, "event_names": {"login": "Log in"}}, "must be a letter and up to 39 letters, digits or '_'"),
        ({**WEB, "event_names": {"login": "ga_login"}}, "not a name that Google reserves"),
        ({**WEB, "user_properties": {}}, "user_properties"),
    ],
)
def test_wrong_settings_do_not_load_and_say_why(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as refused:
        settings(**fields)
    assert complaint in str(refused.value)
