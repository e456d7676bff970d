"""What an outage of an agent costs, and how soon its end is noticed: simulated, with the real runtime and a clock."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from random import Random
from typing import Any, NamedTuple

import pytest

from bench import samples
from bench.cost import prices
from bench.measure import Extent, Row, Say, percentile
from relay.delivery import batch, retry
from relay.delivery.outcome import Outcome
from relay.delivery.queue import Message
from relay.delivery.retry import RetryPolicy
from relay.errors import CircuitOpen
from relay.event.model import Event
from tests.simulation import clock as clocks
from tests.simulation import cloud
from tests.simulation.vendors import PARALLEL, Vendor
from tests.simulation.weather import DAY, HOUR, MINUTE, Episode, Weather
from tests.simulation.world import Month, World

OUTAGES = {"5 min": 5 * MINUTE, "1 h": HOUR, "24 h": DAY, "8 days": 8 * DAY}
MAX_LOOKS, MAX_LOOKS_ORDERED, MAX_WRITES = 100, 130, 3
MAX_LATE_SECONDS, MAX_CHAIN = 1800, 60
CHAIN_BEFORE, HELD = 329, 100_000
"""Requests one after the other that halving took before (issue 15); deliveries whose day of holding is priced."""


class Seen(NamedTuple):
    """What an outage was seen to cost: for each delivery but `moved`, those that SQS moved without a reason."""

    looks: float
    writes: float
    reads: float
    sqs: float
    invocations: float
    late: Sequence[float]
    moved: int


def measure(extent: Extent, say: Say) -> Iterator[Row]:
    """A row for each figure, beside the rule of 45 s and one write at each look, simulated in the same run."""
    deliveries = max(10, extent.events // 3)
    seen: dict[tuple[str, str, str], Seen] = {}
    for agent in ("appsflyer", "eitri_push"):
        for name, seconds in OUTAGES.items():
            say(f"outage: {agent}, {name}")
            seen[agent, name, "now"] = observe(agent, seconds, deliveries)
            with _rule_of_45_seconds(moves=seconds > DAY):
                seen[agent, name, "before"] = observe(agent, seconds, deliveries)
    for agent, most in (("appsflyer", MAX_LOOKS), ("eitri_push", MAX_LOOKS_ORDERED)):
        now, before = seen[agent, "24 h", "now"], seen[agent, "24 h", "before"]
        yield _row(f"{agent}: looks at a held delivery, 24 h", now.looks, "looks", before.looks, most)
        yield _row(f"{agent}: writes for a held delivery, 24 h", now.writes, "writes", before.writes, MAX_WRITES)
        for name, seconds in OUTAGES.items():
            late, then = (percentile(seen[agent, name, rule].late or [0], 0.99) for rule in ("now", "before"))
            limit = min(MAX_LATE_SECONDS, max(seconds / 4, 2 * MINUTE))
            yield _row(f"{agent}: late after {name}, p99", late, "s", then, limit)
        moved, then = (seen[agent, "8 days", rule].moved / deliveries for rule in ("now", "before"))
        yield _row(f"{agent}: moved without a reason, 8 days", 100 * moved, "%", 100 * then, 0)
        cost, dear = (HELD * usd(one) for one in (now, before))
        yield _row(f"{agent}: {HELD:,} deliveries held for a day", cost, "USD", dear, 0.1 * dear)
    chain, total = halving()
    yield _row("facebook: 1,000 events, 30 bad: chain", chain, "requests", CHAIN_BEFORE, MAX_CHAIN)
    yield _row("facebook: 1,000 events, 30 bad: total", total, "requests", CHAIN_BEFORE, CHAIN_BEFORE)


def _row(name: str, value: float, unit: str, before: float, most: float) -> Row:
    ratio = value / before if before else None
    return Row(
        "outage",
        name,
        value,
        unit,
        "before",
        ratio,
        f"≤ {most:,.0f}" if most > MAX_CHAIN else f"≤ {most:.3g}",
        met=value <= most,
        more={"before": before},
    )


def observe(agent: str, seconds: int, deliveries: int) -> Seen:
    """One outage, in whose first tenth the deliveries come."""
    random = Random(seconds)  # noqa: S311 - a simulation
    down = Weather([Episode("down", clocks.START, clocks.START + timedelta(seconds=seconds))])
    world = World(Month(random, 30, {agent: down}, agents=(agent,)))
    late: list[float] = []
    vendor = world.vendors[agent]
    vendor.is_steady = True
    events = [_event(number) for number in range(deliveries)]
    arrivals = [(clocks.START + timedelta(seconds=random.uniform(0, seconds / 10)), event) for event in events]
    with clocks.simulated(world.clock, world.table, world.sqs, world.ssm):
        _note(vendor, late, down.episodes[0], world)
        world.run(arrivals, clocks.START + timedelta(seconds=seconds))
        # A probe, one each half minute for all deliveries together, claims and settles its own.
        probing = vendor.requests * (1 if vendor.agent.repeatable else 2)
        looks, writes, reads = world.queues[agent].receives, world.table.rows.written - probing, world.table.reads
        sqs, invocations = world.sqs.calls + 2 * world.invocations, world.invocations
        world.run([], clocks.START + timedelta(seconds=seconds + DAY))
    each = [number / deliveries for number in (looks, writes, reads, sqs, invocations)]
    moved = world.queues[agent].moved_without_reason
    return Seen(each[0], each[1], each[2], each[3], each[4], late, moved)


def _note(vendor: Vendor, late: list[float], outage: Episode, world: World) -> None:
    """Notes how late after the outage each delivery is done."""
    work: Callable[..., Any] = vendor._work  # noqa: SLF001 - the simulation's own

    def noted(known: Sequence[tuple[str, int]], request: Any) -> Any:  # noqa: ANN401 - as the vendor's
        late.append((world.clock.now - outage.ends).total_seconds())
        return work(known, request)

    vendor._work = noted  # type: ignore[method-assign]  # noqa: SLF001


def _event(number: int) -> Event:
    document = json.loads(samples.message("login", number, clocks.START.isoformat()))
    return Event.load(json.dumps(document | {"eventId": f"e{number:06d}"}))


@contextmanager
def _rule_of_45_seconds(*, moves: bool) -> Iterator[None]:
    """The rule before: each look waits for one to two times CircuitSeconds, and writes.

    With `moves` SQS moves a message at its 1,000th receive; without, its looks are counted to the end of the outage.
    """

    def hold_open(self: RetryPolicy, message: Message, previous: Outcome, circuit_open: CircuitOpen) -> Outcome:
        wait = math.ceil(self.jitter(self.circuit_seconds, 2 * self.circuit_seconds))
        return self.hold(message, previous, f"{circuit_open} {message.receives}", wait)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RetryPolicy, "hold_open", hold_open)
        patch.setattr(retry, "MAX_RECEIVES", 10**9)
        if not moves:
            patch.setattr(cloud, "MAX_RECEIVES", 10**9)
        yield


def usd(seen: Seen) -> float:
    """What one held delivery costs: SQS' and DynamoDB's requests and Lambda's invocations; not their duration."""
    price = prices()
    return (
        seen.sqs * price["sqs_standard_request"]
        + seen.writes * price["dynamodb_write"]
        + seen.reads * price["dynamodb_read"]
        + seen.invocations * price["lambda_request"]
    )


def halving(events: int = 1000, bad: int = 30) -> tuple[int, int]:
    """The longest chain of requests one after the other, and all of them, of one batch with rejected events."""
    random, chain, total = Random(events), 0, 0  # noqa: S311 - a simulation
    world = World(Month(random, 1, agents=("facebook",)))
    vendor = world.vendors["facebook"]
    with clocks.simulated(world.clock, world.table, world.sqs, world.ssm), pytest.MonkeyPatch.context() as patch:
        one_by_one: Callable[..., list[Any]] = vars(batch)["in_parallel"]

        def counted(kind: str, workers: int, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
            nonlocal chain, total
            if kind == "sender":
                chain += math.ceil(len(items) / PARALLEL)
                total += len(items)
            return one_by_one(kind, workers, function, items)

        patch.setattr(batch, "in_parallel", counted)
        made = [_event(number) for number in range(events)]
        vendor.bad = {event.event_id for event in random.sample(made, bad)}
        for event in made:
            world.publish(event)
        world.invoke("facebook")
    return chain, total
