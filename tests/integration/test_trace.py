"""Traces: what the X-Ray daemon receives, in a process of its own as a function is one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
EMAIL, PHONE = "somebody@example.com", "+15550100"

FUNCTION = f"""
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from relay.aws.trace import annotate, traced

def handler(event, context):
    with ThreadPoolExecutor(2) as threads:
        texts = [threads.submit(annotate, event_id=f"e{{n}}", state="delivered", agent="emarsys", app="shop",
                               attempt=n, milliseconds=500) for n in (1, 2)]
        [one.result() for one in texts]
    if event.get("fail"):
        raise ValueError("{EMAIL}")
    return {{"email": "{EMAIL}"}}

handle = traced(handler)
context = SimpleNamespace(aws_request_id="r1")
print(handle is handler, "aws_xray_sdk" in sys.modules, "aws_lambda_powertools" in sys.modules)
handle({{"phone": "{PHONE}"}}, context)
try:
    handle({{"phone": "{PHONE}", "fail": True}}, context)
except ValueError:
    print("raised")
"""


def _run(tracing: str, daemon: str) -> list[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "layers/runtime"),
        "TRACING": tracing,
        "LAMBDA_TASK_ROOT": "/var/task",
        "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
        "AWS_XRAY_DAEMON_ADDRESS": daemon,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    run = subprocess.run(  # noqa: S603 - this interpreter, this text
        [sys.executable, "-c", FUNCTION], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


def _segments(daemon: socket.socket) -> list[dict[str, Any]]:
    daemon.settimeout(0.5)
    found: list[dict[str, Any]] = []
    while True:
        try:
            header, _, document = daemon.recv(65536).decode().partition("\n")
        except TimeoutError:
            return found
        assert json.loads(header) == {"format": "json", "version": 1}
        found.append(json.loads(document))


def _traced(tracing: str) -> tuple[list[str], list[dict[str, Any]]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        printed = _run(tracing, f"127.0.0.1:{daemon.getsockname()[1]}")
        return printed, _segments(daemon)


def test_where_tracing_is_off_the_handler_is_the_handler_and_nothing_is_imported() -> None:
    printed, segments = _traced("PassThrough")
    assert printed == ["True", "False", "False", "raised"]
    assert segments == []


def test_where_tracing_is_on_each_delivery_is_a_part_of_its_invocation() -> None:
    printed, segments = _traced("Active")
    assert printed == ["False", "True", "True", "raised"]
    assert [segment["name"] for segment in segments] == ["invocation", "invocation"]
    assert [segment.get("fault") for segment in segments] == [None, True]
    invocation = segments[0]
    assert (invocation["trace_id"], invocation["parent_id"]) == (
        "1-5759e988-bd862e3fe1be46a994272793",
        "53995c3f42cd8ad8",
    )
    deliveries = sorted(invocation["subsegments"], key=lambda one: one["annotations"]["attempt"])
    assert [one["name"] for one in deliveries] == ["emarsys", "emarsys"]
    assert [one["annotations"] for one in deliveries] == [
        {"event_id": "e1", "state": "delivered", "agent": "emarsys", "app": "shop", "attempt": 1},
        {"event_id": "e2", "state": "delivered", "agent": "emarsys", "app": "shop", "attempt": 2},
    ]
    assert [round(one["end_time"] - one["start_time"], 3) for one in deliveries] == [0.5, 0.5]


def test_neither_what_a_function_takes_nor_what_it_answers_or_raises_is_in_a_trace() -> None:
    _, segments = _traced("Active")
    assert len(segments) == 2
    texts = json.dumps(segments)
    assert EMAIL not in texts
    assert PHONE not in texts
