"""The demo: the main job once, on a local cloud of its own, with what became of every event at every agent."""

import json
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import requests
from rich.console import Console
from rich.table import Table

from local.cloud import HOME, Stack, running
from local.deploy import Cloud, wait_for
from local.settings import agents
from local.story import STEPS, Step

SETTLED = {"delivered", "unconfirmed", "skipped", "expired", "parked"}
PROMISED = {"delivered", "unconfirmed", "skipped"}
SETTLE_SECONDS = 60.0
RESULT = HOME / "demo.json"
TABLE_WIDTH = 120

STYLES = {"delivered": "green", "unconfirmed": "cyan", "skipped": "yellow"}


@dataclass(frozen=True)
class Row:
    """What became of one event at one agent; milliseconds run from the call to the agent's request, or to the skip."""

    event: str
    event_id: str
    agent: str
    sent: list[str] = field(default_factory=list)
    state: str = ""
    reason: str = ""
    milliseconds: int = 0
    violations: list[str] = field(default_factory=list)


def main() -> int:
    """Brings a local cloud up, tells the story, takes the cloud down, shows the table; 1 if a promise was broken."""
    console = Console()
    # Piped into a file or a CI log, the table keeps the width that it needs.
    console = console if console.is_terminal else Console(width=TABLE_WIDTH)
    started = time.monotonic()
    console.print("[bold]session-relay[/bold]: one call in, every agent told. Starting the local cloud:")
    with running("demo", lambda line: console.print(f"  {time.monotonic() - started:4.0f} s  {line}")) as stack:
        rows = [row for step in STEPS for row in _tell(step, stack, console)]
    _show(rows, console)
    console.print("The first event waits for every function to start; the others find them warm.")
    RESULT.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    broken = [row for row in rows if row.state not in PROMISED or row.violations]
    for row in broken:
        console.print(f"[red]{row.event} at {row.agent}: {row.state} {row.reason} {'; '.join(row.violations)}[/red]")
    console.print(
        f"{len(rows)} deliveries of {len(STEPS)} events, {len(broken)} broken promises, "
        f"{time.monotonic() - started:.0f} s in all; the same as JSON: {RESULT.relative_to(HOME.parent)}"
    )
    return 1 if broken else 0


def _tell(step: Step, stack: Stack, console: Console) -> list[Row]:
    before = len(_requests(stack))
    called = time.time()
    answer = requests.post(
        stack.api_url + step.path,
        json=step.body,
        headers={"authorization": f"Bearer {stack.public_key}"},
        timeout=30,
    )
    took = time.time() - called
    event_id = str(answer.json().get("eventId", ""))
    console.print(f"  POST /v1{step.path} ({step.title}): {answer.status_code} in {took * 1000:.0f} ms")
    cloud = Cloud(stack.aws_endpoint, stack.region)
    lines: dict[str, dict[str, Any]] = {}

    def settled() -> bool:
        for line in cloud.log_lines(called - 1):
            if line.get("event_id") == event_id and line.get("message") in SETTLED:
                lines[line["agent"]] = line
        return lines.keys() >= agents("").keys()

    wait_for(settled, SETTLE_SECONDS)
    requests_since = _requests(stack)[before:]
    rows = []
    for agent in agents(""):
        own = [request for request in requests_since if request["agent"] == agent]
        rows.append(_row(Row(step.title, event_id, agent), called, lines.get(agent, {}), own))
    return rows


def _row(row: Row, called: float, line: dict[str, Any], received: list[dict[str, Any]]) -> Row:
    moments = [request["receivedAt"] for request in received] or [line["timestamp"]] if line else []
    return replace(
        row,
        sent=[f"{request['method']} {request['path']}" for request in received],
        state=line.get("message", "not settled"),
        reason=line.get("reason", ""),
        milliseconds=round((datetime.fromisoformat(moments[-1]).timestamp() - called) * 1000) if moments else 0,
        violations=[violation for request in received for violation in request["violations"]],
    )


def _requests(stack: Stack) -> list[dict[str, Any]]:
    received: list[dict[str, Any]] = requests.get(f"{stack.sandbox_url}/_requests", timeout=10).json()["requests"]
    return received


def _show(rows: list[Row], console: Console) -> None:
    table = Table(title="What became of each event at each agent", title_justify="left")
    for name in ("event", "agent", "sent", "became", "why"):
        table.add_column(name, overflow="fold")
    table.add_column("ms", justify="right")
    for position, row in enumerate(rows):
        first = position == 0 or rows[position - 1].event != row.event
        took = str(row.milliseconds)
        became = f"[{STYLES.get(row.state, 'red')}]{row.state}[/]"
        table.add_row(
            row.event if first else "", row.agent, "\n".join(row.sent), became, row.reason.split(",")[0], took
        )
        if position + 1 < len(rows) and rows[position + 1].event != row.event:
            table.add_section()
    console.print(table)
