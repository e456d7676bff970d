"""The sandboxed Mobile Engage takes the contract's examples and links devices in the order of arrival."""

import base64
import json
from typing import Any

import pytest

from local.sandbox.emarsys import Emarsys
from local.sandbox.exchange import CheckResult, Request, VendorResponse

SETTINGS = {
    "applications": {
        "android": {"code": "4F7AC-90B1D", "password": "example-only"},
        "ios": {"code": "5A1BC-22E0F", "password": "example-too"},
    },
    "contact_field_id": 9127,
}
BASIC = "Basic NEY3QUMtOTBCMUQ6ZXhhbXBsZS1vbmx5"
DEVICE = "6b1f0a52-7a1e-4d0c-9a35-0d1f6f2b7c11"
ANA = "5d0f1c6be3a7484f9d2c0b6a1e7f33c2a94d0e81b7c65f2390ad4be1"
BEN = "a4337bc45a8fc544c03f52dc550cd6e1e87021bc896588bd79e901e2"
WHO = {"application_id": "4F7AC-90B1D", "hardware_id": DEVICE}
OPEN: dict[str, Any] = WHO | {
    "platform": "android",
    "language": "pt",
    "timezone": "-0300",
    "device_model": "SM-S911B",
    "application_version": "3.4.0",
    "os_version": "14",
    "push_token": False,
}
LOGIN: dict[str, Any] = OPEN | {"contact_field_id": 9127, "contact_field_value": ANA}
TOKEN = {"push_token": "dQ3xExampleFcmToken:APA91bEXAMPLE"}
EVENT: dict[str, Any] = WHO | {
    "contact_field_id": 9127,
    "contact_field_value": ANA,
    "attributes": {"method": "otp"},
}


def post(path: str, body: Any, authorization: str = BASIC) -> Request:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json", "authorization": authorization}
    return Request("POST", f"/api/mobileengage/v2/{path}", {}, headers, raw)


def checked(request: Request) -> tuple[CheckResult, VendorResponse]:
    result = Emarsys(SETTINGS).check(request, 0)
    return result, result.work()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("users/login", OPEN),
        ("users/login", LOGIN),
        ("users/login", LOGIN | TOKEN),
        ("users/login", LOGIN | {"push_token": "false"}),
        ("users/login", LOGIN | {"contact_field_value": "12345"}),
        ("users/login", LOGIN | {"contact_field_value": "Kundin #7-ä"}),
        ("users/login", LOGIN | {"contact_field_value": "a" * 60}),
        ("users/login", LOGIN | {"application_version": "10.1", "os_version": "9.2.1"}),
        ("users/logout", WHO),
        ("events/session_login", EVENT),
        ("events/Checkout%20Started", WHO),
    ],
)
def test_takes_the_examples_of_the_contract(path: str, body: dict[str, Any]) -> None:
    result, answer = checked(post(path, body))
    assert list(result.violations) == []
    assert answer.status == 202


def test_answers_an_anonymous_login_with_the_contact() -> None:
    assert set(json.loads(checked(post("users/login", OPEN))[1].body)) == {"api_me_id", "me_id_signature", "contact_id"}
    assert checked(post("users/login", LOGIN))[1].body == ""


@pytest.mark.parametrize(
    "change",
    [
        {"language": "Portuguese (Brazil)"},
        {"timezone": "America/Sao_Paulo"},
        {"timezone": "-03:00"},
        {"timezone": "+٠٢٠٠"},
        {"application_version": "none"},
        {"application_version": "3.4.0 (5120)"},
        {"os_version": "14.0.0.1"},
        {"platform": "Android"},
        {"device_model": ""},
        {"push_token": None},
        {"push_token": True},
        {"push_token": "true"},
        {"push_token": "null"},
        {"push_token": ""},
        {"contact_field_id": "9127"},
        {"contact_field_id": 3},
        {"contact_field_value": "a" * 64},
        {"contact_field_value": "ana@example.com"},
        {"contact_field_value": "ana%40example.com"},
        {"contact_field_value": "+5511999887766"},
        {"contact_field_value": "+55 (11) 99988-7766"},
        {"contact_field_value": " "},
        {"contact_field_value": "undefined"},
        {"contact_field_value": "cus\n778"},
        {"contact_field_value": 12345},
        {"contact_field_value": None},
        {"hardware_id": " "},
        {"application_id": "5A1BC-22E0F"},
        {"push_settings": {"sound_setting": True}},
    ],
)
def test_refuses_a_login_with_a_bad_parameter(change: dict[str, Any]) -> None:
    result, answer = checked(post("users/login", LOGIN | change))
    assert result.violations
    assert answer.status == 400


@pytest.mark.parametrize("language", ["pt-BR", "fil", "zh_Hant_TW", "haw"])
def test_takes_a_language_of_more_than_two_letters_and_remarks_on_it(language: str) -> None:
    # Only the vendor can tell what v2 makes of it; its later SDKs send BCP 47.
    result, answer = checked(post("users/login", LOGIN | {"language": language}))
    assert result.violations == [f"language is {language}, not an ISO 639-1 code of two letters"]
    assert answer.status == 202


@pytest.mark.parametrize("field", ["application_version", "os_version", "device_model"])
def test_takes_unknown_as_the_vendors_own_sdk_sends_it(field: str) -> None:
    result, answer = checked(post("users/login", LOGIN | {field: "unknown"}))
    assert (result.violations, answer.status) == ([], 202)


@pytest.mark.parametrize("missing", sorted(set(LOGIN)))
def test_refuses_a_login_without_a_required_parameter(missing: str) -> None:
    body = {key: value for key, value in LOGIN.items() if key != missing}
    assert checked(post("users/login", body))[1].status == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("users/logout", {"application_id": "4F7AC-90B1D"}),
        ("users/logout", b"{"),
        ("users/logout", []),
        ("events/session_login", EVENT | {"attributes": {"count": 1}}),
        ("events/session_login", EVENT | {"attributes": {}}),
        ("events/session_login", EVENT | {"attributes": None}),
        ("events/session_login", WHO | {"contact_field_id": 9127}),
        ("events/message_open", WHO),
    ],
)
def test_refuses_other_calls_with_a_bad_parameter(path: str, body: Any) -> None:
    assert checked(post(path, body))[1].status == 400


@pytest.mark.parametrize(
    "authorization", ["", "Bearer x", "Basic ?", "Basic " + base64.b64encode(b"4F7AC-90B1D:old").decode()]
)
def test_refuses_a_wrong_basic_header(authorization: str) -> None:
    result, answer = checked(post("users/login", LOGIN, authorization))
    assert any(violation.startswith("authorization") for violation in result.violations)
    assert answer.status == 401


@pytest.mark.parametrize(
    ("path", "body", "complaint"),
    [
        ("users/login", LOGIN | {"contact_field_id": 158}, "not the configured 9127"),
        ("users/login", LOGIN | {"platform": "ios"}, "the code belongs to android"),
        ("users/login", LOGIN | {"event_id": "x"}, "is not a known field"),
        ("users/logout", WHO | {"push_token": False}, "is not a known field"),
        ("events/Checkout Started", EVENT, "is not percent-encoded"),
    ],
)
def test_swallows_what_the_vendor_swallows_and_tells_us(path: str, body: dict[str, Any], complaint: str) -> None:
    result, answer = checked(post(path, body))
    assert any(complaint in violation for violation in result.violations)
    assert answer.status == 202


def test_there_are_no_other_paths() -> None:
    result, answer = checked(post("events/a/b", EVENT))
    assert (len(result.violations), answer.status) == (1, 404)


def state_after(*calls: tuple[str, dict[str, Any]]) -> Any:
    agent = Emarsys(SETTINGS)
    for path, body in calls:
        agent.check(post(path, body), 0).work()
    return agent.state()["devices"][DEVICE]


IN = ("users/login", LOGIN | TOKEN)
OUT = ("users/logout", WHO)


def test_a_login_links_the_device_and_a_logout_unlinks_it() -> None:
    assert state_after(IN)["pushesGoTo"] == ANA
    gone = state_after(IN, OUT)
    assert (gone["customer"], gone["pushToken"], gone["pushesGoTo"]) == (None, None, None)


def test_a_login_that_arrives_after_the_logout_leaks_as_it_does_at_the_vendor() -> None:
    assert state_after(OUT, IN)["pushesGoTo"] == ANA
    assert state_after(("users/login", LOGIN | TOKEN | {"contact_field_value": BEN}), IN)["pushesGoTo"] == ANA


def test_the_word_false_deletes_the_token() -> None:
    declined = state_after(IN, ("users/login", LOGIN | {"push_token": "false"}))
    assert (declined["customer"], declined["pushToken"], declined["pushesGoTo"]) == (ANA, None, None)


def test_an_anonymous_login_makes_one_contact_for_the_device() -> None:
    assert state_after(("users/login", OPEN), ("users/login", OPEN))["customer"] == "anonymous:1"
    assert state_after(IN, ("users/login", OPEN))["customer"] == "anonymous:1"


def test_keeps_events_with_their_decoded_names() -> None:
    agent = Emarsys(SETTINGS)
    agent.check(post("events/Checkout%20Started", EVENT), 0).work()
    [event] = agent.state()["events"]
    assert (event["name"], event["customer"], event["attributes"]) == ("Checkout Started", ANA, {"method": "otp"})
    agent.reset()
    assert agent.state() == {"devices": {}, "events": []}
