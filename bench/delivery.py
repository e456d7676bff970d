"""Delivery: an agent's handler on batches, agents that answer after 50 ms and AWS after 5."""

from collections.abc import Iterator
from statistics import median
from typing import Any

from bench import samples
from bench.measure import Extent, Row, Say
from bench.outside import Outside, answering, run

AGENT_MS, AWS_MS = 50.0, 5.0
SIZES = {"appsflyer": 100, "facebook": 1000, "google": 100, "eitri_push": 10, "emarsys": 10, "dashx": 10}
"""Deliveries in a batch, as in the template."""

REQUESTS = {"dashx": 3}
"""Requests that a login becomes, one after the other, where it is not one."""

TARGET = 0.85


def measure(extent: Extent, say: Say) -> Iterator[Row]:
    """A row for each agent: deliveries a second by one worker, and the share of the ideal."""
    from relay.batch import MAX_WORKERS  # noqa: PLC0415 - the fresh interpreters import their own

    with answering(AWS_MS, AGENT_MS) as outside:
        for agent, size in SIZES.items():
            say(f"delivery: {agent}")
            yield _row(agent, min(size, 10 * extent.batches), MAX_WORKERS, outside, extent.batches)


def _row(agent: str, size: int, workers: int, outside: Outside, batches: int) -> Row:
    outside.counts()
    taken, printed = _batches(agent, size, batches, outside)
    told = outside.counts()
    alone, printed_alone = _batches(agent, 1, batches, outside)
    together = agent == "facebook"
    each = (AWS_MS * (3 if agent in samples.ORDERED else 2) + AGENT_MS * REQUESTS.get(agent, 1)) / 1000
    ideal = min(workers, size) / (each - AGENT_MS / 1000 if together else each)
    rate, one_by_one = size / median(taken["clock"]), 1 / median(alone["clock"])
    made = size * (batches + 1)
    share = rate / ideal
    more = {
        "workers": workers,
        "batch": size,
        "ideal_a_second": ideal,
        "one_at_a_time_a_second": one_by_one,
        "cpu_ms": median(taken["processor"]) / size * 1000,
        "cpu_ms_alone": median(alone["processor"]) * 1000,
        "log_bytes": len(printed) / made,
        "log_bytes_alone": len(printed_alone) / (batches + 1),
        "calls": {name: round(counted["calls"] / made, 3) for name, counted in sorted(told.items())},
        "rows": {name: round(counted["rows"] / made, 3) for name, counted in sorted(told.items())},
        "bytes": {name: round(counted["bytes"] / made) for name, counted in sorted(told.items())},
    }
    return Row("delivery", agent, rate, "/s", "ideal", share, f"≥ {TARGET:g}", share >= TARGET, more)


def _batches(agent: str, size: int, batches: int, outside: Outside) -> tuple[dict[str, Any], str]:
    own = samples.environment(outside.url, agent)
    return run(["-m", "bench.batch", agent, str(size), str(batches)], own)
