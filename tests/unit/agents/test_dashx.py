"""dashx: settings that could not work are refused when loaded, and no answer, however odd, makes its reading fail."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from functions.agents.dashx.app import Settings, build_requests, classify
from relay import __version__
from relay.agent.http import Response
from relay.agent.verdict import VerdictKind
from relay.event.model import Event

WORKING = {"public_key": "pub_example", "private_key": "prv_example", "target_environment": "staging"}
LOGIN = {
    "type": "login",
    "appId": "shop",
    "eventId": "e1",
    "occurredAt": "2026-11-21T18:00:00.000Z",
    "receivedAt": "2026-11-21T18:00:00.000Z",
    "sequence": 1,
    "customerId": "cus_778",
    "device": {"platform": "android", "pushToken": "fcm-example-token"},
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"private_key": "prv_example\n"},
        {"private_key": ""},
        {"public_key": " pub_example"},
        {"target_environment": ""},
        {"event_names": {"login": " "}},
        {"event_names": {"log_in": "User Logged In"}},
        {"base_url": "api.dashx.com"},
        {"base_url": "https://api.dashx.com/graphql"},
        {"base_url": "https://agents.example.com/dashx"},
    ],
)
def test_settings_that_could_not_work_are_refused_when_loaded(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({**WORKING, **wrong})


def test_the_library_that_subscribes_is_this_one() -> None:
    subscribe = build_requests(Event.load(json.dumps(LOGIN)), Settings.model_validate(WORKING))[2]
    metadata = json.loads(subscribe.body)["variables"]["input"]["metadata"]
    assert metadata == {"library": {"name": "session-relay", "version": __version__}}


def test_printing_the_requests_shows_no_private_key() -> None:
    requests = build_requests(Event.load(json.dumps(LOGIN)), Settings.model_validate(WORKING))
    assert "pub_example" in repr(requests)
    assert "prv_example" not in repr(requests)


def test_a_reason_never_quotes_the_answer_which_may_quote_the_person() -> None:
    message = 'Variable "$input" got invalid value {"email":"ana@example.com"}; Field "x" is not defined.'
    answer = {
        "data": None,
        "errors": [{"message": message, "extensions": {"code": "ana@example.com"}}, {"message": message}],
    }
    verdict = classify(Response(200, json.dumps(answer).encode()))
    assert verdict.reason == "HTTP 200, error without a code"


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "data",
        {"data": []},
        {"data": {}},
        {"data": "x", "errors": "x"},
        {"errors": {"message": "x"}},
        {"errors": [None, [], 1]},
        {"errors": [{"message": None, "extensions": None}]},
        {"errors": [{"message": {}, "extensions": {"code": ["UNAUTHORIZED"]}}]},
    ],
)
def test_an_odd_answer_is_worth_another_try(document: object) -> None:
    assert classify(Response(200, json.dumps(document).encode())).kind is VerdictKind.RETRY
