"""`relay forget` against the local cloud: what is kept of a person is deleted, what is kept of others is not."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local import settings
from local.deploy import Cloud
from local.scenario import CONTACT, PHONE
from tests.e2e.conftest import Caller
from tests.e2e.terminal import Terminal

Unique = Callable[[], str]
ORDERED = ("dashx", "eitri_push", "emarsys")


@pytest.fixture
def terminal(app: Caller) -> Iterator[Terminal]:
    """A terminal to which nothing is parked at Emarsys, and is not afterwards."""
    used = Terminal(app.stack)
    used.relay("parked", "drop", "emarsys", "--yes")
    yield used
    used.relay("parked", "drop", "emarsys", "--yes")


def _login(app: Caller, customer: str, device: str, **more: Any) -> str:
    phone = {**PHONE, "device": {**PHONE["device"], "id": device, "pushToken": device}}
    event_id = app.accepted("/login", {"customerId": customer, **CONTACT, **phone, **more}, key="secret")
    app.settled(event_id)
    return event_id


def _rows(app: Caller, device: str) -> list[str]:
    """The agents that have a row of the device, by the key that docs/privacy.md gives."""
    cloud = Cloud(app.stack.aws_endpoint, app.stack.region)
    digest = hashlib.sha256(f"{app.stack.app_id}\0{device}".encode()).hexdigest()
    table, rows = cloud.table(), cloud.client("dynamodb")
    keys = {agent: {"event": {"S": f"{agent}#{digest}"}, "agent": {"S": "order"}} for agent in ORDERED}
    return [agent for agent, key in keys.items() if "Item" in rows.get_item(TableName=table, Key=key)]


def test_a_device_is_forgotten_exactly(app: Caller, unique: Unique, terminal: Terminal) -> None:
    device, other = unique(), unique()
    _login(app, unique(), device)
    _login(app, unique(), other)
    assert _rows(app, device) == _rows(app, other) == list(ORDERED)
    done = terminal.answered("forget", "--app", app.stack.app_id, "--device", device, "--yes")
    assert (done["rows"], done["messages"]) == (3, 0)
    assert (_rows(app, device), _rows(app, other)) == ([], list(ORDERED))


def test_a_customer_is_found_on_every_device_by_a_scan_whose_cost_comes_first(
    app: Caller, unique: Unique, terminal: Terminal
) -> None:
    customer, first, second, other = unique(), unique(), unique(), unique()
    _login(app, customer, first)
    _login(app, customer, second)
    _login(app, unique(), other)
    command = ("forget", "--app", app.stack.app_id, "--customer", customer)
    refused = terminal.relay(*command, given="n\n")
    assert (refused.code, refused.stderr.index("read units") < refused.stderr.index("Delete what")) == (1, True)
    assert _rows(app, first) == list(ORDERED)
    assert terminal.answered(*command, "--yes")["rows"] == 6
    assert (_rows(app, first), _rows(app, second), _rows(app, other)) == ([], [], list(ORDERED))


def test_a_persons_parked_messages_are_deleted_and_those_of_others_stay(
    app: Caller, unique: Unique, terminal: Terminal
) -> None:
    customer, device, other = unique(), unique(), unique()
    app.fault("emarsys", status=400, times=2)
    mine, theirs = _login(app, customer, device), _login(app, unique(), other)
    assert app.receipts(mine)["emarsys"]["state"] == app.receipts(theirs)["emarsys"]["state"] == "parked"
    done = terminal.answered("forget", "--app", app.stack.app_id, "--customer", customer, "--yes")
    assert done["messages"] == 1
    left = terminal.answered("parked", "list", "emarsys", "--each")
    assert [row["event"] for row in left] == [theirs]


def test_it_says_when_the_queues_are_empty_and_what_each_vendor_must_be_asked(
    app: Caller, unique: Unique, terminal: Terminal
) -> None:
    done = terminal.answered("forget", "--app", app.stack.app_id, "--device", unique(), "--yes")
    assert {row["agent"] for row in done["vendors"]} == settings.agents("").keys()
    assert done["queues"]["settledBy"] < done["queues"]["emptyBy"]
    assert (
        "https://hq1.appsflyer.com/"
        in terminal.well("forget", "--app", app.stack.app_id, "--device", unique(), "--yes").out
    )
    assert terminal.relay("forget", "--app", app.stack.app_id, "--yes").code == 2
