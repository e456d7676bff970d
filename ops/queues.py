"""Queues: how many messages one has, and what they are, without removing any."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from ops.stage import client

BATCH = 10
"""Messages in one call at most. Source: SQS API reference, ReceiveMessage."""

HIDDEN_SECONDS = 60
"""A message that a command reads is hidden from others for so long, if the command ends before it puts it back."""


@dataclass(frozen=True)
class Depth:
    """The number of messages in a queue: visible, and hidden while they are in flight or wait."""

    queued: int
    hidden: int

    @property
    def all(self) -> int:
        """Returns the sum of both."""
        return self.queued + self.hidden

    @classmethod
    def of(cls, url: str) -> Self:
        """Reads a queue's depth, which SQS estimates."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return cls(*(int(found[name]) for name in names))


def arn(url: str) -> str:
    """Reads a queue's ARN."""
    found = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(found["Attributes"]["QueueArn"])


def received(url: str, most: int) -> Iterator[dict[str, Any]]:
    """Yields up to so many messages of a queue, each once; they stay in it, hidden for a minute or until put back."""
    seen: set[str] = set()
    while len(seen) < most:
        answer = client("sqs").receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=BATCH,
            VisibilityTimeout=HIDDEN_SECONDS,
            WaitTimeSeconds=0,
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
        )
        new = [message for message in answer.get("Messages", []) if message["MessageId"] not in seen]
        if not new:
            return
        seen |= {message["MessageId"] for message in new}
        yield from new


def put_back(url: str, handles: list[str]) -> None:
    """Makes messages visible again."""
    for start in range(0, len(handles), BATCH):
        entries = [
            {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
            for number, handle in enumerate(handles[start : start + BATCH])
        ]
        client("sqs").change_message_visibility_batch(QueueUrl=url, Entries=entries)
