"""Google's Data Manager API as the sandbox plays it: what it takes, refuses, leaves out, and says later."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from local.sandbox.exchange import Request, VendorResponse
from local.sandbox.google_data_manager import WORKING_SECONDS, GoogleDataManager

NOW = 1_795_166_200.0
SETTINGS: dict[str, Any] = {
    "property_id": "412345678",
    "measurement_id": "G-ABC1234567",
    "firebase_app_id_ios": "1:123456789012:ios:3f2a9c0b1d4e5f60",
    "workload_identity": {"provider": "//iam.googleapis.com/example", "service_account": "relay@example.com"},
}
ACCOUNT = {"accountType": "GOOGLE_ANALYTICS_PROPERTY", "accountId": "412345678"}
# The example of the contract: two streams, one request.
BODY: dict[str, Any] = {
    "destinations": [
        {
            "reference": "ios",
            "operatingAccount": ACCOUNT,
            "loginAccount": ACCOUNT,
            "productDestinationId": "1:123456789012:ios:3f2a9c0b1d4e5f60",
        },
        {
            "reference": "web",
            "operatingAccount": ACCOUNT,
            "loginAccount": ACCOUNT,
            "productDestinationId": "G-ABC1234567",
        },
    ],
    "encoding": "HEX",
    "events": [
        {
            "destinationReferences": ["ios"],
            "eventName": "login",
            "eventSource": "APP",
            "eventTimestamp": "2026-11-20T09:15:42.318Z",
            "appInstanceId": "c2f0a6d1b94e4c7a8d3b5e6f70819a2b",
            "userId": "usr_7f3a9c21",
            "consent": {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_DENIED"},
            "userData": {
                "userIdentifiers": [
                    {"emailAddress": "b9c845906d33923f1a5a7a4f294e00f2d51aa8f814148abd4ed45d7a49ddf90a"},
                    {"phoneNumber": "f0bf0228144d9fe2bdf1da2d8ca698f17bf1410ee688b075c27062e47b6f0b6d"},
                ]
            },
            "eventDeviceInfo": {"category": "mobile", "languageCode": "en", "operatingSystem": "iOS"},
            "additionalEventParameters": [
                {"parameterName": "session_id", "value": "1795166098"},
                {"parameterName": "engagement_time_msec", "value": "100"},
            ],
        },
        {
            "destinationReferences": ["web"],
            "eventName": "logout",
            "eventSource": "WEB",
            "eventTimestamp": "2026-11-20T09:15:43.007Z",
            "clientId": "1872054418.1795100000",
            "eventDeviceInfo": {"userAgent": "Mozilla/5.0", "ipAddress": "203.0.113.24"},
            "additionalEventParameters": [{"parameterName": "engagement_time_msec", "value": "1"}],
        },
    ],
}
Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def google() -> GoogleDataManager:
    """The API, with a token that lives."""
    made = GoogleDataManager(SETTINGS)
    made._tokens._access["token"] = (NOW + 99_999, SETTINGS["workload_identity"])  # noqa: SLF001 - as if it was issued
    return made


def post(body: object, token: str = "token") -> Request:  # noqa: S107 - an example
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    return Request("POST", "/v1/events:ingest", {}, headers, json.dumps(body).encode())


def ask(reference: str, token: str = "token") -> Request:  # noqa: S107 - an example
    headers = {"authorization": f"Bearer {token}"}
    return Request("GET", "/v1/requestStatus:retrieve", {"requestId": reference}, headers, b"")


def changed(change: Change) -> dict[str, Any]:
    body = copy.deepcopy(BODY)
    change(body)
    return body


def answered(google: GoogleDataManager, request: Request, now: float = NOW) -> tuple[list[str], VendorResponse]:
    result = google.check(request, now)
    return list(result.violations), result.work()


def test_the_contracts_example_is_taken_whole(google: GoogleDataManager) -> None:
    violations, answer = answered(google, post(BODY))
    assert violations == []
    assert answer.status == 200
    assert set(json.loads(answer.body)) == {"requestId"}
    assert google.state()["byName"] == {"login": 1, "logout": 1}
    assert google.state()["requests"] == 1


def event(at: int = 0, **fields: Any) -> Change:
    def change(body: dict[str, Any]) -> None:
        body["events"][at].update(fields)
        for name in [name for name, value in fields.items() if value is None]:
            del body["events"][at][name]

    return change


def parameter(name: str, value: object) -> Change:
    return lambda body: body["events"][0]["additionalEventParameters"].append({"parameterName": name, "value": value})


@pytest.mark.parametrize(
    ("change", "reason", "place"),
    [
        (event(eventName="session_start"), "INVALID_EVENT_NAME", "events.events[0].event_name"),
        (event(1, eventName="screen_view"), "INVALID_EVENT_NAME", "events.events[1].event_name"),
        (event(eventName=None), "REQUIRED_FIELD_MISSING", "events.events[0].event_name"),
        (event(eventTimestamp="2026-11-01T09:15:42Z"), "EVENT_TIME_INVALID", "events.events[0].event_timestamp"),
        (event(eventTimestamp=1795166142318457), "INVALID_FORMAT", "events.events[0].event_timestamp"),
        (event(consent={"adUserData": "GRANTED"}), "INVALID_FORMAT", "events.events[0].consent"),
        (
            event(destinationReferences=None),
            "MULTIPLE_DESTINATIONS_FOR_GOOGLE_ANALYTICS_EVENT",
            "destination_references",
        ),
        (event(destinationReferences=["tv"]), "INVALID_DESTINATION_REFERENCE", "destination_references"),
        (event(eventSource="WEB"), "EVENT_SOURCE_AND_DESTINATION_MISMATCH", "event_source"),
        (event(clientId="1.1"), "BOTH_CLIENT_ID_AND_APP_INSTANCE_ID_NOT_ALLOWED", "client_id"),
        (event(appInstanceId=None), "REQUIRED_FIELD_MISSING", "app_instance_id"),
        (event(1, clientId=None), "REQUIRED_FIELD_MISSING", "client_id"),
        (event(eventName="purchase"), "REQUIRED_FIELD_MISSING", "transaction_id"),
        (event(userData={"userIdentifiers": [{"emailAddress": "zz"}]}), "INVALID_SHA256_FORMAT", "user_identifiers[0]"),
        (event(userData={"userIdentifiers": []}), "INVALID_USER_DATA", "user_data"),
        (lambda body: body.pop("encoding"), "ENCODING_MISSING", "user_data"),
        (parameter("gift", 1), "INVALID_FORMAT", "additional_event_parameters"),
        (parameter("ga_x", "1"), "RESERVED_NAME_USED", "additional_event_parameters"),
        (parameter("text", "t" * 101), "FIELD_VALUE_TOO_LONG", "additional_event_parameters"),
    ],
)
def test_one_bad_event_fails_the_whole_request_and_is_named(
    google: GoogleDataManager, change: Change, reason: str, place: str
) -> None:
    violations, answer = answered(google, post(changed(change)))
    assert violations
    error = json.loads(answer.body)["error"]
    named = [one for detail in error["details"] for one in detail.get("fieldViolations", [])]
    assert (answer.status, error["status"]) == (400, "INVALID_ARGUMENT")
    assert any(one["reason"] == reason and place in one["field"] for one in named), named
    assert google.state()["count"] == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (event(eventDeviceInfo={"category": "toaster"}), "WARNING_REASON_INVALID_DEVICE_CATEGORY"),
        (event(eventDeviceInfo={"languageCode": "en-gb"}), "WARNING_REASON_INVALID_FORMAT"),
        (event(1, clientId="me"), "WARNING_REASON_INVALID_CLIENT_ID"),
    ],
)
def test_a_bad_optional_field_is_left_out_with_a_warning(
    google: GoogleDataManager, change: Change, reason: str
) -> None:
    violations, answer = answered(google, post(changed(change)))
    assert violations
    assert [one["reason"] for one in json.loads(answer.body)["fieldWarnings"]] == [reason]
    assert google.state()["count"] == 2


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (event(transactionId="T-1"), "at an event that is no transaction"),
        (event(conversionValue=1.5), "has no currency"),
        (parameter("value", "1"), "has a field of its own"),
        (parameter("page_title", "nadia@example.com"), "an e-mail address in clear text"),
        (event(additionalEventParameters=None), "nobody counts as active"),
    ],
)
def test_what_google_takes_and_we_should_not_send_is_noted(
    google: GoogleDataManager, change: Change, complaint: str
) -> None:
    violations, answer = answered(google, post(changed(change)))
    assert any(complaint in one for one in violations), violations
    assert answer.status == 200


def destination(**fields: Any) -> Change:
    return lambda body: body["destinations"][0].update(fields)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (destination(operatingAccount={**ACCOUNT, "accountId": "1"}), 404),
        (destination(productDestinationId="1:1:ios:9"), 404),
        (destination(reference="web"), 400),
        (destination(stream="ios"), 400),
        (lambda body: body.update(consent={"adUserData": "CONSENT_GRANTED"}), 400),
        (lambda body: body.update(destinations=body["destinations"] * 6), 400),
        (lambda body: body.update(events=body["events"] * 1_001), 400),
    ],
)
def test_a_wrong_request_takes_nothing(google: GoogleDataManager, change: Change, status: int) -> None:
    violations, answer = answered(google, post(changed(change)))
    assert violations
    assert answer.status == status
    assert google.state()["count"] == 0


@pytest.mark.parametrize("request_", [post(BODY, "another"), ask("r", "another")])
def test_a_token_of_nobody_is_refused(google: GoogleDataManager, request_: Request) -> None:
    assert answered(google, request_)[1].status == 401


def test_another_identity_ends_the_tokens_of_the_one_before(google: GoogleDataManager) -> None:
    google.settings = {**SETTINGS, "workload_identity": {"provider": "another"}}
    assert answered(google, post(BODY))[1].status == 401


def test_what_is_only_validated_leaves_no_trace(google: GoogleDataManager) -> None:
    violations, answer = answered(google, post({**BODY, "validateOnly": True}))
    assert (violations, answer.status, json.loads(answer.body)) == ([], 200, {})
    assert (google.state()["count"], google.state()["requests"]) == (0, 0)


def test_a_request_is_worked_on_before_it_succeeds(google: GoogleDataManager) -> None:
    reference = json.loads(answered(google, post(BODY))[1].body)["requestId"]
    for later, state in ((0, "PROCESSING"), (WORKING_SECONDS, "SUCCESS")):
        violations, answer = answered(google, ask(reference), NOW + later)
        assert violations == []
        listed = json.loads(answer.body)["requestStatusPerDestination"]
        assert [(one["destination"]["reference"], one["requestStatus"]) for one in listed] == [
            ("ios", state),
            ("web", state),
        ]
        assert [one["eventsIngestionStatus"]["recordCount"] for one in listed] == ["1", "1"]


def test_a_request_that_was_not_taken_has_no_status(google: GoogleDataManager) -> None:
    violations, answer = answered(google, ask("126365e1"))
    assert violations
    assert answer.status == 400


@pytest.mark.parametrize("body", [b"", b"[]", b'{"events":[1],"destinations":[1]}'])
def test_what_cannot_be_read_is_refused(google: GoogleDataManager, body: bytes) -> None:
    request = post(BODY)
    broken = Request(request.method, request.path, {}, request.headers, body)
    assert answered(google, broken)[1].status == 400


def test_a_request_says_what_it_is_about_on_the_console(google: GoogleDataManager) -> None:
    assert google.subject(post(BODY)) == "login, logout"
    assert google.subject(ask("r")) == "status"
    assert google.subject(Request("POST", "/v1/token", {}, {}, b"")) == "access token"


def test_another_path_is_not_part_of_the_api(google: GoogleDataManager) -> None:
    assert answered(google, Request("GET", "/v1/events:ingest", {}, {}, b""))[1].status == 404


def test_reset_loses_events_and_requests(google: GoogleDataManager) -> None:
    answered(google, post(BODY))
    google.reset()
    assert (google.state()["count"], google.state()["requests"]) == (0, 0)
