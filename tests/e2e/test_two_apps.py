"""Two apps with different accounts at AppsFlyer, Meta and Emarsys through one stack, while one app's accounts break."""

import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from local import settings
from local.cloud import ROOT, Stack
from local.deploy import STAGE, Cloud, wait_for
from local.processes import Child, free_port
from local.scenario import PHONE
from tests.e2e.conftest import PATIENCE_SECONDS, Caller, store_app
from tests.e2e.terminal import Terminal

AGENTS = ("appsflyer", "emarsys", "facebook")
DELIVERED = dict.fromkeys(AGENTS, "delivered")


@dataclass(frozen=True)
class Brand:
    """An app, and the accounts that it has at the agents."""

    app: Caller
    accounts: str
    settings: dict[str, dict[str, Any]]

    def log_in(self, customer: str) -> str:
        """One person's login on a phone of their own; the event's id."""
        device = {**PHONE["device"], "id": f"phone-of-{customer}", "pushToken": f"token-of-{customer}"}
        said = {"customerId": customer, **PHONE, "device": device}
        return self.app.accepted("/login", said, key="secret")

    def became(self, event_id: str, *states: str) -> dict[str, str]:
        """The states of an event at the three agents, each once it is one of these."""
        return {agent: self.app.receipt(event_id, agent, *states)["state"] for agent in AGENTS}

    def requests(self) -> list[dict[str, Any]]:
        """The requests that the brand's accounts have received."""
        answer = requests.get(f"{self.accounts}/_requests", timeout=10).json()["requests"]
        return [request for request in answer if request["agent"] in AGENTS]

    def heard_of(self, customer: str) -> set[str]:
        """The agents whose accounts of this brand have heard of a person's phone or login."""
        marks = (customer, f"phone-of-{customer}")
        return {one["agent"] for one in self.requests() if any(mark in json.dumps(one) for mark in marks)}

    def accept(self, **wrong: dict[str, Any]) -> None:
        """Makes the brand's accounts accept these credentials, and those of its settings at the other agents."""
        for agent in AGENTS:
            known = {**self.settings[agent], **wrong.get(agent, {})}
            requests.put(f"{self.accounts}/_credentials/{agent}", json=known, timeout=10).raise_for_status()


@pytest.fixture(scope="module")
def outlet(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brand]:
    """A second brand: its accounts are those of a second sandbox, and `relay` stores its settings."""
    port, home = free_port(), tmp_path_factory.mktemp("outlet")
    url = f"http://127.0.0.1:{port}"
    known = _outlets_settings(url)
    (home / "agents.json").write_text(json.dumps(known))
    command = [sys.executable, "-m", "local.sandbox", "--port", str(port), "--settings", str(home / "agents.json")]
    child = Child.start("the outlet's accounts", command, home / "log", {**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        child.wait_until(lambda: _answers(url), PATIENCE_SECONDS)
        app = store_app(stack, "outlet", identity="optional")
        for agent in AGENTS:
            stored = json.dumps(known[agent])
            Terminal(stack).well("agents", "set", agent, "--app", "outlet", "--file", "-", given=stored)
        yield Brand(app, url, known)
    finally:
        child.end()


def _outlets_settings(url: str) -> dict[str, dict[str, Any]]:
    known = settings.agents(url)
    known["appsflyer"] |= {"s2s_key": "S2S-KEY-OF-OUTLET"}
    known["facebook"] |= {"access_token": "TOKEN-OF-OUTLET", "dataset_id": "6543210987654321"}
    known["emarsys"]["applications"]["android"] = {"code": "0UTLE-T0001", "password": "example-of-outlet"}
    return known


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/_health", timeout=2).ok
    except requests.ConnectionError:
        return False


@pytest.fixture
def shop(stack: Stack) -> Brand:
    """The first brand: the local cloud's own app, which the shared settings serve."""
    return Brand(Caller(stack), stack.sandbox_url, settings.agents(stack.sandbox_url))


@pytest.fixture
def customer() -> Callable[[str], str]:
    """Makes customers that no other test uses."""
    return lambda name: f"{name}-{secrets.token_hex(6)}"


def test_each_brands_customers_reach_its_own_accounts_and_no_others(
    shop: Brand, outlet: Brand, customer: Callable[[str], str]
) -> None:
    ana, bia = customer("ana"), customer("bia")
    of_ana, of_bia = shop.log_in(ana), outlet.log_in(bia)
    assert shop.became(of_ana, "delivered") == DELIVERED
    assert outlet.became(of_bia, "delivered") == DELIVERED
    assert (outlet.heard_of(bia), shop.heard_of(bia)) == (_by_name_or_phone(), set())
    assert (shop.heard_of(ana), outlet.heard_of(ana)) == (_by_name_or_phone(), set())
    assert [one["violations"] for one in outlet.requests() if one["violations"]] == []


def _by_name_or_phone() -> set[str]:
    # Meta gets digests of both.
    return {"appsflyer", "emarsys"}


def test_a_brand_whose_accounts_are_broken_holds_its_own_deliveries_alone(
    shop: Brand, outlet: Brand, customer: Callable[[str], str]
) -> None:
    terminal = Terminal(shop.app.stack)
    outlet.accept(
        appsflyer={"s2s_key": "S2S-KEY-OF-NEXT-YEAR"},
        facebook={"access_token": "TOKEN-OF-NEXT-YEAR"},
        emarsys={"applications": {"android": {"code": "0UTLE-T0001", "password": "of-next-year"}}},
    )
    try:
        first = outlet.log_in(customer("carla"))
        assert outlet.became(first, "held") == dict.fromkeys(AGENTS, "held")
        # Now each agent's instances know of the refusal; the other brand's login meets the same instances.
        assert shop.became(shop.log_in(customer("dora")), "delivered") == DELIVERED
        findings = {one["about"]: one for one in terminal.relay("status", "--json").json["findings"]}
        assert findings["emarsys"]["finding"].startswith("deliveries of outlet are held: ")
        assert "relay agents check emarsys --app outlet" in str(findings["emarsys"]["fix"])
        second = outlet.log_in(customer("eva"))
        assert outlet.became(second, "held") == dict.fromkeys(AGENTS, "held")
        assert shop.became(shop.log_in(customer("fabia")), "delivered") == DELIVERED
    finally:
        outlet.accept()
    for event_id in (first, second):
        assert outlet.became(event_id, "delivered") == DELIVERED


def test_an_outage_of_one_brands_accounts_opens_no_circuit_of_the_other(
    shop: Brand, outlet: Brand, customer: Callable[[str], str]
) -> None:
    requests.put(f"{outlet.accounts}/_faults/emarsys", json={"status": 503}, timeout=10).raise_for_status()
    terminal = Terminal(shop.app.stack)
    try:
        waiting = [outlet.log_in(customer("gina")) for _ in range(8)]
        assert wait_for(lambda: "outlet" in _circuit(terminal), PATIENCE_SECONDS), _circuit(terminal)
        assert shop.became(shop.log_in(customer("hana")), "delivered") == DELIVERED
    finally:
        requests.delete(f"{outlet.accounts}/_faults", timeout=10).raise_for_status()
    for event_id in waiting:
        assert outlet.became(event_id, "delivered") == DELIVERED


def _circuit(terminal: Terminal) -> str:
    run = terminal.relay("status", "--json")
    rows = run.json.get("agents", [])
    assert rows, run
    return next(str(row["circuit"]) for row in rows if row["agent"] == "emarsys")


def test_relay_checks_lists_and_chooses_an_apps_own_settings(
    shop: Brand,
    outlet: Brand,  # noqa: ARG001 - its settings are stored
) -> None:
    terminal = Terminal(shop.app.stack)
    checked = terminal.answered("agents", "check", *AGENTS, "--app", "outlet")
    assert {row["agent"] for row in checked if row["result"] == "passed"} == set(AGENTS)
    assert "failed" not in {row["result"] for row in checked}
    listed = {row["agent"]: row["app"] for row in terminal.answered("agents", "list", "--app", "outlet")}
    assert {listed[agent] for agent in AGENTS} == {"own"}
    assert listed["google"] == "shared"
    terminal.well("apps", "use", "outlet", "google", "none")
    try:
        row = next(one for one in terminal.answered("agents", "check", "google", "--app", "outlet"))
        assert (row["result"], row["meaning"]) == ("note", "outlet does not use this agent")
    finally:
        terminal.well("apps", "use", "outlet", "google", "shared")


def test_doctor_names_the_app_whose_own_settings_are_gone(shop: Brand, outlet: Brand) -> None:
    terminal, stack = Terminal(shop.app.stack), shop.app.stack
    cloud = Cloud(stack.aws_endpoint, stack.region).client("ssm")
    name = f"/session-relay/{STAGE}/agents/emarsys/{outlet.app.stack.app_id}"
    kept = cloud.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    cloud.delete_parameter(Name=name)
    try:
        findings = terminal.relay("doctor", "--json").json["findings"]
        wrong = [one for one in findings if one["about"] == "app outlet" and one["state"] == "wrong"]
        assert any("its own settings for emarsys are not stored" in one["finding"] for one in wrong), wrong
    finally:
        cloud.put_parameter(Name=name, Value=kept, Type="SecureString", Overwrite=True)
