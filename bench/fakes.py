"""What is outside a function: AWS and the agents, played by the stub, and a fresh interpreter's packages."""

import compileall
import importlib.util
import json
import os
import py_compile
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import samples
from bench.measure import Say
from local import cloud, deploy, settings
from local.processes import free_port

HOME = samples.ROOT / ".local/bench"
_BOTOCORE = ("botocore", "dateutil", "jmespath", "urllib3")
Agents = Callable[[str], Mapping[str, Mapping[str, Any]]]
_SERVICES = ("dynamodb", "lambda", "sns", "sqs", "ssm")


@dataclass(frozen=True)
class Fakes:
    """A running stub, by its URL."""

    url: str

    def counts(self) -> dict[str, dict[str, int]]:
        """How often each call was made since this was last asked, and the bytes of their bodies."""
        with urllib.request.urlopen(f"{self.url}/_counts", timeout=5) as answer:  # noqa: S310 - our own http address
            counts: dict[str, dict[str, int]] = json.load(answer)
        return counts

    def bodies(self) -> dict[str, list[str]]:
        """The bodies of the last publishes and invocations, by call."""
        with urllib.request.urlopen(f"{self.url}/_bodies", timeout=5) as answer:  # noqa: S310 - our own http address
            bodies: dict[str, list[str]] = json.load(answer)
        return bodies


@contextmanager
def answering(aws_ms: float = 0, agent_ms: float = 0, agents: Agents = settings.agents) -> Iterator[Fakes]:
    """AWS and the agents for as long as the block lasts, each answering after so many milliseconds.

    `agents` makes the agents' settings that SSM holds, from the URL that they are to lead to.
    """
    port = free_port()
    fakes = Fakes(f"http://127.0.0.1:{port}")
    command = [sys.executable, "-m", "bench.stub", str(port), str(aws_ms), str(agent_ms)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=samples.ROOT, env=_environment({})) as stub:
        try:
            if stub.stdin:
                stub.stdin.write(json.dumps(samples.stored(agents(fakes.url))).encode())
                stub.stdin.close()
            _await(fakes)
            yield fakes
        finally:
            stub.terminate()


def _await(fakes: Fakes) -> None:
    for _ in range(200):
        try:
            fakes.counts()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("the stub does not answer")


def run(
    arguments: list[str], own: Mapping[str, str], given: object = None, within: Path | None = None
) -> tuple[dict[str, Any], str]:
    """Runs our Python with these variables and this JSON on standard input; the JSON that it says last, and its output.

    `within` is the file of a cgroup that takes its processes' ids.

    Raises:
        RuntimeError: it ended with an error; the message is the last that it wrote.
    """
    # The shell joins the group, and becomes our Python.
    joining = ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', str(within)] if within else []
    ended = subprocess.run(
        [*joining, sys.executable, *arguments],
        input=json.dumps(given),
        env=_environment(own),
        cwd=samples.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    reports = [line for line in ended.stderr.splitlines() if line.startswith('{"')]
    if ended.returncode or not reports:
        raise RuntimeError(ended.stderr[-3000:])
    return {**json.loads(reports[-1]), "stderr": ended.stderr}, ended.stdout


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON", "POWERTOOLS"))}
    paths = os.pathsep.join([str(samples.ROOT), str(samples.ROOT / "layers/runtime")])
    return {**kept, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", **own}


def built(say: Say) -> Path:
    """A folder with the functions' built artifacts, built by the real SAM CLI as the local cloud builds them."""
    HOME.mkdir(parents=True, exist_ok=True)
    copied = HOME / "build"
    with cloud.only_one_at_a_time():
        deploy.build(cloud.environment("http://127.0.0.1:1", HOME), say)
        shutil.rmtree(copied, ignore_errors=True)
        shutil.copytree(deploy.BUILD, copied)
    return copied


def published_botocore() -> Path:
    """A folder with botocore as its authors publish it and what it needs, with bytecode: the floor's packages.

    Of the services that it describes those that we call, whole.
    """
    floor = HOME / "floor"
    shutil.rmtree(floor, ignore_errors=True)
    for name in _BOTOCORE:
        shutil.copytree(_folder(name), floor / name, ignore=_not_needed)
    shutil.copy(_folder("dateutil").parent / "six.py", floor)
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(floor, quiet=1, invalidation_mode=unchecked)
    return floor


def _folder(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(package)
    return Path(found.origin).parent


def _not_needed(folder: str, names: list[str]) -> list[str]:
    others = Path(folder).name == "data" and Path(folder).parent.name == "botocore"
    return [
        name
        for name in names
        if name == "__pycache__" or (others and name not in _SERVICES and not name.endswith(".json"))
    ]
