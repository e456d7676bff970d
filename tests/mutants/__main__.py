"""Tries mutants in copies of the tree, and fails if one survives that the list does not excuse: `make mutants`."""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import IO, Any, NamedTuple

from tests.mutants.modules import TESTS, Stages
from tests.mutants.survivors import LIST, Mutant, diff, read_listed

PYTHON, COPIES = Path(".venv/mutants/bin/python"), Path(".local/mutants")
MADE = Path(__file__).with_name("made.py")
SECONDS_AT_MOST = 600


class Runner(NamedTuple):
    """A process that runs tests in a copy of the tree."""

    process: subprocess.Popen[str]
    seconds: Mapping[str, float]

    def run(self, path: str, source: str, seconds: float) -> tuple[int, str]:
        """The exit code of a module's tests with this source, and the end of their output."""
        work = {"path": path, "source": source, "stages": TESTS[path], "seconds": seconds}
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            raise TypeError("a runner has pipes")
        print(json.dumps(work), file=stdin, flush=True)
        answer = json.loads(_line(stdout))
        return answer["code"], answer["output"]


def _line(stdout: IO[str]) -> str:
    line = stdout.readline()
    if not line:
        sys.exit("A runner has ended by itself.")
    return line


@contextmanager
def _copy() -> Iterator[Path]:
    """A copy of what git knows or would add, of this run alone: neither the tree nor another run's copy changes."""
    COPIES.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=COPIES) as folder:
        _fill(Path(folder))
        yield Path(folder)


def _fill(target: Path) -> None:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for file in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0"):  # noqa: S603
        if file and Path(file).is_file():
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target / file)


@contextmanager
def _process(command: list[str], cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """A program of ours that ends with us, and reads and prints lines."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=cwd, stdin=pipe, stdout=pipe, text=True) as process:  # noqa: S603
        try:
            yield process
        finally:
            process.kill()


class Result(NamedTuple):
    """What became of a mutant."""

    mutant: Mutant
    killed: bool
    shown: str


def _tried(runners: SimpleQueue[Runner], made: Mapping[str, str], path: str) -> Result:
    known = Path(path).read_text()
    runner = runners.get()
    try:
        code, _ = runner.run(path, made["source"], runner.seconds[path])
    finally:
        runners.put(runner)
    return Result(Mutant.of(known, made), code != 0, diff(known, made["source"], path))


def _measured(runner: Runner, paths: list[str]) -> Runner:
    """The runner with the seconds that each module's tests may take; ends the program where they fail as they are."""
    seconds: dict[str, float] = {}
    known: dict[Stages, float] = {}
    for path in paths:
        began = time.monotonic()
        if TESTS[path] not in known:
            code, output = runner.run(path, Path(path).read_text(), SECONDS_AT_MOST)
            if code:
                sys.exit(f"The tests of {path} fail without a mutant (exit {code}):\n{output}")
            known[TESTS[path]] = time.monotonic() - began
        # A mutant that makes a loop endless is killed by the time; the machine may be busy.
        seconds[path] = 30 + 5 * known[TESTS[path]]
    return runner._replace(seconds=seconds)


def _results(options: argparse.Namespace, paths: list[str], runners: SimpleQueue[Runner]) -> Iterator[Result]:
    """What became of each mutant, until they end, the sample is complete or the time is over."""
    ends = time.monotonic() + options.minutes * 60
    with (
        _process([str(PYTHON), str(MADE), str(options.seed), *paths]) as maker,
        ThreadPoolExecutor(options.workers) as pool,
    ):
        made = map(json.loads, maker.stdout or ())
        pending: set[Any] = set()
        for number, mutant in enumerate(made, 1):
            pending.add(pool.submit(_tried, runners, mutant, mutant["path"]))
            if len(pending) >= options.workers:
                ended = next(as_completed(pending))
                pending.remove(ended)
                yield ended.result()
            if number == options.sample or time.monotonic() > ends:
                break
        yield from (ended.result() for ended in as_completed(pending))


def _report(results: list[Result], listed: Mapping[Mutant, str]) -> int:
    """Prints the count of each module and each survivor; the number of survivors that are not listed."""
    counts = Counter((result.mutant.module, result.killed) for result in results)
    for module in sorted({module for module, _ in counts}):
        print(f"{module:28} {counts[module, True]:5} killed {counts[module, False]:5} survived")
    survivors = [result for result in results if not result.killed]
    for result in survivors:
        print(f"\n{result.mutant.operator}: {listed.get(result.mutant, 'NOT LISTED')}\n{result.shown}")
    unlisted = [result for result in survivors if result.mutant not in listed]
    killed = len(results) - len(survivors)
    print(
        f"\n{killed} of {len(results)} killed ({killed / max(len(results), 1):.1%}), {len(unlisted)} survivors unlisted"
    )
    return len(unlisted)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides which mutants, and in which order")
    parser.add_argument("--sample", type=int, default=0, help="how many mutants; 0 is all that the time allows")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--module", default="", help="a part of the modules' paths")
    return parser.parse_args()


def main() -> int:
    """Runs as the options say; 1 if a mutant survives that is not listed."""
    options, runners = _options(), SimpleQueue[Runner]()
    # So that the copies are removed and the runners ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    paths = [path for path in TESTS if options.module in path]
    listed = read_listed(LIST.read_text())
    print(f"SEED={options.seed}: {len(paths)} modules, {options.minutes:g} minutes at most", flush=True)
    results: list[Result] = []
    with _runners(options.workers) as found:
        seconds = _measured(found[0], paths).seconds
        for runner in found:
            runners.put(runner._replace(seconds=seconds))
        for result in _results(options, paths, runners):
            results.append(result)
            word = "killed" if result.killed else "SURVIVED"
            changed = f"{result.mutant.line[:90]} -> {result.mutant.becomes[:90]}"
            print(f"{len(results):4} {word:8} {result.mutant.module}: {changed}", flush=True)
    return 1 if _report(results, listed) else 0


@contextmanager
def _runners(number: int) -> Iterator[list[Runner]]:
    if not number:
        yield []
        return
    command = [sys.executable, "-m", "tests.mutants.runner"]
    with _copy() as copy, _process(command, copy) as process, _runners(number - 1) as others:
        yield [Runner(process, {}), *others]


if __name__ == "__main__":
    sys.exit(main())
