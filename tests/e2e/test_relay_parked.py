"""`relay parked` against the local cloud: what was parked is seen without the person's data, moved back, or dropped."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from local.deploy import Cloud
from local.scenario import CONTACT
from tests.e2e.conftest import Caller, empty_dead_letters
from tests.e2e.terminal import Terminal, plain

Unique = Callable[[], str]


@pytest.fixture
def terminal(app: Caller) -> Iterator[Terminal]:
    """A terminal to which nothing is parked at any agent, and is not afterwards."""
    empty_dead_letters(app.stack)
    yield Terminal(app.stack)
    empty_dead_letters(app.stack)


def _parked(app: Caller, unique: Unique, device: str | None = None, status: int = 400) -> str:
    """An event that Emarsys refuses for good."""
    event_id, device = unique(), device or unique()
    app.fault("emarsys", match=device, status=status, times=1)
    stand_ins = {"model": "m", "osVersion": "1", "appVersion": "1", "language": "en", "timezone": "UTC"}
    body = {"eventId": event_id, "customerId": unique(), **CONTACT}
    app.accepted(
        "/login", {**body, "device": {"id": device, "platform": "android", "pushToken": unique(), **stand_ins}}
    )
    app.receipt(event_id, "emarsys", "parked")
    return event_id


def test_what_is_parked_is_listed_by_agent_and_reason_without_the_persons_data(
    app: Caller, unique: Unique, terminal: Terminal
) -> None:
    first, second = _parked(app, unique), _parked(app, unique, status=404)
    summary = [line.split("\t")[:3] for line in terminal.well("parked", "list", "emarsys").out.splitlines()]
    assert summary == [["agent", "reason", "messages"], ["emarsys", "HTTP 400", "1"], ["emarsys", "HTTP 404", "1"]]
    groups = terminal.answered("parked", "list", "emarsys")
    assert [(row["agent"], row["reason"], row["messages"]) for row in groups] == [
        ("emarsys", "HTTP 400", 1),
        ("emarsys", "HTTP 404", 1),
    ]
    rows = terminal.answered("parked", "list", "emarsys", "--each")
    assert {row["event"]: (row["type"], row["status"], row["attempts"]) for row in rows} == {
        first: ("login", "400", 1),
        second: ("login", "404", 1),
    }
    (only,) = terminal.answered("parked", "list", "--each", "--reason", "http 404")
    assert only["event"] == second
    shown = terminal.well("parked", "show", first)
    assert "sent again" in shown.out
    everything = shown.out + str(rows)
    assert not [text for text in (*CONTACT.values(), "customerId", "pushToken") if text in everything]
    assert terminal.relay("parked", "show", unique()).code == 1


def test_looking_takes_nothing_away(app: Caller, unique: Unique, terminal: Terminal) -> None:
    event_id = _parked(app, unique)
    for _ in range(3):
        assert [row["event"] for row in terminal.answered("parked", "list", "emarsys", "--each")] == [event_id]


def test_a_redrive_says_beforehand_what_would_become_of_the_messages(
    app: Caller, unique: Unique, terminal: Terminal
) -> None:
    device = unique()
    again, superseded = _parked(app, unique), _parked(app, unique, device)
    logout = app.accepted("/logout", {"device": {"id": device, "platform": "android"}})
    app.receipt(logout, "emarsys", "delivered")
    refused = terminal.relay("parked", "redrive", "emarsys", given="n\n")
    assert (refused.code, "2 parked: 1 will be sent again, 1 superseded." in refused.stderr) == (1, True)
    assert len(terminal.answered("parked", "list", "emarsys", "--each")) == 2
    done = terminal.answered("parked", "redrive", "emarsys", "--yes")
    assert done == {"agent": "emarsys", "moved": 2, "forecast": {"sent again": 1, "superseded": 1}}
    assert app.receipt(again, "emarsys", "delivered")["attempts"] == 2
    assert app.receipt(superseded, "emarsys", "skipped")["reason"] == "superseded"
    assert terminal.answered("parked", "list", "emarsys") == []


def test_an_event_that_has_become_too_old_for_google_is_forecast_as_expired(
    app: Caller, unique: Unique, terminal: Terminal
) -> None:
    young, old = unique(), unique()
    app.fault("google", status=400, match=young, times=1)
    body = {"eventId": young, "customerId": unique(), "ids": {"gaClientId": "1000000000.1000000000"}}
    app.accepted("/login", {**body, "properties": {"mark": young}})
    app.receipt(young, "google", "parked")
    cloud = Cloud(app.stack.aws_endpoint, app.stack.region)
    resource = cloud.client("cloudformation").describe_stack_resource(
        StackName=app.stack.stack_name, LogicalResourceId="GoogleDeadLetterQueue"
    )
    url, queues = resource["StackResourceDetail"]["PhysicalResourceId"], cloud.client("sqs")
    (message,) = queues.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
    four_days_ago = (datetime.now(UTC) - timedelta(days=4)).isoformat()
    aged = {**json.loads(message["Body"]), "eventId": old, "occurredAt": four_days_ago}
    queues.send_message(QueueUrl=url, MessageBody=json.dumps(aged))
    assert [row["forecast"] for row in terminal.answered("parked", "show", old)] == ["expired"]
    forecast = terminal.answered("parked", "redrive", "google", "--yes")["forecast"]
    assert forecast == {"sent again": 1, "expired": 1}
    app.receipt(young, "google", "unconfirmed")
    app.receipt(old, "google", "expired")


def test_some_are_redriven_and_the_others_stay(app: Caller, unique: Unique, terminal: Terminal) -> None:
    first, second, third = _parked(app, unique), _parked(app, unique, status=404), _parked(app, unique)
    assert terminal.answered("parked", "redrive", "emarsys", "--reason", "404", "--yes")["moved"] == 1
    app.receipt(second, "emarsys", "delivered")
    assert terminal.answered("parked", "redrive", "emarsys", "--event", third, "--yes")["moved"] == 1
    app.receipt(third, "emarsys", "delivered")
    assert [row["event"] for row in terminal.answered("parked", "list", "emarsys", "--each")] == [first]
    assert terminal.relay("parked", "redrive", "emarsys", "--event", unique(), "--yes").code == 1


def test_at_a_terminal_a_redrive_asks(app: Caller, unique: Unique, terminal: Terminal) -> None:
    event_id = _parked(app, unique)
    run = terminal.typed("parked", "redrive", "emarsys", answers=[("Move 1 back to emarsys?", "y")])
    assert (run.code, "1 moved back to emarsys" in plain(run.out)) == (0, True)
    app.receipt(event_id, "emarsys", "delivered")


def test_dropping_asks_and_leaves_the_receipts_parked(app: Caller, unique: Unique, terminal: Terminal) -> None:
    first, second = _parked(app, unique), _parked(app, unique)
    assert terminal.relay("parked", "drop", "emarsys").code == 1
    assert terminal.answered("parked", "drop", "emarsys", "--event", first, "--yes")["dropped"] == 1
    assert [row["event"] for row in terminal.answered("parked", "list", "emarsys", "--each")] == [second]
    assert terminal.answered("parked", "drop", "emarsys", "--yes")["dropped"] == 1
    assert {app.receipts(one)["emarsys"]["state"] for one in (first, second)} == {"parked"}
    assert terminal.relay("parked", "drop", "emarsys", "--yes").code == 1
    assert terminal.well("parked", "list", "emarsys").stderr == "Nothing is parked.\n"
