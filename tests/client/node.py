"""Node, as it is installed here, for what runs the client without a browser and for the tools of its package."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "clients/javascript"
LIMIT_SECONDS = 60


def run(*command: str, text: str | None = None) -> str:
    """What a command of Node's prints; no test is skipped where REQUIRE_NODE is set, as CI does."""
    program = shutil.which(command[0])
    if program is None:
        _absent("no Node here: apt-get install nodejs")
    ended = subprocess.run(  # noqa: S603 - the package's own commands
        [str(program), *command[1:]],
        cwd=PACKAGE,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def tool(name: str, *arguments: str) -> str:
    """What a tool of the package's lock prints."""
    program = ROOT / ".local/client/node_modules/.bin" / name
    if not program.exists():
        _absent("the package's tools are not installed: make .local/client.ready")
    return run("node", str(program), *arguments)


def _absent(what: str) -> None:
    if os.environ.get("REQUIRE_NODE"):
        pytest.fail(what)
    pytest.skip(what)
