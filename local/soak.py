"""The soak: thousands of events while every agent fails now and then; each delivery is accounted for."""

import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from statistics import quantiles
from typing import Any

import requests
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from local.cloud import HOME, Stack, running
from local.deploy import STAGE, Cloud
from local.soak_account import SETTLED, Account, Evidence, account_of, document, show
from local.soak_life import DEVICES, LIFE, Sent

LIMIT_SECONDS = 540.0
ISOLATION_EVENTS = 300
ISOLATION_PER_SECOND = 10
DEAD = "facebook"
RESULT = HOME / "soak.json"
TABLE_WIDTH = 120


# About one request in ten fails; a hang takes five seconds of a whole batch, so there are few.
FAULTS: list[dict[str, Any]] = [
    {"chance": 0.03, "status": 503},
    {"chance": 0.02, "status": 429, "retryAfter": 1},
    {"chance": 0.02, "reset": True},
    {"chance": 0.015, "reset": True, "afterWork": True},
    {"chance": 0.01, "status": 500, "body": "<html>broken</html>"},
    {"chance": 0.005, "status": 422, "body": "no"},
    {"chance": 0.0005, "delaySeconds": 6},
]

ISOLATION: dict[str, dict[str, Any] | None] = {"all well": None, f"{DEAD} hangs": {"delaySeconds": 6}}
"""The same load twice: once with all agents healthy, once with one that never responds in time."""


class Soak:
    """A running local cloud under load."""

    def __init__(self, stack: Stack, console: Console, ends: float) -> None:
        self.stack, self.console, self.ends = stack, console, ends
        self.cloud = Cloud(stack.aws_endpoint, stack.region)
        self.accepted: dict[str, float] = {}

    def hears(self) -> dict[str, set[str]]:
        """Returns the types of event that each deployed agent receives."""
        path = f"/session-relay/{STAGE}/catalogue"
        entries = self.cloud.client("ssm").get_parameters_by_path(Path=path)["Parameters"]
        return {
            entry["Name"].rsplit("/", 1)[1]: set(json.loads(entry["Value"])["events"].split(",")) for entry in entries
        }

    def send(self, events: list[Sent], progress: Callable[[int], None]) -> None:
        """Sends the events a hundred at a time, each device's in its own order."""
        for start in range(0, len(events), 100):
            chunk = events[start : start + 100]
            now = int(time.time() * 1000) - 1000
            answer = requests.post(
                f"{self.stack.api_url}/batch",
                json={"events": [event.body(now + position) for position, event in enumerate(chunk)]},
                headers={"authorization": f"Bearer {self.stack.secret_key}"},
                timeout=60,
            )
            answered = time.time()
            results = answer.json()["results"]
            self.accepted |= {r["eventId"]: answered for r in results if r["status"] == 202}  # noqa: PLR2004
            progress(len(chunk))

    def rows(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Every receipt of the ledger, by event id and agent."""
        (table,) = self.cloud.client("dynamodb").list_tables()["TableNames"]
        pages = self.cloud.client("dynamodb").get_paginator("scan").paginate(TableName=table)
        rows = (row for page in pages for row in page["Items"] if row["event"]["S"].startswith(f"{self.stack.app_id}#"))
        return {(row["event"]["S"].split("#", 1)[1], row["agent"]["S"].partition("#")[0]): row for row in rows}

    def wait(self, wanted: set[tuple[str, str]], states: set[str], progress: Callable[[int], None]) -> None:
        """Waits until these deliveries are in one of these states, or the time is over."""
        before = 0
        while time.monotonic() < self.ends:
            rows = self.rows()
            there = sum(1 for key in wanted if rows.get(key, {}).get("state", {}).get("S") in states)
            progress(there - before)
            before = there
            if there == len(wanted):
                return
            time.sleep(2)

    def fault(self, agents: Iterator[str] | list[str], faults: list[dict[str, Any]] | dict[str, Any]) -> None:
        """Makes agents fail in these ways from now on."""
        for agent in agents:
            requests.put(f"{self.stack.sandbox_url}/_faults/{agent}", json=faults, timeout=10).raise_for_status()

    def heal(self) -> None:
        """Ends all faults."""
        requests.delete(f"{self.stack.sandbox_url}/_faults", timeout=10).raise_for_status()

    def redrive(self) -> None:
        """Starts SQS' own move task from every agent's dead-letter queue back to its queue."""
        queues = self.cloud.client("sqs")
        urls = {url.rsplit("/", 1)[1]: url for url in queues.list_queues()["QueueUrls"]}
        arns = {
            name: queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            for name, url in urls.items()
        }
        for name, arn in arns.items():
            if "DeadLetterQueue" in name:
                agent = name.split("DeadLetterQueue")[0]
                home = next(other for other in arns if other.startswith(f"{agent}Queue"))
                queues.start_message_move_task(SourceArn=arn, DestinationArn=arns[home])

    def received(self) -> list[dict[str, Any]]:
        """Every request that the agents received, in their order; one to Meta once for each event that it tells of."""
        found: list[dict[str, Any]] = []
        for agent in self.hears():
            listing = requests.get(f"{self.stack.sandbox_url}/_requests", params={"agent": agent}, timeout=120)
            found += [part for request in listing.json()["requests"] for part in _parts(request)]
        return sorted(found, key=lambda request: int(request["number"]))

    def state(self) -> dict[str, Any]:
        """What the agents keep."""
        kept: dict[str, Any] = requests.get(f"{self.stack.sandbox_url}/_state", timeout=60).json()
        return kept


def main() -> int:
    """Runs the soak and the isolation run, each on a local cloud of its own; 1 if a promise was broken."""
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(width=TABLE_WIDTH, highlight=False)
    started = time.monotonic()
    parameters = {"RetryHorizonSeconds": "3600"}
    with running("soak", lambda line: console.print(f"  {line}"), parameters) as stack:
        soak = Soak(stack, console, started + LIMIT_SECONDS)
        account = _soaked(soak)
        show(account, console)
        delays = {name: _isolated(soak, name, faults) for name, faults in ISOLATION.items()}
    _show_isolation(delays, console)
    result = document(account, time.monotonic() - started) | {"isolation": delays}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    console.print(f"{time.monotonic() - started:.0f} s in all. The same as JSON: {RESULT.relative_to(HOME.parent)}")
    return 0 if account.kept else 1


def _parts(request: dict[str, Any]) -> list[dict[str, Any]]:
    if request["agent"] != "facebook":
        return [request]
    return [{**request, "body": {**request["body"], "data": [event]}} for event in request["body"]["data"]]


def _soaked(soak: Soak) -> Account:
    events = [Sent(device, place) for place in range(len(LIFE)) for device in range(DEVICES)]
    hears = soak.hears()
    wanted = {(event.event_id, agent) for event in events for agent, kinds in hears.items() if event.kind in kinds}
    soak.fault(list(hears), FAULTS)
    with Progress(console=soak.console) as progress:
        sending = progress.add_task(f"sending {len(events)} events", total=len(events))
        soak.send(events, lambda done: progress.advance(sending, done))
        waiting = progress.add_task(f"settling {len(wanted)} deliveries", total=len(wanted))
        soak.wait(wanted, SETTLED | {"parked"}, lambda done: progress.advance(waiting, done))
        soak.heal()
        soak.redrive()
        redriving = progress.add_task("redriving what was parked", total=len(wanted))
        soak.wait(wanted, SETTLED, lambda done: progress.advance(redriving, done))
    return account_of(wanted, Evidence(soak.rows(), soak.received(), soak.state(), set(soak.accepted)))


def _isolated(soak: Soak, name: str, faults: dict[str, Any] | None) -> dict[str, tuple[float, float]]:
    """Each agent's time from acceptance to request, median and 99th of a hundred, in milliseconds, at a steady rate."""
    first = 1000 * (1 + list(ISOLATION).index(name))
    if faults:
        soak.fault([DEAD], faults)
    events = [Sent(first + number, 1) for number in range(ISOLATION_EVENTS)]
    before = max(request["number"] for request in soak.received())
    with Progress(console=soak.console) as progress:
        sending = progress.add_task(f"isolation, {name}", total=len(events))
        for number, event in enumerate(events):
            started = time.monotonic()
            soak.send([event], lambda done: progress.advance(sending, done))
            time.sleep(max(0.0, 1 / ISOLATION_PER_SECOND - (time.monotonic() - started)) if number else 0)
    agents = [agent for agent in soak.hears() if agent != DEAD or not faults]
    soak.wait({(event.event_id, agent) for event in events for agent in agents}, SETTLED, lambda _done: None)
    soak.heal()
    delays: dict[str, dict[str, float]] = defaultdict(dict)
    for request in soak.received():
        # Emarsys receives no event id; every event here has a device of its own.
        device = re.search(r"(?:soak|device|token)-(\d{4})", json.dumps(request["body"]))
        event_id = Sent(int(device[1]), 1).event_id if device else ""
        if request["number"] > before and event_id in soak.accepted and request["agent"] in agents:
            taken = datetime.fromisoformat(request["receivedAt"]).timestamp()
            # The first request of a delivery counts; DashX has two for a login.
            delays[request["agent"]].setdefault(event_id, max(0.0, (taken - soak.accepted[event_id]) * 1000))
    return {agent: _percentiles(list(delays[agent].values())) for agent in sorted(delays)}


def _percentiles(milliseconds: list[float]) -> tuple[float, float]:
    parts = quantiles(milliseconds, n=100)
    return round(parts[49], 1), round(parts[98], 1)


def _show_isolation(delays: dict[str, dict[str, tuple[float, float]]], console: Console) -> None:
    table = Table(title="From acceptance to the agent, in milliseconds", title_justify="left")
    table.add_column("agent")
    for name in delays:
        table.add_column(f"{name}: p50", justify="right")
        table.add_column("p99", justify="right")
    for agent in sorted({agent for run in delays.values() for agent in run}):
        cells = [run.get(agent) for run in delays.values()]
        table.add_row(agent, *(f"{value:.0f}" if cell else "-" for cell in cells for value in cell or (0, 0)))
    console.print(table)
