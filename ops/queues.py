"""Queues as an operator looks at them: how much is in one, and what its messages are, without taking them away."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from ops.stage import client

BATCH = 10
"""Messages that SQS hands out, or takes back, at a time."""

HIDDEN_SECONDS = 60
"""How long a message that is being looked at is hidden from others, should the command end before it is put back."""


@dataclass(frozen=True)
class Depth:
    """How many messages a queue has: to be had now, and hidden while they are delivered or wait."""

    queued: int
    hidden: int

    @property
    def all(self) -> int:
        """Both together."""
        return self.queued + self.hidden

    @classmethod
    def of(cls, url: str) -> Self:
        """A queue's depth as SQS estimates it."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return cls(*(int(found[name]) for name in names))


def arn(url: str) -> str:
    """A queue's ARN."""
    found = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(found["Attributes"]["QueueArn"])


def received(url: str, most: int) -> Iterator[dict[str, Any]]:
    """Up to so many messages of a queue, each once; they stay in it, hidden for a minute or until put back."""
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
    """Lets messages that were looked at be had again."""
    for start in range(0, len(handles), BATCH):
        entries = [
            {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
            for number, handle in enumerate(handles[start : start + BATCH])
        ]
        client("sqs").change_message_visibility_batch(QueueUrl=url, Entries=entries)
