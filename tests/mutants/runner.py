"""Runs the tests of one mutant after another in this copy of the tree, each in a fork that has loaded the libraries.

Reads a line of JSON for each (`path`, `source`, `stages`, `seconds`); answers with its exit code and its output.
"""

import importlib
import json
import os
import select
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

# What most of a test's start goes to; nothing of the rooms that have mutants.
LIBRARIES = (
    "boto3", "cryptography.fernet", "hypothesis.stateful", "moto", "moto.dynamodb.models", "moto.sns.models",
    "moto.sqs.models", "moto.ssm.models", "phonenumbers", "relay.aws.clients", "relay.event.model", "requests",
)  # fmt: skip
OPTIONS = (
    *("-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", "--tb=short"),
    # A library that is there already has no assertions of ours.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)


def run(path: Path, source: str, stages: list[list[str]], seconds: float) -> tuple[int, str]:
    """The exit code of the first tests that fail with this source in a module's place, and their output.

    0 where all pass, -1 where a stage takes longer than the seconds.
    """
    known = path.read_text()
    output = Path("output.txt")
    try:
        path.write_text(source)
        for tests in stages:
            code = _forked(tests, output, seconds)
            if code:
                return code, output.read_text(errors="replace")
        return 0, ""
    finally:
        path.write_text(known)


def _forked(tests: list[str], output: Path, seconds: float) -> int:
    child = os.fork()
    if not child:
        _test(tests, output)
    return _ended(child, seconds)


def _test(tests: list[str], output: Path) -> None:
    os.setsid()
    with output.open("w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    code = 3
    try:
        code = int(pytest.main([*OPTIONS, *tests]))
    except BaseException:  # noqa: BLE001 - it is shown, and the fork must end here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _ended(child: int, seconds: float) -> int:
    watched = os.pidfd_open(child)
    try:
        if not select.select([watched], [], [], seconds)[0]:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -1
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        os.close(watched)


def _answer(work: dict[str, Any]) -> str:
    code, output = run(Path(work["path"]), work["source"], work["stages"], work["seconds"])
    return json.dumps({"code": code, "output": output[-4000:]})


if __name__ == "__main__":
    for library in LIBRARIES:
        importlib.import_module(library)
    for line in sys.stdin:
        print(_answer(json.loads(line)), flush=True)
