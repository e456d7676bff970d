"""The sandboxed AppsFlyer takes the contract's examples and answers wrong requests as the contract says."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from local.sandbox.appsflyer import AppsFlyer
from local.sandbox.exchange import CheckResult, Request, VendorResponse

SETTINGS = {"s2s_key": "S2S-KEY-PLACEHOLDER", "android_app_id": "com.example.shop", "ios_app_id": "id1234567890"}
NOW = datetime(2026, 11, 20, 10, tzinfo=UTC).timestamp()
HEADERS = {"authentication": "S2S-KEY-PLACEHOLDER", "content-type": "application/json"}

LOGIN: dict[str, Any] = {
    "appsflyer_id": "1731923741208-4410928837465120934",
    "customer_user_id": "usr_7f3a9c21",
    "eventName": "af_login",
    "eventTime": "2026-11-20 09:15:42.318",
    "eventValue": '{"af_registration_method":"google","event_id":"3f0c6d0e-8a53-4d0e-9f2d-6d7a3f4c1b20"}',
    "os": "14",
    "app_version_name": "4.12.0",
    "bundleIdentifier": "com.example.shop",
    "advertising_id": "9c9a82fb-d5de-4cd1-90c3-527441c11828",
    "aie": True,
    "ip": "203.0.113.24",
    "consent_data": {
        "manual": {"gdpr_applies": True, "ad_user_data_enabled": True, "ad_personalization_enabled": False}
    },
}
HASHED_LOGIN = LOGIN | {
    "email_hashed": "b9c845906d33923f1a5a7a4f294e00f2d51aa8f814148abd4ed45d7a49ddf90a",
    "phone_number_e164_hashed": "f0bf0228144d9fe2bdf1da2d8ca698f17bf1410ee688b075c27062e47b6f0b6d",
    "ua": (
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
        "Mobile Safari/537.36"
    ),
}
LOGOUT: dict[str, Any] = {
    "appsflyer_id": "1731923741208-4410928",
    "customer_user_id": "usr_7f3a9c21",
    "eventName": "logout",
    "eventTime": "2026-11-20 09:48:03.007",
    "eventValue": "",
    "os": "18.1",
    "app_version_name": "4.12.0",
    "bundleIdentifier": "com.example.shop",
    "att": 3,
    "idfa": "9876F1AA-2983-3855-27BB-2C626772EFAB",
    "idfv": "95C9BD22-4A4C-41C8-9548-ED07C5C8C145",
    "ip": "203.0.113.24",
}
OPEN: dict[str, Any] = {
    "appsflyer_id": "1731923741208-4410928",
    "eventName": "app_open",
    "eventTime": "2026-11-20 09:14:58.120",
    "eventValue": "",
    "os": "18.1",
    "app_version_name": "4.12.0",
    "bundleIdentifier": "com.example.shop",
    "att": 2,
    "idfv": "95C9BD22-4A4C-41C8-9548-ED07C5C8C145",
    "sharing_filter": "all",
}


def post(body: Any, app_id: str = "com.example.shop", **headers: str) -> Request:
    raw = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
    return Request("POST", f"/inappevent/{app_id}", {}, HEADERS | headers, raw)


def checked(request: Request) -> tuple[CheckResult, VendorResponse]:
    result = AppsFlyer(SETTINGS).check(request, NOW)
    return result, result.work()


@pytest.mark.parametrize(
    ("event", "app_id"),
    [
        (LOGIN, "com.example.shop"),
        (HASHED_LOGIN, "com.example.shop"),
        (LOGOUT, "id1234567890"),
        (OPEN, "id1234567890"),
        (LOGIN | {"consent_data": {"manual": {"gdpr_applies": False}}}, "com.example.shop"),
    ],
)
def test_takes_the_examples_of_the_contract(event: dict[str, Any], app_id: str) -> None:
    result, answer = checked(post(event, app_id))
    assert list(result.violations) == []
    assert (answer.status, answer.body) == (200, "OK")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"eventName": "af_logout"}, "must not begin with af_"),
        ({"eventName": "n" * 101}, "more than 100"),
        ({"eventValue": {"method": "google"}}, "is not a string that holds JSON"),
        ({"eventValue": " "}, "is not a JSON object in a string"),
        ({"eventValue": '{"properties":{"a":1}}'}, "is not flat"),
        ({"eventTime": "2026-11-20T09:15:42.318Z"}, "is not UTC in the form"),
        ({"eventTime": "2026-02-30 09:15:42.318"}, "is not UTC in the form"),
        ({"eventTime": "2026-11-20 10:15:42.318"}, "is in the future"),
        ({"os": ""}, "os is blank"),
        ({"os": "Android 14"}, "is not an OS version"),
        ({"ip": "2001:db8::1"}, "is not an IPv4 address"),
        ({"ip": "0.0.0.0"}, "is not an IPv4 address"),  # noqa: S104 - a placeholder that others send
        ({"customer_user_id": ""}, "customer_user_id is blank"),
        ({"customer_user_id": "null"}, "is the placeholder"),
        ({"customer_user_id": "nadia.okafor@example.com"}, "an e-mail address in clear text"),
        ({"eventValue": '{"phone":"+44 20 7946 0958"}'}, "a telephone number in clear text"),
        ({"custom_data": '{"mail":"nadia.okafor%40example.com"}'}, "an e-mail address in clear text"),
        ({"email_hashed": "B9C8"}, "is not a SHA-256"),
        (
            {"email_hashed": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
            "digest of an empty string",
        ),
        ({"event_id": "evt_1"}, "is not a known field"),
        ({"custom_dimension": "x"}, "is not a known field"),
        ({"idfa": "9876F1AA-2983-3855-27BB-2C626772EFAB"}, "does not belong to an Android app"),
        ({"aie": False}, "though aie is false"),
    ],
)
def test_swallows_what_the_vendor_swallows_and_tells_us(change: dict[str, Any], complaint: str) -> None:
    result, answer = checked(post(LOGIN | change))
    assert any(complaint in violation for violation in result.violations)
    assert (answer.status, answer.body) == (200, "OK")


@pytest.mark.parametrize(
    "change",
    [
        {"appsflyer_id": "usr_7f3a9c21"},
        {"advertising_id": "00000000-0000-0000-0000-000000000000"},
        {"aie": "true"},
        {"consent_data": {}},
        {"consent_data": {"manual": {"gdpr_applies": 1}}},
        {"consent_data": {"manual": {"gdpr_applies": False, "ad_user_data_enabled": True}}},
        {"consent_data": {"tcf": {"gdpr_applies": True}}},
        {"consent_data": {"manual": {"gdpr_applies": False}, "tcf": {}}},
        {"sharing_filter": []},
        {"ua": "x" * 1024},
    ],
)
def test_refuses_what_fails_the_vendors_validation(change: dict[str, Any]) -> None:
    result, answer = checked(post(LOGIN | change))
    assert result.violations
    assert (answer.status, answer.body) == (400, "Bad request")


@pytest.mark.parametrize("change", [{"idfa": LOGOUT["idfa"].lower()}, {"att": 4}, {"att": True}])
def test_refuses_wrong_apple_fields(change: dict[str, Any]) -> None:
    assert checked(post(LOGOUT | change, "id1234567890"))[1].body == "Bad request"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", json.dumps([LOGIN]).encode(), b'{"a":1,"a":2}', b'{"a":NaN}'])
def test_takes_one_json_object_and_nothing_else(body: bytes) -> None:
    assert checked(post(body))[1].body == "Payload is missing or failed to parse"


def test_needs_an_appsflyer_id() -> None:
    without = {key: value for key, value in LOGIN.items() if key != "appsflyer_id"}
    assert checked(post(without))[1].body == "appsflyer_id is a mandatory field"


def test_knows_its_key_by_the_header_authentication_only() -> None:
    missing = checked(post(LOGIN, authentication="", authorization="Bearer S2S-KEY-PLACEHOLDER"))
    assert (missing[1].status, missing[1].body) == (400, "Failed to Authenticate")
    assert any(violation.startswith("authorization") for violation in missing[0].violations)
    wrong = checked(post(LOGIN, authentication="DEV-KEY"))[1]
    assert (wrong.status, wrong.body) == (401, "Unauthorized")
    assert checked(post(LOGIN, "com.example.other"))[1].status == 400


def test_an_ios_app_id_without_prefix_is_answered_ok_and_thrown_away() -> None:
    agent = AppsFlyer(SETTINGS)
    result = agent.check(post(LOGOUT, "1234567890"), NOW)
    assert result.work().body == "OK"
    assert any("no leading id" in violation for violation in result.violations)
    assert agent.state()["count"] == 0


def test_keeps_the_events_it_took() -> None:
    agent = AppsFlyer(SETTINGS)
    agent.check(post(LOGIN), NOW).work()
    [event] = agent.state()["events"]
    assert event["customerUserId"] == "usr_7f3a9c21"
    assert event["eventId"] == "3f0c6d0e-8a53-4d0e-9f2d-6d7a3f4c1b20"
    agent.reset()
    assert agent.state()["count"] == 0
