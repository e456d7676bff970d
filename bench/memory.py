"""Memory: Lambda gives a function a share of a processor by its memory; what that makes of its times and its price.

The share is enforced as Lambda does it, by a quota of the processor in periods of 20 ms (Linux' cgroups). Where no
cgroup can be made, which takes root, there is nothing to say.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import mkdtemp

from bench import samples
from bench.cold import paths, start
from bench.cost import MEMORIES, prices
from bench.delivery import AGENT_MS, AWS_MS
from bench.fakes import answering, built, run
from bench.measure import Extent, Row, Say
from bench.traffic import FULL_MEMORY, MILLION

FUNCTIONS = ("ingest", *samples.AGENTS)

PERIOD_US = 20_000
_CPU = Path("/sys/fs/cgroup/cpu")
_UNIFIED = Path("/sys/fs/cgroup")


def measure(extent: Extent, say: Say, *, from_sources: bool = False) -> Iterator[Row]:
    """A row for each function and memory size; none where a share of the processor cannot be given."""
    sizes = MEMORIES[:: len(MEMORIES) - 1] if extent.nth > 1 else MEMORIES
    functions = FUNCTIONS[:1] if extent.nth > 1 else FUNCTIONS
    if not is_able():
        say("memory: left out, since no cgroup with a share of the processor can be made here (it takes root)")
        return
    build = None if from_sources else built(say)
    with answering(AWS_MS, AGENT_MS) as fakes:
        for function in functions:
            taken = []
            for memory in sizes:
                say(f"memory: {function}, {memory} MB")
                taken.append(_taken(function, memory, fakes.url, paths(function, build), extent))
                warm, full = taken[-1]["warm_ms"], taken[0]["warm_ms"]
                name, reference = f"{function}, {memory} MB", f"{FULL_MEMORY} MB"
                yield Row("memory", name, warm, "ms", reference, warm / full, more={"function": function, **taken[-1]})


def _taken(function: str, memory: int, url: str, code: list[Path], extent: Extent) -> dict[str, float]:
    with share_of(memory) as within:
        starts = [start(function, code, url, within=within) for _ in range(max(1, extent.fresh // 3))]
        own = samples.environment(url, function)
        warm, _ = run(["-m", "bench.batch", function, "1", str(2 * extent.batches)], own, within=within)
    milliseconds = median(warm["clock"]) * 1000
    return {
        "memory_mb": memory,
        "warm_ms": milliseconds,
        "cold_ms": median(one["clock"] for one in starts) * 1000,
        "resident_mb": max(one["resident_mb"] for one in starts),
        "usd": MILLION * milliseconds / 1000 * memory / 1024 * prices()["lambda_gb_second"],
    }


@contextmanager
def share_of(memory: int) -> Iterator[Path]:
    """A cgroup with the share of a processor that so many MB bring: the file that takes its processes' ids."""
    quota = round(PERIOD_US * memory / FULL_MEMORY)
    group = Path(mkdtemp(prefix="session-relay-", dir=_CPU if _CPU.is_dir() else _UNIFIED))
    try:
        if _CPU.is_dir():
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        yield group / "cgroup.procs"
    finally:
        group.rmdir()


def is_able() -> bool:
    """Whether a process can be given a share of a processor here."""
    try:
        with share_of(FULL_MEMORY):
            return True
    except OSError:
        return False
