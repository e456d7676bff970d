"""batch, dry-run, receipts and consent through the public API."""

import base64
import hashlib
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.cloud import Stack
from local.scenario import BROWSER, CONTACT, PHONE
from local.settings import EITRI_SECRET, agents
from tests.e2e.conftest import Caller, meta_event, store_app

pytestmark = pytest.mark.usefixtures("no_violations")

MESSAGING = ("dashx", "eitri_push", "emarsys")


@pytest.fixture
def phone(unique: Callable[[], str]) -> dict[str, Any]:
    """A phone of its own, with a push token of its own."""
    return {**PHONE["device"], "id": unique(), "pushToken": unique()}


def test_a_hundred_events_are_answered_in_their_order_and_all_arrive(app: Caller, unique: Callable[[], str]) -> None:
    customer = unique()
    ids = [unique() for _ in range(100)]
    events = [{"type": "identify", "eventId": event_id, "customerId": customer} for event_id in ids]
    answer = app.call("/batch", {"events": events})
    assert answer.status_code == 207
    assert answer.json() == {"results": [{"status": 202, "eventId": event_id} for event_id in ids]}
    app.wait_until_received("dashx", customer, 100)
    assert app.settled(ids[99])["dashx"]["state"] == "delivered"


def test_one_bad_event_never_costs_the_others(app: Caller, unique: Callable[[], str]) -> None:
    events: list[Any] = [
        {"type": "login", "customerId": unique()},
        {"type": "login"},
        {"type": "signin", "customerId": unique()},
        {"customerId": unique()},
        "login",
        None,
        {"type": "track", "anonymousId": str(uuid.uuid4()), "name": "product_viewed"},
        {"type": "push_token", "customerId": unique(), "device": {"id": "d"}},
        {"type": "track", "name": "too_large", "properties": {f"p{n}": "x" * 4000 for n in range(10)}},
        {"type": "login", "customerId": unique(), "consent": {"advertising": "no"}},
        {"type": "logout"},
    ]
    results = app.call("/batch", {"events": events}).json()["results"]
    assert [result["status"] for result in results] == [202, 400, 400, 400, 400, 400, 202, 400, 413, 202, 202]
    assert [[error["pointer"] for error in result.get("errors", [])] for result in results] == [
        [],
        ["#/customerId"],
        ["#/type"],
        ["#/type"],
        ["#"],
        ["#"],
        [],
        ["#/device/pushToken"],
        [],
        [],
        [],
    ]
    assert [warning["pointer"] for warning in results[9]["warnings"]] == ["#/consent/advertising"]
    assert all(result["title"] and result["detail"] for result in results if result["status"] != 202)
    for result in results:
        if result["status"] == 202:
            assert app.settled(result["eventId"])["dashx"]["state"] in {"delivered", "skipped"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"events": [{"type": "logout"}] * 101}, "#/events"),
        ({"events": []}, "#/events"),
        ({"events": {"type": "logout"}}, "#/events"),
        ({}, "#/events"),
        ([{"type": "logout"}], "#"),
        (None, "#"),
    ],
)
def test_what_is_not_a_batch_is_400_as_a_whole(app: Caller, body: Any, pointer: str) -> None:
    answer = app.call("/batch", body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_the_events_of_one_device_in_a_batch_take_effect_in_their_order(
    app: Caller, phone: dict[str, Any], unique: Callable[[], str]
) -> None:
    ana, bia = unique(), unique()
    events = [
        {"type": "login", "customerId": ana, "device": phone},
        {"type": "push_token", "customerId": ana, "device": phone},
        {"type": "open", "customerId": ana, "device": phone},
        {"type": "logout", "customerId": ana, "device": phone},
        {"type": "open", "device": phone, "anonymousId": str(uuid.uuid4())},
        {"type": "login", "customerId": bia, "device": phone},
    ]
    for result in app.call("/batch", {"events": events}).json()["results"]:
        receipts = app.settled(result["eventId"])
        assert {agent: receipts[agent]["state"] for agent in MESSAGING} == dict.fromkeys(MESSAGING, "delivered")
    assert app.state("eitri_push")["devices"][phone["id"]]["customer"] == bia


def test_the_same_event_twice_in_a_batch_is_sent_once(app: Caller, unique: Callable[[], str]) -> None:
    event = {"type": "track", "eventId": unique(), "anonymousId": str(uuid.uuid4()), "name": "product_viewed"}
    results = app.call("/batch", {"events": [event, event]}).json()["results"]
    assert [result["status"] for result in results] == [202, 202]
    app.settled(event["eventId"])
    assert len(app.received("dashx", event["eventId"])) == 1


# The seeds' own examples, and the device as an app would describe it to us.
SEED_DEVICE = {
    "id": "8E3FD635-7D9C-497E-AB84-1D61BED61F4B",
    "platform": "ios",
    "language": "en",
    "timezone": "+02:00",
    "model": "iPhone7,1",
    "appVersion": "10.1.2",
    "osVersion": "9.2",
    "pushToken": "f2411061b5727f55c362bee46dd840e5569891",
}
SEED_ANONYMOUS = {
    "application_id": "29820-CA1E9",
    "hardware_id": "8E3FD635-7D9C-497E-AB84-1D61BED61F4B",
    "platform": "ios",
    "language": "en",
    "timezone": "+0200",
    "device_model": "iPhone7,1",
    "application_version": "10.1.2",
    "os_version": "9.2",
    "push_token": False,
}


def dry_run(app: Caller, body: dict[str, Any]) -> dict[str, Any]:
    """What each agent would be sent."""
    answer = app.call("/dry-run", body, key="secret")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()["agents"]
    return shown


def the_request(app: Caller, agent: str, body: dict[str, Any]) -> Any:
    """The only request that an agent would be sent."""
    (request,) = dry_run(app, body)[agent]["requests"]
    return request


def test_a_dry_run_gives_the_seeds_request_for_who_is_not_logged_in(app: Caller) -> None:
    request = the_request(app, "emarsys", {"type": "open", "device": SEED_DEVICE})
    assert (request["method"], request["url"]) == (
        "POST",
        f"{app.stack.sandbox_url}/emarsys/api/mobileengage/v2/users/login",
    )
    assert request["body"] == SEED_ANONYMOUS


@pytest.mark.parametrize("event_type", ["login", "open", "signup", "push_token"])
def test_a_dry_run_gives_the_seeds_request_for_who_is_logged_in(app: Caller, event_type: str) -> None:
    request = the_request(app, "emarsys", {"type": event_type, "customerId": "12345", "device": SEED_DEVICE})
    assert request["url"] == f"{app.stack.sandbox_url}/emarsys/api/mobileengage/v2/users/login"
    value = request["body"].pop("contact_field_value")
    assert request["body"] == SEED_ANONYMOUS | {
        "contact_field_id": 9127,
        "push_token": "f2411061b5727f55c362bee46dd840e5569891",
    }
    # The seed's value is the hashed internal id, in 56 hex digits; so is ours.
    assert len(value) == len("a4337bc45a8fc544c03f52dc550cd6e1e87021bc896588bd79e901e2")
    assert set(value) <= set("0123456789abcdef")


@pytest.mark.parametrize("declined", [False, "false"])
def test_a_dry_run_of_push_declined_has_false_in_place_of_the_token(app: Caller, declined: Any) -> None:
    device = SEED_DEVICE | {"pushToken": declined}
    request = the_request(app, "emarsys", {"type": "push_token", "customerId": "12345", "device": device})
    assert request["body"]["push_token"] is False
    assert request["body"]["contact_field_id"] == 9127


def test_a_dry_run_of_the_seeds_identify_gives_dashx_the_seeds_fields(app: Caller) -> None:
    body = {
        "type": "identify",
        "customerId": "<USER ID>",
        "traits": {"firstName": "John", "lastName": "Doe"},
        "email": "john@example.com",
    }
    request = the_request(app, "dashx", body)
    assert (request["method"], request["url"]) == ("POST", f"{app.stack.sandbox_url}/graphql")
    assert request["body"] == {
        "query": "mutation IdentifyAccount($input: IdentifyAccountInput!){identifyAccount(input:$input){id}}",
        "variables": {
            "input": {"uid": "<USER ID>", "firstName": "John", "lastName": "Doe", "email": "john@example.com"}
        },
    }


@pytest.mark.parametrize("contact", [{}, CONTACT])
def test_a_dry_run_of_the_seeds_login_says_for_every_agent_what_or_why_not(
    app: Caller, contact: dict[str, str]
) -> None:
    agents_shown = dry_run(app, {"type": "login", "customerId": "12345", **contact})
    assert {agent: shown.get("skipped") for agent, shown in agents_shown.items()} == {
        "appsflyer": "no appsflyerId",
        "dashx": None,
        "eitri_push": "no device id",
        "emarsys": "no device id",
        "facebook": None,
        "google": "no gaClientId",
    }
    assert len(agents_shown["dashx"]["requests"]) == 2
    assert len(agents_shown["facebook"]["requests"]) == 1


def test_a_dry_run_of_the_seeds_logout_needs_no_parameters(app: Caller) -> None:
    assert {agent: shown["skipped"] for agent, shown in dry_run(app, {"type": "logout"}).items()} == {
        "appsflyer": "no appsflyerId",
        "dashx": "no customerId or anonymousId",
        "eitri_push": "no device id",
        "emarsys": "no device id",
        "facebook": "user_data too weak to match a person",
        "google": "no gaClientId",
    }


def test_a_dry_run_says_what_is_too_old_for_an_agent(app: Caller, phone: dict[str, Any]) -> None:
    body = {"customerId": "12345", **PHONE, "device": phone, "occurredAt": "2025-11-20T09:15:42Z"}
    shown = dry_run(app, {"type": "login", **body})
    assert shown["facebook"] == {"expired": "older than 7 days, 0:00:00"}
    assert shown["google"] == {"expired": "older than 3 days, 0:00:00"}
    # A dry run does not look into the ledger: whether an ordered agent knows a newer event of the device is not asked.
    assert shown["emarsys"].keys() == {"requests"}
    receipts = app.settled(app.accepted("/login", body))
    assert (receipts["facebook"]["state"], receipts["facebook"]["reason"]) == ("expired", "older than 7 days, 0:00:00")


def test_a_dry_run_says_which_agents_have_no_use_for_an_event(app: Caller) -> None:
    shown = dry_run(app, {"type": "identify", "customerId": "12345"})
    assert shown["emarsys"] == {"skipped": "no use for identify"}
    assert shown["google"] == {"skipped": "no use for identify"}


def test_a_dry_run_sends_nothing(app: Caller, phone: dict[str, Any], unique: Callable[[], str]) -> None:
    customer, before = unique(), app.last_request()
    shown = dry_run(app, {"type": "login", "customerId": customer, **CONTACT, **PHONE, "device": phone})
    assert [agent for agent, one in shown.items() if "requests" not in one] == []
    # An event that is sent after it has arrived everywhere: so would the dry run's have.
    app.settled(app.accepted("/login", {"customerId": unique(), **PHONE, "device": phone}))
    digest = hashlib.sha256(customer.encode()).hexdigest()
    received = [one for one in app.received_since(before) if customer in str(one) or digest in str(one)]
    assert received == []


def test_a_dry_run_is_what_is_sent(app: Caller, phone: dict[str, Any], unique: Callable[[], str]) -> None:
    body = {
        "eventId": unique(),
        "occurredAt": (datetime.now(UTC) - timedelta(minutes=1)).isoformat(),
        "customerId": unique(),
        "anonymousId": str(uuid.uuid4()),
        "device": phone,
    }
    shown = dry_run(app, {"type": "login", **body})
    app.settled(app.accepted("/login", body, key="secret"))
    sent = {"dashx": body["anonymousId"], "emarsys": phone["id"], "facebook": body["eventId"]}
    for agent, mark in sent.items():
        assert [one["body"] for one in app.received(agent, mark)] == [one["body"] for one in shown[agent]["requests"]]


def test_a_dry_run_shows_no_secret(app: Caller) -> None:
    body = {"type": "login", "customerId": "12345", **CONTACT, **PHONE}
    text = app.call("/dry-run", body, key="secret").text + app.call("/dry-run", body | BROWSER, key="secret").text
    settings = agents("")
    basic = [
        base64.b64encode(f"{application['code']}:{application['password']}".encode()).decode()
        for application in settings["emarsys"]["applications"].values()
    ]
    secrets = [
        settings["appsflyer"]["s2s_key"],
        settings["facebook"]["access_token"],
        '"SECRET"',
        "=SECRET",
        EITRI_SECRET,
        "example-only",
        settings["emarsys"]["contact_key"],
        settings["dashx"]["private_key"],
        *basic,
    ]
    assert [secret for secret in secrets if secret in text] == []
    assert text.count("**********") >= 10


def test_a_dry_run_needs_a_secret_key(app: Caller) -> None:
    assert app.call("/dry-run", {"type": "logout"}).status_code == 403


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"customerId": "12345"}, "#/type"),
        ({"type": "signin"}, "#/type"),
        ({"type": "login"}, "#/customerId"),
        ([], "#"),
    ],
)
def test_a_dry_run_of_what_is_not_an_event_is_400(app: Caller, body: Any, pointer: str) -> None:
    answer = app.call("/dry-run", body, key="secret")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize("path", ["/dry-run", "/login", "/batch", "/identity-tokens"])
def test_what_is_nested_too_deeply_is_400(app: Caller, path: str) -> None:
    answer = app.call(path, None, key="secret", data="[" * 4000)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


@pytest.fixture(scope="module")
def other(stack: Stack) -> Caller:
    """Another app of the same deployment."""
    return store_app(stack, "other")


def test_the_receipts_of_another_app_are_404(app: Caller, other: Caller, unique: Callable[[], str]) -> None:
    event_id = app.accepted("/login", {"eventId": unique(), "customerId": unique()})
    answer = other.call(f"/events/{event_id}", key="secret", method="GET")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert app.settled(event_id)["dashx"]["state"] == "delivered"


def test_two_apps_may_use_the_same_event_id(app: Caller, other: Caller, unique: Callable[[], str]) -> None:
    event_id, ours, theirs = unique(), unique(), unique()
    app.accepted("/login", {"eventId": event_id, "customerId": ours})
    other.accepted("/login", {"eventId": event_id, "customerId": theirs}, key="secret")
    assert app.settled(event_id)["dashx"]["state"] == "delivered"
    assert other.settled(event_id)["dashx"]["state"] == "delivered"
    assert len(app.received("dashx", ours)) == len(app.received("dashx", theirs)) == 2


def test_the_receipts_need_a_secret_key(app: Caller) -> None:
    assert app.call("/events/any", key="public", method="GET").status_code == 403


def test_the_receipts_of_an_event_that_is_not_there_are_404(app: Caller, unique: Callable[[], str]) -> None:
    assert app.call(f"/events/{unique()}", key="secret", method="GET").status_code == 404


def test_a_receipt_says_state_reason_attempts_and_when(app: Caller, unique: Callable[[], str]) -> None:
    event_id = app.accepted("/identify", {"eventId": unique(), "customerId": unique()})
    app.settled(event_id)
    receipt = app.call(f"/events/{event_id}", key="secret", method="GET").json()
    assert receipt.keys() == {"eventId", "type", "acceptedAt", "orderedBy", "agents"}
    assert (receipt["eventId"], receipt["type"]) == (event_id, "identify")
    assert receipt["agents"].keys() == {"dashx", "eitri_push"}
    assert receipt["agents"]["dashx"].keys() == {"state", "reason", "attempts", "lastStatus", "at"}
    assert (receipt["agents"]["dashx"]["attempts"], receipt["agents"]["dashx"]["lastStatus"]) == (1, 200)
    assert receipt["agents"]["eitri_push"].keys() == {"state", "reason", "attempts", "at"}


@pytest.mark.parametrize(
    ("purpose", "skipped"),
    [
        ("advertising", {"appsflyer", "facebook"}),
        ("analytics", {"google"}),
        ("messaging", {"dashx", "eitri_push", "emarsys"}),
    ],
)
def test_a_purpose_that_is_denied_skips_its_agents_with_the_reason(
    app: Caller, phone: dict[str, Any], unique: Callable[[], str], purpose: str, skipped: set[str]
) -> None:
    body = {"customerId": unique(), **PHONE, "device": phone, "consent": {purpose: False}}
    receipts = app.settled(app.accepted("/login", body))
    assert {agent for agent, receipt in receipts.items() if receipt["state"] == "skipped"} == skipped
    assert {receipt.get("reason") for agent, receipt in receipts.items() if agent in skipped} == {f"consent: {purpose}"}
    assert dry_run(app, {"type": "login", **body})[min(skipped)] == {"skipped": f"consent: {purpose}"}
    for agent in skipped:
        assert app.received(agent, body["customerId"]) == []


def test_a_logout_reaches_messaging_agents_all_the_same(
    app: Caller, phone: dict[str, Any], unique: Callable[[], str]
) -> None:
    body = {"customerId": unique(), "device": phone}
    app.settled(app.accepted("/login", body))
    denied = {"consent": {"messaging": False, "advertising": False, "analytics": False}}
    receipts = app.settled(app.accepted("/logout", body | denied))
    assert {agent: receipt["state"] for agent, receipt in receipts.items()} == {
        "appsflyer": "skipped",
        "dashx": "delivered",
        "eitri_push": "delivered",
        "emarsys": "delivered",
        "facebook": "skipped",
        "google": "skipped",
    }
    assert app.state("eitri_push")["devices"][phone["id"]]["customer"] is None
    assert app.state("dashx")["devices"][phone["pushToken"]]["pushesGoTo"] is None


def test_a_declined_push_reaches_messaging_agents_all_the_same(
    app: Caller, phone: dict[str, Any], unique: Callable[[], str]
) -> None:
    body = {"customerId": unique(), "device": phone}
    app.settled(app.accepted("/login", body))
    declined = phone | {"pushToken": False, "previousPushToken": phone["pushToken"]}
    receipts = app.settled(app.accepted("/push-token", body | {"device": declined, "consent": {"messaging": False}}))
    assert {receipt["state"] for receipt in receipts.values()} == {"delivered"}
    assert app.state("eitri_push")["devices"][phone["id"]]["pushToken"] is None
    assert app.state("dashx")["devices"][phone["pushToken"]]["pushesGoTo"] is None


def test_an_accepted_push_needs_the_consent(app: Caller, phone: dict[str, Any], unique: Callable[[], str]) -> None:
    body = {"customerId": unique(), "device": phone, "consent": {"messaging": False}}
    receipts = app.settled(app.accepted("/push-token", body))
    assert {receipt["reason"] for receipt in receipts.values()} == {"consent: messaging"}


@pytest.mark.parametrize(
    ("consent", "pointer"),
    [
        ({"advertising": "no"}, "#/consent/advertising"),
        ({"marketing": False}, "#/consent/marketing"),
        ({"gdprApplies": 1}, "#/consent/gdprApplies"),
        ([], "#/consent"),
        ({"tcf": "CPXxRfAPXxRfAAfKABENB"}, "#/consent/tcf"),
    ],
)
def test_a_consent_that_is_malformed_is_named_and_with_strict_handling_400(
    app: Caller, consent: Any, pointer: str
) -> None:
    body = {"customerId": "12345", "consent": consent}
    answer = app.call("/login", body)
    assert answer.status_code == 202
    assert [warning["pointer"] for warning in answer.json()["warnings"]] == [pointer]
    strict = app.call("/login", body, headers={"prefer": "handling=strict"})
    assert strict.status_code == 400
    assert [error["pointer"] for error in strict.json()["errors"]] == [pointer]


def consented(app: Caller, phone: dict[str, Any], customer: str, consent: dict[str, Any]) -> dict[str, Any]:
    """The bodies that AppsFlyer, Google and Meta are sent for a login with this consent."""
    event_id = app.accepted("/login", {"customerId": customer, **PHONE, "device": phone, "consent": consent})
    app.settled(event_id)
    (appsflyer,), (google,) = app.received("appsflyer", customer), app.received("google", customer)
    (facebook,) = app.received("facebook", event_id)
    return {"appsflyer": appsflyer["body"], "google": google["body"], "facebook": meta_event(facebook, event_id)}


def test_what_was_granted_under_the_gdpr_arrives_in_each_agents_own_fields(
    app: Caller, phone: dict[str, Any], unique: Callable[[], str]
) -> None:
    consent = {"gdprApplies": True, "advertising": True, "analytics": True, "adPersonalization": False}
    sent = consented(app, phone, unique(), consent)
    assert sent["appsflyer"]["consent_data"] == {
        "manual": {"gdpr_applies": True, "ad_user_data_enabled": True, "ad_personalization_enabled": False}
    }
    assert sent["google"]["consent"] == {"ad_user_data": "GRANTED", "ad_personalization": "DENIED"}
    assert "data_processing_options" not in sent["facebook"]


def test_the_iab_string_arrives_at_appsflyer(app: Caller, phone: dict[str, Any], unique: Callable[[], str]) -> None:
    tcf = {
        "policyVersion": 4,
        "cmpSdkId": 300,
        "cmpSdkVersion": 2,
        "tcString": "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAA",
    }
    sent = consented(app, phone, unique(), {"gdprApplies": True, "advertising": True, "tcf": tcf})
    assert sent["appsflyer"]["consent_data"] == {
        "tcf": {
            "policy_version": 4,
            "gdpr_applies": 1,
            "cmp_sdk_id": 300,
            "cmp_sdk_version": 2,
            "tcstring": "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAA",
        }
    }


def test_an_opt_out_of_sale_arrives_in_each_agents_own_fields(
    app: Caller, phone: dict[str, Any], unique: Callable[[], str]
) -> None:
    sent = consented(app, phone, unique(), {"saleOptOut": True})
    assert sent["facebook"]["data_processing_options"] == ["LDU"]
    assert sent["facebook"]["data_processing_options_country"] == 0
    assert sent["facebook"]["data_processing_options_state"] == 0
    assert sent["google"]["consent"]["ad_personalization"] == "DENIED"
    assert sent["appsflyer"]["sharing_filter"] == "all"


def test_advertising_denied_is_sent_to_google_which_counts_all_the_same(
    app: Caller, phone: dict[str, Any], unique: Callable[[], str]
) -> None:
    customer = unique()
    consent = {"advertising": False, "analytics": True}
    app.settled(
        app.accepted("/login", {"customerId": customer, **CONTACT, **PHONE, "device": phone, "consent": consent})
    )
    (google,) = app.received("google", customer)
    assert google["body"]["consent"] == {"ad_user_data": "DENIED", "ad_personalization": "DENIED"}
    assert "user_data" not in google["body"]


def test_a_consent_that_nobody_gave_is_not_claimed(
    app: Caller, phone: dict[str, Any], unique: Callable[[], str]
) -> None:
    sent = consented(app, phone, unique(), {})
    assert "consent_data" not in sent["appsflyer"]
    assert sent["google"].get("consent", {}) == {}
    assert "data_processing_options" not in sent["facebook"]
