"""The topic that every agent's queue listens to: where an event is once it has been accepted."""

from collections.abc import Iterator, Sequence
from typing import Any

from relay.api.caller import Prover
from relay.aws import clients
from relay.aws.environment import topic_arn
from relay.aws.log import logger
from relay.encoding import sha256
from relay.event.model import Event
from relay.ledger.keys import load_keys

MAX_ENTRIES = 10
MAX_BATCH_BYTES = 200 * 1024
"""SNS takes 256 KiB at a time; the attributes and ids need some of that."""

SCOPE_DIGITS = 16


def scope(event: Event, prover: Prover) -> str:
    """A digest of who proved an event, its type, person and device: within it an event id means one event.

    A person's digest is keyed, so that it cannot be guessed from an id.

    Raises:
        SettingsUnavailable: the ledger's keys can be neither read nor made.
    """
    person, device = event.customer_id or event.anonymous_id or "", event.device.id or ""
    text = "\0".join([event.app_id, prover.kind, prover.customer_id or "", event.type, person, device])
    if event.customer_id is None and prover.customer_id is None:
        return sha256(text)[:SCOPE_DIGITS]
    return load_keys().digest(text).partition(".")[2][:SCOPE_DIGITS]


def publish(events: Sequence[Event]) -> list[bool]:
    """Publishes events in their order; whether the topic took each.

    Once an event of a device has failed, the later ones of that device are not published: sent again, the first would
    come after them.
    """
    if len(events) == 1:
        return [_publish_one(events[0])]
    taken: dict[int, bool] = {}
    failed: set[str] = set()
    for chunk in _chunks(events):
        left = [at for at in chunk if events[at].group not in failed]
        answers = _publish_batch([events[at] for at in left]) if left else []
        taken |= dict(zip(left, answers, strict=True))
        failed |= {events[at].group for at in left if not taken[at]}
    return [taken.get(at, False) for at in range(len(events))]


def _publish_one(event: Event) -> bool:
    try:
        clients.sns().publish(TopicArn=topic_arn(), **_message(event))
    except clients.AwsError as fault:
        logger().error("sns", extra={"kind": type(fault).__name__})
        return False
    return True


def _publish_batch(events: Sequence[Event]) -> list[bool]:
    entries: Any = [{"Id": str(position), **_message(event)} for position, event in enumerate(events)]
    try:
        answer = clients.sns().publish_batch(TopicArn=topic_arn(), PublishBatchRequestEntries=entries)
    except clients.AwsError as fault:
        logger().error("sns", extra={"kind": type(fault).__name__})
        return [False] * len(events)
    failed = {entry["Id"] for entry in answer.get("Failed", [])}
    return [entry["Id"] not in failed for entry in entries]


def _message(event: Event) -> dict[str, Any]:
    return {
        "Message": event.dump(),
        "MessageGroupId": event.group,
        "MessageDeduplicationId": sha256(f"{event.app_id}\0{event.unique_id}"),
        "MessageAttributes": {"type": {"DataType": "String", "StringValue": event.type}},
    }


def _chunks(events: Sequence[Event]) -> Iterator[list[int]]:
    """The positions of events, as many at a time as SNS takes."""
    chunk: list[int] = []
    size = 0
    for position, event in enumerate(events):
        length = len(event.dump().encode())
        if chunk and (len(chunk) == MAX_ENTRIES or size + length > MAX_BATCH_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(position)
        size += length
    yield chunk
