"""Rows: what the ledger asks of DynamoDB, by a client that remembers it."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from relay.aws import clients
from relay.errors import LedgerUnavailable
from relay.ledger import rows

KEY = {"event": {"S": "shop#evt_1"}, "agent": {"S": "dashx"}}


class Client:
    """DynamoDB, which remembers what was asked, and answers as it is set to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.unprocessed = 0
        self.refusal = ""

    def get_item(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(("get", asked))
        return {}

    def query(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(("query", asked))
        return {"Items": []}

    def batch_execute_statement(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(("execute", asked))
        failed = {"Error": {"Code": "ConditionalCheckFailed"}}
        return {"Responses": [{} if at % 2 else failed for at in range(len(asked["Statements"]))]}

    def update_item(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(("update", asked))
        if self.refusal:
            raise ClientError({"Error": {"Code": self.refusal, "Message": "no"}}, "UpdateItem")
        return {"Attributes": KEY}

    def put_item(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(("put", asked))
        if self.refusal:
            raise ClientError({"Error": {"Code": self.refusal, "Message": "no"}}, "PutItem")
        return {}

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


def test_the_waits_for_what_dynamodb_leaves_unprocessed_end_within_a_second() -> None:
    assert rows.BACKOFF_SECONDS == (0.05, 0.1, 0.2, 0.4)


def test_an_insert_names_each_attribute_and_says_which_rows_are_new(client: Client) -> None:
    new = {**KEY, "agent": {"S": "emarsys"}}
    assert rows.insert("receipts", [KEY, new, KEY]) == [False, True, False]
    statement = "INSERT INTO \"receipts\" VALUE {'event': ?, 'agent': ?}"
    asked = [{"Statement": statement, "Parameters": [row["event"], row["agent"]]} for row in (KEY, new)]
    assert client.asked == [("execute", {"Statements": asked})]


def test_a_change_sets_each_attribute_of_a_row_that_is_as_it_was_read(client: Client) -> None:
    row = {**KEY, "version": {"N": "8"}, "last": {"S": "evt_1"}}
    read = rows.ConditionalWrite(row, '"version" = ?', [{"N": "7"}])
    new = rows.ConditionalWrite({**KEY, "agent": {"S": "emarsys"}})
    assert rows.change("receipts", [read, new]) == [False, True]
    ((_, asked),) = client.asked
    assert asked["Statements"] == [
        {
            "Statement": 'UPDATE "receipts" SET "version" = ? SET "last" = ? '
            'WHERE "event" = ? AND "agent" = ? AND ("version" = ?)',
            "Parameters": [{"N": "8"}, {"S": "evt_1"}, KEY["event"], KEY["agent"], {"N": "7"}],
        },
        {
            "Statement": "INSERT INTO \"receipts\" VALUE {'event': ?, 'agent': ?}",
            "Parameters": [KEY["event"], {"S": "emarsys"}],
        },
    ]


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "ConditionalCheckFailedExceptions"])
def test_only_a_condition_that_does_not_hold_is_no_fault(client: Client, code: str) -> None:
    assert rows.update("receipts", Key=KEY) == KEY
    client.refusal = "ConditionalCheckFailedException"
    assert rows.update("receipts", Key=KEY) is None
    rows.replace("receipts", KEY, "attribute_not_exists(#state)", {"#state": "state"}, {})
    client.refusal = code
    with pytest.raises(LedgerUnavailable, match=f"^{code}$"):
        rows.update("receipts", Key=KEY)
    with pytest.raises(LedgerUnavailable, match=f"^{code}$"):
        rows.replace("receipts", KEY, "attribute_not_exists(#state)", {"#state": "state"}, {})


def test_a_row_is_replaced_under_its_condition(client: Client) -> None:
    rows.replace("receipts", KEY, "#state = :held", {"#state": "state"}, {":held": {"S": "held"}})
    expected = {
        "TableName": "receipts",
        "Item": KEY,
        "ConditionExpression": "#state = :held",
        "ExpressionAttributeNames": {"#state": "state"},
        "ExpressionAttributeValues": {":held": {"S": "held"}},
    }
    assert client.asked == [("put", expected)]


def test_of_rows_of_one_key_the_last_is_written_and_the_first_is_inserted(client: Client) -> None:
    first, last = ({**KEY, "type": {"S": name}} for name in ("first", "last"))
    assert rows.write("receipts", [first, last]) == [True, True]
    assert rows.insert("receipts", [first, last]) == [False, False]
    (_, written), (_, inserted) = client.asked
    assert written == {"receipts": [{"PutRequest": {"Item": last}}]}
    assert inserted["Statements"][0]["Parameters"][-1] == {"S": "first"}


def test_nothing_to_write_or_to_read_is_no_call(client: Client) -> None:
    assert rows.read("receipts", []) == []
    assert rows.write("receipts", []) == rows.insert("receipts", []) == []
    assert client.asked == []


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
