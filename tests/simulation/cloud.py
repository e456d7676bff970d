"""AWS of a simulated month: queues, the ledger's table and parameters, as clients that now and then fail."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any

from botocore.exceptions import ClientError

from relay.ledger.states import NOT_REDRIVABLE
from tests.integration.simulated_dynamodb import Crash, Fault, Row, SimulatedDynamoDB
from tests.simulation.clock import Clock

VISIBILITY_SECONDS = 180
MAX_RECEIVES = 1000
"""The template's maxReceiveCount."""

Luck = Callable[[str], bool]
"""Whether the cloud has this trouble just now."""


def failure(code: str) -> ClientError:
    """What botocore raises where a service refuses."""
    return ClientError({"Error": {"Code": code, "Message": ""}}, "Simulated")


@dataclass
class Message:
    """A message in a queue, hidden until `visible_at`."""

    id: str
    body: str
    group: str
    sent_at: datetime
    visible_at: datetime
    attributes: Mapping[str, Any] = field(default_factory=dict)
    receives: int = 0

    @property
    def receipt(self) -> str:
        """The handle of its newest receipt."""
        return f"{self.id}/{self.receives}"


@dataclass
class SimulatedQueue:
    """An agent's queue: FIFO if `ordered`, where one device's messages wait for the first of them."""

    url: str
    ordered: bool
    clock: Clock
    waiting: dict[str, Message] = field(default_factory=dict)
    dead: list[Message] = field(default_factory=list)
    moved_without_reason: int = 0
    receives: int = 0
    ids: "count[int]" = field(default_factory=count)

    def put(self, body: str, group: str, attributes: Mapping[str, Any] | None = None, delay: float = 0) -> None:
        """Takes a message on, as a new one."""
        now = self.clock.now
        name = f"{self.url}-{next(self.ids)}"
        self.waiting[name] = Message(name, body, group, now, now + timedelta(seconds=delay), attributes or {})

    def next_at(self) -> datetime | None:
        """When there is a message to receive; None if the queue is empty."""
        if not self.ordered:
            return min((message.visible_at for message in self.waiting.values()), default=None)
        groups: dict[str, datetime] = {}
        for message in self.waiting.values():
            groups[message.group] = max(message.visible_at, groups.get(message.group, message.visible_at))
        return min(groups.values(), default=None)

    def receive(self, limit: int, *, twice: bool) -> list[dict[str, Any]]:
        """Records of up to so many messages, as Lambda's event source hands them over."""
        now = self.clock.now
        hidden = {message.group for message in self.waiting.values() if message.visible_at > now}
        ready = [message for message in self.waiting.values() if message.visible_at <= now]
        taken = [message for message in ready if not self.ordered or message.group not in hidden][:limit]
        for message in taken:
            message.receives += 1
            # Where SQS hands a message over twice, it is visible to the next receive as well.
            seconds = 0 if twice and not self.ordered else VISIBILITY_SECONDS
            message.visible_at = now + timedelta(seconds=seconds)
            self._move_if_too_often(message)
        self.receives += len(taken)
        return [self._record(message) for message in taken if message.id in self.waiting]

    def _move_if_too_often(self, message: Message) -> None:
        if message.receives > MAX_RECEIVES:
            del self.waiting[message.id]
            self.moved_without_reason += 1

    def _record(self, message: Message) -> dict[str, Any]:
        group = {"MessageGroupId": message.group} if self.ordered else {}
        sent = str(int(message.sent_at.timestamp() * 1000))
        return {
            "messageId": message.id,
            "receiptHandle": message.receipt,
            "body": message.body,
            "attributes": {"ApproximateReceiveCount": str(message.receives), "SentTimestamp": sent, **group},
            "messageAttributes": {
                name: {"stringValue": value["StringValue"], "dataType": "String"}
                for name, value in message.attributes.items()
            },
            "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{self.url}" + (".fifo" if self.ordered else ""),
        }

    def redrive(self) -> None:
        """Moves what is parked back, behind what waits, under new ids."""
        for message in self.dead:
            self.put(message.body, message.group)
        self.dead.clear()


class SimulatedSqs:
    """SQS' client; `dead:<url>` is the dead-letter queue of `<url>`."""

    def __init__(self, queues: Mapping[str, SimulatedQueue], random: Random, luck: Luck) -> None:
        self.queues, self.random, self.luck = queues, random, luck
        self.calls = 0

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: Sequence[Any]) -> dict[str, Any]:  # noqa: N803
        self._meet()
        assert 0 < len(Entries) <= 10
        queue, failed = self.queues[QueueUrl], []
        newest = {message.receipt: message for message in queue.waiting.values()}
        for entry in Entries:
            message = newest.get(entry["ReceiptHandle"])
            if message is None:
                failed.append({"Id": entry["Id"], "Code": "ReceiptHandleIsInvalid"})
            else:
                message.visible_at = queue.clock.now + timedelta(seconds=entry["VisibilityTimeout"])
        return {"Failed": failed}

    def send_message(
        self,
        *,
        QueueUrl: str,  # noqa: N803
        MessageBody: str,  # noqa: N803
        MessageAttributes: Mapping[str, Any],  # noqa: N803
        DelaySeconds: int = 0,  # noqa: N803
        **order: str,
    ) -> dict[str, Any]:
        self._meet()
        name = QueueUrl.removeprefix("dead:")
        queue = self.queues[name]
        if name == QueueUrl:
            assert not queue.ordered, "a copy in a FIFO queue would be behind its device's later messages"
            queue.put(MessageBody, "", MessageAttributes, DelaySeconds)
        else:
            now = queue.clock.now
            group = order.get("MessageGroupId", "")
            assert bool(group) == queue.ordered
            queue.dead.append(Message(f"dead-{next(queue.ids)}", MessageBody, group, now, now, MessageAttributes))
        return {"MessageId": "as SQS says"}

    def _meet(self) -> None:
        self.calls += 1
        if self.luck("no queue") and self.random.random() < 1 / 2:
            raise failure("RequestThrottled")


class _Rows(dict[tuple[str, str], Row]):
    """The table's rows; it keeps which ended deliveries were changed to another state."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0
        """Writes of deliveries' rows, without those of circuits and devices."""
        self.reopened: list[tuple[str, str, str, str]] = []

    def __setitem__(self, key: tuple[str, str], row: Row) -> None:
        before, after = (known.get("state", {}).get("S", "") for known in (self.get(key, {}), row))
        if before in NOT_REDRIVABLE and after != before:
            self.reopened.append((*key, before, after))
        self.written += "lease" in row or "at" in row
        super().__setitem__(key, row)


class SimulatedTable(SimulatedDynamoDB):
    """The ledger's table with the circuits' rows in it; it meets the cloud's luck at every call."""

    def __init__(self, random: Random, luck: Luck) -> None:
        super().__init__()
        self.rows: _Rows = _Rows()
        self.random, self.luck = random, luck
        self.calls = self.writes = self.reads = 0

    def batch_write_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        ((table, asked),) = RequestItems.items()
        taken, left = self._split(asked)
        self.writes += len(taken)
        super().batch_write_item(RequestItems={table: taken})
        return {"UnprocessedItems": {table: left} if left else {}}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        ((table, asked),) = RequestItems.items()
        taken, left = self._split(asked["Keys"])
        self.reads += len(taken)
        found = super().batch_get_item(RequestItems={table: {**asked, "Keys": taken}})
        return {**found, "UnprocessedKeys": {table: {**asked, "Keys": left}} if left else {}}

    def batch_execute_statement(self, *, Statements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.writes += len(Statements)
        return super().batch_execute_statement(Statements=Statements)

    def put_item(self, **asked: Any) -> dict[str, Any]:
        # The circuits' rows are no deliveries'.
        self.writes += "ConditionExpression" in asked and ":sending" in asked["ExpressionAttributeValues"]
        return super().put_item(**asked)

    def update_item(self, **asked: Any) -> dict[str, Row]:
        self.writes += 1
        return super().update_item(**asked)

    def get_item(self, **asked: Any) -> dict[str, Row]:
        self.reads += 1
        return super().get_item(**asked)

    def _split(self, asked: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """What is processed of a call, and what is left; at least one is processed."""
        if not self.luck("throttled"):
            return list(asked), []
        number = self.random.randint(1, len(asked)) if asked else 0
        return list(asked[:number]), list(asked[number:])

    def _meet(self) -> Fault | None:
        self.calls += 1
        if self.luck("throttled") and self.random.random() < 1 / 4:
            raise failure("ThrottlingException")
        if self.luck("crashing") and self.random.random() < 1 / 60:
            if self.random.random() < 1 / 2:
                raise Crash
            return "crash after"
        return "answer lost" if self.luck("answers lost") and self.random.random() < 1 / 6 else None


class SimulatedSsm:
    """SSM's client, which knows the agents' settings by the name of their parameter."""

    def __init__(self, values: Mapping[str, str], random: Random, luck: Luck) -> None:
        self.values, self.random, self.luck = values, random, luck

    def get_parameter(self, *, Name: str, WithDecryption: bool) -> dict[str, Any]:  # noqa: N803
        assert WithDecryption
        if self.luck("no parameters") and self.random.random() < 3 / 4:
            raise failure("InternalServerError")
        return {"Parameter": {"Value": self.values[Name]}}
