"""What the cost is reckoned from: what a run has measured of one event, and how events come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import samples
from bench.delivery import AGENT_MS, AWS_MS, REQUESTS
from bench.measure import Row
from bench.template import Deployed

MILLION = 1_000_000

FULL_MEMORY = 1769
"""MB at which a function has one whole processor; below it has that share of one (Lambda's developer guide, 2026)."""

POLLERS, FEWEST_POLLERS = 5, 2
"""Receivers that Lambda keeps on a queue, each waiting 20 s at a time; fewer on a quiet standard queue, unless the
event source has a MaximumConcurrency, as ours have (the same guide, configuring scaling of SQS event sources, 2026)."""

RECEIVE_SECONDS = 0.02
"""A receive that finds a message returns at once (SQS' developer guide, long polling, 2026): it brings what came
within about this time, one message on a quiet queue."""

START_CPU_MS = 300
"""What a start takes of a whole processor, where this run could not measure it by memory."""


@dataclass(frozen=True)
class Measured:
    """What one event costs in calls, bytes and time, as this run's own rows say.

    `agents` is what delivering was measured to take, by agent; `ingest_*` of one event alone; `warm_ms` what a warm
    invocation takes and `cold_ms` a start with it, by function and memory, where that could be measured.
    """

    ingest_us: float
    ingest_ten_us: float
    ingest_log_bytes: float
    response_bytes: float
    agents: Mapping[str, Mapping[str, Any]]
    warm_ms: Mapping[tuple[str, int], float]
    cold_ms: Mapping[tuple[str, int], float]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Measured":
        """What rows of ingest, of delivery and of memory say."""
        one, ten = (row for row in rows if row.part == "ingest")
        agents: dict[str, Mapping[str, Any]] = {row.name: row.more for row in rows if row.part == "delivery"}
        by_memory = {(row.more["function"], row.more["memory_mb"]): row for row in rows if row.part == "memory"}
        return cls(
            one.value,
            ten.value,
            one.more["log_bytes"],
            one.more["response_bytes"],
            agents,
            {key: row.value for key, row in by_memory.items()},
            {key: row.more["cold_ms"] for key, row in by_memory.items()},
        )

    def starting(self, function: str, memory: int) -> float:
        """Milliseconds that a start adds to an invocation: as measured, or the processor at its share of one."""
        if (function, memory) in self.cold_ms:
            return self.cold_ms[function, memory] - self.milliseconds(function, memory)
        return START_CPU_MS / share(memory)

    def milliseconds(self, function: str, memory: int) -> float:
        """What a warm invocation takes alone: as measured, or the waits and the processor at its share of one."""
        if function == "ingest":
            reckoned = AWS_MS + self.ingest_us / 1e3 / share(memory)
        else:
            waits = AWS_MS * (3 if function in samples.ORDERED else 2) + AGENT_MS * REQUESTS.get(function, 1)
            reckoned = waits + self.agents[function]["cpu_ms_alone"] / share(memory)
        return self.warm_ms.get((function, memory), reckoned)

    def each(self, agent: str, what: str, batch: float) -> float:
        """What one delivery of a batch takes: the first of it what one alone does, the others what the batch adds."""
        more = self.agents[agent]
        return float(more[f"{what}_alone"] + (batch - 1) * more[what]) / batch

    def counts(self, agent: str, what: str) -> Mapping[str, float]:
        """What a delivery is in calls, rows or bytes, by call."""
        found: Mapping[str, float] = self.agents[agent][what]
        return found


@dataclass(frozen=True)
class Traffic:
    """How events come: so many a second, steadily, each a call of its own that its caller makes with `http` or REST.

    `pollers` are the receivers on a standard queue. With `per_call` a phone sends so many in one call: those of one
    device, which an ordered agent is sent one after the other.
    """

    events_a_second: float = MILLION / 86_400
    http: bool = False
    pollers: int = POLLERS
    per_call: int = 1

    def batch(self, agent: str, template: Deployed) -> float:
        """Deliveries in an average invocation: what a receiver gathers in the window, a call's events at least."""
        gathered = self.events_a_second * template.windows[agent] / self.pollers
        return min(max(float(self.per_call), gathered), template.batches[agent])

    def received(self) -> float:
        """Messages that a receive brings: ten at most."""
        return min(max(float(self.per_call), self.events_a_second / self.pollers * RECEIVE_SECONDS), 10)

    def are_alone(self, agent: str, template: Deployed) -> bool:
        """Whether an agent's deliveries are made one by one, whether or not they come together."""
        return self.batch(agent, template) <= 1 or (self.per_call > 1 and agent in samples.ORDERED)


def share(memory: int) -> float:
    """The share of a processor that so many MB bring."""
    return min(1.0, memory / FULL_MEMORY)
