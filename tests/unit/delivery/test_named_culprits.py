"""Agents that take many events by one request and none twice: chunks, named culprits, silent token endpoints."""

from dataclasses import dataclass, field
from dataclasses import replace as replaced

import pytest

from relay.agent.auth import Attempt
from relay.agent.definition import Agent, BatchSpec
from relay.agent.http import Request, Response
from relay.agent.verdict import Verdict, VerdictKind, by_status
from relay.delivery.app_settings import ScopedSettings
from relay.delivery.batch import process_batch
from relay.delivery.pipeline import DeliveryPipeline
from relay.delivery.queue import Message
from relay.delivery.report import Report
from relay.errors import Unreachable
from tests.unit.delivery.test_delivery import (
    ENVIRONMENT,
    NOW,
    FakeCircuit,
    FakeLedger,
    FakeQueue,
    Settings,
    Time,
    _build,
    _record,
)
from tests.unit.delivery.test_together import _join


@dataclass
class World:
    """An agent that refuses requests with a `bad` event and names the positions of those, `named_off` places too far.

    `token_fault` is what its token endpoint does instead of granting a token.
    """

    bad: set[str] = field(default_factory=set)
    named_off: int = 0
    token_fault: Exception | None = None
    ledger: FakeLedger = field(default_factory=FakeLedger)
    queue: FakeQueue = field(default_factory=FakeQueue)
    circuit: FakeCircuit = field(default_factory=FakeCircuit)
    sent: list[list[str]] = field(default_factory=list)
    named: tuple[int, ...] = ()

    def deliver(self, *records: Message) -> list[str]:
        agent = Agent("example", "analytics", Settings, _build, repeatable=False, authorize=self._authorize)
        agent = replaced(agent, batching=BatchSpec(2_000, _join, self._classify))
        pipeline = DeliveryPipeline(
            agent,
            ENVIRONMENT,
            self.queue,
            self.ledger,
            lambda _scope: self.circuit,
            lambda _app, _refresh: ScopedSettings(Settings(), "example"),
            Report("example"),
            send=self._send,
            now=lambda: NOW,
            jitter=lambda _low, high: high,
            pause=lambda _seconds: None,
        )
        return process_batch(pipeline, records, Time())

    def _authorize(self, request: Request, _settings: Settings, _attempt: Attempt) -> Request:
        if self.token_fault:
            raise self.token_fault
        return request

    def _send(self, request: Request) -> Response:
        events = request.body.decode().split(",")
        self.sent.append(events)
        self.named = tuple(at + self.named_off for at, event in enumerate(events) if event in self.bad)
        return Response(400 if self.named else 200)

    def _classify(self, response: Response, _number: int) -> Verdict:
        verdict = by_status(response)
        return verdict._replace(suspects=self.named) if verdict.kind is VerdictKind.REJECTED else verdict

    def states(self) -> dict[str, str]:
        return {event: row["state"] for event, row in self.ledger.rows.items()}


def _records(number: int) -> list[Message]:
    return [_record(f"m{position}") for position in range(number)]


def test_events_that_must_not_be_sent_twice_are_one_request_all_the_same() -> None:
    world = World()
    assert world.deliver(*_records(500)) == []
    assert [len(events) for events in world.sent] == [500]
    assert world.ledger.asked.count("claim") == 500


def test_an_event_that_the_agent_names_costs_two_more_requests_and_itself_alone() -> None:
    world = World({"m123"})
    assert world.deliver(*_records(500)) == []
    assert [len(events) for events in world.sent] == [500, 1, 499]
    assert world.states()["m123"] == "parked"
    assert sum(state == "delivered" for state in world.states().values()) == 499


def test_several_that_the_agent_names_are_each_found() -> None:
    world = World({"m1", "m2", "m3"})
    world.deliver(*_records(100))
    assert {event for event, state in world.states().items() if state == "parked"} == {"m1", "m2", "m3"}
    assert len(world.sent) <= 7


@pytest.mark.parametrize("named_off", [1, 600])
def test_a_wrong_name_parks_no_other_event(named_off: int) -> None:
    world = World({"m7"}, named_off=named_off)
    assert world.deliver(*_records(64)) == []
    assert {event for event, state in world.states().items() if state == "parked"} == {"m7"}
    taken = [event for events in world.sent if "m7" not in events for event in events]
    assert sorted(taken) == sorted({f"m{position}" for position in range(64)} - {"m7"})


def test_a_token_endpoint_that_keeps_silent_leaves_no_event_in_doubt() -> None:
    world = World(token_fault=Unreachable("ReadTimeout", sent=True))
    assert world.deliver(*_records(3)) == ["m0", "m1", "m2"]
    assert set(world.states().values()) == {"retrying"}
    assert world.sent == []
