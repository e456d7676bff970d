"""A local cloud in the background: `up` starts it, `down` ends it, and it ends by itself after eight hours."""

import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from local.cloud import HOME, ROOT, Stack, running, warm
from local.deploy import STAGE, added_agents

LIFETIME_SECONDS = 8 * 3600
START_SECONDS = 300
END_SECONDS = 120
"""Deleting what the emulator unpacked takes most of it on a slow disk."""
STACK = HOME / "stack.json"
ENVIRONMENT = HOME / "env"
_PID = HOME / "up.pid"
_LOG = HOME / "up.log"


def up() -> int:
    """Starts a local cloud, shows its progress, and leaves it running."""
    HOME.mkdir(exist_ok=True)
    if _is_running() and STACK.exists():
        print(welcome(_read_stack()))
        return 0
    _unpublish()
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
    print(welcome(_read_stack()))
    return 0


def welcome(stack: Mapping[str, str]) -> str:
    """Says what to do with the running cloud: a first call that can be pasted as it is comes first."""
    body = json.dumps({"customerId": "12345"})
    return f"""
The local cloud is up, for eight hours at most; `make down` ends it.

A first login:
  curl -s {stack["apiUrl"]}/login -H 'Authorization: Bearer {stack["publicKey"]}' \\
    -H 'Content-Type: application/json' -d '{body}'

The console, in a browser:
  {stack["sandboxUrl"]}

Addresses and keys for this shell, then relay and curl:
  set -a; . {_shown(ENVIRONMENT)}; set +a
  relay status
  curl -s $API/health
"""


def environment_file(stack: Mapping[str, str]) -> str:
    """Writes the local cloud as a file for the shell (`set -a; . .local/env`): for `relay`, `aws` and curl.

    `relay` is found by PATH, and the caller's own AWS profile has no effect.
    """
    values = {
        "API": stack["apiUrl"],
        "PUBLIC_KEY": stack["publicKey"],
        "SECRET_KEY": stack["secretKey"],
        "SANDBOX": stack["sandboxUrl"],
        "AWS_ENDPOINT_URL": stack["awsEndpoint"],
        "AWS_REGION": stack["region"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "RELAY_STAGE": STAGE,
        "RELAY_APP": stack["appId"],
        "RELAY_KEY": stack["secretKey"],
    }
    lines = [f"{name}={shlex.quote(value)}" for name, value in values.items()]
    path = f'case ":$PATH:" in *:{ROOT}/ops:*) ;; *) PATH={shlex.quote(f"{ROOT}/ops")}:$PATH ;; esac'
    return "\n".join(["unset AWS_PROFILE AWS_DEFAULT_REGION AWS_SESSION_TOKEN", *lines, path, ""])


def _read_stack() -> dict[str, str]:
    stack: dict[str, str] = json.loads(STACK.read_text())
    return stack


def _publish(stack: Stack) -> None:
    """Writes the files that say where the cloud is; `stack.json` last, since `up` waits for it."""
    ENVIRONMENT.touch(mode=0o600)
    ENVIRONMENT.chmod(0o600)
    ENVIRONMENT.write_text(environment_file(stack.document()))
    stack.write(STACK)


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
    deadline = time.monotonic() + END_SECONDS
    while _is_running() and time.monotonic() < deadline:
        time.sleep(0.05)
    _unpublish()


def _unpublish() -> None:
    for path in (STACK, ENVIRONMENT):
        path.unlink(missing_ok=True)


def serve() -> int:
    """Runs the local cloud until it is ended or its lifetime is over."""
    HOME.mkdir(exist_ok=True)
    with _PID.open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with running("up", lambda line: print(f"  {line}", flush=True), added_agents()) as stack:
            warm(stack)
            print("  the functions have started", flush=True)
            _publish(stack)
            time.sleep(LIFETIME_SECONDS)
    return 0


def _is_running() -> bool:
    """Whether a process holds the lock: the process id alone may be another process' by now."""
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
