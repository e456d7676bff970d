"""A revision of this project beside the tree: checked out, built with its own layer, run by its handlers alone.

Nothing here or in `against` imports what is inside a revision: names there may differ. What both have in common is
the template, the functions' folders with `handler` in `app.py`, the API, and the local cloud's settings of the agents.
"""

import compileall
import json
import os
import py_compile
import runpy
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Self

from bench import invocations, samples
from bench.fakes import HOME
from bench.measure import Say
from local import cloud, deploy


class UnknownRevisionError(Exception):
    """Git knows no such commit; the message names it."""


@dataclass(frozen=True)
class Revision:
    """A tree of the project and its built artifacts; without these it runs from its sources and what is installed."""

    name: str
    tree: Path
    build: Path | None = None

    def code(self, function: str) -> list[Path]:
        """Where the function's code is, in the order of the import path."""
        if self.build:
            return [self.build / f"{invocations.FOLDERS[function]}Function", self.build / "RuntimeLayer/python"]
        folder = "functions/agents" if function in samples.AGENTS else "functions"
        return [self.tree / folder / function, self.tree / "layers/runtime", Path(sysconfig.get_paths()["purelib"])]

    def agents(self, url: str) -> Mapping[str, Mapping[str, Any]]:
        """The agents' settings as this revision validates them, leading to this URL."""
        settings: Mapping[str, Mapping[str, Any]] = runpy.run_path(str(self.tree / "local/settings.py"))["agents"](url)
        return settings


@contextmanager
def both(revision: str, say: Say, *, from_sources: bool = False) -> Iterator[tuple[Revision, Revision]]:
    """This tree and another revision for as long as the block lasts, each built with the layer that it locks.

    Raises:
        UnknownRevisionError: there is no such commit.
    """
    commit = _commit(revision)
    HOME.mkdir(parents=True, exist_ok=True)
    place = Path(mkdtemp(prefix="against-", dir=HOME))
    _git("worktree", "add", "--quiet", "--detach", str(place / "tree"), commit)
    try:
        trees = {"this tree": samples.ROOT, commit[:9]: place / "tree"}
        ours, theirs = (
            Revision(name, tree, None if from_sources else _built(name, tree, place, say))
            for name, tree in trees.items()
        )
        yield ours, theirs
    finally:
        _git("worktree", "remove", "--force", str(place / "tree"))
        shutil.rmtree(place)


def _commit(revision: str) -> str:
    try:
        return _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").strip()
    except subprocess.CalledProcessError:
        raise UnknownRevisionError(f"git knows no commit {revision!r} here") from None


def _git(*arguments: str) -> str:
    git = shutil.which("git") or "git"
    return subprocess.run([git, *arguments], cwd=samples.ROOT, capture_output=True, text=True, check=True).stdout


def _built(name: str, tree: Path, place: Path, say: Say) -> Path:
    """The artifacts of a tree, by the real SAM CLI for this machine, with bytecode as a deployment has it."""
    say(f"building {name}")
    to = place / f"build-{tree.name}"
    options = {"--template-file": tree / "template.yaml", "--config-file": tree / "samconfig.toml", "--build-dir": to}
    options["--cache-dir"] = place / f"cache-{tree.name}"
    parameters = [f"{each}={deploy.PARAMETERS[each]}" for each in ("PythonRuntime", "Architecture")]
    ended = subprocess.run(
        [
            *(str(deploy.SAM), "build", *(str(part) for option in options.items() for part in option)),
            *("--parameter-overrides", *parameters),
        ],
        cwd=tree,
        env=cloud.environment("http://127.0.0.1:1", place),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise deploy.ToolFailedError(f"sam build of {name} ended with {ended.returncode}:\n{ended.stderr[-3000:]}")
    for folder in to.glob("*Function"):
        compileall.compile_dir(folder, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    return to


class Warm:
    """A function of a revision that stays warm between invocations; `url` is where its AWS and agents are."""

    def __init__(self, revision: Revision, function: str, url: str) -> None:
        self._function = function
        path = [*revision.code(function), samples.ROOT]
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-m", "bench.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**samples.environment(url, function), "PYTHONPATH": os.pathsep.join(map(str, path))},
            text=True,
        )

    def __enter__(self) -> Self:
        """The function, which has been started."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()

    def invoke(self, events: Sequence[object], is_done: Callable[[Any], bool], between: object = None) -> list[float]:
        """The processor's seconds of an invocation with each event; `between` is invoked before each, unmeasured.

        Raises:
            AssertionError: the function returned what `is_done` does not take for its work.
            RuntimeError: its process ended.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise TypeError("pipes were asked for")
        self._process.stdin.write(json.dumps({"events": events, "between": between}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._function} ended; what it said is above")
        response = json.loads(line)
        for answer in response["answers"]:
            if not is_done(answer):
                raise AssertionError(f"{self._function} returned {answer}")
        seconds: list[float] = response["processor"]
        return seconds
