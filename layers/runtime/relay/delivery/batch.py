"""A batch of an agent's queue: which deliveries run side by side, which wait for each other, which go together."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache, partial
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from relay.agent.verdict import Verdict, VerdictKind
from relay.delivery.client import Answer
from relay.delivery.outcome import Outcome
from relay.delivery.pipeline import Delivery, DeliveryPipeline, Plan
from relay.delivery.queue import Record
from relay.errors import SettingsUnavailable
from relay.ledger.rows import MAX_WRITES

MAX_WORKERS = 16
"""Deliveries of one batch under way at once."""

CREW = 8
"""Deliveries that are claimed, made and settled together, so that one call to DynamoDB serves them all.

What may be told twice is not claimed, and goes in one crew. Of claimed ones a function that is ended in the middle of a
batch leaves three crews in doubt at most, of which sixteen were being sent.
"""

CREWS = 3
"""Crews at work at once: while one claims or settles, the others have their requests under way."""

MIN_REMAINING_MS = 8_000
"""No delivery is begun with less time left than this: a request may take its time-outs, 7 s, in full."""

S = TypeVar("S", bound=BaseModel)
In = TypeVar("In")
Out = TypeVar("Out")


class LambdaContext(Protocol):
    """The part of the Lambda context that deliveries need."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is ended."""


def deliver(runtime: DeliveryPipeline[Any], records: Iterable[Record], context: LambdaContext) -> list[str]:
    """Delivers a batch; the ids of the messages that must stay queued.

    Devices go side by side, each in order; where the agent can be told many events at once, all go together.
    """
    lanes: dict[str, list[Record]] = {}
    for record in records:
        lanes.setdefault(record.group or record.message_id, []).append(record)
    size = len(lanes) if runtime.agent.repeatable else CREW
    kept = _side_by_side(
        "crew", CREWS, partial(_crew, runtime, partial(_in_time, context)), _evenly(list(lanes.values()), size)
    )
    runtime.report.close()
    return [message_id for of_crew in kept for message_id in of_crew]


def _in_time(context: LambdaContext) -> bool:
    return context.get_remaining_time_in_millis() >= MIN_REMAINING_MS


def _evenly(items: Sequence[In], size: int) -> list[Sequence[In]]:
    """Items in as few parts as there can be of this size at most, none much larger than another."""
    number = -(-len(items) // size) if items else 0
    return [items[first::number] for first in range(number)]


def _side_by_side(kind: str, max_events: int, function: Callable[[In], Out], items: Sequence[In]) -> list[Out]:
    """What a function makes of each item, so many at once; it is over for all before an error of one is raised."""
    if len(items) < 2:  # noqa: PLR2004 - one needs no thread
        return [function(item) for item in items]
    made = [_threads(kind, max_events).submit(function, item) for item in items]
    wait(made)
    return [one.result() for one in made]


@cache
def _threads(kind: str, max_events: int) -> ThreadPoolExecutor:
    # Kept for the life of the function: starting sixteen threads costs what delivering to two agents does.
    return ThreadPoolExecutor(max_events, kind)


def _crew(runtime: DeliveryPipeline[S], in_time: Callable[[], bool], lanes: Sequence[Sequence[Record]]) -> list[str]:
    """Delivers the first record of every device, then the second of those whose first did not have to stay, and on."""
    kept: list[str] = []
    while lanes:
        if not in_time():
            return kept + [message_id for lane in lanes for message_id in _keep(runtime, lane, 0)]
        outcomes = _round(runtime, in_time, [lane[0] for lane in lanes])
        for lane, outcome in zip(lanes, outcomes, strict=True):
            kept += [] if outcome.wait is None else _keep(runtime, lane, outcome.wait)
        pairs = zip(lanes, outcomes, strict=True)
        lanes = [lane[1:] for lane, outcome in pairs if outcome.wait is None and len(lane) > 1]
    return kept


def _keep(runtime: DeliveryPipeline[S], records: Sequence[Record], seconds: int) -> list[str]:
    # The rest of a device's messages come back together with the one that failed, and SQS keeps their order.
    for record in records:
        runtime.queue.delay(record, seconds)
    return [record.message_id for record in records]


def _round(runtime: DeliveryPipeline[S], in_time: Callable[[], bool], records: Sequence[Record]) -> list[Outcome]:
    """What becomes of records that need not wait for each other, in their order."""
    begun = runtime.begin(records)
    ours = [one for one in begun if isinstance(one, Delivery)]
    made = _outcomes(runtime, ours, in_time) if runtime.agent.batching else _attempted(runtime, ours, in_time)
    slices = [slice(start, start + MAX_WRITES) for start in range(0, len(ours), MAX_WRITES)]
    ended = _side_by_side("sender", MAX_WORKERS, lambda some: runtime.end(ours[some], made[some]), slices)
    outcomes = iter([outcome for some in ended for outcome in some])
    return [next(outcomes) if isinstance(one, Delivery) else one for one in begun]


def _attempted(
    runtime: DeliveryPipeline[S], deliveries: list[Delivery[S]], in_time: Callable[[], bool]
) -> Sequence[Outcome]:
    """What becomes of deliveries by telling the agent of each, but for those that were overtaken; in their order."""
    overtaken = runtime.overtaken(deliveries)
    others = [delivery for delivery, outcome in zip(deliveries, overtaken, strict=True) if outcome is None]
    made = iter(_side_by_side("sender", MAX_WORKERS, partial(runtime.attempt, in_time=in_time), others))
    return [outcome or next(made) for outcome in overtaken]


def _outcomes(
    runtime: DeliveryPipeline[S], deliveries: list[Delivery[S]], in_time: Callable[[], bool]
) -> list[Outcome]:
    """What becomes of deliveries by telling the agent of as many as it takes at a time; in their order."""
    found: dict[int, Outcome] = {}
    for alike in _alike(deliveries, runtime.agent.batching.max_events if runtime.agent.batching else 1):
        answers = _answers(runtime, [deliveries[at] for at in alike], in_time)
        for at, answer in zip(alike, answers, strict=True):
            one = deliveries[at]
            found[at] = answer if isinstance(answer, Outcome) else runtime.patience.read(one.record, answer, one.before)
    return [found[at] for at in range(len(deliveries))]


def _alike(deliveries: Sequence[Delivery[S]], max_events: int) -> Iterator[list[int]]:
    """The positions of deliveries whose requests go to the same place in the same way, so many at a time."""
    alike: dict[object, list[int]] = {}
    for position, delivery in enumerate(deliveries):
        (request,) = delivery.plan.requests
        alike.setdefault((request.url, *request.headers.items(), *request.query.items()), []).append(position)
    for positions in alike.values():
        for start in range(0, len(positions), max_events):
            yield positions[start : start + max_events]


def _answers(
    runtime: DeliveryPipeline[S], deliveries: list[Delivery[S]], in_time: Callable[[], bool]
) -> Sequence[Answer | Outcome]:
    answers = _ask(runtime, deliveries, [one.plan for one in deliveries], in_time)
    if not all(isinstance(answer, Verdict) and answer.kind is VerdictKind.UNAUTHORIZED for answer in answers):
        return answers
    # Read afresh once; the others find what was read then.
    again = [runtime.plan(one.event, one.record, force_refresh=one is deliveries[0]) for one in deliveries]
    return _ask(runtime, deliveries, again, in_time, force_refresh=True)


def _ask(
    runtime: DeliveryPipeline[S],
    deliveries: list[Delivery[S]],
    plans: Sequence[Plan[S] | Outcome],
    in_time: Callable[[], bool],
    *,
    force_refresh: bool = False,
) -> Sequence[Answer | Outcome]:
    made = [plan for plan in plans if isinstance(plan, Plan)]
    if not made:
        return [plan for plan in plans if isinstance(plan, Outcome)]
    line = runtime.line(made[0], force_refresh=force_refresh)
    try:
        told = iter(line.send_batch([plan.requests[0] for plan in made], in_time))
    except SettingsUnavailable as fault:
        hold = runtime.environment.hold
        return [runtime.patience.held(one.record, one.before, str(fault), hold) for one in deliveries]
    return [plan if isinstance(plan, Outcome) else next(told) for plan in plans]
