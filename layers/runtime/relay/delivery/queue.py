"""An agent's queue and its dead-letter queue: messages are delayed or dead-lettered."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from relay.aws import clients
from relay.aws.log import logger

MAX_DELAY_SECONDS = 43_000
"""SQS keeps a message invisible for 12 hours at most, counted from its receipt; a little less leaves time to work."""


class Message(NamedTuple):
    """One message as the event source hands it over; `group` is the device on a FIFO queue, None on a standard one."""

    message_id: str
    receipt_handle: str
    body: str
    receives: int
    sent_at: datetime
    group: str | None

    def __repr__(self) -> str:
        """Its id alone: the body tells of a person."""
        return f"Message({self.message_id})"

    @classmethod
    def parse(cls, record: Mapping[str, Any]) -> Self:
        """A record of the Lambda event that SQS invokes an agent with."""
        attributes = record["attributes"]
        return cls(
            message_id=record["messageId"],
            receipt_handle=record["receiptHandle"],
            body=record["body"],
            receives=int(attributes["ApproximateReceiveCount"]),
            sent_at=datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC),
            group=attributes.get("MessageGroupId") if record["eventSourceARN"].endswith(".fifo") else None,
        )


class Queue:
    """An agent's queue, by the URLs of the queue and of its dead-letter queue."""

    def __init__(self, url: str, dead_letter_url: str) -> None:
        self.url, self.dead_letter_url = url, dead_letter_url

    def delay(self, message: Message, seconds: int) -> None:
        """Hides a message that stays in the queue for this long (0 to 43,000 s) from now.

        Where SQS refuses, the message comes back when the queue's own visibility timeout ends, which is as safe.
        """
        hidden = min(max(seconds, 0), MAX_DELAY_SECONDS)
        try:
            clients.sqs().change_message_visibility(
                QueueUrl=self.url, ReceiptHandle=message.receipt_handle, VisibilityTimeout=hidden
            )
        except clients.AwsError as fault:
            logger().warning("not postponed", extra={"message_id": message.message_id, "kind": type(fault).__name__})

    def dead_letter(self, message: Message, attributes: Mapping[str, str]) -> None:
        """Puts a copy of a message with these attributes into the dead-letter queue; acknowledge the original after."""
        values = {name: {"DataType": "String", "StringValue": text} for name, text in attributes.items() if text}
        order = {"MessageGroupId": message.group, "MessageDeduplicationId": message.message_id} if message.group else {}
        copy: Any = {"MessageBody": message.body, "MessageAttributes": values, **order}
        clients.sqs().send_message(QueueUrl=self.dead_letter_url, **copy)
