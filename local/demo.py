"""The demo: runs the scenario once on a local cloud of its own, and shows the receipt of every event at every agent."""

import json
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import requests
from rich.console import Console
from rich.table import Table

from local.cloud import HOME, Stack, running
from local.deploy import added_agents, wait_for
from local.scenario import DEVICE, FIRST, PUSH_TOKEN, SECOND, STEPS, Step

SETTLED = {"delivered", "unconfirmed", "skipped", "expired", "parked"}
PROMISED = {"delivered", "unconfirmed", "skipped"}
SETTLE_SECONDS = 60.0
TABLE_WIDTH = 120
LONGEST_PATH = 20
RESULT = HOME / "demo.json"

STYLES = {"delivered": "green", "unconfirmed": "cyan", "skipped": "yellow"}


@dataclass(frozen=True)
class Row:
    """The outcome of one event at one agent; milliseconds run from the call to the end of the delivery."""

    event: str
    event_id: str
    agent: str
    state: str = ""
    reason: str = ""
    milliseconds: int = 0
    sent: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Owner:
    """Whose pushes the phone gets at an agent, and whose it must get after the scenario."""

    agent: str
    phone: str
    pushes: str
    expected: str


def main() -> int:
    """Starts a local cloud, runs the scenario, ends the cloud, shows the table; 1 if a promise was broken."""
    console = Console(highlight=False)
    # Piped into a file or a CI log, the table keeps the width that it needs.
    console = console if console.is_terminal else Console(width=TABLE_WIDTH, highlight=False)
    started = time.monotonic()
    console.print("[bold]session-relay[/bold]: one call in, one delivery to each agent. Starting the local cloud:")

    def say(line: str) -> None:
        console.print(f"  {time.monotonic() - started:4.0f} s  {line}")

    with running("demo", say, added_agents()) as stack:
        player = Player(stack, console)
        rows, scenes = [], []
        for step in STEPS:
            rows += player.play(step)
            scenes += [(step, player.owners(step.phone_of))] if step.phone_of else []
        owners = player.owners(SECOND)
    _show(rows, console)
    console.print("The first event waits for every function to start; the others find them warm.\n")
    for step, found in scenes:
        _show_owners(found, console, f'Whose pushes the phone gets after "{step.title}"')
    _show_owners(owners, console, "Whose pushes the phone gets at the end")
    RESULT.write_text(json.dumps({"deliveries": [*map(asdict, rows)], "phone": [*map(asdict, owners)]}, indent=2))
    broken = [
        f"{row.event} at {row.agent}: {row.state} {row.reason} {'; '.join(row.violations)}"
        for row in rows
        if row.state not in PROMISED or row.violations
    ]
    everyone = [*(owner for _, found in scenes for owner in found), *owners]
    broken += [f"{owner.agent} sends the phone {owner.pushes}" for owner in everyone if owner.pushes != owner.expected]
    for promise in broken:
        console.print(f"[red]{promise}[/red]")
    console.print(
        f"{len(rows)} deliveries of {len(STEPS)} events, {len(broken)} broken promises, "
        f"{time.monotonic() - started:.0f} s in all. The same as JSON: {RESULT.relative_to(HOME.parent)}"
    )
    return 1 if broken else 0


class Player:
    """Makes the calls of the scenario to a running local cloud, as the app and its back end would."""

    def __init__(self, stack: Stack, console: Console) -> None:
        self.stack = stack
        self.console = console
        self.moments: list[int] = []
        self.contacts: dict[str, str] = {}

    def play(self, step: Step) -> list[Row]:
        """Makes one call, waits until it is settled everywhere, and returns a row for each agent."""
        before, called = len(self._received()), time.time()
        self.moments.append(int(called * 1000))
        answer = self._call(step)
        event_id = str(answer.json().get("eventId", ""))
        took = (time.time() - called) * 1000
        self.console.print(f"  POST /v1{step.path:<12} {step.title}: {answer.status_code} in {took:.0f} ms")
        agents: dict[str, Any] = {}

        def settled() -> bool:
            agents.update(self._receipts(event_id))
            return bool(agents) and all(receipt["state"] in SETTLED for receipt in agents.values())

        wait_for(settled, SETTLE_SECONDS)
        received = self._received()[before:]
        self._remember(step, received)
        rows = []
        for agent in sorted(agents):
            own = [request for request in received if request["agent"] == agent]
            rows.append(_row(Row(step.title, event_id, agent), called, agents[agent], own))
        return rows

    def owners(self, expected: str) -> list[Owner]:
        """Reads from the agents that keep devices whose pushes the phone gets now."""
        state = requests.get(f"{self.stack.sandbox_url}/_state", timeout=10).json()
        emarsys = state["emarsys"]["devices"].get(DEVICE, {}).get("pushesGoTo")
        people = {contact: person for person, contact in self.contacts.items()}
        return [
            Owner("emarsys", DEVICE, people.get(emarsys, str(emarsys)), expected),
            Owner("dashx", PUSH_TOKEN, str(state["dashx"]["devices"].get(PUSH_TOKEN, {}).get("pushesGoTo")), expected),
            Owner(
                "eitri_push", DEVICE, str(state["eitri_push"]["devices"].get(DEVICE, {}).get("pushesGoTo")), expected
            ),
        ]

    def _call(self, step: Step) -> requests.Response:
        body = None if step.body is None else dict(step.body)
        if body is not None and step.late is not None:
            body["sequence"] = self.moments[step.late] - 1
        headers = {"x-identity-token": self._token(step.token_of)} if step.token_of else {}
        return self._post(step.path, body, step.key, headers)

    def _token(self, person: str) -> str:
        return str(self._post("/identity-tokens", {"uid": person, "expiresIn": 3600}, "secret", {}).json()["token"])

    def _post(self, path: str, body: Any, key: str, headers: dict[str, str]) -> requests.Response:  # noqa: ANN401 - JSON
        keys = {"public": self.stack.public_key, "secret": self.stack.secret_key}
        return requests.post(
            self.stack.api_url + path,
            json=body,
            headers={"authorization": f"Bearer {keys[key]}", **headers},
            timeout=60,
        )

    def _receipts(self, event_id: str) -> dict[str, Any]:
        answer = requests.get(
            f"{self.stack.api_url}/events/{event_id}",
            headers={"authorization": f"Bearer {self.stack.secret_key}"},
            timeout=60,
        )
        return dict(answer.json().get("agents", {}))

    def _received(self) -> list[dict[str, Any]]:
        listing = requests.get(f"{self.stack.sandbox_url}/_requests", timeout=10).json()
        return list(listing["requests"])

    def _remember(self, step: Step, received: list[dict[str, Any]]) -> None:
        """Keeps the contact value by which Emarsys knows a person, from that person's login."""
        for request in received:
            if request["agent"] == "emarsys" and "contact_field_value" in request["body"]:
                self.contacts[step.token_of or FIRST] = request["body"]["contact_field_value"]


def _row(row: Row, called: float, receipt: dict[str, Any], received: list[dict[str, Any]]) -> Row:
    ended = datetime.fromisoformat(receipt["at"]).timestamp() if "at" in receipt else called
    return replace(
        row,
        state=receipt["state"],
        reason=receipt.get("reason", ""),
        milliseconds=round((ended - called) * 1000),
        sent=[f"{request['method']} {request['path']}" for request in received],
        violations=[violation for request in received for violation in request["violations"]],
    )


def _short(sent: list[str]) -> str:
    """Lists requests, a line each: equal ones are counted, long paths cut at their beginning."""
    paths = [line.split(" ", 1) for line in sent]
    lines = [f"{how} {path if len(path) <= LONGEST_PATH else '…' + path[-LONGEST_PATH:]}" for how, path in paths]
    return "\n".join(
        line if lines.count(line) == 1 else f"{line} x{lines.count(line)}" for line in dict.fromkeys(lines)
    )


def _show(rows: list[Row], console: Console) -> None:
    table = Table(title="Each event at each agent", title_justify="left")
    for name in ("event", "agent", "sent", "state", "why"):
        table.add_column(name, overflow="fold")
    table.add_column("ms", justify="right")
    for position, row in enumerate(rows):
        first = position == 0 or rows[position - 1].event_id != row.event_id
        became = f"[{STYLES.get(row.state, 'red')}]{row.state}[/]"
        why, took = row.reason.split(",")[0], str(row.milliseconds)
        table.add_row(row.event if first else "", row.agent, _short(row.sent), became, why, took)
        if position + 1 < len(rows) and rows[position + 1].event_id != row.event_id:
            table.add_section()
    console.print(table)


def _show_owners(owners: list[Owner], console: Console, title: str) -> None:
    table = Table(title=title, title_justify="left")
    for name in ("agent", "the phone there", "gets the pushes of"):
        table.add_column(name)
    for owner in owners:
        colour = "green" if owner.pushes == owner.expected else "red"
        table.add_row(owner.agent, owner.phone, f"[{colour}]{owner.pushes}[/]")
    console.print(table)
