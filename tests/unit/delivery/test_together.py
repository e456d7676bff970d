"""Many events by one request: what becomes of each, whatever becomes of the request."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from functions.agents.facebook import app as facebook
from relay.agent.definition import Agent, BatchSpec
from relay.agent.http import Request, Response
from relay.agent.verdict import Verdict, by_status
from relay.delivery.app_settings import ScopedSettings
from relay.delivery.batch import CHUNK_SIZE, MAX_CHUNKS_IN_FLIGHT, MAX_WORKERS, MIN_REMAINING_MS, process_batch
from relay.delivery.pipeline import DeliveryPipeline
from relay.delivery.queue import Message
from relay.delivery.report import Report
from relay.errors import SettingsUnavailable
from relay.event.model import Event
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


def _join(requests: Sequence[Request]) -> Request:
    return Request(requests[0].url, b",".join(request.body for request in requests), requests[0].headers)


@dataclass
class World:
    """A runtime whose agent refuses every request that tells of a `bad` event, by this status."""

    bad: set[str] = field(default_factory=set)
    status: int = 400
    max_events: int = 1000
    queue: FakeQueue = field(default_factory=FakeQueue)
    ledger: FakeLedger = field(default_factory=FakeLedger)
    circuit: FakeCircuit = field(default_factory=FakeCircuit)
    sent: list[list[str]] = field(default_factory=list)
    load: Callable[[bool], Settings] = lambda _fresh: Settings()
    key: str = "first"
    join: Callable[[Sequence[Request]], Request] = _join

    def deliver(self, *records: Message, time: Time | None = None) -> list[str]:
        agent = Agent(
            "example", "advertising", Settings, _build, batching=BatchSpec(self.max_events, self.join, _classify)
        )
        runtime = DeliveryPipeline(
            agent,
            ENVIRONMENT,
            self.queue,
            self.ledger,
            lambda _scope: self.circuit,
            lambda _app, force_refresh: ScopedSettings(self.load(force_refresh), "example"),
            Report("example"),
            send=self._send,
            now=lambda: NOW,
            jitter=lambda _low, high: high,
            pause=lambda _seconds: None,
        )
        return process_batch(runtime, records, time or Time())

    def _send(self, request: Request) -> Response:
        ids = request.body.decode().split(",")
        self.sent.append(ids)
        if str(getattr(request.headers["authorization"], "get_secret_value", str)()) != self.key:
            return Response(401)
        return Response(self.status if self.bad & set(ids) else 200)

    def states(self) -> dict[str, str]:
        return {event: row["state"] for event, row in self.ledger.rows.items()}


def _classify(response: Response, _number: int) -> Verdict:
    return by_status(response)


def _records(number: int) -> list[Message]:
    return [_record(f"m{position}") for position in range(number)]


def test_a_batch_is_one_request() -> None:
    world = World()
    assert world.deliver(*_records(30)) == []
    assert [len(ids) for ids in world.sent] == [30]
    assert set(world.states().values()) == {"delivered"}


def test_a_request_tells_of_no_more_events_than_the_agent_takes() -> None:
    world = World(max_events=10)
    world.deliver(*_records(25))
    assert [len(ids) for ids in world.sent] == [10, 10, 5]


@pytest.mark.parametrize("bad", [{"m0"}, {"m12"}, {"m24"}, {"m3", "m17"}])
def test_a_refused_event_costs_only_itself(bad: set[str]) -> None:
    world = World(bad)
    assert world.deliver(*_records(25)) == []
    assert {event for event, state in world.states().items() if state == "parked"} == bad
    assert {event for event, state in world.states().items() if state == "delivered"} == set(world.states()) - bad
    assert set(world.queue.parked) == bad
    # Halving finds one culprit among 25 with two requests a level at most.
    assert len(world.sent) <= 1 + len(bad) * 10


def test_no_event_is_sent_twice_while_the_culprit_is_looked_for() -> None:
    world = World({"m7"})
    world.deliver(*_records(16))
    taken = [event for ids in world.sent if "m7" not in ids for event in ids]
    assert sorted(taken) == sorted({f"m{position}" for position in range(16)} - {"m7"})


def test_all_of_a_request_that_failed_for_now_are_tried_again() -> None:
    world = World({"m1"}, status=503)
    assert world.deliver(*_records(3)) == ["m0", "m1", "m2"]
    assert [len(ids) for ids in world.sent] == [3]
    assert world.queue.postponed == {"m0": 5, "m1": 5, "m2": 5}


def test_refused_credentials_are_read_again_once_for_all() -> None:
    loads: list[bool] = []

    def load(force_refresh: bool) -> Settings:  # noqa: FBT001
        loads.append(force_refresh)
        return Settings.model_validate({"key": "second" if any(loads) else "first"})

    world = World(load=load, key="second")
    assert world.deliver(*_records(3)) == []
    assert loads.count(True) == 1
    assert [len(ids) for ids in world.sent] == [3, 3]


def test_credentials_that_stay_refused_hold_all_of_a_request() -> None:
    world = World(key="another")
    assert world.deliver(*_records(2)) == ["m0", "m1"]
    assert world.states() == {"m0": "held", "m1": "held"}
    assert world.queue.postponed == {"m0": 900, "m1": 900}


def test_events_sent_before_the_circuit_opened_are_delivered_and_the_rest_held() -> None:
    world = World({"m3"}, circuit=FakeCircuit(opens_after=2))
    assert sorted(world.deliver(*_records(4))) == ["m2", "m3"]
    assert world.states() == {"m0": "delivered", "m1": "delivered", "m2": "held", "m3": "held"}


def test_what_the_function_has_no_time_for_is_tried_later() -> None:
    class Running(Time):
        def get_remaining_time_in_millis(self) -> int:
            self.left -= 1
            return self.left

    world = World({"m0"})
    kept = world.deliver(*_records(64), time=Running(MIN_REMAINING_MS + 4))
    assert len(world.sent) < 5
    assert {world.states()[event] for event in kept} == {"retrying"}


def test_events_with_nothing_to_tell_stay_out_of_the_request() -> None:
    world = World()
    assert world.deliver(_record("m0"), _record("m1", customerId=None), _record("m2")) == []
    assert world.sent == [["m0", "m2"]]
    assert world.states() == {"m0": "delivered", "m1": "skipped", "m2": "delivered"}


def test_settings_that_cannot_be_had_hold_the_batch() -> None:
    def unavailable(_fresh: bool) -> Settings:  # noqa: FBT001
        raise SettingsUnavailable("the parameter does not exist")

    world = World(load=unavailable)
    assert world.deliver(*_records(2)) == ["m0", "m1"]
    assert world.sent == []


def test_metas_requests_are_joined_into_one_list_of_events() -> None:
    settings = facebook.Settings.model_validate({"access_token": "EAAexample", "dataset_id": "1234567890123456"})
    events = [Event.load(_record(f"m{position}").body) for position in range(3)]
    requests = [request for event in events for request in facebook.build_requests(event, settings)]
    joined = facebook.merge(requests)
    assert [event["event_id"] for event in json.loads(joined.body)["data"]] == ["m0", "m1", "m2"]
    assert (joined.url, joined.headers) == (requests[0].url, requests[0].headers)
    assert facebook.merge(requests[:1]) is requests[0]


@pytest.mark.parametrize(("received", "kind"), [(3, "delivered"), (2, "retry"), (1, "retry")])
def test_meta_must_say_that_it_received_every_event(received: int, kind: str) -> None:
    answer = Response(200, json.dumps({"events_received": received}).encode())
    assert facebook.classify(answer, 3).kind == kind


def test_a_request_of_many_that_meta_refuses_by_an_unknown_code_is_halved_and_one_of_one_is_tried_again() -> None:
    answer = Response(400, b'{"error":{"code":99999}}')
    assert [facebook.classify(answer, number).kind for number in (2, 1)] == ["rejected", "retry"]
    assert facebook.classify(Response(500, answer.body), 2).kind == "retry"


def test_a_fault_of_ours_in_one_request_costs_its_own_events_alone() -> None:
    def join(requests: Sequence[Request]) -> Request:
        if requests[0].body == b"m0":
            raise KeyError("a fault of ours")
        return _join(requests)

    world = World(max_events=2, join=join)
    assert world.deliver(*_records(4)) == ["m0", "m1"]
    assert world.states() == {"m0": "retrying", "m1": "retrying", "m2": "delivered", "m3": "delivered"}


def test_a_batch_has_as_many_deliveries_and_chunks_under_way_as_its_documents_say() -> None:
    assert (MAX_WORKERS, CHUNK_SIZE, MAX_CHUNKS_IN_FLIGHT, MIN_REMAINING_MS) == (16, 8, 3, 8_000)
