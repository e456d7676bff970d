"""Bad days that come together: faults that meet at one delivery, each in the middle of another."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from relay.agent.auth import Attempt, ClientCredentials, bearer
from relay.agent.definition import Agent, BatchSpec, StatusQuestion
from relay.agent.http import Request, Response
from relay.agent.verdict import Verdict, VerdictKind
from relay.aws import clients
from relay.delivery import aftermath
from relay.delivery.aftermath import Aftermath
from relay.delivery.batch import MAX_WORKERS, MIN_REMAINING_MS
from relay.delivery.client import AgentClient
from relay.delivery.outcome import MAX_REASON
from relay.delivery.pipeline import MAX_WAIT_FOR_VERSION_ORDERED
from relay.delivery.queue import Message
from relay.delivery.settlement import SETTLE_BACKOFF_SECONDS
from relay.errors import OutOfTime, SettingsUnavailable
from relay.event.model import Event
from relay.ledger.ledger import Ledger
from relay.ledger.rows import to_python
from relay.ledger.samples import Sample
from tests.integration.simulated_dynamodb import Fault, SimulatedDynamoDB
from tests.integration.simulated_world import KEYS
from tests.unit.delivery import test_delivery
from tests.unit.delivery.test_delivery import NOW, FakeCircuit, FakeLedger, Settings, Time, World, _build, _record

# Time.


def _authorize(request: Request, _settings: Settings, attempt: Attempt) -> Request:
    client = ClientCredentials.model_validate(
        {"token_url": "https://auth.example.com/slow", "client_id": "c", "client_secret": "s"}
    )
    bearer(client, attempt)
    return request


@dataclass
class SlowToken:
    """A token endpoint that takes most of the function's time; it remembers all that was sent."""

    time: Time
    sent: list[str] = field(default_factory=list)

    def send(self, request: Request) -> Response:
        self.sent.append(request.url)
        self.time.left -= 7_000
        return Response(200, b'{"access_token":"t"}')


def test_no_request_begins_after_a_token_that_took_the_time_which_it_needs() -> None:
    time = Time(MIN_REMAINING_MS + 1_000)
    token = SlowToken(time)
    agent = Agent("example", "advertising", Settings, _build, authorize=_authorize, repeatable=False)
    client = AgentClient(
        agent, FakeCircuit(), token.send, lambda: NOW, lambda: time.left >= MIN_REMAINING_MS, Settings()
    )
    result, done = client.send_all([Request("https://agent.example.com/events", b"m1")], 0)
    assert isinstance(result, OutOfTime)
    assert (token.sent, done) == (["https://auth.example.com/slow"], 0)


class _Samples:
    """A sample that is due."""

    def now(self) -> Any:
        return NOW

    def due(self, scope: str, reference: str) -> Sample:
        return Sample(reference, scope, 0, 0, 0)


@dataclass
class _Asked:
    """An agent that is asked for the status of a request; what was done before stands in `order`."""

    time: Time
    order: list[str] = field(default_factory=list)

    def look(self) -> Aftermath:
        aftermath.forget()
        question = StatusQuestion(lambda _reference, _settings: Request("https://agent.example.com/status", b""), _none)
        batching = BatchSpec(10, lambda requests: requests[0], _none, question)
        agent = Agent("example", "advertising", Settings, _build, authorize=_authorize, batching=batching)
        return Aftermath(agent, _Samples(), self._send)  # type: ignore[arg-type]

    def _send(self, request: Request) -> Response:
        self.order.append(request.url)
        self.time.left -= 7_000
        return Response(200, b'{"access_token":"t"}')


def _none(*_: object) -> Any:
    return None


def test_no_status_is_asked_after_a_token_that_took_the_time_which_it_needs() -> None:
    asked = _Asked(Time(MIN_REMAINING_MS + 1_000))
    follower = asked.look()
    follower.note("example", Settings(), "request-1")
    follower.look(lambda: asked.time.left >= MIN_REMAINING_MS)
    assert asked.order == ["https://auth.example.com/slow"]


# The ledger itself, over a table in memory.


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> SimulatedDynamoDB:
    """The table behind a real ledger."""
    simulated = SimulatedDynamoDB()
    monkeypatch.setattr(clients, "dynamodb", lambda: simulated)
    return simulated


def _world(*, repeatable: bool = False, ordered: bool = False) -> World:
    world = World(repeatable=repeatable, ordered=ordered)
    world.ledger = Ledger("receipts", "example", 60, keys=lambda _fresh: KEYS, now=lambda: world.now)  # type: ignore[assignment]
    return world


def _row(table: SimulatedDynamoDB, event_id: str = "m1") -> dict[str, Any]:
    row = table.rows["shop#" + event_id, "example"]
    return {name: to_python(value) for name, value in row.items()}


def _no_settings(_fresh: bool) -> Settings:  # noqa: FBT001 - the loader's own
    raise SettingsUnavailable("the agent's settings cannot be read")


@pytest.mark.parametrize("repeatable", [True, False])
def test_a_hold_without_settings_ends_the_row_of_failures(table: SimulatedDynamoDB, *, repeatable: bool) -> None:
    world = _world(repeatable=repeatable)
    world.answers = {"m1": [Response(503)]}
    world.deliver(_record())
    world.now, world.settings = NOW + timedelta(hours=1), _no_settings
    world.deliver(_record(receives=2))
    assert _row(table)["state"] == "held"
    world.now, world.settings = NOW + timedelta(hours=26), lambda _fresh: Settings()
    world.answers = {"m1": [Response(429)]}
    assert world.deliver(_record(receives=3)) == ["m1"]
    assert _row(table)["state"] == "retrying"


def test_a_delivery_without_settings_is_written_once_while_nothing_changes(table: SimulatedDynamoDB) -> None:
    world = _world()
    world.settings = _no_settings
    world.deliver(_record())
    before = _row(table)
    world.now = NOW + timedelta(hours=1)
    assert world.deliver(_record(receives=2)) == ["m1"]
    assert _row(table) == before
    assert world.queue.postponed == {"m1": 900}


# Releases that wait.


def _of_nadia(number: int) -> Message:
    return _record(f"a{number}", f"d{number}", device={"id": f"d{number}", "platform": "android"})


def _of_rui(number: int, receives: int = 1) -> Message:
    """A login that may not be sent, on a phone that the agent links to Nadia."""
    denied: dict[str, Any] = {"sequence": 2, "customerId": "rui", "consent": {"advertising": False}}
    return _record(f"b{number}", f"d{number}", receives, device={"id": f"d{number}", "platform": "android"}, **denied)


def test_a_release_that_waits_for_the_agent_is_written_once(table: SimulatedDynamoDB) -> None:
    world = _world(repeatable=True, ordered=True)
    world.deliver(_of_nadia(1))
    world.circuit = FakeCircuit(opens_after=0)
    world.deliver(_of_rui(1))
    before = dict(table.rows)
    world.now = NOW + timedelta(hours=1)
    assert world.deliver(_of_rui(1, receives=2)) == ["b1"]
    assert (table.rows, world.states) == (before, {"held": 1})
    world.circuit = FakeCircuit()
    assert world.deliver(_of_rui(1, receives=3)) == []
    assert world.sent_ids == ["a1", "release b1"]
    assert (_row(table, "b1")["state"], _row(table, "b1")["released"]) == ("skipped", 1)


def test_a_release_is_not_asked_again_for_credentials_that_were_just_refused(table: SimulatedDynamoDB) -> None:
    world = _world(repeatable=True, ordered=True)
    for number in range(8):
        world.deliver(_of_nadia(number))
    world.answers = {f"release b{number}": [Response(401)] for number in range(8)}
    world.sent.clear()
    world.loads.clear()
    for number in range(8):
        assert world.deliver(_of_rui(number)) == [f"b{number}"]
    assert (len(world.sent), world.loads.count(True)) == (2, 1)
    assert {_row(table, f"b{number}")["reason"] for number in range(8)} == {
        "consent: advertising; not released: HTTP 401"
    }


def test_a_release_whose_credentials_are_refused_at_length_is_written_once(table: SimulatedDynamoDB) -> None:
    world = _world(repeatable=True, ordered=True)
    world.deliver(_of_nadia(1))
    world.more = {"classify": lambda _response: Verdict(VerdictKind.UNAUTHORIZED, "no " * MAX_REASON)}
    world.deliver(_of_rui(1))
    before = dict(table.rows)
    world.now = NOW + timedelta(hours=1)
    assert world.deliver(_of_rui(1, receives=2)) == ["b1"]
    assert (table.rows, len(_row(table, "b1")["reason"])) == (before, MAX_REASON)


def test_the_rest_of_a_batch_is_not_sent_with_credentials_that_its_first_found_refused() -> None:
    world = World({f"m{number}": [Response(401)] for number in range(100)})
    world.deliver(*(_record(f"m{number}") for number in range(100)))
    assert world.states == {"held": 100}
    assert len(world.sent) <= 4 * MAX_WORKERS


def _fault(*_: object) -> list[Request]:
    raise KeyError("the customer's own data")


def test_a_fault_in_one_release_costs_its_own_device_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_delivery, "_release", _fault)
    world = World(ordered=True)
    assert world.deliver(_of_rui(1), _record("m2", "d2", device={"id": "d2", "platform": "android"})) == ["b1"]
    assert world.states == {"retrying": 1, "delivered": 1}
    assert world.ledger.rows["b1"]["reason"] == "fault: KeyError"


# The rest.


def test_a_logout_waits_an_hour_at_most_behind_an_event_of_an_unknown_type() -> None:
    tomorrow = Message("m1", "r", '{"type":"refund","appId":"shop","eventId":"m1"}', 1, NOW, "d1")
    logout = _record("m2", "d1", type="logout", device={"id": "d1", "platform": "android"})
    world = World(ordered=True, now=NOW + MAX_WAIT_FOR_VERSION_ORDERED - timedelta(seconds=1))
    assert world.deliver(tomorrow, logout) == ["m1", "m2"]
    world.now = NOW + MAX_WAIT_FOR_VERSION_ORDERED
    assert world.deliver(tomorrow, logout) == []
    assert (list(world.queue.parked), world.sent_ids) == (["m1"], ["m2"])


def test_after_every_wait_for_the_ledger_there_is_time_for_a_call_that_hangs() -> None:
    known: Any = clients._PROMPT  # noqa: SLF001 - which gives up after two tries
    hang = 2 * (known.connect_timeout + known.read_timeout)
    assert max(SETTLE_BACKOFF_SECONDS) + hang < MIN_REMAINING_MS / 1000


def test_a_reason_is_kept_short_whatever_code_the_agent_gives() -> None:
    agent = Agent("example", "advertising", Settings, _build, classify=_long)
    client = AgentClient(agent, FakeCircuit(), lambda _request: Response(400), lambda: NOW, lambda: True, Settings())
    result, _ = client.send_all([Request("https://agent.example.com/events", b"m1")], 0)
    assert isinstance(result, Verdict)
    assert len(result.reason) == MAX_REASON


def _long(_response: Response) -> Verdict:
    return Verdict(VerdictKind.REJECTED, "code 9" + "9" * 4_000)


# Claims whose answers are lost.


def _claimed_and_died(table: SimulatedDynamoDB) -> World:
    """A delivery that a function claimed and may have sent before it died, when its lease has run out."""
    world = _world()
    world.ledger.claim([Event.load(_record().body)], NOW)
    world.now = NOW + timedelta(seconds=61)
    assert _row(table)["state"] == "sending"
    return world


@pytest.mark.parametrize("read_back", [None, "refused"])
def test_a_claim_that_takes_over_one_in_doubt_is_never_handed_on_as_unsent(
    table: SimulatedDynamoDB, read_back: Fault | None
) -> None:
    world = _claimed_and_died(table)
    table.faults.extend([None, None, None, "answer lost", read_back])
    world.deliver(_record())
    assert world.queue.requeued == []
    world.now += timedelta(seconds=61)
    world.deliver(_record(receives=2))
    assert (_row(table)["state"], world.sent) == ("unconfirmed", [])


def test_a_claim_of_a_known_row_whose_answer_was_lost_is_read_back(table: SimulatedDynamoDB) -> None:
    world = _world()
    world.answers = {"m1": [Response(503), Response(200)]}
    world.deliver(_record())
    table.faults.extend([None, "answer lost"])
    assert world.deliver(_record(receives=2)) == []
    assert (_row(table)["state"], world.queue.requeued) == ("delivered", [])


def test_a_claim_that_sent_the_first_of_two_requests_is_not_handed_on_as_unsent() -> None:
    answers: list[Response | Exception] = [Response(200), Response(503)]
    world = World({"m1": answers}, ledger=FakeLedger(down={"settle"}), repeatable=False)
    assert world.deliver(_record(name="twice")) == ["m1"]
    assert (len(world.sent), world.states, world.queue.requeued) == (2, {"unsettled": 1}, [])
