"""Child processes that never outlive their parent, and free ports for them."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GRACE_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1


class DidNotStartError(Exception):
    """A process ended, or did not answer in time; the message ends with the last lines that it wrote."""


@dataclass(frozen=True)
class Child:
    """A server that we started, in a process group of its own, writing to a log file."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(cls, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> "Child":
        """Starts a server in a session of its own: Ctrl-C reaches this process alone, which then ends the server."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - the parent has one thread when it starts servers
            )
        return cls(name, process, log)

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Returns once the server answers.

        Raises:
            DidNotStartError: it ended or did not answer within this time.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            if ready():
                return
            time.sleep(0.05)
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        raise DidNotStartError(f"{self.name} did not start; its log ends with:\n{tail}")

    def end(self) -> None:
        """Ends the server and everything that it started."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, sign)
            except ProcessLookupError:
                break
            try:
                self.process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                continue
        # Its own children may outlive it by a moment.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def free_port() -> int:
    """Finds a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end_with_parent() -> None:
    # Linux ends the server for us if we are killed before we can.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
