"""A batch of an agent's queue: devices in parallel, the messages of one device in order."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache, partial
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from relay.agent.verdict import Verdict, VerdictKind
from relay.delivery.pipeline import DeliveryPipeline, Item
from relay.delivery.queue import Message
from relay.errors import SettingsUnavailable
from relay.ledger.rows import MAX_WRITES

MAX_WORKERS = 16
"""Deliveries of one batch under way at once."""

CHUNK_SIZE = 8
"""Deliveries that are claimed, sent and settled as one chunk, so that one call to DynamoDB serves them all.

Repeatable agents need no claim: their batch is one chunk. Where a claim is needed, a function that dies in the middle
of a batch leaves three chunks in doubt at most, of which sixteen deliveries were being sent.
"""

MAX_CHUNKS_IN_FLIGHT = 3
"""While one chunk claims or settles, the others have their requests under way."""

MIN_REMAINING_MS = 8_000
"""No delivery starts with less time left than this: a request may take its time-outs, 7 s, in full."""

S = TypeVar("S", bound=BaseModel)
In = TypeVar("In")
Out = TypeVar("Out")


class LambdaContext(Protocol):
    """The part of the Lambda context that deliveries need."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is ended."""


def process_batch(pipeline: DeliveryPipeline[Any], messages: Iterable[Message], context: LambdaContext) -> list[str]:
    """Delivers a batch, and returns the ids of the messages that stay in the queue.

    Message groups (devices) run in parallel; the messages of one group run in order. A failed message keeps the rest of
    its group in the queue.
    """
    groups = _group(messages)
    size = len(groups) if pipeline.agent.repeatable else CHUNK_SIZE
    process = partial(process_chunk, pipeline, partial(_has_time, context))
    retained = _in_parallel("chunk", MAX_CHUNKS_IN_FLIGHT, process, _split_evenly(groups, size))
    pipeline.report.close()
    return [message_id for chunk in retained for message_id in chunk]


def _group(messages: Iterable[Message]) -> list[list[Message]]:
    groups: dict[str, list[Message]] = {}
    for message in messages:
        groups.setdefault(message.group or message.message_id, []).append(message)
    return list(groups.values())


def _has_time(context: LambdaContext) -> bool:
    return context.get_remaining_time_in_millis() >= MIN_REMAINING_MS


def _split_evenly(items: Sequence[In], size: int) -> list[Sequence[In]]:
    """Items in as few parts as there can be of this size at most, none much larger than another."""
    number = -(-len(items) // size) if items else 0
    return [items[first::number] for first in range(number)]


def _in_parallel(kind: str, workers: int, function: Callable[[In], Out], items: Sequence[In]) -> list[Out]:
    """A function's result for each item, by so many threads; all have ended before the error of one is raised."""
    if len(items) < 2:  # noqa: PLR2004 - one needs no thread
        return [function(item) for item in items]
    futures = [_threads(kind, workers).submit(function, item) for item in items]
    wait(futures)
    return [future.result() for future in futures]


@cache
def _threads(kind: str, workers: int) -> ThreadPoolExecutor:
    # Kept for the life of the function: to start sixteen threads costs what delivering to two agents does.
    return ThreadPoolExecutor(workers, kind)


def process_chunk(
    pipeline: DeliveryPipeline[S], has_time: Callable[[], bool], groups: Sequence[Sequence[Message]]
) -> list[str]:
    """Delivers the first message of each group, then the second of those whose first succeeded, and so on."""
    retained: list[str] = []
    while groups:
        if not has_time():
            return retained + [message_id for group in groups for message_id in _retain(pipeline, group, 0)]
        items = deliver_heads(pipeline, has_time, [group[0] for group in groups])
        rest: list[Sequence[Message]] = []
        for group, item in zip(groups, items, strict=True):
            if item.outcome and item.outcome.wait is not None:
                retained += _retain(pipeline, group, item.outcome.wait)
            elif len(group) > 1:
                rest.append(group[1:])
        groups = rest
    return retained


def _retain(pipeline: DeliveryPipeline[S], messages: Sequence[Message], seconds: int) -> list[str]:
    # The rest of a device's messages come back together with the one that failed, and SQS keeps their order.
    for message in messages:
        pipeline.queue.delay(message, seconds)
    return [message.message_id for message in messages]


def deliver_heads(
    pipeline: DeliveryPipeline[S], has_time: Callable[[], bool], messages: Sequence[Message]
) -> list[Item[S]]:
    """Takes messages that do not depend on each other through the whole pipeline."""
    items = pipeline.prepare(messages)
    pipeline.claim(items)
    pipeline.apply_order(_undecided(items))
    if pipeline.agent.batching:
        _send_batches(pipeline, _undecided(items), has_time)
    else:
        _in_parallel("sender", MAX_WORKERS, partial(pipeline.attempt, has_time=has_time), _undecided(items))
    decided = [item for item in items if not item.is_closed]
    slices = [decided[start : start + MAX_WRITES] for start in range(0, len(decided), MAX_WRITES)]
    _in_parallel("sender", MAX_WORKERS, pipeline.settle, slices)
    return items


def _undecided(items: Sequence[Item[S]]) -> list[Item[S]]:
    return [item for item in items if item.outcome is None]


def _send_batches(pipeline: DeliveryPipeline[S], items: Sequence[Item[S]], has_time: Callable[[], bool]) -> None:
    """Sends as many events by one request as the agent takes."""
    for batch in _alike(items, pipeline.agent.batching.max_events if pipeline.agent.batching else 1):
        try:
            _send_batch(pipeline, batch, has_time)
        except SettingsUnavailable as fault:
            for item in batch:
                item.outcome = pipeline.hold(item, str(fault))


def _alike(items: Sequence[Item[S]], max_events: int) -> Iterator[list[Item[S]]]:
    """Items whose requests go to the same URL with the same headers, so many at a time."""
    alike: dict[object, list[Item[S]]] = {}
    for item in items:
        request = item.requests[0]
        key = (request.url, *request.headers.items(), *request.query.items())
        alike.setdefault(key, []).append(item)
    for group in alike.values():
        for start in range(0, len(group), max_events):
            yield group[start : start + max_events]


def _send_batch(pipeline: DeliveryPipeline[S], items: Sequence[Item[S]], has_time: Callable[[], bool]) -> None:
    results = pipeline.client(items[0]).send_batch([item.requests[0] for item in items], has_time)
    if all(isinstance(result, Verdict) and result.kind is VerdictKind.UNAUTHORIZED for result in results):
        # The first reads the stored settings again; the others find what it has read.
        for item in items:
            pipeline.plan_again(item, force_refresh=item is items[0])
        items = _undecided(items)
        if not items:
            return
        client = pipeline.client(items[0], force_refresh=True)
        results = client.send_batch([item.requests[0] for item in items], has_time)
    for item, result in zip(items, results, strict=True):
        item.outcome = pipeline.retry_policy.decide(item.message, result, item.previous)
