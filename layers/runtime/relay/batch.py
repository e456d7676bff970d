"""A batch of an agent's queue: which deliveries run side by side, which wait for each other, which go together."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from relay.delivery import Delivery, Plan, Runtime
from relay.errors import SettingsUnavailable
from relay.exchange import Answer
from relay.outcome import Outcome
from relay.queue import Record
from relay.verdict import Meaning, Verdict

MAX_WORKERS = 16
"""Deliveries of one batch under way at once."""

MARGIN_MILLISECONDS = 8_000
"""No delivery is begun with less time left than this: a request may take its time-outs, 7 s, in full."""

S = TypeVar("S", bound=BaseModel)


class LambdaContext(Protocol):
    """The part of the Lambda context that deliveries need."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is ended."""


def deliver(runtime: Runtime[Any], records: Iterable[Record], context: LambdaContext) -> list[str]:
    """Delivers a batch; the ids of the messages that must stay queued.

    Devices go side by side, each in order; where the agent can be told many events at once, all go together.
    """
    lanes: dict[str, list[Record]] = {}
    for record in records:
        lanes.setdefault(record.group or record.message_id, []).append(record)
    in_time = partial(_in_time, context)
    with ThreadPoolExecutor(max_workers=min(MAX_WORKERS, len(lanes) or 1)) as workers:
        if runtime.agent.together:
            kept = _together(runtime, [lane[0] for lane in lanes.values()], in_time, workers)
        else:
            along = workers.map(partial(_lane, runtime, in_time), lanes.values())
            kept = [message_id for lane in along for message_id in lane]
    runtime.report.close()
    return kept


def _in_time(context: LambdaContext) -> bool:
    return context.get_remaining_time_in_millis() >= MARGIN_MILLISECONDS


def _lane(runtime: Runtime[S], in_time: Callable[[], bool], lane: list[Record]) -> list[str]:
    """Delivers one device's records, one after the other, up to the first that must stay."""
    for position, record in enumerate(lane):
        if not in_time():
            return _keep(runtime, lane[position:], 0)
        begun = runtime.begin(record)
        outcome = runtime.attempt(begun) if isinstance(begun, Delivery) else begun
        if outcome.wait is not None:
            return _keep(runtime, lane[position:], outcome.wait)
    return []


def _keep(runtime: Runtime[S], records: list[Record], seconds: int) -> list[str]:
    # The rest of a device's messages come back together with the one that failed, and SQS keeps their order.
    for record in records:
        runtime.queue.postpone(record, seconds)
    return [record.message_id for record in records]


def _together(
    runtime: Runtime[S], records: list[Record], in_time: Callable[[], bool], workers: ThreadPoolExecutor
) -> list[str]:
    """Delivers records by as few requests as the agent lets us make."""
    if not in_time():
        return _keep(runtime, records, 0)
    begun = list(workers.map(runtime.begin, records))
    ours = [one for one in begun if isinstance(one, Delivery)]
    ended = workers.map(runtime.end, ours, _outcomes(runtime, ours, in_time))
    outcomes = [next(ended) if isinstance(one, Delivery) else one for one in begun]
    waits = [(record, one.wait) for record, one in zip(records, outcomes, strict=True)]
    return [kept for record, wait in waits if wait is not None for kept in _keep(runtime, [record], wait)]


def _outcomes(runtime: Runtime[S], deliveries: list[Delivery[S]], in_time: Callable[[], bool]) -> list[Outcome]:
    """What becomes of deliveries by telling the agent of as many as it takes at a time; in their order."""
    found: dict[int, Outcome] = {}
    for alike in _alike(deliveries, runtime.agent.together.most if runtime.agent.together else 1):
        answers = _answers(runtime, [deliveries[at] for at in alike], in_time)
        for at, answer in zip(alike, answers, strict=True):
            one = deliveries[at]
            found[at] = answer if isinstance(answer, Outcome) else runtime.patience.read(one.record, answer, one.before)
    return [found[at] for at in range(len(deliveries))]


def _alike(deliveries: Sequence[Delivery[S]], most: int) -> Iterator[list[int]]:
    """The positions of deliveries whose requests go to the same place in the same way, so many at a time."""
    alike: dict[object, list[int]] = {}
    for position, delivery in enumerate(deliveries):
        (request,) = delivery.plan.requests
        alike.setdefault((request.url, *request.headers.items(), *request.query.items()), []).append(position)
    for positions in alike.values():
        for start in range(0, len(positions), most):
            yield positions[start : start + most]


def _answers(
    runtime: Runtime[S], deliveries: list[Delivery[S]], in_time: Callable[[], bool]
) -> Sequence[Answer | Outcome]:
    answers = _ask(runtime, deliveries, [one.plan for one in deliveries], in_time)
    if not all(isinstance(answer, Verdict) and answer.meaning is Meaning.CREDENTIALS for answer in answers):
        return answers
    # Read afresh once; the others find what was read then.
    again = [runtime.plan(one.event, one.record, fresh=one is deliveries[0]) for one in deliveries]
    return _ask(runtime, deliveries, again, in_time, fresh=True)


def _ask(
    runtime: Runtime[S],
    deliveries: list[Delivery[S]],
    plans: Sequence[Plan[S] | Outcome],
    in_time: Callable[[], bool],
    *,
    fresh: bool = False,
) -> Sequence[Answer | Outcome]:
    made = [plan for plan in plans if isinstance(plan, Plan)]
    if not made:
        return [plan for plan in plans if isinstance(plan, Outcome)]
    line = runtime.line(made[0], fresh=fresh)
    try:
        told = iter(line.tell_together([plan.requests[0] for plan in made], in_time))
    except SettingsUnavailable as fault:
        hold = runtime.environment.hold
        return [runtime.patience.held(one.record, one.before, str(fault), hold) for one in deliveries]
    return [plan if isinstance(plan, Outcome) else next(told) for plan in plans]
