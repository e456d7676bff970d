"""receipts against DynamoDB and SSM: what a caller learns of its own event."""

import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from functions.receipts.app import handler
from relay.errors import Warned
from relay.event.model import Event
from relay.ledger.device_order import SequenceUpdate
from relay.ledger.ledger import Ledger, ReceiptUpdate
from relay.ledger.states import DeliveryState

NOW = datetime(2026, 11, 20, 9, 15, 42, tzinfo=UTC)
EVENT = Event.model_construct(
    None,
    event_id="evt_1",
    type="login",
    app_id="shop",
    occurred_at=NOW,
    received_at=NOW,
    sequence=1,
)


@pytest.fixture(autouse=True)
def _catalogue(monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    monkeypatch.setenv("CATALOGUE_PATH", "/session-relay/test/catalogue")
    for name, events in {"facebook": "login,logout", "google": "login", "dashx": "identify"}.items():
        value = json.dumps({"function": f"fn-{name}", "events": events})
        boto3.client("ssm").put_parameter(Name=f"/session-relay/test/catalogue/{name}", Value=value, Type="String")
    Ledger(table).accept([EVENT])


def _get(event_id: str = "evt_1", app_id: str = "shop", kind: str = "secret") -> dict[str, Any]:
    return handler(
        {
            "pathParameters": {"eventId": event_id},
            "requestContext": {"authorizer": {"appId": app_id, "kind": kind, "identity": "required"}},
        },
        None,
    )


def _settle(table: str, agent: str, state: str, **notes: Any) -> None:
    Ledger(table, agent).settle([ReceiptUpdate(EVENT, DeliveryState(state), notes)])


def test_the_receipts_name_what_was_normalised_or_left_out_and_never_a_name_that_the_caller_made_up(table: str) -> None:
    warned = (
        Warned("#/phone", "was left out: must be in E.164", "#/phone"),
        Warned("#/device/ana@example.com", "was left out: is not a known field here", "#/device", is_within=True),
        Warned("#/device/another", "was left out: is not a known field here", "#/device", is_within=True),
    )
    Ledger(table).accept([EVENT.model_copy(update={"event_id": "evt_2", "warnings": warned})])
    assert json.loads(_get("evt_2")["body"])["warnings"] == [
        {"pointer": "#/phone", "detail": "was left out: must be in E.164"},
        {"pointer": "#/device", "detail": "a part of it was left out: is not a known field here"},
    ]
    assert "warnings" not in json.loads(_get()["body"])


def test_every_agent_that_hears_of_the_event_has_a_receipt(table: str) -> None:
    _settle(table, "facebook", "retrying", reason="HTTP 503", attempts=2, status=503, at=1795166200000, wait=30)
    answer = _get()
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == {
        "eventId": "evt_1",
        "type": "login",
        "acceptedAt": "2026-11-20T09:15:42.000Z",
        "orderedBy": "sequence",
        "agents": {
            "facebook": {
                "state": "retrying",
                "reason": "HTTP 503",
                "attempts": 2,
                "lastStatus": 503,
                "at": "2026-11-20T09:16:40.000Z",
                "nextAttempt": "2026-11-20T09:17:10.000Z",
            },
            "google": {"state": "queued", "attempts": 0},
        },
    }


def test_a_settled_delivery_has_no_next_attempt(table: str) -> None:
    _settle(table, "google", "unconfirmed", reason="HTTP 204", attempts=1, status=204, at=1795166200000)
    receipt = json.loads(_get()["body"])["agents"]["google"]
    assert (receipt["state"], receipt["attempts"]) == ("unconfirmed", 1)
    assert "nextAttempt" not in receipt


def test_what_is_not_there_is_404() -> None:
    assert _get("evt_2")["statusCode"] == 404


def test_another_apps_event_is_not_there() -> None:
    assert _get(app_id="other")["statusCode"] == 404


def test_a_public_key_gets_no_receipts() -> None:
    assert _get(kind="public")["statusCode"] == 403


def test_a_ledger_that_does_not_answer_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLE", "gone")
    answer = _get()
    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (503, "2")


@pytest.mark.parametrize(
    "attributes",
    [
        {"at": {"S": "yesterday"}, "wait": {"S": "soon"}},
        {"at": {"N": "9" * 30}, "wait": {"N": "1.5"}},
        {"reason": {"BOOL": True}, "attempts": {"NULL": True}, "more": {"L": [{"S": "x"}]}},
        {"type": {"NULL": True}},
    ],
)
def test_a_row_with_unexpected_attributes_is_answered_for_as_well(table: str, attributes: dict[str, Any]) -> None:
    row = {"event": {"S": "shop#evt_1"}, "agent": {"S": "google"}, "state": {"S": "retrying"}, **attributes}
    boto3.client("dynamodb").put_item(TableName=table, Item=row)
    answer = _get()
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["agents"]["google"]["state"] == "retrying"


def test_a_devices_row_is_no_event_of_an_app_that_bears_an_agents_name(table: str) -> None:
    Ledger(table, "emarsys").advance_sequences([SequenceUpdate(EVENT, {})])
    assert _get(EVENT.group, app_id="emarsys")["statusCode"] == 404


def test_a_circuits_row_is_no_event_of_any_app(table: str) -> None:
    row = {"event": {"S": "circuit"}, "agent": {"S": "google"}, "state": {"S": "OPEN"}}
    boto3.client("dynamodb").put_item(TableName=table, Item=row)
    assert {_get("google", app_id=app)["statusCode"] for app in ("circuit", "", "shop")} == {404}


def test_a_delivery_that_is_held_after_a_failed_attempt_shows_no_next_attempt(table: str) -> None:
    _settle(table, "facebook", "retrying", reason="HTTP 503", attempts=1, status=503, at=1795166200000, wait=30)
    held = ReceiptUpdate(EVENT, DeliveryState.HELD, {"reason": "circuit open", "attempts": 1, "at": 1795166230000})
    assert Ledger(table, "facebook").settle_unclaimed([held]) == [True]
    receipt = json.loads(_get()["body"])["agents"]["facebook"]
    assert (receipt["state"], receipt["lastStatus"]) == ("held", 503)
    assert "nextAttempt" not in receipt
