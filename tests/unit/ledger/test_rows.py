"""Rows: what the ledger asks of DynamoDB, by a client that remembers it."""

from typing import Any

import pytest

from relay.aws import clients
from relay.errors import LedgerUnavailable
from relay.ledger import rows

KEY = {"event": {"S": "shop#evt_1"}, "agent": {"S": "dashx"}}


class Client:
    """DynamoDB, which remembers what was asked, and answers as it is set to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.unprocessed = 0

    def get_item(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(("get", asked))
        return {}

    def query(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(("query", asked))
        return {"Items": []}

    def batch_get_item(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(("read", asked["RequestItems"]["receipts"]))
        self.unprocessed -= 1
        left = asked["RequestItems"] if self.unprocessed >= 0 else {}
        return {"Responses": {} if left else {"receipts": [KEY]}, "UnprocessedKeys": left}

    def batch_write_item(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(("write", asked["RequestItems"]))
        self.unprocessed -= 1
        return {"UnprocessedItems": asked["RequestItems"] if self.unprocessed >= 0 else {}}


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited; the longest of what chance may choose."""
    waited: list[float] = []
    monkeypatch.setattr("relay.ledger.rows.time.sleep", waited.append)
    monkeypatch.setattr("relay.ledger.rows.random.uniform", lambda low, high: (low, high))
    return waited


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """The client that the ledger uses."""
    made = Client()
    monkeypatch.setattr(clients, "dynamodb", lambda: made)
    return made


def test_every_read_is_a_consistent_one(client: Client) -> None:
    rows.get("receipts", KEY)
    rows.read("receipts", [KEY])
    rows.query("receipts", KeyConditionExpression="event = :event")
    assert [(name, asked["ConsistentRead"]) for name, asked in client.asked] == [
        ("get", True),
        ("read", True),
        ("query", True),
    ]


def test_what_dynamodb_leaves_unprocessed_is_asked_again_after_waits_that_double(
    client: Client, waits: list[Any]
) -> None:
    client.unprocessed = 2
    assert rows.read("receipts", [KEY]) == [KEY]
    client.unprocessed = 2
    assert rows.write("receipts", [KEY]) == [True]
    assert len(client.asked) == 6
    assert waits == [(0.025, 0.05), (0.05, 0.1)] * 2


def test_what_stays_unprocessed_is_no_row_that_is_not_there(client: Client, waits: list[float]) -> None:
    client.unprocessed = 99
    with pytest.raises(LedgerUnavailable, match=r"^too many reads at once$"):
        rows.read("receipts", [KEY])
    assert rows.write("receipts", [KEY, {**KEY, "agent": {"S": "emarsys"}}]) == [False, False]
    assert len(waits) == 8


def test_calls_take_as_many_rows_as_dynamodb_does(client: Client) -> None:
    keys = [{**KEY, "agent": {"S": str(number)}} for number in range(101)]
    rows.read("receipts", keys)
    rows.write("receipts", keys[:26])
    sizes = [len(asked.get("Keys", asked.get("receipts", ()))) for _, asked in client.asked]
    assert sizes == [100, 1, 25, 1]


@pytest.mark.parametrize(
    ("value", "means"),
    [({"N": "-7"}, -7), ({"N": "1.5"}, None), ({"S": "text"}, "text"), ({"S": 7}, None), ({"BOOL": True}, None)],
)
def test_an_attribute_that_the_ledger_does_not_write_is_nothing(value: dict[str, Any], means: object) -> None:
    assert rows.to_python(value) == means
