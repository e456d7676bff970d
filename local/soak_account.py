"""The soak's account: of what the agents received and the receipts say, whether every promise was kept."""

import hashlib
import hmac
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from local import settings
from local.soak_life import DEVICES, LIFE, LOGIN_OF_SECOND, SECOND, Sent

SETTLED = {"delivered", "unconfirmed", "skipped", "expired"}


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


class Evidence(NamedTuple):
    """What an account is made of: receipts, requests that the agents received, what they keep, ids accepted."""

    rows: dict[tuple[str, str], dict[str, Any]]
    received: list[dict[str, Any]]
    state: dict[str, Any]
    accepted: set[str]


def account_of(wanted: set[tuple[str, str]], evidence: Evidence) -> Account:
    """Accounts for each delivery, by event and agent."""
    account = Account()
    for event_id, agent in wanted:
        account.deliveries[agent] += 1
        state = evidence.rows.get((event_id, agent), {}).get("state", {}).get("S", "nothing")
        account.states[agent][state] += 1
        if event_id not in evidence.accepted or state not in SETTLED:
            account.lost[agent] += 1
    account.faults.update(request["agent"] for request in evidence.received if request["fault"])
    _count_twice(account, evidence.received)
    _count_disorder(account, evidence.received)
    _count_wrong_owners(account, evidence.rows, evidence.state)
    return account


def is_done(request: dict[str, Any]) -> bool:
    """Whether the agent did the work of a request, whatever it answered."""
    fault = request["fault"] or {}
    answered = request["status"] is not None and 200 <= request["status"] < 300  # noqa: PLR2004
    return bool(fault.get("afterWork")) or (answered and "status" not in fault and not fault.get("reset"))


def event_of(request: dict[str, Any]) -> str:
    """Returns the event that a request is about, if the request carries its id."""
    found = re.search(r"soak-\d{4}-\d", json.dumps(request["body"]))
    return found[0] if found else ""


def _count_twice(account: Account, received: list[dict[str, Any]]) -> None:
    """Counts events whose work an agent did twice: in doubt where an answer had been lost, else a duplicate."""
    works: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for request in received:
        event_id = event_of(request)
        if event_id and is_done(request):
            works[request["agent"], event_id].append(request)
    for (agent, _), done in works.items():
        lost = sum(1 for request in done[:-1] if (request["fault"] or {}).get("afterWork"))
        account.in_doubt[agent] += lost
        account.duplicates[agent] += len(done) - 1 - lost


def _count_disorder(account: Account, received: list[dict[str, Any]]) -> None:
    """Counts messages that an agent with a sequence took after a newer one of the same device."""
    newest: dict[str, int] = {}
    for request in received:
        if request["agent"] == "eitri_push" and is_done(request):
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


def show(account: Account, console: Console) -> None:
    """Prints the account, a row an agent."""
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


def document(account: Account, seconds: float) -> dict[str, Any]:
    """The account as it is kept in `.local/soak.json`."""
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
