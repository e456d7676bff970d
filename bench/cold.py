"""Cold start: each function's import and first invocation from the built artifacts, in a fresh interpreter."""

import os
import re
import sysconfig
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from bench import invocations, samples
from bench.fakes import answering, built, published_botocore, run
from bench.measure import Extent, Row, Say

TARGET = 1.3
SNAPSHOTTED = ("authorizer", "ingest")
"""What the template offers to start from a snapshot."""

_FIRST = str(samples.ROOT / "bench/first_invocation.py")
_IMPORT = re.compile(r"import time: +(\d+) \| +(\d+) \| *(\S+)")

Start = Mapping[str, Any]


def measure(extent: Extent, say: Say, *, from_sources: bool = False) -> Iterator[Row]:
    """A row for each function; from the sources and what is installed here, where nothing shall be built."""
    floor = Path(sysconfig.get_paths()["purelib"]) if from_sources else published_botocore()
    build = None if from_sources else built(say)
    with answering() as fakes:
        for function in list(invocations.FOLDERS)[:: extent.nth]:
            say(f"cold start: {function}")
            yield _row(function, paths(function, build), [floor], fakes.url, extent.fresh)
        for function in SNAPSHOTTED:
            say(f"cold start: {function} from a snapshot")
            yield _restored(function, paths(function, build), fakes.url, extent.fresh)


def paths(function: str, build: Path | None) -> list[Path]:
    """Where a function's code is: in the built artifacts, or in the sources."""
    if build:
        return [build / f"{invocations.FOLDERS[function]}Function", build / "RuntimeLayer/python"]
    folder = "functions/agents" if function in samples.AGENTS else "functions"
    installed = Path(sysconfig.get_paths()["purelib"])
    return [samples.ROOT / folder / function, samples.ROOT / "layers/runtime", installed]


def _row(function: str, code: list[Path], floor: list[Path], url: str, rounds: int) -> Row:
    own, least, trimmed, ratios = [], [], [], []
    for _ in range(rounds):
        # By turns, so that a busy machine slows all alike.
        least.append(start(function, floor, url, least=True))
        own.append(start(function, code, url))
        trimmed.append(start(function, code, url, least=True))
        ratios.append(own[-1]["ended"] / least[-1]["ended"])
    if not invocations.worked(function, own[0]["answer"]):
        raise AssertionError(f"{function} answered {own[0]['answer']}")
    ratio = median(ratios)
    more: dict[str, Any] = {
        "import_ms": _ms(own, "imported"),
        "clock_ms": _ms(own, "clock"),
        "floor_ms": _ms(least, "ended"),
        "floor_of_our_layer_ms": _ms(trimmed, "ended"),
        "modules": len(own[0]["modules"]),
        "dearest": _dearest(function, code, url, set(least[0]["modules"])),
    }
    dearest = ", ".join(f"{name} {ms:.0f}" for name, ms in list(more["dearest"].items())[:3])
    met = ratio <= TARGET
    return Row("cold start", function, _ms(own, "ended"), "ms", "floor", ratio, f"≤ {TARGET:g}", met, more, dearest)


def _restored(function: str, code: list[Path], url: str, rounds: int) -> Row:
    """What is left of a start where Lambda keeps a snapshot of what was imported, without Lambda's own restoring."""
    whole = [start(function, code, url) for _ in range(rounds)]
    kept = [start(function, code, url, more={"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}) for _ in range(rounds)]
    left = median((one["ended"] - one["imported"]) for one in kept) * 1000
    return Row("restored", function, left, "ms", "start", left / _ms(whole, "ended"))


def start(  # noqa: PLR0913 - what a start may differ in
    function: str,
    code: list[Path],
    url: str,
    *options: str,
    least: bool = False,
    within: Path | None = None,
    more: Mapping[str, str] | None = None,
    event: object = None,
) -> Start:
    """One start in a fresh interpreter, or the least that makes the function's calls; `within` as `run` has it.

    `more` are further variables of the environment; `event` is what it is invoked with, by default what `starts` has.
    """
    given = {"calls": invocations.calls(function, url)} if least else {"event": event or invocations.event(function)}
    own = {**samples.environment(url, function), **(more or {}), "PYTHONPATH": os.pathsep.join(map(str, code))}
    # Without site, whose .pth files import what Lambda would not.
    return run(["-S", *options, _FIRST], own, given, within)[0]


def _ms(taken: list[Start], name: str) -> float:
    return float(median(one[name] for one in taken)) * 1000


def _dearest(function: str, code: list[Path], url: str, floor: set[str]) -> dict[str, float]:
    """The packages that the floor does without, and the milliseconds that their own modules take to import."""
    took: Counter[str] = Counter()
    for line in start(function, code, url, "-X", "importtime")["stderr"].splitlines():
        found = _IMPORT.match(line)
        if found and found[3] not in floor:
            took[found[3].partition(".")[0]] += int(found[1])
    return {name: microseconds / 1000 for name, microseconds in took.most_common(8)}
