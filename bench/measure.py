"""Measuring: functions take turns, by the processor's time, so that a busy machine slows all of them alike."""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

Work = Callable[[], object]
Say = Callable[[str], None]

ROUND_SECONDS = 0.02
"""A round of one function lasts about this long, so that the clock's own grain does not matter."""


@dataclass(frozen=True)
class Row:
    """One line of the table: a value, and its ratio to a reference that was measured in the same run.

    `met` is None where there is no target; `note` is what else a person wants to know.
    """

    part: str
    name: str
    value: float
    unit: str
    reference: str = ""
    ratio: float | None = None
    target: str = ""
    met: bool | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Extent:
    """How much is measured; `quick` only shows that everything still runs."""

    rounds: int = 15
    fresh: int = 11
    batches: int = 12
    events: int = 120
    nth: int = 1
    """Of the functions every nth is started."""
    turns: int = 31
    """Of this tree and of a revision that it is held against."""
    processes: int = 4
    """Of each of the two, one after the other, in which a function is kept warm."""

    @classmethod
    def quick(cls) -> "Extent":
        """As little as there can be."""
        return cls(rounds=1, fresh=1, batches=1, events=5, nth=6, turns=1, processes=1)


@dataclass(frozen=True)
class Series:
    """What one function took, round by round, in microseconds of the processor a call."""

    rounds: Sequence[float]

    @property
    def median(self) -> float:
        """The middle round."""
        return median(self.rounds)

    def ratio(self, reference: "Series") -> float:
        """How many times as long as the reference, in the middle of the rounds."""
        return median(own / other for own, other in zip(self.rounds, reference.rounds, strict=True))


def in_turns(works: Mapping[str, Work], rounds: int) -> dict[str, Series]:
    """Runs functions by turns, round by round."""
    calls = {name: _calls(work) for name, work in works.items()}
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            taken[name].append(_processor_seconds(work, calls[name]) / calls[name] * 1e6)
    return {name: Series(rounds) for name, rounds in taken.items()}


def _calls(work: Work) -> int:
    work()
    once = min(_processor_seconds(work, 1) for _ in range(3))
    return max(1, round(ROUND_SECONDS / max(once, 1e-6)))


def _processor_seconds(work: Work, calls: int) -> float:
    began = time.process_time()
    for _ in range(calls):
        work()
    return time.process_time() - began


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    return {
        "cores": _cores(),
        "processor": _processor(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _cores() -> int:
    return sum(line.startswith("processor") for line in _cpuinfo()) or 1


def _processor() -> str:
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _cpuinfo() -> list[str]:
    processors = Path("/proc/cpuinfo")
    return processors.read_text().splitlines() if processors.is_file() else []
