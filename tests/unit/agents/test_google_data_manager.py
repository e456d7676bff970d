"""What the table of the Data Manager contract cannot say: joined requests, culprits, tokens, statuses, settings."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from functions.agents.google.app import _email as measurement_protocol_email
from functions.agents.google_data_manager.app import (
    MAX_EVENTS,
    Settings,
    authorize,
    build_requests,
    classify,
    merge,
    normal_email,
    read_status,
    status_request,
)
from local.sandbox.google_data_manager import GoogleDataManager
from local.settings import optional_agents
from relay.agent import auth
from relay.agent.auth import Attempt
from relay.agent.http import Response, unmasked
from relay.aws import clients
from relay.encoding import sha256
from relay.event.model import Event
from tests.sandboxed import Vendor

URL = "https://agents.example"
KNOWN = optional_agents(URL)["google_data_manager"]
KEY = {"client_email": "a@example-shop.iam.gserviceaccount.com", "private_key_id": "0f", "private_key": "none"}


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "example")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    clients.session.cache_clear()
    auth.forget()
    yield
    clients.session.cache_clear()
    auth.forget()


def settings(**fields: Any) -> Settings:
    return Settings.model_validate(KNOWN | fields)


def login(event_id: str = "e1", platform: str = "web", **fields: Any) -> Event:
    now = datetime.now(UTC).isoformat()
    said = {
        "type": "login",
        "appId": "shop",
        "eventId": event_id,
        "customerId": f"usr_{event_id}",
        "occurredAt": now,
        "receivedAt": now,
        "sequence": 1,
        "device": {"platform": platform},
        "ids": {"gaClientId": "1872054418.1795100000", "gaAppInstanceId": "c2f0a6d1b94e4c7a8d3b5e6f70819a2b"},
    }
    return Event.load(json.dumps(said | fields))


def vendor() -> Vendor:
    return Vendor(GoogleDataManager(KNOWN), f"{URL}/google_data_manager", lambda: datetime.now(UTC))


def send(to: Vendor, *events: Event) -> Response:
    request = merge([request for event in events for request in build_requests(event, settings())])
    return to(authorize(request, settings(), Attempt(datetime.now(UTC), to, force_refresh=False)))


@pytest.mark.parametrize(
    ("address", "here", "there"),
    [
        ("Nadia.Okafor+shop@GoogleMail.com", "nadiaokafor@googlemail.com", "nadiaokafor+shop@googlemail.com"),
        ("j.doe@gmail.com", "jdoe@gmail.com", "jdoe@gmail.com"),
        (" J.Doe+news@Example.com ", "j.doe+news@example.com", "j.doe+news@example.com"),
        ("j.doe+x@mail.gmail.com", "j.doe+x@mail.gmail.com", "j.doe+x@mail.gmail.com"),
    ],
)
def test_gmail_loses_dots_and_tag_here_and_only_its_dots_at_the_measurement_protocol(
    address: str, here: str, there: str
) -> None:
    assert normal_email(address) == here
    assert measurement_protocol_email(address) == there


def test_the_digests_are_those_of_the_vendors_contract() -> None:
    assert sha256(normal_email("Nadia.Okafor+shop@GoogleMail.com")).startswith("7f3cf7d20811fa31")


def test_many_events_of_two_streams_are_one_request_that_google_takes() -> None:
    to = vendor()
    answer = send(to, login("e1"), login("e2", "ios"), login("e3", "android"), login("e4"))
    body = json.loads(to.sent[-1].body)
    assert to.violations == []
    assert [one["reference"] for one in body["destinations"]] == ["web", "ios", "android"]
    assert [one["destinationReferences"] for one in body["events"]] == [["web"], ["ios"], ["android"], ["web"]]
    assert [one["userId"] for one in body["events"]] == ["usr_e1", "usr_e2", "usr_e3", "usr_e4"]
    verdict = classify(answer, 4)
    assert (verdict.kind, verdict.reason) == ("delivered", f"request {verdict.reference}")


def test_one_event_is_its_own_request() -> None:
    requests = build_requests(login(), settings())
    assert merge(requests) is requests[0]


def test_consent_stands_on_the_event_and_never_on_the_request() -> None:
    denied = login("e1", consent={"advertising": False})
    request = merge([*build_requests(denied, settings()), *build_requests(login("e2"), settings())])
    body = json.loads(request.body)
    assert "consent" not in body
    assert [event.get("consent") for event in body["events"]] == [
        {"adUserData": "CONSENT_DENIED", "adPersonalization": "CONSENT_DENIED"},
        None,
    ]


def test_a_refused_request_names_its_culprits() -> None:
    to = vendor()
    old = login("e2", occurredAt="2026-01-01T00:00:00Z")
    verdict = classify(send(to, login("e1"), old, login("e3"), old), 4)
    assert (verdict.kind, verdict.suspects) == ("rejected", (1, 3))
    assert "EVENT_TIME_INVALID" in verdict.reason
    assert json.loads(json.dumps(to.agent.state()))["count"] == 0


def test_an_unknown_property_holds_and_a_revoked_token_holds() -> None:
    to = vendor()
    other = settings(property_id="999999999")
    (request,) = build_requests(login(), other)
    known = authorize(request, other, Attempt(datetime.now(UTC), to, force_refresh=False))
    assert classify(to(known)).kind == "credentials"
    to.agent.settings = {**KNOWN, "workload_identity": {**KNOWN["workload_identity"], "provider": "another"}}
    assert classify(to(known)).kind == "credentials"


def test_the_token_goes_along_and_does_not_print() -> None:
    to = vendor()
    send(to, login())
    token = unmasked(to.sent[-1].headers)["authorization"]
    assert token.startswith("Bearer ya29.c.")
    assert token not in repr(to.sent[-1])


def test_the_status_of_a_request_is_asked_by_its_id() -> None:
    to = vendor()
    reference = classify(send(to, login("e1"), login("e2", "ios"))).reference
    attempt = Attempt(datetime.now(UTC), to, force_refresh=False)
    status = read_status(to(authorize(status_request(reference, settings()), settings(), attempt)))
    assert status is not None
    assert (status.is_final, status.events, dict(status.faults)) == (False, 2, {})
    assert to.sent[-1].method == "GET"
    assert to.violations == []


def _status(*destinations: dict[str, Any]) -> Response:
    return Response(200, json.dumps({"requestStatusPerDestination": list(destinations)}).encode())


def test_a_partial_success_counts_the_events_by_reason() -> None:
    status = read_status(
        _status(
            {"requestStatus": "SUCCESS", "eventsIngestionStatus": {"recordCount": "1"}},
            {
                "requestStatus": "PARTIAL_SUCCESS",
                "eventsIngestionStatus": {"recordCount": "7"},
                "errorInfo": {
                    "errorCounts": [
                        {"recordCount": "2", "reason": "PROCESSING_ERROR_REASON_INVALID_EVENT"},
                        {"recordCount": 1, "reason": "nadia@example.com"},
                    ]
                },
            },
        )
    )
    assert status is not None
    assert (status.is_final, status.events) == (True, 8)
    assert status.faults == {"PROCESSING_ERROR_REASON_INVALID_EVENT": 2, "UNKNOWN": 1}


@pytest.mark.parametrize("state", ["FAILED", "FAILURE"])
def test_a_failure_without_counts_is_a_fault_whichever_word_google_writes(state: str) -> None:
    status = read_status(_status({"requestStatus": state}))
    assert status is not None
    assert (status.is_final, status.faults) == (True, {"UNKNOWN": 1})


@pytest.mark.parametrize(
    "response",
    [Response(403), Response(200, b"{}"), Response(200, b"busy"), Response(200, b'{"requestStatusPerDestination":1}')],
)
def test_a_response_without_a_status_says_nothing(response: Response) -> None:
    assert read_status(response) is None


@pytest.mark.parametrize(
    "body", [b"[]", b'{"error":[]}', b'{"error":{"details":{"x":1}}}', b'{"error":{"details":[1]}}']
)
def test_an_error_of_any_form_is_read(body: bytes) -> None:
    assert classify(Response(400, body)).kind == "rejected"


def test_a_request_holds_as_many_events_as_google_takes() -> None:
    assert MAX_EVENTS == 2_000


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"property_id": "G-DEF7654321"}, "property_id"),
        ({"workload_identity": None}, "needs either workload_identity or service_account_key"),
        ({"service_account_key": KEY}, "must be the private_key of a service account's key file"),
        ({"measurement_id": None, "firebase_app_id_ios": None, "firebase_app_id_android": None}, "is required"),
        ({"workload_identity": {**KNOWN["workload_identity"], "provider": "projects/1"}}, "provider"),
        ({"workload_identity": {**KNOWN["workload_identity"], "service_account": "me@example.com"}}, "service_account"),
        ({"event_names": {"login": "session_start"}}, "not a name that Google reserves"),
        ({"api_secret": "SECRET"}, "api_secret"),
    ],
)
def test_wrong_settings_do_not_load_and_say_why(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as refused:
        settings(**fields)
    assert complaint in str(refused.value)


def test_two_identities_are_one_too_many() -> None:
    key = {**KEY, "private_key": "-----BEGIN PRIVATE " + "KEY-----\n"}
    with pytest.raises(ValidationError, match="needs either"):
        settings(service_account_key=key)
