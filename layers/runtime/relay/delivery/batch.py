"""A batch of an agent's queue: devices in parallel, the messages of one device in order."""

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from relay.agent.definition import Agent
from relay.agent.verdict import Verdict, VerdictKind
from relay.delivery.item import Item, outcome_of
from relay.delivery.parallel import in_parallel
from relay.delivery.pipeline import DeliveryPipeline
from relay.delivery.plan import Plan
from relay.delivery.queue import Message
from relay.ledger.rows import MAX_WRITES

MAX_WORKERS = 16
"""Deliveries of one batch under way at once."""

CHUNK_SIZE = 8
"""Deliveries that are claimed, sent and settled as one chunk, so that one call to DynamoDB serves them all.

Repeatable agents need no claim: their batch is one chunk. Where a claim is needed, a function that dies in the middle
of a batch leaves three chunks in doubt at most, of which sixteen deliveries were being sent. An agent whose requests
hold many events is claimed by as many as one request holds: it counts requests, and eight events a request would use up
its quota. There a function that dies leaves in doubt what its requests held.
"""

MAX_CHUNKS_IN_FLIGHT = 3
"""While one chunk claims or settles, the others have their requests under way."""

MIN_REMAINING_MS = 8_000
"""No delivery starts with less time left than this: a request may take its time-outs, 7 s, in full."""

S = TypeVar("S", bound=BaseModel)
In = TypeVar("In")


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
    process = partial(process_chunk, pipeline._replace(has_time=partial(_has_time, context)))
    retained = in_parallel(
        "chunk", MAX_CHUNKS_IN_FLIGHT, process, _split_evenly(groups, _chunk_size(pipeline.agent, groups))
    )
    pipeline.report.close()
    delays = [delay for chunk in retained for delay in chunk]
    pipeline.queue.delay(delays)
    if pipeline.aftermath:
        pipeline.aftermath.look(partial(_has_time, context))
    return [message.message_id for message, _ in delays]


def _chunk_size(agent: Agent[Any], groups: Sequence[Sequence[Message]]) -> int:
    if agent.repeatable:
        return len(groups)
    return max(CHUNK_SIZE, agent.batching.max_events) if agent.batching else CHUNK_SIZE


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


def process_chunk(pipeline: DeliveryPipeline[S], groups: Sequence[Sequence[Message]]) -> list[tuple[Message, int]]:
    """Delivers the first message of each group, then the second of those whose first succeeded, and so on.

    The messages that stay in the queue, and for how many seconds. The rest of a device's messages come back together
    with the one that failed, and SQS keeps their order.
    """
    retained: list[tuple[Message, int]] = []
    while groups:
        if not pipeline.has_time():
            return retained + [(message, 0) for group in groups for message in group]
        items = deliver_heads(pipeline, [group[0] for group in groups])
        rest: list[Sequence[Message]] = []
        for group, item in zip(groups, items, strict=True):
            wait = outcome_of(item).wait
            if wait is not None:
                retained += [(message, wait) for message in group]
            elif len(group) > 1:
                rest.append(group[1:])
        groups = rest
    return retained


def deliver_heads(pipeline: DeliveryPipeline[S], messages: Sequence[Message]) -> list[Item[S]]:
    """Takes messages that do not depend on each other through the whole pipeline."""
    items = pipeline.prepare(messages)
    pipeline.hold_unsendable(items)
    pipeline.claim(items)
    pipeline.turns.apply(_undecided(items))
    if pipeline.agent.batching:
        _send_joined(pipeline, _undecided(items), pipeline.agent.batching.max_events)
    else:
        in_parallel("sender", MAX_WORKERS, pipeline.attempt, _undecided(items))
    _settle(pipeline, [item for item in items if not item.is_closed])
    return items


def _settle(pipeline: DeliveryPipeline[S], items: Sequence[Item[S]]) -> None:
    slices = [items[start : start + MAX_WRITES] for start in range(0, len(items), MAX_WRITES)]
    in_parallel("settler", MAX_WORKERS, pipeline.settler.settle, slices)


def _undecided(items: Sequence[Item[S]]) -> list[Item[S]]:
    return [item for item in items if item.outcome is None]


def _send_joined(pipeline: DeliveryPipeline[S], items: Sequence[Item[S]], max_events: int) -> None:
    """Sends as many events by one request as the agent takes, and splits what it rejects, down to the rejected event.

    The requests of one round run in parallel, and their outcomes are written before the next round begins.
    """
    groups = _alike(items, max_events)
    while groups:
        parts = in_parallel("sender", MAX_WORKERS, partial(_send_group, pipeline), groups)
        groups = [part for part_of_group in parts for part in part_of_group]
        _settle(pipeline, [item for item in items if item.outcome and not item.is_closed])


def _alike(items: Sequence[Item[S]], max_events: int) -> list[list[Item[S]]]:
    """Items whose requests go to the same URL with the same headers, by the same settings, so many at a time."""
    alike: dict[object, list[Item[S]]] = {}
    for item in items:
        request = item.requests[0]
        scope = item.plan.scope if isinstance(item.plan, Plan) else ""
        key = (scope, request.url, *request.headers.items(), *request.query.items())
        alike.setdefault(key, []).append(item)
    return [group[start : start + max_events] for group in alike.values() for start in range(0, len(group), max_events)]


def _split(group: list[Item[S]], suspects: Collection[int]) -> list[list[Item[S]]]:
    """The events that the agent named and the others; two halves where it named none of them, or all.

    Each part goes again, so that a wrong name costs a request and no event.
    """
    named = [item for position, item in enumerate(group) if position in suspects]
    others = [item for position, item in enumerate(group) if position not in suspects]
    if named and others:
        return [named, others]
    middle = len(group) // 2
    return [group[:middle], group[middle:]]


def _send_group(pipeline: DeliveryPipeline[S], group: list[Item[S]]) -> list[list[Item[S]]]:
    """Sends one request for many events, and sets their outcomes; or returns the groups that are to be sent next."""
    try:
        return _apply_result(pipeline, group)
    except Exception as fault:  # noqa: BLE001 - what goes wrong with one request costs its own events alone
        pipeline.fail(group, fault)
        return []


def _apply_result(pipeline: DeliveryPipeline[S], group: list[Item[S]]) -> list[list[Item[S]]]:
    result = pipeline.client(group[0]).send_joined([item.requests[0] for item in group])
    kind = result.kind if isinstance(result, Verdict) else None
    if isinstance(result, Verdict) and kind is VerdictKind.REJECTED and len(group) > 1:
        return _split(group, result.suspects)
    if kind is VerdictKind.UNAUTHORIZED and not group[0].is_refreshed:
        # The first reads the stored settings again; the others find what it has read.
        for item in group:
            pipeline.plan_again(item, force_refresh=item is group[0])
        return _alike(_undecided(group), len(group))
    if pipeline.aftermath and isinstance(result, Verdict) and isinstance(group[0].plan, Plan):
        pipeline.aftermath.note(group[0].plan.scope, group[0].plan.settings, result.reference)
    for item in group:
        item.outcome = pipeline.decide(item, result)
    return []
