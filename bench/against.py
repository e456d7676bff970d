"""This tree against another revision: both take turns, in the same run, through their Lambda handlers alone.

A figure is the least of all invocations, since whatever else runs can only add to it; the ratio is that of the two
least. On a machine that did four times as much as it has processors for, a tree against itself was within 0.02, mapping
alone within 0.1 (2026-11-28): the median of the turns' own ratios stands beside it.
Mapping is a dry run of one login at an agent: the event read, the requests built and shown, and no call to AWS or the
agent. Deliveries are of the events that the revision's own ingest publishes.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from bench import invocations, memory, samples
from bench.cold import start
from bench.delivery import AGENT_MS, AWS_MS
from bench.fakes import Fakes, answering
from bench.measure import Extent, Row, Say
from bench.report import figure
from bench.revision import Revision, Warm, both
from bench.template import deployed

PARTS = ("cold", "mapping", "ingest", "delivery", "memory")

TENS = 10
"""Events of a batch, and invocations of a turn."""

Turn = Callable[[], float]


class Side(NamedTuple):
    """A revision with AWS and agents of its own, and the deliveries and dry runs that its own functions make."""

    revision: Revision
    outside: Fakes
    messages: Sequence[str]
    dry_runs: Sequence[str]


def measure(revision: str, parts: set[str], extent: Extent, say: Say, *, from_sources: bool = False) -> Iterator[Row]:
    """The rows of the parts: this tree's value, and its ratio to the revision's.

    Raises:
        UnknownRevisionError: git knows no such commit.
    """
    measures: dict[str, Callable[..., Iterator[Row]]] = {
        "cold": _cold,
        "mapping": _mapping,
        "ingest": _ingest,
        "delivery": _delivery,
        "memory": _memory,
    }
    with both(revision, say, from_sources=from_sources) as revisions, ExitStack() as running:
        sides = [_side(one, running.enter_context(answering(agents=one.agents))) for one in revisions]
        for part in PARTS:
            if part in parts:
                yield from measures[part](sides, extent, say)


def _side(revision: Revision, outside: Fakes) -> Side:
    """A revision and what its ingest and dry_run make of ten logins, each of another person on another phone."""
    with Warm(revision, "ingest", outside.url) as ingest, Warm(revision, "dry_run", outside.url) as dry_run:
        ingest.invoke([samples.proxied(_login(number)) for number in range(TENS)], _has_status(HTTPStatus.ACCEPTED))
        events = [samples.proxied({"type": "login", **_login(number)}, "/dry-run") for number in range(TENS)]
        dry_run.invoke(events, _has_status(HTTPStatus.OK))
    bodies = outside.bodies()
    return Side(
        revision,
        outside,
        [parse_qs(body)["Message"][0] for body in bodies["sns.Publish"]],
        bodies["lambda.Invoke"],
    )


def _login(number: int) -> dict[str, Any]:
    return {
        **samples.LOGIN,
        "customerId": f"usr_{number:08d}",
        "email": f"person{number:08d}@example.com",
        "device": {**samples.PHONE, "id": f"{number:08d}-7a1e-4d0c-9a35-0d1f6f2b7c11"},
    }


def _has_status(status: HTTPStatus) -> Callable[[Any], bool]:
    return lambda response: bool(response["statusCode"] == status)


def _cold(sides: Sequence[Side], extent: Extent, say: Say) -> Iterator[Row]:
    """Starts of each function, and of all of them."""
    least = []
    for function in list(invocations.FOLDERS)[:: extent.nth]:
        say(f"starts: {function}")
        taken = _in_turns([partial(_processor_of_a_start, side, function) for side in sides], extent.turns)
        least.append([min(seconds) for seconds in taken])
        yield _row("starts", function, "ms", taken, sides)
    yield _row("starts", "all functions", "ms", [[sum(seconds)] for seconds in zip(*least, strict=True)], sides)


def _processor_of_a_start(side: Side, function: str) -> float:
    return float(_start(side, function)["ended"]) * 1000


def _start(side: Side, function: str, **more: Any) -> Mapping[str, Any]:  # noqa: ANN401 - of cold.start
    event = _batch(function, side.messages[:1]) if function in samples.AGENTS else None
    started = start(function, side.revision.code(function), side.outside.url, event=event, **more)
    if not invocations.worked(function, started["answer"]):
        raise AssertionError(f"{function} returned {started['answer']}")
    return started


def _batch(agent: str, messages: Sequence[str]) -> dict[str, Any]:
    return samples.records(agent, list(messages), int(datetime.now(UTC).timestamp() * 1000))


def _mapping(sides: Sequence[Side], extent: Extent, say: Say) -> Iterator[Row]:
    """One login between two deliveries, as a quiet queue has it, and one of ten in a row."""
    for agent in samples.AGENTS[:: extent.nth]:
        say(f"mapping: {agent}")
        alone = _warm(sides, agent, _dry_runs, _has_requests, extent, between=partial(_one_delivery, agent))
        yield _row("mapping", f"{agent}, alone", "µs", _scaled(alone, 1e6), sides)
        ten = _warm(sides, agent, lambda side: _dry_runs(side) * 10, _has_requests, extent)
        yield _row("mapping", f"{agent}, in tens", "µs", _scaled(ten, 1e6), sides)


def _dry_runs(side: Side) -> list[Any]:
    return [json.loads(payload) for payload in side.dry_runs]


def _has_requests(shown: Any) -> bool:  # noqa: ANN401 - any response
    return bool(shown.get("requests"))


def _ingest(sides: Sequence[Side], extent: Extent, say: Say) -> Iterator[Row]:
    """A call of one event, and a call of ten, such as a phone sends that was offline."""
    say("ingest")
    ones = [samples.proxied(_login(number)) for number in range(TENS)]
    ten = samples.proxied({"events": [{"type": "login", **_login(number)} for number in range(TENS)]}, "/batch")
    one_is_done, ten_is_done = _has_status(HTTPStatus.ACCEPTED), _has_status(HTTPStatus.MULTI_STATUS)
    taken = _warm(sides, "ingest", lambda _: ones * 2, one_is_done, extent)
    yield _row("ingest", "one event", "µs", _scaled(taken, 1e6), sides)
    taken = _warm(sides, "ingest", lambda _: [ten] * 7, ten_is_done, extent)
    yield _row("ingest", "ten events a call", "µs", _scaled(taken, 1e6), sides)


def _delivery(sides: Sequence[Side], extent: Extent, say: Say) -> Iterator[Row]:
    """A delivery that is alone in its batch, and one of ten, at ordered agents and others."""
    for agent in samples.AGENTS[:: extent.nth]:
        say(f"delivery: {agent}")
        settled, kind = partial(invocations.worked, agent), "ordered" if agent in samples.ORDERED else "unordered"
        alone = _warm(sides, agent, partial(_alone, agent), settled, extent)
        yield _row("delivery", f"{agent} ({kind}), alone", "ms", _scaled(alone, 1e3), sides)
        ten = _warm(sides, agent, partial(_in_tens, agent), settled, extent)
        yield _row("delivery", f"{agent} ({kind}), in tens", "ms", _scaled(ten, 1e3 / TENS), sides)


def _one_delivery(agent: str, side: Side) -> object:
    return _batch(agent, side.messages[:1])


def _alone(agent: str, side: Side) -> list[Any]:
    return [_batch(agent, [message]) for message in side.messages] * 2


def _in_tens(agent: str, side: Side) -> list[Any]:
    return [_batch(agent, side.messages)] * 5


def _memory(sides: Sequence[Side], extent: Extent, say: Say) -> Iterator[Row]:
    """The first delivery from cold with the memory that each template gives, and what an agent keeps resident."""
    agents = samples.AGENTS[:: extent.nth]
    for agent in agents:
        say(f"memory: {agent}")
        resident = [[float(_start(side, agent)["resident_mb"])] for side in sides]
        yield _row("memory", f"{agent}, resident", "MB", resident, sides)
    if not memory.is_able():
        say("first delivery from cold: left out, since no cgroup with a share of the processor can be made here")
        return
    say("first delivery from cold")
    first = _in_turns([partial(_first_delivery, side, agents) for side in sides], max(1, extent.fresh // 3))
    yield _row("memory", "first delivery from cold", "ms", first, sides)


def _first_delivery(side: Side, agents: Sequence[str]) -> float:
    """Milliseconds by the clock of the three starts that the first event after a quiet hour waits for."""
    template = deployed(side.revision.tree)
    with answering(AWS_MS, AGENT_MS, side.revision.agents) as outside:
        slow = side._replace(outside=outside)
        taken = [
            _clock(slow, "authorizer", template.authorizer_memory),
            _clock(slow, "ingest", template.ingest_memory),
            max(_clock(slow, agent, template.agent_memory) for agent in agents),
        ]
    return sum(taken) * 1000


def _clock(side: Side, function: str, mb: int) -> float:
    with memory.share_of(mb) as within:
        return float(_start(side, function, within=within)["clock"])


def _warm(  # noqa: PLR0913 - of what a turn consists
    sides: Sequence[Side],
    function: str,
    events: Callable[[Side], list[Any]],
    is_done: Callable[[Any], bool],
    extent: Extent,
    *,
    between: Callable[[Side], object] = lambda _: None,
) -> list[list[float]]:
    """The processor's seconds of the least invocation of each turn, of each side's warm function.

    Every few turns the processes are new ones: where Python's objects lie in memory is good for a twentieth.
    """
    taken: list[list[float]] = [[] for _ in sides]
    for _ in range(extent.processes):
        with ExitStack() as running:
            functions = [running.enter_context(Warm(side.revision, function, side.outside.url)) for side in sides]

            def turn(one: Warm, side: Side) -> float:
                return min(one.invoke(events(side), is_done, between(side)))

            turns = [partial(turn, *pair) for pair in zip(functions, sides, strict=True)]
            for work in turns:
                work()
            of_processes = _in_turns(turns, -(-extent.turns // extent.processes))
            taken = [so_far + more for so_far, more in zip(taken, of_processes, strict=True)]
    return taken


def _in_turns(works: Sequence[Turn], turns: int) -> list[list[float]]:
    """What each of two works took, turn by turn; who is first changes, so that neither always follows the other."""
    taken: list[list[float]] = [[] for _ in works]
    for number in range(turns):
        for at in sorted(range(len(works)), reverse=number % 2 == 1):
            taken[at].append(works[at]())
    return taken


def _scaled(taken: Sequence[Sequence[float]], factor: float) -> list[list[float]]:
    return [[value * factor for value in values] for values in taken]


def _row(part: str, name: str, unit: str, taken: Sequence[Sequence[float]], sides: Sequence[Side]) -> Row:
    ours, theirs = taken
    middle = median(one / another for one, another in zip(ours, theirs, strict=True))
    more = {"revision": sides[1].revision.name, "theirs": min(theirs), "median_ratio": middle, "turns": len(ours)}
    reference = f"{figure(min(theirs))} at {more['revision']}"
    note = f"median {middle:.2f}"
    return Row(f"{part} against", name, min(ours), unit, reference, min(ours) / min(theirs), more=more, note=note)
