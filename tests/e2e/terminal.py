"""The operator's command line as a person or a script runs it, against the local cloud."""

import fcntl
import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.cloud import Stack
from local.deploy import STAGE

RELAY = str(Path(sys.executable).parent / "relay")
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Run:
    """How a command ended: its exit code, its standard output and its standard error."""

    code: int
    out: str
    stderr: str = ""

    @property
    def json(self) -> Any:
        """The answer as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Terminal:
    """Runs `relay` with the local cloud for an AWS account."""

    stack: Stack

    def relay(self, *arguments: str, given: str = "", **environment: str) -> Run:
        """One command in a pipe, with this standard input."""
        made = subprocess.run(  # noqa: S603 - our own command
            [RELAY, *arguments],
            env=self._environment(environment),
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        return Run(made.returncode, made.stdout, made.stderr)

    def well(self, *arguments: str, given: str = "", **environment: str) -> Run:
        """One command that must end with 0."""
        run = self.relay(*arguments, given=given, **environment)
        assert run.code == 0, (arguments, run)
        return run

    def answered(self, *arguments: str, given: str = "") -> Any:
        """The JSON answer of a command that must end with 0."""
        return self.well(*arguments, "--json", given=given).json

    def typed(self, *arguments: str, answers: Iterable[tuple[str, str]] = (), columns: int = 160) -> Run:
        """One command at a terminal, where a person types each answer once its prompt is there."""
        person, terminal = pty.openpty()
        process = subprocess.Popen(  # noqa: S603 - our own command
            [RELAY, *arguments],
            env=self._environment({"COLUMNS": str(columns), "TERM": "xterm-256color"}),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - a password needs a terminal of its own
        )
        os.close(terminal)
        try:
            seen = ""
            for prompt, answer in answers:
                seen += _read(person, prompt)
                os.write(person, f"{answer}\n".encode())
            seen += _read(person, None)
            return Run(process.wait(timeout=PATIENCE_SECONDS), seen)
        finally:
            os.close(person)
            process.kill()
            process.wait()

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RELAY_", "PYTHON"))}
        aws = {
            "AWS_ENDPOINT_URL": self.stack.aws_endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": self.stack.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        known = {**own, **aws, "RELAY_STAGE": STAGE, "RELAY_KEY": self.stack.secret_key, **more}
        return {name: value for name, value in known.items() if value}


def _read(person: int, until: str | None) -> str:
    """What the terminal shows until this text is there, or until the command has ended."""
    seen, ends = "", time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < ends:
        if not select.select([person], [], [], 0.2)[0]:
            continue
        try:
            piece = os.read(person, 65536).decode(errors="replace")
        except OSError:
            return seen
        if not piece:
            return seen
        seen += piece
        if until is not None and until in plain(seen):
            return seen
    raise AssertionError(f"{until!r} does not come: {seen}")


def plain(text: str) -> str:
    """What a terminal shows, without its colours."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
