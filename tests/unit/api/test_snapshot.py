"""What the functions that callers wait for make ahead where Lambda keeps a snapshot of them, and only there."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from bench import samples

_ASKED = """
import app, json
from relay.aws import clients
print(json.dumps([name for name in ("sns", "dynamodb", "ssm") if getattr(clients, name).cache_info().currsize]))
"""


@pytest.mark.parametrize(("function", "made"), [("ingest", ["sns", "dynamodb"]), ("authorizer", ["ssm"])])
def test_clients_are_made_before_a_snapshot_and_at_their_first_use_else(function: str, made: list[str]) -> None:
    paths = [f"functions/{function}", "layers/runtime", sysconfig.get_paths()["purelib"]]
    for kind, expected in (("snap-start", made), ("on-demand", [])):
        completed = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-S", "-c", _ASKED],
            env={
                **os.environ,
                **samples.environment("http://127.0.0.1:1"),
                "AWS_LAMBDA_INITIALIZATION_TYPE": kind,
                "PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in paths),
            },
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(completed.stdout) == expected
