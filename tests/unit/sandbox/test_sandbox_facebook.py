"""The sandboxed Conversions API takes the contract's examples and answers with Meta's codes and subcodes."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from local.sandbox.exchange import CheckResult, Request, VendorResponse
from local.sandbox.facebook import Facebook

SETTINGS = {"access_token": "TOKEN-PLACEHOLDER", "dataset_id": "1234567890123456", "api_version": "v26.0"}
NOW = 1_795_168_100.0
HEADERS = {"authorization": "Bearer TOKEN-PLACEHOLDER", "content-type": "application/json"}
PATH = "/v26.0/1234567890123456/events"
EMPTY_DIGEST = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0"

APP_DATA: dict[str, Any] = {
    "advertiser_tracking_enabled": 1,
    "application_tracking_enabled": 1,
    "vendor_id": "95C9BD22-4A4C-41C8-9548-ED07C5C8C145",
    "extinfo": [
        "i2", "com.example.shop", "4.12.0", "4.12.0 (5120)", "18.1", "iPhone16,1", "en_GB", "GMT",
        "", "1179", "2556", "3.0", "6", "256", "98", "Europe/London",
    ],
}  # fmt: skip
LOGIN: dict[str, Any] = {
    "event_name": "Login",
    "event_time": 1795166142,
    "event_id": "3f0c6d0e-8a53-4d0e-9f2d-6d7a3f4c1b20",
    "action_source": "app",
    "user_data": {
        "em": ["b9c845906d33923f1a5a7a4f294e00f2d51aa8f814148abd4ed45d7a49ddf90a"],
        "ph": ["35e206e5dec4c89b9e8b71b8c32724a5bb518483ac5a20c6617d738375b3b823"],
        "external_id": ["a5742c2df499cffb85db63f331db92a8e36dd06d82f85ecd58b3680f1e037702"],
        "client_ip_address": "203.0.113.24",
        "client_user_agent": SAFARI,
        "madid": "9876F1AA-2983-3855-27BB-2C626772EFAB",
    },
    "custom_data": {"method": "google"},
    "app_data": APP_DATA,
}
LOGOUT: dict[str, Any] = {
    "event_name": "Logout",
    "event_time": 1795168083,
    "event_id": "b1d2a4f6-53c1-4a07-9a0e-0f4c3e2d1a99",
    "action_source": "website",
    "event_source_url": "https://shop.example.com/account",
    "user_data": {
        "external_id": ["a5742c2df499cffb85db63f331db92a8e36dd06d82f85ecd58b3680f1e037702"],
        "em": ["b9c845906d33923f1a5a7a4f294e00f2d51aa8f814148abd4ed45d7a49ddf90a"],
        "client_ip_address": "2001:db8:85a3::8a2e:370:7334",
        "client_user_agent": CHROME,
        "fbp": "fb.1.1795100000000.1098115397",
        "fbc": "fb.1.1795101234567.IwAR2F4aBcDeFgHiJk",
    },
    "custom_data": {"reason": "user"},
}
OPEN: dict[str, Any] = {
    "event_name": "AppOpen",
    "event_time": 1795166098,
    "event_id": "7c0f9d55-1e7e-4a59-8b0e-2f6f1a9c4d10",
    "action_source": "app",
    "user_data": {
        "anon_id": "2f8b4a1c-0d3e-4a55-9c7e-6f1b2a3c4d5e",
        "external_id": ["eee15bd553063f98b9b4acc540c1eb3ef2da8b1c3bde06a1b0d670fbea2b546e"],
        "client_ip_address": "203.0.113.24",
        "client_user_agent": SAFARI,
    },
    "app_data": APP_DATA | {"advertiser_tracking_enabled": 0},
}
LIMITED_LOGIN: dict[str, Any] = {
    "event_name": "Login",
    "event_time": 1795166142,
    "event_id": "3f0c6d0e-8a53-4d0e-9f2d-6d7a3f4c1b20",
    "action_source": "website",
    "event_source_url": "https://shop.example.com/login",
    "data_processing_options": ["LDU"],
    "data_processing_options_country": 1,
    "data_processing_options_state": 1000,
    "user_data": {
        "external_id": ["a5742c2df499cffb85db63f331db92a8e36dd06d82f85ecd58b3680f1e037702"],
        "client_ip_address": "203.0.113.24",
        "client_user_agent": CHROME,
    },
}


def post(*events: Any, path: str = PATH, query: dict[str, str] | None = None, **headers: str) -> Request:
    return Request("POST", path, query or {}, HEADERS | headers, json.dumps({"data": events}).encode())


def checked(request: Request) -> tuple[CheckResult, VendorResponse]:
    result = Facebook(SETTINGS).check(request, NOW)
    return result, result.work()


def fault(answer: VendorResponse) -> tuple[int, int | None]:
    assert answer.status == 400
    error = json.loads(answer.body)["error"]
    assert error["fbtrace_id"]
    return error["code"], error.get("error_subcode")


def login(**user_data: Any) -> dict[str, Any]:
    return LOGIN | {"user_data": LOGIN["user_data"] | user_data}


def app(**app_data: Any) -> dict[str, Any]:
    return LOGIN | {"app_data": APP_DATA | app_data}


@pytest.mark.parametrize("event", [LOGIN, LOGOUT, OPEN, LIMITED_LOGIN])
def test_takes_the_examples_of_the_contract(event: dict[str, Any]) -> None:
    result, answer = checked(post(event))
    assert list(result.violations) == []
    assert answer.status == 200
    assert json.loads(answer.body)["events_received"] == 1


def test_takes_a_test_code() -> None:
    body = json.dumps({"data": [LIMITED_LOGIN], "test_event_code": "TEST41207"}).encode()
    result, answer = checked(Request("POST", PATH, {}, HEADERS, body))
    assert (list(result.violations), answer.status) == ([], 200)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (LOGIN | {"event_time": int(NOW) - 8 * 86_400}, (100, 2804003)),
        (LOGIN | {"event_time": int(NOW) + 120}, (100, None)),
        (LOGIN | {"event_time": 1795166142000}, (100, None)),
        (LOGIN | {"event_time": "1795166142"}, (100, None)),
        (LOGIN | {"event_name": " "}, (100, None)),
        (LOGIN | {"event_name": "n" * 41}, (100, None)),
        (LOGIN | {"action_source": "server"}, (100, None)),
        (LOGIN | {"advertiser_tracking_enabled": 1}, (100, None)),
        (LOGIN | {"app_data": None}, (100, None)),
        (LOGOUT | {"event_source_url": "shop.example.com"}, (100, None)),
        ({key: value for key, value in LOGOUT.items() if key != "event_source_url"}, (100, None)),
        (LOGOUT | {"user_data": {"em": LOGIN["user_data"]["em"]}}, (100, None)),
        (LOGOUT | {"user_data": {"client_user_agent": CHROME}}, (100, 2804050)),
        (LOGIN | {"user_data": {}}, (100, 2804050)),
        (LOGIN | {"user_data": {"fn": [LOGIN["user_data"]["em"][0]], "ge": [EMPTY_DIGEST[::-1]]}}, (100, 2804050)),
        (login(em=["nadia.okafor@example.com"]), (100, None)),
        (login(em=[EMPTY_DIGEST]), (100, None)),
        (login(ph=[LOGIN["user_data"]["ph"][0].upper()]), (100, None)),
        (login(client_user_agent=LOGIN["user_data"]["em"][0]), (100, None)),
        (login(madid="00000000-0000-0000-0000-000000000000"), (100, None)),
        (login(fbp="made-up"), (100, None)),
        (login(vendor_id="x"), (100, None)),
        (app(extinfo=[1] * 16), (100, None)),
        (app(extinfo=["x", *APP_DATA["extinfo"][1:]]), (100, None)),
        (app(advertiser_tracking_enabled="1"), (100, None)),
        (app(extinfo=[None, *APP_DATA["extinfo"][1:]]), (100, None)),
        (login(fbp="fb.1.1795100000000.1098115397.appendix-of-none"), (100, None)),
        ({key: value for key, value in LIMITED_LOGIN.items() if not key.endswith("_state")}, (100, None)),
        (LOGIN | {"event_name": "Purchase"}, (100, 2804009)),
        ("Login", (100, None)),
    ],
)
def test_refuses_with_metas_code(event: Any, expected: tuple[int, int | None]) -> None:
    result, answer = checked(post(event))
    assert result.violations
    assert fault(answer) == expected


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        ({key: value for key, value in LOGIN.items() if key != "event_id"}, "event_id is missing"),
        (login(external_id="usr_7f3a9c21"), "external_id is not a SHA-256"),
        (login(fbc="fb.1.1700000000000.AbC"), "older than 90 days"),
        (LOGIN | {"custom_data": {"email": "nadia.okafor@example.com"}}, "an e-mail address in clear text"),
        (LOGIN | {"custom_data": {"phone": "442079460958"}}, "a telephone number in clear text"),
        (LOGOUT | {"event_source_url": "https://shop.example.com/?u=n%40example.com"}, "an e-mail address in clear"),
        (app(extinfo=[*APP_DATA["extinfo"], "", ""]), "has 18 entries"),
        (app(advertiser_tracking_enabled=0), "madid is sent though"),
    ],
)
def test_swallows_what_the_vendor_swallows_and_tells_us(event: dict[str, Any], complaint: str) -> None:
    result, answer = checked(post(event))
    assert any(complaint in violation for violation in result.violations)
    assert answer.status == 200


@pytest.mark.parametrize(
    "event",
    [
        app(advertiser_tracking_enabled=True, application_tracking_enabled=False),
        app(extinfo=[*APP_DATA["extinfo"][:8], None, *APP_DATA["extinfo"][9:]]),
        login(fbp="fb.1.1795100000000.1098115397.BA", fbc="fb.2.1795101234567.IwAR2F4aBcDeFgHiJk.AQQCAQMC"),
        login(em=[LOGIN["user_data"]["em"][0] + ".AQQCAQMC"], ph=LOGIN["user_data"]["ph"][0] + ".BA"),
        LOGIN | {"messaging_channel": "whatsapp", "original_event_data": {"event_name": "Login", "event_time": 1}},
    ],
)
def test_takes_what_metas_own_sdks_send(event: dict[str, Any]) -> None:
    result, answer = checked(post(event))
    assert (list(result.violations), answer.status) == ([], 200)


def test_takes_the_token_as_a_parameter_and_a_form_as_metas_sdks_send_them() -> None:
    form = urlencode({"data": json.dumps([LOGIN]), "access_token": "TOKEN-PLACEHOLDER"}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    result, answer = checked(Request("POST", PATH, {}, headers, form))
    assert (list(result.violations), answer.status) == ([], 200)
    texts = urlencode({"data": json.dumps([json.dumps(LOGIN)]), "access_token": "TOKEN-PLACEHOLDER"}).encode()
    result, answer = checked(Request("POST", PATH, {}, headers, texts))
    assert (list(result.violations), answer.status) == ([], 200)
    in_body = json.dumps({"data": [LOGIN], "access_token": "TOKEN-PLACEHOLDER"}).encode()
    result, answer = checked(Request("POST", PATH, {}, {"content-type": "application/json"}, in_body))
    assert (list(result.violations), answer.status) == ([], 200)
    wrong = form.replace(b"TOKEN-PLACEHOLDER", b"another")
    assert fault(checked(Request("POST", PATH, {}, headers, wrong))[1]) == (190, 463)
    no_list = urlencode({"data": "[", "access_token": "TOKEN-PLACEHOLDER"}).encode()
    assert checked(Request("POST", PATH, {}, headers, no_list))[1].status == 400


def test_takes_the_nulls_and_the_id_that_metas_sdk_for_node_sends() -> None:
    nulls = dict.fromkeys(("partner_agent", "test_event_code", "namespace_id", "upload_id", "upload_tag"))
    body = json.dumps({"data": [LOGIN], "id": "1234567890123456", **nulls}).encode()
    result, answer = checked(Request("POST", PATH, {}, HEADERS, body))
    assert (list(result.violations), answer.status) == ([], 200)


@pytest.mark.parametrize("version", ["v27.0", "v28.0"])
def test_takes_versions_that_are_newer_than_this_sandbox(version: str) -> None:
    agent = Facebook({**SETTINGS, "api_version": version})
    result = agent.check(post(LOGIN, path=f"/{version}/1234567890123456/events"), NOW)
    assert (list(result.violations), result.work().status) == ([], 200)


def test_remarks_on_a_version_that_has_ended_by_the_shorter_of_metas_clocks() -> None:
    result, answer = checked(post(LOGIN, path="/v24.0/1234567890123456/events"))
    assert result.violations == ["path: v24.0 has ended as a version of the Marketing API"]
    assert answer.status == 200


def test_one_bad_event_loses_the_whole_batch() -> None:
    agent = Facebook(SETTINGS)
    assert fault(agent.check(post(LOGIN, LOGOUT | {"event_name": ""}), NOW).work()) == (100, None)
    assert agent.state()["count"] == 0


@pytest.mark.parametrize("count", [0, 1001])
def test_takes_1_to_1000_events(count: int) -> None:
    assert fault(checked(post(*[LOGIN] * count))[1]) == (100, None)


def test_refuses_a_wrong_caller_path_and_version() -> None:
    assert fault(checked(post(LOGIN, authorization="Bearer old"))[1]) == (190, 463)
    assert fault(checked(post(LOGIN, path="/v26.0/999/events"))[1]) == (100, 33)
    assert fault(checked(post(LOGIN, path="/v20.0/1234567890123456/events"))[1]) == (2635, None)
    in_url = checked(post(LOGIN, query={"access_token": "TOKEN-PLACEHOLDER"}))[0]
    assert any("must not be in a URL" in violation for violation in in_url.violations)
    other = checked(post(LOGIN, path="/v25.0/1234567890123456/events"))
    assert (other[1].status, len(other[0].violations)) == (200, 1)


def test_counts_what_meta_would_take_for_duplicates() -> None:
    agent = Facebook(SETTINGS)
    for event in (LOGIN, LOGIN, LOGOUT):
        agent.check(post(event), NOW).work()
    state = agent.state()
    assert (state["count"], state["duplicates"]) == (3, 1)
    assert state["byName"] == {"Login": 2, "Logout": 1}
