"""The soak: thousands of events while every agent fails now and then; each delivery is accounted for."""

import hashlib
import hmac
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from statistics import quantiles
from typing import Any
from uuid import UUID

import requests
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from local import settings
from local.cloud import HOME, Stack, running
from local.deploy import STAGE, Cloud
from local.scenario import PHONE

DEVICES = 500
LIMIT_SECONDS = 540.0
ISOLATION_EVENTS = 300
ISOLATION_PER_SECOND = 10
DEAD = "facebook"
RESULT = HOME / "soak.json"
TABLE_WIDTH = 120
SETTLED = {"delivered", "unconfirmed", "skipped", "expired"}

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

FIRST, SECOND = "a", "b"
LIFE = [
    ("open", ""),
    ("login", FIRST),
    ("push_token", FIRST),
    ("track", FIRST),
    ("open", FIRST),
    ("logout", FIRST),
    ("login", SECOND),
    ("open", SECOND),
    ("track", SECOND),
    ("push_token", SECOND),
]
"""What happens on every device, in this order; a third of them end with a logout in place of the last."""

LOGIN_OF_SECOND = LIFE.index(("login", SECOND))


@dataclass(frozen=True)
class Sent:
    """One event of the soak: on which device, what it is, who does it, and in which place of the device's life."""

    device: int
    place: int

    @property
    def event_id(self) -> str:
        """The event's id, which also says where it belongs."""
        return f"soak-{self.device:04d}-{self.place}"

    @property
    def kind(self) -> str:
        """The event's type."""
        return "logout" if self.place == len(LIFE) - 1 and self.device % 3 == 0 else LIFE[self.place][0]

    @property
    def person(self) -> str:
        """Who does it: nobody known yet, the first or the second person."""
        who = LIFE[self.place][1]
        return f"{who}-{self.device:04d}" if who else ""

    def body(self, sequence: int) -> dict[str, Any]:
        """The event as an app sends it in a batch."""
        digits = hashlib.sha256(f"device {self.device}".encode()).hexdigest()
        person = {"customerId": self.person} if self.person else {}
        visitor = UUID(digits[:31] + str(int(self.place >= LOGIN_OF_SECOND)))
        return {
            "type": self.kind,
            "eventId": self.event_id,
            "sequence": sequence,
            **person,
            "anonymousId": str(visitor),
            **({"name": "soaked"} if self.kind == "track" else {}),
            "properties": {"soak": self.event_id},
            "device": {**PHONE["device"], "id": f"device-{self.device:04d}", "pushToken": f"token-{self.device:04d}"},
            "ids": {
                "appsflyerId": f"1731923741208-{4410928837465000000 + self.device}",
                "gaAppInstanceId": digits[:32],
                "gaSessionId": "1795166098",
            },
        }


@dataclass
class Account:
    """What the soak found, agent by agent; a promise is kept when its number is 0."""

    deliveries: Counter[str] = field(default_factory=Counter)
    states: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    lost: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    in_doubt: Counter[str] = field(default_factory=Counter)
    out_of_order: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost.total() or self.duplicates.total() or self.out_of_order.total())


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
        return {(row["event"]["S"].split("#", 1)[1], row["agent"]["S"]): row for row in rows}

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
        _show(account, console)
        delays = {name: _isolated(soak, name, faults) for name, faults in ISOLATION.items()}
    _show_isolation(delays, console)
    document = _document(account, time.monotonic() - started) | {"isolation": delays}
    RESULT.write_text(json.dumps(document, indent=2) + "\n")
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
    return _account(wanted, soak)


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


def _account(wanted: set[tuple[str, str]], soak: Soak) -> Account:
    account = Account()
    rows = soak.rows()
    for event_id, agent in wanted:
        account.deliveries[agent] += 1
        state = rows.get((event_id, agent), {}).get("state", {}).get("S", "nothing")
        account.states[agent][state] += 1
        if event_id not in soak.accepted or state not in SETTLED:
            account.lost[agent] += 1
    received = soak.received()
    account.faults.update(request["agent"] for request in received if request["fault"])
    _count_twice(account, received)
    _count_disorder(account, received)
    _count_wrong_owners(account, rows, soak.state())
    return account


def _done(request: dict[str, Any]) -> bool:
    """Whether the agent did the work of a request, whatever it answered."""
    fault = request["fault"] or {}
    answered = request["status"] is not None and 200 <= request["status"] < 300  # noqa: PLR2004
    return bool(fault.get("afterWork")) or (answered and "status" not in fault and not fault.get("reset"))


def _event_of(request: dict[str, Any]) -> str:
    """Returns the event that a request is about, if the request carries its id."""
    found = re.search(r"soak-\d{4}-\d", json.dumps(request["body"]))
    return found[0] if found else ""


def _count_twice(account: Account, received: list[dict[str, Any]]) -> None:
    """Counts events whose work an agent did twice: in doubt where an answer had been lost, else a duplicate."""
    works: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for request in received:
        event_id = _event_of(request)
        if event_id and _done(request):
            works[request["agent"], event_id].append(request)
    for (agent, _), done in works.items():
        lost = sum(1 for request in done[:-1] if (request["fault"] or {}).get("afterWork"))
        account.in_doubt[agent] += lost
        account.duplicates[agent] += len(done) - 1 - lost


def _count_disorder(account: Account, received: list[dict[str, Any]]) -> None:
    """Counts messages that an agent with a sequence took after a newer one of the same device."""
    newest: dict[str, int] = {}
    for request in received:
        if request["agent"] == "eitri_push" and _done(request):
            device, sequence = request["body"]["device"]["id"], request["body"]["sequence"]
            account.out_of_order["eitri_push"] += sequence < newest.get(device, 0)
            newest[device] = max(sequence, newest.get(device, 0))


def _count_wrong_owners(account: Account, rows: dict[tuple[str, str], dict[str, Any]], state: dict[str, Any]) -> None:
    """Counts phones that get the pushes of anybody but the person who is on them at the end.

    Where that person's login was refused for good, and superseded when it was redriven, nobody's pushes are right too.
    """
    emarsys, dashx, eitri = (state[agent]["devices"] for agent in ("emarsys", "dashx", "eitri_push"))
    for device in range(DEVICES):
        left = Sent(device, len(LIFE) - 1).kind == "logout"
        person = None if left else f"{SECOND}-{device:04d}"
        phone, token = f"device-{device:04d}", f"token-{device:04d}"
        contact = emarsys.get(phone, {}).get("pushesGoTo")
        found = {
            "emarsys": person if person and contact == _contact(person) else contact,
            "dashx": dashx.get(token, {}).get("pushesGoTo"),
            "eitri_push": eitri.get(phone, {}).get("pushesGoTo"),
        }
        for agent, owner in found.items():
            login = rows[Sent(device, LOGIN_OF_SECOND).event_id, agent]["state"]["S"]
            account.out_of_order[agent] += owner != person and not (owner is None and login == "skipped")


def _contact(person: str) -> str:
    """What Emarsys knows a person by: the first 56 digits of an HMAC-SHA-256 with the key of the settings."""
    key = settings.agents("")["emarsys"]["contact_key"]
    return hmac.new(key.encode(), person.encode(), hashlib.sha256).hexdigest()[:56]


def _show(account: Account, console: Console) -> None:
    table = Table(title="The soak, agent by agent", title_justify="left")
    names = ("agent", "deliveries", "failed requests", "became", "lost", "twice", "in doubt", "out of order")
    for name in names:
        table.add_column(name, justify="left" if name in {"agent", "became"} else "right")
    for agent in sorted(account.deliveries):
        became = ", ".join(f"{number} {state}" for state, number in account.states[agent].most_common())
        zeros = [account.lost[agent], account.duplicates[agent]]
        table.add_row(
            agent,
            str(account.deliveries[agent]),
            str(account.faults[agent]),
            became,
            *(f"[{'red' if number else 'green'}]{number}[/]" for number in zeros),
            str(account.in_doubt[agent]),
            f"[{'red' if account.out_of_order[agent] else 'green'}]{account.out_of_order[agent]}[/]",
        )
    console.print(table)


def _document(account: Account, seconds: float) -> dict[str, Any]:
    agents = {
        agent: {
            "deliveries": account.deliveries[agent],
            "failedRequests": account.faults[agent],
            "states": dict(account.states[agent]),
            "lost": account.lost[agent],
            "duplicates": account.duplicates[agent],
            "inDoubt": account.in_doubt[agent],
            "outOfOrder": account.out_of_order[agent],
        }
        for agent in sorted(account.deliveries)
    }
    return {
        "at": datetime.now().astimezone().isoformat(timespec="seconds"),
        "seconds": round(seconds),
        "agents": agents,
    }


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
