"""One local cloud for all end-to-end tests: the real template, deployed by the real SAM CLI, agents over HTTP."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from local.cloud import Stack, running
from local.deploy import Cloud, wait_for

PATIENCE_SECONDS = 60.0


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
        settled = {"delivered", "unconfirmed", "skipped", "expired", "parked"}

        def look() -> bool:
            for line in cloud.log_lines(time.time() - 600):
                if line.get("event_id") == event_id and line.get("message") in settled:
                    lines[line["agent"]] = line
            return lines.keys() >= set(agents)

        assert wait_for(look, PATIENCE_SECONDS), f"{event_id} is settled only at {sorted(lines)}"
        return lines

    def fault(self, agent: str, **fault: Any) -> None:
        """Makes an agent fail from now on, as the sandbox's /_faults says."""
        requests.put(f"{self.stack.sandbox_url}/_faults/{agent}", json=fault, timeout=10).raise_for_status()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The running local cloud."""
    with running("test", lambda _line: None) as stack:
        yield stack


@pytest.fixture
def app(stack: Stack) -> Iterator[Caller]:
    """A caller whose agents are all well, and are so again afterwards."""
    yield Caller(stack)
    requests.delete(f"{stack.sandbox_url}/_faults", timeout=10).raise_for_status()


@pytest.fixture
def unique() -> Callable[[], str]:
    """Makes ids that no other test uses."""
    made = iter(range(1_000_000))
    return lambda: f"e2e-{time.time_ns()}-{next(made)}"
