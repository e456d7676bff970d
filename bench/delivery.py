"""Delivery: an agent's handler on batches, agents that answer after 50 ms and AWS after 5.

The ideal is so many workers, each of which does nothing but wait: for the agent's answer and for DynamoDB's two or
three, one after the other. How long these take is measured in the same run, by a client that does nothing else.
"""

import time
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from statistics import median
from typing import Any

from bench import samples
from bench.fakes import Fakes, answering, run
from bench.measure import Extent, Row, Say
from bench.template import deployed

AGENT_MS, AWS_MS = 50.0, 5.0

REQUESTS = {"dashx": 3}
"""Requests that a login becomes, one after the other, where it is not one."""

TARGET = 0.85


def measure(extent: Extent, say: Say) -> Iterator[Row]:
    """A row for each agent: deliveries a second by one worker, and the share of the ideal."""
    from relay.delivery.batch import MAX_WORKERS  # noqa: PLC0415 - the fresh interpreters import their own

    with answering(AWS_MS, AGENT_MS) as fakes:
        for agent, size in deployed().batches.items():
            say(f"delivery: {agent}")
            yield _row(agent, size if extent.nth == 1 else min(size, 10), MAX_WORKERS, fakes, extent.batches)


def _row(agent: str, size: int, workers: int, fakes: Fakes, batches: int) -> Row:
    waits = _seconds(fakes, f"/{agent}/probe") * REQUESTS.get(agent, 1)
    waits += _seconds(fakes, "/", {"x-amz-target": "DynamoDB_20120810.GetItem"}) * (
        3 if agent in samples.ORDERED else 2
    )
    fakes.counts()
    taken, printed = _batches(agent, size, batches, fakes)
    counted_calls = fakes.counts()
    alone, printed_alone = _batches(agent, 1, batches, fakes)
    counted_alone = fakes.counts()
    called, _ = run(["-m", "bench.calls", agent, str(batches)], samples.environment(fakes.url, agent))
    ideal = min(workers, size) / waits
    rate, one_by_one = size / median(taken["clock"]), 1 / median(alone["clock"])
    made = size * (batches + 1)
    share = rate / ideal
    more: dict[str, Any] = {
        "workers": workers,
        "batch": size,
        "waits_ms": waits * 1000,
        "share_of_nominal": rate / (min(workers, size) / _nominal(agent)),
        "ideal_a_second": ideal,
        "one_at_a_time_a_second": one_by_one,
        "cpu_ms": median(taken["processor"]) / size * 1000,
        "cpu_ms_alone": median(alone["processor"]) * 1000,
        # The least of both: what else runs can only add to it.
        "cpu_ms_alone_least": min(alone["processor"]) * 1000,
        "cpu_ms_calls_least": min(called["processor"]) * 1000,
        "log_bytes": len(printed) / made,
        "log_bytes_alone": len(printed_alone) / (batches + 1),
        "calls": {name: round(counted["calls"] / made, 3) for name, counted in sorted(counted_calls.items())},
        "rows": {name: round(counted["rows"] / made, 3) for name, counted in sorted(counted_calls.items())},
        "rows_alone": {
            name: round(counted["rows"] / (batches + 1), 3) for name, counted in sorted(counted_alone.items())
        },
        "bytes": {name: round(counted["bytes"] / made) for name, counted in sorted(counted_calls.items())},
    }
    note = f"alone {one_by_one:.0f}/s, {more['cpu_ms']:.1f} ms of processor"
    return Row("delivery", agent, rate, "/s", "ideal", share, f"≥ {TARGET:g}", share >= TARGET, more, note)


def _nominal(agent: str) -> float:
    """The waits of a delivery in seconds as the stub is given them, without what the exchanges themselves take."""
    return (AWS_MS * (3 if agent in samples.ORDERED else 2) + AGENT_MS * REQUESTS.get(agent, 1)) / 1000


def _seconds(fakes: Fakes, path: str, headers: Mapping[str, str] | None = None) -> float:
    """How long one exchange takes by a bare client whose connection is open."""
    connection = HTTPConnection(fakes.url.removeprefix("http://"))
    taken = []
    for _ in range(10):
        began = time.perf_counter()
        connection.request("POST", path, b'{"data":[]}', dict(headers or {}))
        connection.getresponse().read()
        taken.append(time.perf_counter() - began)
    connection.close()
    return median(taken[1:])


def _batches(agent: str, size: int, batches: int, fakes: Fakes) -> tuple[dict[str, Any], str]:
    own = samples.environment(fakes.url, agent)
    return run(["-m", "bench.batch", agent, str(size), str(batches)], own)
