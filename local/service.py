"""A local cloud in the background: `up` starts it, `down` ends it, and it ends by itself after eight hours."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from local.cloud import HOME, ROOT, running

LIFETIME_SECONDS = 8 * 3600
START_SECONDS = 300
STACK = HOME / "stack.json"
_PID = HOME / "up.pid"
_LOG = HOME / "up.log"


def up() -> int:
    """Starts a local cloud, shows its progress, and leaves it running."""
    HOME.mkdir(exist_ok=True)
    if _is_running():
        print(f"The local cloud is already up; {_shown(STACK)} says where.")
        return 0
    STACK.unlink(missing_ok=True)
    with _LOG.open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "local", "serve"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        started = _follow(server)
    except KeyboardInterrupt:
        _end(server.pid)
        raise
    if not started:
        _end(server.pid)
        return 1
    told = STACK.read_text()
    print(f"The local cloud is up; {_shown(STACK)} says where. `make down` ends it.\n{told}", end="")
    print(f"Its console, to open in a browser: {json.loads(told)['sandboxUrl']}")
    return 0


def _follow(server: subprocess.Popen[bytes]) -> bool:
    shown, deadline = 0, time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        lines = _LOG.read_text(errors="replace")
        print(lines[shown:], end="", flush=True)
        shown = len(lines)
        if STACK.exists():
            return True
        if server.poll() is not None:
            return False
        time.sleep(0.1)
    return False


def down() -> int:
    """Ends the local cloud that `up` started, if there is one."""
    if not _is_running():
        print("The local cloud is not up.")
        return 0
    _end(int(_PID.read_text()))
    print("The local cloud is down.")
    return 0


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    deadline = time.monotonic() + 30
    while _is_running() and time.monotonic() < deadline:
        time.sleep(0.05)
    STACK.unlink(missing_ok=True)


def serve() -> int:
    """Is the local cloud until it is ended or its lifetime is over."""
    HOME.mkdir(exist_ok=True)
    with _PID.open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with running("up", lambda line: print(f"  {line}", flush=True)) as stack:
            stack.write(STACK)
            time.sleep(LIFETIME_SECONDS)
    return 0


def _is_running() -> bool:
    """Whether some process holds the lock: a process id alone might be somebody else's by now."""
    if not _PID.exists():
        return False
    with _PID.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT))
