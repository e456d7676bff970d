"""A month by its seed, and what must be true when it is over."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from bench import samples
from bench.template import deployed
from relay.delivery.retry import MAX_WAIT
from relay.event.model import Event
from relay.ledger import device_order
from relay.ledger.states import TERMINAL
from tests.simulation import clock as clocks
from tests.simulation.vendors import AGENTS
from tests.simulation.weather import AGENT_TROUBLES, CLOUD_TROUBLES, DAY, Weather
from tests.simulation.world import Month, World

DAYS, EVENTS, DEVICES = 30, 40, 8
TYPES = ("login", "logout", "open", "signup", "identify", "track", "push_token")
_AFTER = MAX_WAIT * 2


class Row(NamedTuple):
    """What the ledger says of a delivery."""

    state: str
    reason: str


def simulate(seed: int, events: int = EVENTS) -> list[str]:
    """What a month by this seed has broken; empty if it kept every promise."""
    random = Random(seed)  # noqa: S311 - a simulation
    weathers = {name: Weather.drawn(random, AGENT_TROUBLES, clocks.START, DAYS) for name in AGENTS}
    # Two at once: most faults of this core that were found late needed two.
    clouds = [Weather.drawn(random, CLOUD_TROUBLES, clocks.START, DAYS) for _ in range(2)]
    world = World(Month(random, DAYS, weathers, clouds))
    arrivals = sorted((_moment(random), number) for number in range(events))
    with clocks.simulated(world.clock, world.table, world.sqs, world.ssm):
        events_at = [(at, _event(random, at, number)) for at, number in arrivals]
        for vendor in world.vendors.values():
            vendor.bad = {event.event_id for _, event in events_at if random.random() < 1 / 20}
        _run(world, events_at)
    return list(faults(world))


def _run(world: World, arrivals: list[tuple[datetime, Event]]) -> None:
    """A month, in which an operator now and then redrives what is parked; then as long as a delivery may wait."""
    end = clocks.START + timedelta(days=DAYS)
    for day in range(3, DAYS, 9):
        until = clocks.START + timedelta(days=day)
        world.run([one for one in arrivals if world.clock.now <= one[0] < until], until)
        for queue in world.queues.values():
            queue.redrive()
    world.run([one for one in arrivals if world.clock.now <= one[0]], end)
    world.run([], end + _AFTER)


def _moment(random: Random) -> datetime:
    """Events come in bursts as well as alone."""
    day = random.randrange(DAYS) if random.random() < 1 / 2 else DAYS // 3
    return clocks.START + timedelta(seconds=day * DAY + random.uniform(0, DAY))


def _event(random: Random, at: datetime, number: int) -> Event:
    device, person = random.randrange(DEVICES), random.choice(("nadia", "rui"))
    document = json.loads(samples.message("login", device, at.isoformat()))
    kind = random.choice(TYPES)
    document |= {
        "type": kind,
        "eventId": f"e{number:06d}",
        "customerId": person,
        "sequence": int(at.timestamp() * 1000),
        "consent": {"messaging": random.random() > 1 / 10},
        **({"name": "purchase"} if kind == "track" else {}),
    }
    document["device"]["pushToken"] = f"token-{device}-{number}"
    return Event.load(json.dumps(document))


def faults(world: World) -> Iterator[str]:
    """Every promise that a month has broken."""
    for event, agent, before, after in world.table.rows.reopened:
        if not AGENTS.get(agent) or not AGENTS[agent].repeatable:
            yield f"{agent} {event}: {before} became {after}"
    for name in world.queues:
        yield from _faults_of_queue(world, name)
        yield from _faults_of_deliveries(world, name)
        if AGENTS[name].ordered:
            yield from _faults_of_order(world, name)


def _faults_of_queue(world: World, name: str) -> Iterator[str]:
    queue = world.queues[name]
    if queue.waiting:
        yield f"{name}: {len(queue.waiting)} messages wait for ever"
    if queue.moved_without_reason:
        yield f"{name}: SQS moved {queue.moved_without_reason} messages without a reason"
    for message in queue.dead:
        if not message.attributes.get("reason", {}).get("StringValue"):
            yield f"{name}: {message.id} is parked without a reason"


def _faults_of_deliveries(world: World, name: str) -> Iterator[str]:
    vendor, agent = world.vendors[name], AGENTS[name]
    done = Counter((one.event, one.position) for one in vendor.taken())
    dead = {json.loads(message.body)["eventId"] for message in world.queues[name].dead}
    finished = {event for event, _ in done}
    for event in world.events.values():
        if event.type not in deployed().events[name]:
            continue
        row, known = _row(world, event, name), event.event_id
        in_doubt = known in vendor.doubts or (name, known) in world.crashed
        if row.state not in TERMINAL:
            yield f"{name} {known}: {row.state or 'lost'} at the end: {row.reason}"
        if row.state == "parked" and known not in dead:
            yield f"{name} {known}: parked, and not in the dead-letter queue"
        if row.state == "delivered" and known not in finished and row.reason != "nothing was left to send":
            yield f"{name} {known}: delivered, and never sent"
        if row.state == "unconfirmed" and known not in finished and not in_doubt:
            yield f"{name} {known}: unconfirmed, and never sent: {row.reason}"
        most = max((number for (sent, _), number in done.items() if sent == known), default=0)
        if most > 1 and (not agent.repeatable or not (in_doubt or world.is_repeated(name))):
            yield f"{name} {known}: done {most} times"


def _row(world: World, event: Event, agent: str) -> Row:
    row = world.table.rows.get((f"{event.app_id}#{event.event_id}", agent), {})
    return Row(row.get("state", {}).get("S", ""), row.get("reason", {}).get("S", ""))


def _faults_of_order(world: World, name: str) -> Iterator[str]:
    newest: dict[str, int] = defaultdict(int)
    for one in world.vendors[name].taken():
        event = world.events[one.event]
        is_free = event.type in device_order.UNORDERED or (AGENTS[name].contact is not None and event.type == "logout")
        if is_free:
            continue
        if event.sequence < newest[event.group]:
            yield f"{name} {event.event_id}: done after a newer event of its device"
        newest[event.group] = max(newest[event.group], event.sequence)
