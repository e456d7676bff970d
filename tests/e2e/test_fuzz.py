"""schemathesis against the local cloud, from docs/openapi.json: no server error, and nothing taken that it forbids.

`make test` fuzzes for twenty seconds; `make fuzz` sends at least 10,000 requests (FUZZ_REQUESTS) and shows how it goes.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok

from local.cloud import Stack
from local.deploy import Cloud
from tests.e2e import fuzzing
from tests.e2e.conftest import Caller

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "0"))
CONFIG = ROOT / "tests/e2e/schemathesis.toml"
SECONDS = 20
WORKERS = 4
AT_A_TIME = 20
AT_BOUNDARIES_SECONDS = 400
CALLS = {
    "POST /login",
    "POST /logout",
    "POST /open",
    "POST /signup",
    "POST /identify",
    "POST /track",
    "POST /push-token",
    "POST /batch",
    "POST /identity-tokens",
    "POST /dry-run",
    "GET /events/{eventId}",
    "GET /health",
}


@contextmanager
def _nothing_delivered(stack: Stack) -> Iterator[None]:
    """The door alone: what is accepted meanwhile is left in the queues, and thrown away at the end."""
    cloud = Cloud(stack.aws_endpoint, stack.region)
    functions, queues = cloud.client("lambda"), cloud.client("sqs")
    sources = [source["UUID"] for source in functions.list_event_source_mappings()["EventSourceMappings"]]
    for source in sources:
        functions.update_event_source_mapping(UUID=source, Enabled=False)
    try:
        yield
    finally:
        for url in queues.list_queues()["QueueUrls"]:
            queues.purge_queue(QueueUrl=url)
        for source in sources:
            functions.update_event_source_mapping(UUID=source, Enabled=True)


def _by_chance(stack: Stack, enough: Callable[[], bool]) -> list[str]:
    """Cases by chance for every call, until there are enough; what schemathesis has against the answers."""
    document = schemathesis.openapi.from_path(ROOT / "docs/openapi.json", config=SchemathesisConfig.from_path(CONFIG))
    document.config.update(base_url=stack.api_url)
    calls: list[Any] = [result.ok() for result in document.get_all_operations() if isinstance(result, Ok)]
    found: list[str] = []

    def send(case: Any) -> None:
        try:
            fuzzing.sent(case, stack.secret_key)
        except BaseExceptionGroup as failures:
            found.extend(f"{case.operation.label}: {failure}" for failure in failures.exceptions)

    with ThreadPoolExecutor(WORKERS) as several, ThreadPoolExecutor(1) as one:
        while not enough() and not found:
            for operation in calls:
                # A dry run asks six functions: side by side, that many more would have to start.
                asked, number = (one, AT_A_TIME // 5) if operation.path == "/dry-run" else (several, AT_A_TIME)
                for mode in schemathesis.GenerationMode:
                    list(asked.map(send, fuzzing.cases(operation, mode, number)))
    return found


def _at_boundaries(stack: Stack, folder: Path) -> dict[str, Any]:
    """Every boundary that the document has, for all calls, by schemathesis' own command."""
    tally = folder / "tally.json"
    command = (
        *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
        *("--config-file", str(CONFIG), "run", str(ROOT / "docs/openapi.json"), "--url", stack.api_url),
        *("--header", f"Authorization: Bearer {stack.secret_key}", "--no-color", "--workers", str(WORKERS)),
        *("--phases", "coverage", "--max-time", str(AT_BOUNDARIES_SECONDS)),
    )
    hooks = {"SCHEMATHESIS_HOOKS": "tests.e2e.fuzzing", "FUZZ_TALLY": str(tally), "PYTHONPATH": str(ROOT)}
    run = subprocess.run(  # noqa: S603 - our own arguments
        command, cwd=folder, env={**os.environ, **hooks}, capture_output=True, text=True, check=False
    )
    counted: dict[str, Any] = json.loads(tally.read_text())
    return counted | {"failed": "" if run.returncode == 0 else run.stdout[-8000:]}


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _warm(app: Caller) -> None:
    """Starts as many of the functions as will be asked at a time: their start is not what is looked at."""
    with ThreadPoolExecutor(WORKERS) as workers:
        for path in ("/login", "/identity-tokens"):
            list(workers.map(lambda _, path=path: app.call(path, {}, key="secret"), range(WORKERS)))
    app.call("/dry-run", {"type": "logout"}, key="secret")


def test_no_request_breaks_the_api_and_none_is_taken_that_the_document_forbids(app: Caller) -> None:
    _warm(app)
    ends = time.monotonic() + SECONDS  # at least one round, whatever it takes
    with _nothing_delivered(app.stack):
        found = _by_chance(app.stack, lambda: time.monotonic() > ends)
    seen = fuzzing.TALLY.seen()
    _say(f"{seen['requests']} requests: {seen['counts']}")
    assert seen["wrong"] == {"server errors": [], "accepted": [], "refused": []}
    assert found == []
    assert {" ".join(answered.split()[:2]) for answered in seen["answers"]} >= CALLS


@pytest.mark.skipif(not REQUESTS, reason="ten thousand requests take seven minutes: make fuzz makes them")
def test_at_length(app: Caller, tmp_path: Path) -> None:
    """`make fuzz`: boundaries of every call, then chance until there are enough; says how it goes."""
    _warm(app)
    answers, counts = Counter[str](), Counter[str]()

    def tell(seen: dict[str, Any]) -> None:
        found = {kind: number + counts[kind] for kind, number in seen["counts"].items()}
        _say(f"{seen['requests'] + answers.total()} requests: {found}")

    def enough() -> bool:
        tell(fuzzing.TALLY.seen())
        sent: int = fuzzing.TALLY.seen()["requests"]
        return sent + answers.total() >= REQUESTS

    with _nothing_delivered(app.stack):
        seen = _at_boundaries(app.stack, tmp_path)
        answers.update(seen["answers"])
        counts.update(seen["counts"])
        _say(f"{seen['requests']} requests at the document's boundaries: {seen['counts']}")
        assert seen["wrong"] == {"server errors": [], "accepted": [], "refused": []}
        assert seen["failed"] == ""
        found = _by_chance(app.stack, enough)
    assert fuzzing.TALLY.seen()["wrong"] == {"server errors": [], "accepted": [], "refused": []}
    assert found == []
