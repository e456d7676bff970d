"""An agent's queue and its dead-letter queue: messages are delayed or dead-lettered."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from relay.aws import clients
from relay.aws.log import logger
from relay.errors import QueueUnavailable

UNSENT, SENT_AT = "unsent", "sentAt"
"""Attributes of a copy that stands for a message whose claim sent nothing."""

MAX_UNSENT = 50
"""Claims that a copy names, the newest; all of them, as the row may bear the name of any."""

MAX_ENTRIES = 10
MAX_SEND_DELAY_SECONDS = 900
MAX_DELAY_SECONDS = 43_000
"""SQS keeps a message invisible for 12 hours at most, counted from its receipt; a little less leaves time to work."""


class Message(NamedTuple):
    """One message as the event source hands it over; `group` is the device on a FIFO queue, None on a standard one.

    `unsent` names the claims of this delivery that certainly sent nothing, with commas between them (see
    `Queue.requeue`).
    """

    message_id: str
    receipt_handle: str
    body: str
    receives: int
    sent_at: datetime
    group: str | None
    unsent: str = ""

    def __repr__(self) -> str:
        """Its id alone: the body tells of a person."""
        return f"Message({self.message_id})"

    @classmethod
    def parse(cls, record: Mapping[str, Any]) -> Self:
        """A record of the Lambda event that SQS invokes an agent with."""
        attributes = record["attributes"]
        own = {name: value.get("stringValue", "") for name, value in record.get("messageAttributes", {}).items()}
        sent = own.get(SENT_AT, "")
        return cls(
            message_id=record["messageId"],
            receipt_handle=record["receiptHandle"],
            body=record["body"],
            receives=int(attributes["ApproximateReceiveCount"]),
            sent_at=datetime.fromtimestamp(int(sent or attributes["SentTimestamp"]) / 1000, UTC),
            group=attributes.get("MessageGroupId") if record["eventSourceARN"].endswith(".fifo") else None,
            unsent=own.get(UNSENT, ""),
        )


class Queue:
    """An agent's queue, by the URLs of the queue and of its dead-letter queue."""

    def __init__(self, url: str, dead_letter_url: str) -> None:
        self.url, self.dead_letter_url = url, dead_letter_url

    def delay(self, messages: Sequence[tuple[Message, int]]) -> None:
        """Hides messages that stay in the queue for so many seconds each (0 to 43,000) from now, ten by a call.

        Where SQS refuses, a message comes back when the queue's own visibility timeout ends, which is as safe.
        """
        for start in range(0, len(messages), MAX_ENTRIES):
            self._delay(messages[start : start + MAX_ENTRIES])

    def _delay(self, messages: Sequence[tuple[Message, int]]) -> None:
        entries: Any = [
            {
                "Id": str(position),
                "ReceiptHandle": message.receipt_handle,
                "VisibilityTimeout": min(max(seconds, 0), MAX_DELAY_SECONDS),
            }
            for position, (message, seconds) in enumerate(messages)
        ]
        try:
            answer = clients.sqs().change_message_visibility_batch(QueueUrl=self.url, Entries=entries)
            refused = {messages[int(entry["Id"])][0].message_id: entry["Code"] for entry in answer.get("Failed", [])}
        except clients.AwsError as fault:
            refused = {message.message_id: clients.error_code(fault) for message, _ in messages}
        for message_id, code in refused.items():
            logger().warning("not delayed", extra={"message_id": message_id, "kind": code})

    def requeue(self, message: Message, seconds: int, claim: str) -> bool:
        """Puts a copy of a message into the queue that says that this claim sent nothing; acknowledge the original.

        For a claim that the ledger can neither settle nor release now: any worker may then take it over without doubt.
        False if SQS did not take the copy, so that the original has to stay.
        """
        unsent = ",".join([*filter(None, message.unsent.split(",")), claim][-MAX_UNSENT:])
        values = {UNSENT: unsent, SENT_AT: str(int(message.sent_at.timestamp() * 1000))}
        attributes: Any = {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}
        try:
            clients.sqs().send_message(
                QueueUrl=self.url,
                MessageBody=message.body,
                MessageAttributes=attributes,
                DelaySeconds=min(max(seconds, 0), MAX_SEND_DELAY_SECONDS),
            )
        except clients.AwsError as fault:
            extra = {"message_id": message.message_id, "kind": clients.error_code(fault)}
            logger().warning("not requeued", extra=extra)
            return False
        return True

    def dead_letter(self, message: Message, attributes: Mapping[str, str]) -> None:
        """Puts a copy of a message with these attributes into the dead-letter queue; acknowledge the original after.

        Raises:
            QueueUnavailable: SQS did not take the copy.
        """
        values = {name: {"DataType": "String", "StringValue": text} for name, text in attributes.items() if text}
        order = {"MessageGroupId": message.group, "MessageDeduplicationId": message.message_id} if message.group else {}
        copy: Any = {"MessageBody": message.body, "MessageAttributes": values, **order}
        try:
            clients.sqs().send_message(QueueUrl=self.dead_letter_url, **copy)
        except clients.AwsError as fault:
            raise QueueUnavailable(clients.error_code(fault)) from None
