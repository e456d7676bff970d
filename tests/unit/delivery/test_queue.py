"""The queue: what is asked of SQS, by a client that remembers it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from relay.aws import clients
from relay.delivery.queue import Message, Queue
from relay.errors import QueueUnavailable

SENT = datetime(2026, 11, 20, 9, 15, 42, tzinfo=UTC)
REFUSED = ClientError({"Error": {"Code": "RequestThrottled", "Message": "slow down"}}, "SendMessage")


class Client:
    """SQS, which remembers what was asked, and may refuse."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.changed: list[dict[str, Any]] = []
        self.failed: list[dict[str, Any]] = []
        self.down = False

    def send_message(self, **asked: Any) -> None:
        self.sent.append(asked)
        if self.down:
            raise REFUSED

    def change_message_visibility_batch(self, **asked: Any) -> dict[str, Any]:
        self.changed.append(asked)
        if self.down:
            raise REFUSED
        return {"Failed": self.failed}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """The client that the queue uses."""
    made = Client()
    monkeypatch.setattr(clients, "sqs", lambda: made)
    return made


QUEUE = Queue("https://queue.example.com", "https://dead.example.com")


def _message(number: int = 1, group: str | None = None, unsent: str = "") -> Message:
    return Message(f"m{number}", f"handle-{number}", "{}", 1, SENT, group, unsent)


def test_two_parked_messages_of_a_device_bear_deduplication_ids_of_their_own(client: Client) -> None:
    for number in (1, 2):
        QUEUE.dead_letter(_message(number, "phone"), {"reason": "HTTP 400", "status": ""})
    assert [copy["MessageDeduplicationId"] for copy in client.sent] == ["m1", "m2"]
    assert client.sent[0] == {
        "QueueUrl": "https://dead.example.com",
        "MessageBody": "{}",
        "MessageAttributes": {"reason": {"DataType": "String", "StringValue": "HTTP 400"}},
        "MessageGroupId": "phone",
        "MessageDeduplicationId": "m1",
    }


def test_a_parked_message_of_a_standard_queue_bears_neither_group_nor_deduplication_id(client: Client) -> None:
    QUEUE.dead_letter(_message(), {})
    assert client.sent == [{"QueueUrl": "https://dead.example.com", "MessageBody": "{}", "MessageAttributes": {}}]


def test_a_refused_dead_letter_says_why(client: Client) -> None:
    client.down = True
    with pytest.raises(QueueUnavailable, match=r"^RequestThrottled$"):
        QUEUE.dead_letter(_message(), {})


def test_a_message_is_hidden_for_no_longer_than_sqs_allows_and_never_for_less_than_no_time(client: Client) -> None:
    QUEUE.delay([(_message(), 43_000), (_message(2), 43_001), (_message(3), -1), (_message(4), 7)])
    (asked,) = client.changed
    assert asked["QueueUrl"] == "https://queue.example.com"
    assert [(entry["Id"], entry["ReceiptHandle"], entry["VisibilityTimeout"]) for entry in asked["Entries"]] == [
        ("0", "handle-1", 43_000),
        ("1", "handle-2", 43_000),
        ("2", "handle-3", 0),
        ("3", "handle-4", 7),
    ]


def test_messages_are_hidden_ten_by_a_call(client: Client) -> None:
    QUEUE.delay([(_message(number), 5) for number in range(21)])
    assert [len(asked["Entries"]) for asked in client.changed] == [10, 10, 1]


def _reported(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    return [
        (record.getMessage(), vars(record)["message_id"], vars(record)["kind"])
        for record in caplog.records
        if record.levelname == "WARNING"
    ]


def test_each_message_that_sqs_does_not_hide_is_reported(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.failed = [{"Id": "1", "Code": "ReceiptHandleIsInvalid"}]
    QUEUE.delay([(_message(), 5), (_message(2), 5)])
    client.down = True
    QUEUE.delay([(_message(3), 5)])
    assert _reported(caplog) == [
        ("not delayed", "m2", "ReceiptHandleIsInvalid"),
        ("not delayed", "m3", "RequestThrottled"),
    ]


def test_a_copy_names_the_claims_that_sent_nothing_and_keeps_when_its_original_was_sent(client: Client) -> None:
    assert QUEUE.requeue(_message(unsent="a,b"), 61, "c")
    assert client.sent == [
        {
            "QueueUrl": "https://queue.example.com",
            "MessageBody": "{}",
            "MessageAttributes": {
                "unsent": {"DataType": "String", "StringValue": "a,b,c"},
                "sentAt": {"DataType": "String", "StringValue": "1795166142000"},
            },
            "DelaySeconds": 61,
        }
    ]


def test_a_copy_waits_within_what_sqs_allows_and_names_the_newest_claims_alone(client: Client) -> None:
    many = ",".join(str(number) for number in range(50))
    QUEUE.requeue(_message(unsent=many), 901, "newest")
    QUEUE.requeue(_message(), -1, "newest")
    named = client.sent[0]["MessageAttributes"]["unsent"]["StringValue"].split(",")
    assert (len(named), named[0], named[-1]) == (50, "1", "newest")
    assert [copy["DelaySeconds"] for copy in client.sent] == [900, 0]


def test_a_copy_that_sqs_does_not_take_is_reported(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.down = True
    assert not QUEUE.requeue(_message(), 5, "claim")
    assert _reported(caplog) == [("not requeued", "m1", "RequestThrottled")]


def _record(source: str, **more: Any) -> dict[str, Any]:
    attributes = {"ApproximateReceiveCount": "3", "SentTimestamp": "1795166142500", "MessageGroupId": "phone"}
    known = {"messageId": "m1", "receiptHandle": "handle-1", "body": "secret"}
    return {**known, "attributes": attributes, "eventSourceARN": f"arn:aws:sqs:us-east-1:1:{source}", **more}


def test_a_record_is_read_with_the_group_of_a_fifo_queue_alone() -> None:
    sent = datetime(2026, 11, 20, 9, 15, 42, 500_000, tzinfo=UTC)
    assert Message.parse(_record("events.fifo")) == Message("m1", "handle-1", "secret", 3, sent, "phone")
    assert Message.parse(_record("events")).group is None
    assert repr(Message.parse(_record("events"))) == "Message(m1)"


def test_a_copy_counts_from_when_its_original_was_sent() -> None:
    own = {"sentAt": {"stringValue": "1795166142000"}, "unsent": {"stringValue": "a,b"}}
    copy = Message.parse(_record("events", messageAttributes=own))
    assert (copy.sent_at, copy.unsent) == (SENT, "a,b")


def test_an_attribute_that_is_no_text_names_no_claim() -> None:
    own = {"unsent": {"dataType": "Binary", "binaryValue": "YQ=="}}
    assert Message.parse(_record("events", messageAttributes=own)).unsent == ""
