"""A local cloud for the end-to-end tests: the real template, deployed by the real SAM CLI, agents over HTTP.

Each process that runs tests (pytest-xdist) has a local cloud of its own: no test waits for another, or disturbs it.
"""

import hashlib
import json
import os
import secrets
import signal
import string
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from local.cloud import Stack, running
from local.deploy import STAGE, Cloud, wait_for

PATIENCE_SECONDS = 60.0
CLOUD = "-".join(["test", *filter(None, [os.environ.get("PYTEST_XDIST_WORKER")])])
"""The name of this process' local cloud, and of its folder in `.local/`."""
SETTLED = {"delivered", "unconfirmed", "skipped", "expired", "parked"}


@dataclass(frozen=True)
class Caller:
    """An app that sends events to the deployed API, and can look at what the agents received."""

    stack: Stack

    def call(
        self, path: str, body: Any = None, *, key: str | None = "public", method: str = "POST", **more: Any
    ) -> requests.Response:
        """One call; `key` is public, secret, a key's text, or None for none."""
        known = {"public": self.stack.public_key, "secret": self.stack.secret_key}
        headers = {} if key is None else {"authorization": f"Bearer {known.get(key, key)}"}
        headers |= more.pop("headers", {})
        return requests.request(method, self.stack.api_url + path, json=body, headers=headers, timeout=30, **more)

    def accepted(self, path: str, body: Any = None, **more: Any) -> str:
        """One call that must be accepted; the event's id."""
        answer = self.call(path, body, **more)
        assert answer.status_code == 202, answer.text
        event_id: str = answer.json()["eventId"]
        return event_id

    def received(self, agent: str, containing: str = "") -> list[dict[str, Any]]:
        """The requests that an agent received, with the sandbox's findings."""
        listing = requests.get(f"{self.stack.sandbox_url}/_requests", params={"agent": agent}, timeout=10).json()
        return [request for request in listing["requests"] if containing in str(request)]

    def wait_until_received(self, agent: str, containing: str, number: int = 1) -> list[dict[str, Any]]:
        """The requests with this text, once there are that many of them."""
        assert wait_for(lambda: len(self.received(agent, containing)) >= number, PATIENCE_SECONDS), (
            f"{agent} received {self.received(agent, containing)} instead of {number} requests with {containing}"
        )
        return self.received(agent, containing)

    def became(self, event_id: str, *agents: str) -> dict[str, dict[str, Any]]:
        """The last log line of an event at each of the agents, once it is settled at all of them."""
        cloud, lines = Cloud(self.stack.aws_endpoint, self.stack.region), {}

        def look() -> bool:
            for line in cloud.log_lines(time.time() - 600):
                if line.get("event_id") == event_id and line.get("message") in SETTLED:
                    lines[line["agent"]] = line
            return lines.keys() >= set(agents)

        assert wait_for(look, PATIENCE_SECONDS), f"{event_id} is settled only at {sorted(lines)}"
        return lines

    def mint(self, uid: str, **more: Any) -> str:
        """An identity token for a customer, as the app's back end gets one."""
        answer = self.call("/identity-tokens", {"uid": uid, **more}, key="secret")
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["token"]
        return token

    def receipts(self, event_id: str) -> dict[str, dict[str, Any]]:
        """What became of an event, by agent, as the API says it now."""
        answer = self.call(f"/events/{event_id}", key="secret", method="GET")
        assert answer.status_code == 200, answer.text
        agents: dict[str, dict[str, Any]] = answer.json()["agents"]
        return agents

    def receipt(self, event_id: str, agent: str, *states: str) -> dict[str, Any]:
        """The receipt of an event at an agent, once it is in one of these states."""
        seen: list[dict[str, Any]] = [{}]

        def look() -> bool:
            seen.append(self.receipts(event_id)[agent])
            return seen[-1]["state"] in states

        assert wait_for(look, PATIENCE_SECONDS), f"{event_id} at {agent} is {seen[-1]}, not {' or '.join(states)}"
        return seen[-1]

    def settled(self, event_id: str) -> dict[str, dict[str, Any]]:
        """The receipts of an event once it is settled at every agent that receives it."""
        seen: list[dict[str, dict[str, Any]]] = [{}]

        def look() -> bool:
            seen.append(self.receipts(event_id))
            return all(receipt["state"] in SETTLED for receipt in seen[-1].values())

        assert wait_for(look, PATIENCE_SECONDS), f"{event_id} is not settled: {seen[-1]}"
        return seen[-1]

    def state(self, agent: str) -> dict[str, Any]:
        """What an agent keeps: for every device, whose pushes it gets."""
        kept: dict[str, Any] = requests.get(f"{self.stack.sandbox_url}/_state/{agent}", timeout=10).json()
        return kept

    def last_request(self) -> int:
        """The number of the newest request that any agent has received."""
        newest = requests.get(f"{self.stack.sandbox_url}/_requests", params={"limit": 1}, timeout=10).json()["requests"]
        return newest[0]["number"] if newest else 0

    def received_since(self, number: int, **query: str) -> list[dict[str, Any]]:
        """The requests after that one to all agents; with `wrong="true"` only those with violations."""
        answer = requests.get(
            f"{self.stack.sandbox_url}/_requests", params={"after": str(number), **query}, timeout=10
        ).json()
        received: list[dict[str, Any]] = answer["requests"]
        return received

    def clear_faults(self) -> None:
        """Makes all agents well again."""
        requests.delete(f"{self.stack.sandbox_url}/_faults", timeout=10).raise_for_status()

    def fault(self, agent: str, **fault: Any) -> None:
        """Makes an agent fail from now on, as the sandbox's /_faults says."""
        requests.put(f"{self.stack.sandbox_url}/_faults/{agent}", json=fault, timeout=10).raise_for_status()


def meta_event(request: dict[str, Any], event_id: str) -> dict[str, Any]:
    """One event of a request to Meta, which tells of several if they come at once."""
    (sent,) = (event for event in request["body"]["data"] if event["event_id"] == event_id)
    return dict(sent)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The running local cloud."""
    with running(CLOUD, lambda _line: None) as stack:
        yield stack


@pytest.fixture
def app(stack: Stack) -> Iterator[Caller]:
    """A caller whose agents are all well, and are so again afterwards."""
    caller = Caller(stack)
    yield caller
    caller.clear_faults()


@pytest.fixture
def no_violations(app: Caller) -> Iterator[None]:
    """Every request that the agents receive during the test is as their contracts want it."""
    before = app.last_request()
    yield
    assert [(one["agent"], one["violations"]) for one in app.received_since(before, wrong="true")] == []


def store_app(stack: Stack, app_id: str, identity_keys: list[str] | None = None, **record: Any) -> Caller:
    """Stores another app and its identity keys in SSM, as its owner would; it calls with two keys of its own."""
    keys = {kind: f"{kind[0]}k_{app_id}_{app_id.ljust(32, 'x')}" for kind in ("public", "secret")}
    stored = [{"kind": kind, "sha256": hashlib.sha256(key.encode()).hexdigest()} for kind, key in keys.items()]
    values = {f"apps/{app_id}": {"keys": stored, **record}}
    if identity_keys:
        values[f"identity/{app_id}"] = {"keys": identity_keys}
    cloud = Cloud(stack.aws_endpoint, stack.region)
    for name, value in values.items():
        cloud.client("ssm").put_parameter(
            Name=f"/session-relay/{STAGE}/{name}", Value=json.dumps(value), Type="SecureString", Overwrite=True
        )
    cloud.admit(app_id)
    return Caller(replace(stack, app_id=app_id, public_key=keys["public"], secret_key=keys["secret"]))


def empty_dead_letters(stack: Stack) -> None:
    """Drops what is parked at any agent, and what the topic could not hand to one."""
    queues = Cloud(stack.aws_endpoint, stack.region).client("sqs")
    for url in queues.list_queues()["QueueUrls"]:
        if "DeadLetterQueue" in url or "UndeliveredQueue" in url:
            queues.purge_queue(QueueUrl=url)


def kill(agent: str) -> int:
    """Ends the processes that run an agent's function in our own local cloud, as a machine that dies would."""
    killed = 0
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if f".local/{CLOUD}/" in command and f"-{agent}Function-" in command:
            os.kill(int(process.parent.name), signal.SIGKILL)
            killed += 1
    return killed


@pytest.fixture
def unique() -> Callable[[], str]:
    """Makes ids that no other test uses."""
    # Letters alone: what has many digits might be a phone number, and would be withheld from some agents.
    return lambda: "e2e-" + "".join(secrets.choice(string.ascii_lowercase) for _ in range(20))
