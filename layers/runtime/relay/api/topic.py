"""The topic that every agent's queue listens to: where an event is once it has been accepted."""

from collections.abc import Iterator
from typing import Any

from relay.aws import clients
from relay.aws.environment import topic_arn
from relay.aws.log import logger
from relay.encoding import sha256
from relay.event.model import Event

MAX_ENTRIES = 10
MAX_BATCH_BYTES = 200 * 1024
"""SNS takes 256 KiB at a time; the attributes and ids need some of that."""


def publish(events: list[Event]) -> set[str]:
    """Publishes events in their order; the ids of those that the topic did not take."""
    if len(events) == 1:
        return _publish_one(events[0])
    failed: set[str] = set()
    for chunk in _chunks(events):
        failed |= _publish_batch(chunk)
    return failed


def _publish_one(event: Event) -> set[str]:
    try:
        clients.sns().publish(TopicArn=topic_arn(), **_message(event))
    except clients.AwsError as fault:
        logger().error("sns", extra={"kind": type(fault).__name__})
        return {event.event_id}
    return set()


def _publish_batch(events: list[Event]) -> set[str]:
    entries: Any = [{"Id": str(position), **_message(event)} for position, event in enumerate(events)]
    try:
        told = clients.sns().publish_batch(TopicArn=topic_arn(), PublishBatchRequestEntries=entries)
    except clients.AwsError as fault:
        logger().error("sns", extra={"kind": type(fault).__name__})
        return {event.event_id for event in events}
    return {events[int(entry["Id"])].event_id for entry in told.get("Failed", [])}


def _message(event: Event) -> dict[str, Any]:
    return {
        "Message": event.dump(),
        "MessageGroupId": event.group,
        "MessageDeduplicationId": sha256(f"{event.app_id}\0{event.event_id}"),
        "MessageAttributes": {"type": {"DataType": "String", "StringValue": event.type}},
    }


def _chunks(events: list[Event]) -> Iterator[list[Event]]:
    chunk: list[Event] = []
    size = 0
    for event in events:
        length = len(event.dump().encode())
        if chunk and (len(chunk) == MAX_ENTRIES or size + length > MAX_BATCH_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(event)
        size += length
    yield chunk
