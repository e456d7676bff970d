"""The sandboxed Measurement Protocol answers 204 to everything, keeps the violations and tells the truth at /debug."""

import json
from typing import Any

import pytest

from local.sandbox.exchange import Request
from local.sandbox.google import Google

SETTINGS = {
    "api_secret": "SECRET",
    "measurement_id": "G-ABC1234567",
    "firebase_app_id_ios": "1:123456789012:ios:3f2a9c0b1d4e5f60",
    "firebase_app_id_android": "1:123456789012:android:3f2a9c0b1d4e5f61",
}
NOW = 1_795_168_100.0
APP = {"api_secret": "SECRET", "firebase_app_id": "1:123456789012:ios:3f2a9c0b1d4e5f60"}
WEB = {"api_secret": "SECRET", "measurement_id": "G-ABC1234567"}

LOGIN: dict[str, Any] = {
    "app_instance_id": "c2f0a6d1b94e4c7a8d3b5e6f70819a2b",
    "user_id": "usr_7f3a9c21",
    "timestamp_micros": 1795166142318000,
    "consent": {"ad_user_data": "GRANTED", "ad_personalization": "DENIED"},
    "user_data": {
        "sha256_email_address": ["b9c845906d33923f1a5a7a4f294e00f2d51aa8f814148abd4ed45d7a49ddf90a"],
        "sha256_phone_number": ["f0bf0228144d9fe2bdf1da2d8ca698f17bf1410ee688b075c27062e47b6f0b6d"],
    },
    "device": {
        "category": "mobile",
        "language": "en-gb",
        "operating_system": "iOS",
        "operating_system_version": "18.1",
        "model": "iPhone16,1",
        "brand": "Apple",
    },
    "ip_override": "203.0.113.24",
    "events": [
        {"name": "login", "params": {"method": "google", "session_id": "1795166098", "engagement_time_msec": 100}}
    ],
}
LOGOUT: dict[str, Any] = {
    "client_id": "1872054418.1795100000",
    "user_id": "usr_7f3a9c21",
    "timestamp_micros": 1795168083007000,
    "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0",
    "ip_override": "203.0.113.24",
    "consent": {"ad_user_data": "DENIED", "ad_personalization": "DENIED"},
    "events": [{"name": "logout", "params": {"session_id": "1795166098", "engagement_time_msec": 1, "reason": "user"}}],
}
OPEN: dict[str, Any] = {
    "app_instance_id": "c2f0a6d1b94e4c7a8d3b5e6f70819a2b",
    "timestamp_micros": 1795166098120000,
    "events": [{"name": "app_open", "params": {"session_id": "1795166098", "engagement_time_msec": 1}}],
}


def post(body: Any, query: dict[str, str], path: str = "/mp/collect") -> Request:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request("POST", path, query, {"content-type": "application/json"}, raw)


def event(name: Any = "login", **params: Any) -> dict[str, Any]:
    return {"events": [{"name": name, "params": {"engagement_time_msec": 1} | params}]}


@pytest.mark.parametrize(("body", "query"), [(LOGIN, APP), (LOGOUT, WEB), (OPEN, APP)])
def test_takes_the_examples_of_the_contract(body: dict[str, Any], query: dict[str, str]) -> None:
    agent = Google(SETTINGS)
    result = agent.check(post(body, query), NOW)
    assert list(result.violations) == []
    answer = result.work()
    assert (answer.status, answer.body) == (204, "")
    assert agent.state()["count"] == 1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"client_id": "1.2"}, "does not belong to this stream"),
        ({"app_instance_id": "g" * 32}, "contains non hexadecimal character [g]"),
        ({"app_instance_id": ""}, "Measurement requires an app_instance_id."),
        ({"timestamp_micros": 1795166142318}, "or not in microseconds"),
        ({"timestamp_micros": 1795166142318000.0}, "is not an integer"),
        ({"timestamp_micros": 1795269142318000}, "is in the future"),
        ({"user_id": "null"}, "user_id is the placeholder"),
        ({"user_id": ""}, "user_id is blank"),
        ({"user_id": "u" * 256}, "more than 255"),
        ({"user_id": "nadia.okafor@example.com"}, "an e-mail address in clear text"),
        ({"non_personalized_ads": True}, "is deprecated"),
        ({"validation_behavior": "RELAXED"}, "is for tests only"),
        ({"eventId": "evt_1"}, "is not a known field"),
        ({"consent": {"ad_user_data": "granted"}}, "is 'granted'"),
        ({"consent": {"analytics_storage": "GRANTED"}}, "is not a known field"),
        ({"user_data": {"sha256_email_address": LOGIN["user_data"]["sha256_email_address"][0]}}, "is not a list"),
        ({"user_data": {"sha256_email_address": LOGIN["user_data"]["sha256_email_address"] * 4}}, "more than 3"),
        ({"user_data": {"sha256_phone_number": ["+442079460958"]}}, "is not a SHA-256"),
        ({"device": {"platform": "ios"}}, "is not a known field"),
        ({"ip_override": "client"}, "is not an IP address"),
        ({"user_properties": {"user_id": {"value": "x"}}}, "user_id is reserved"),
        ({"user_properties": {"plan": "gold"}}, "is not an object"),
        ({"user_properties": {"plan": {"value": "x" * 37}}}, "more than 36"),
        ({"user_properties": {f"p{at}": {"value": 1} for at in range(26)}}, "more than 25"),
        ({"events": []}, "requires a list of events"),
        ({"events": LOGIN["events"] * 26}, "more than 25"),
        ({"events": [LOGIN["events"][0] | {"timestamp_micros": 1}]}, "set it for the whole request"),
        (event("session_start"), "The name is reserved."),
        (event("_login"), "Names must start with an alphabetic character."),
        (event("log-in"), "Names must be letters"),
        (event("n" * 41), "at most 40"),
        (event(session_id="s1"), "is not made of digits"),
        (event(engagement_time_msec=0), "engagement_time_msec is missing or 0"),
        (event(engagement_time_msec=-1), "engagement_time_msec is -1, out of bounds"),
        (event(value=1), "value has no currency"),
        (event(value="4.99", currency="USD"), "value is a text"),
        (event(value=1, currency="real"), "currency is not an ISO 4217 code"),
        (event(items=[{"price": 1}]), "items[0] has neither item_id nor item_name"),
        (event(items=["SKU_1"]), "is not an object"),
        (event(page_title="x" * 301), "more than 300"),
        (event(page_location="x" * 1001), "more than 1000"),
        (event(engagement_time_msec=True), "is not an integer"),
        (event(value=None), "is no string and no number"),
        (event(value=True), "is no string and no number"),
        (event(value=["a"]), "is no string and no number"),
        (event(value="x" * 101), "more than 100"),
        (event(ga_value="x"), "ga_value is reserved"),
        (event(**{"1st": "x"}), "is not a name"),
        (event(**{f"p{at}": 1 for at in range(25)}), "more than 25"),
        (event(page_location="https://shop.example.com/?p=%2B442079460958"), "a telephone number in clear text"),
        ({"events": [{"name": "login"}]}, "engagement_time_msec is missing"),
    ],
)
def test_answers_204_whatever_is_wrong_and_tells_us(change: dict[str, Any], complaint: str) -> None:
    result = Google(SETTINGS).check(post(LOGIN | change, APP), NOW)
    assert any(complaint in violation for violation in result.violations), result.violations
    assert result.work().status == 204


@pytest.mark.parametrize(
    "change",
    [
        event(engagement_time_msec=0),
        event(value="4.99"),
        event(items=[{"item_id": "SKU_1", "price": 4.99}], value=4.99, currency="USD"),
        event(page_location="https://shop.example.com/" + "x" * 975),
    ],
)
def test_validation_accepts_what_real_libraries_send(change: dict[str, Any]) -> None:
    answer = Google(SETTINGS).check(post(LOGIN | change, APP, "/debug/mp/collect"), NOW).work()
    assert json.loads(answer.body) == {"validationMessages": []}


@pytest.mark.parametrize(
    "query",
    [
        {},
        APP | {"api_secret": "old"},
        APP | WEB,
        {"api_secret": "SECRET"},
        APP | {"firebase_app_id": "1:123456789012:web:3f2a9c0b1d4e5f60"},
        APP | {"debug": "1"},
    ],
)
def test_a_wrong_query_is_answered_204_and_records_nothing(query: dict[str, str]) -> None:
    agent = Google(SETTINGS)
    result = agent.check(post(LOGIN, query), NOW)
    assert result.violations
    assert result.work().status == 204
    assert agent.state()["count"] == 0


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"events":[{"name":"login","params":{"v":NaN}}]}', b" " * 130_000]
)
def test_answers_204_even_to_what_it_cannot_read(body: bytes) -> None:
    result = Google(SETTINGS).check(post(body, APP), NOW)
    assert result.violations
    assert result.work().status == 204


OWN_SECRETS = SETTINGS | {"api_secret_ios": "IOS-SECRET", "api_secret_android": "ANDROID-SECRET"}
ANDROID = {"firebase_app_id": "1:123456789012:android:3f2a9c0b1d4e5f61"}


@pytest.mark.parametrize(
    ("settings", "query", "recorded"),
    [
        (OWN_SECRETS, APP | {"api_secret": "IOS-SECRET"}, 1),
        (OWN_SECRETS, ANDROID | {"api_secret": "ANDROID-SECRET"}, 1),
        (OWN_SECRETS, APP, 0),
        (OWN_SECRETS, APP | {"api_secret": "ANDROID-SECRET"}, 0),
        (SETTINGS | {"api_secret_android": "ANDROID-SECRET"}, APP, 1),
        (SETTINGS, ANDROID | {"api_secret": "SECRET"}, 1),
    ],
)
def test_an_app_stream_may_have_a_secret_of_its_own(
    settings: dict[str, str], query: dict[str, str], recorded: int
) -> None:
    agent = Google(settings)
    result = agent.check(post(LOGIN, query), NOW)
    result.work()
    assert agent.state()["count"] == recorded
    assert ("query: api_secret is wrong" in result.violations) == (not recorded)


def test_the_web_stream_knows_no_secret_of_an_app() -> None:
    assert list(Google(OWN_SECRETS).check(post(LOGOUT, WEB), NOW).violations) == []
    assert list(Google(OWN_SECRETS).check(post(LOGOUT, WEB | {"api_secret": "IOS-SECRET"}), NOW).violations) == [
        "query: api_secret is wrong"
    ]


@pytest.mark.parametrize("client_id", ["3f0c6d0e-8a53-4d0e-9f2d-6d7a3f4c1b20", "order-42"])
def test_takes_any_client_id_and_remarks_on_it_at_the_strict_debug_endpoint(client_id: str) -> None:
    agent = Google(SETTINGS)
    body = LOGOUT | {"client_id": client_id}
    for path in ("/mp/collect", "/debug/mp/collect"):
        result = agent.check(post(body, WEB, path), NOW)
        result.work()
        assert list(result.violations) == []
    assert [event["clientId"] for event in agent.state()["events"]] == [client_id]
    strict = body | {"validation_behavior": "ENFORCE_RECOMMENDATIONS"}
    [remark] = agent.check(post(strict, WEB, "/debug/mp/collect"), NOW).violations
    assert "should be in <number>.<number> format" in remark


@pytest.mark.parametrize("client_id", ["", " ", None, 7, "undefined"])
def test_a_client_id_that_says_nothing_is_wrong(client_id: Any) -> None:
    assert Google(SETTINGS).check(post(LOGOUT | {"client_id": client_id}, WEB), NOW).violations


def messages(body: Any, query: dict[str, str]) -> Any:
    answer = Google(SETTINGS).check(post(body, query, "/debug/mp/collect"), NOW).work()
    assert answer.status == 200
    return json.loads(answer.body)["validationMessages"]


def test_debug_says_what_is_wrong_in_googles_words() -> None:
    assert messages(LOGIN, APP) == []
    bad_name = {
        "client_id": "1872054418.1795100000",
        "timestamp_micros": 1795166142318000,
        "validation_behavior": "ENFORCE_RECOMMENDATIONS",
        "events": [{"name": "_login", "params": {"session_id": "1795166098", "engagement_time_msec": 1}}],
    }
    assert messages(bad_name, WEB) == [
        {
            "fieldPath": "events",
            "description": (
                "Event at index: [0] has invalid name [_login]. Names must start with an alphabetic character."
            ),
            "validationCode": "NAME_INVALID",
        }
    ]
    assert messages(OPEN | {"app_instance_id": "a" * 33}, APP) == [
        {
            "fieldPath": "app_instance_id",
            "description": (
                "Measurement app_instance_id is expected to be a 32 digit hexadecimal number but was [33] digits."
            ),
            "validationCode": "VALUE_INVALID",
        }
    ]


def test_debug_checks_no_secret_and_records_nothing() -> None:
    agent = Google(SETTINGS)
    answer = agent.check(post(LOGIN, APP | {"api_secret": "old"}, "/debug/mp/collect"), NOW).work()
    assert json.loads(answer.body) == {"validationMessages": []}
    assert agent.state()["count"] == 0


def test_debug_enforces_recommendations_only_when_asked() -> None:
    invented = LOGOUT | {"client_id": "order-42"}
    assert messages(invented, WEB) == []
    enforced = messages(invented | {"validation_behavior": "ENFORCE_RECOMMENDATIONS"}, WEB)
    assert [message["fieldPath"] for message in enforced] == ["client_id"]
