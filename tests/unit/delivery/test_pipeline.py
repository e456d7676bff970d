"""The pipeline's order of steps: what is judged first, what is written last, and what is never sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from relay.agent.auth import Attempt
from relay.agent.definition import Agent, BatchSpec
from relay.agent.http import Request, Response
from relay.agent.verdict import Verdict, VerdictKind, by_status
from relay.delivery.client import AgentClient
from relay.delivery.plan import ORDER_UNKNOWN
from relay.delivery.queue import Message
from relay.delivery.settlement import SETTLE_BACKOFF_SECONDS
from relay.errors import (
    CircuitOpen,
    CredentialsRefused,
    LedgerUnavailable,
    OutOfTime,
    QueueUnavailable,
    Skip,
    Unreachable,
)
from relay.ledger.device_order import OrderResult, SequenceUpdate
from relay.ledger.ledger import ReceiptUpdate
from tests.unit.delivery.test_delivery import NOW, FakeCircuit, FakeLedger, FakeQueue, Settings, World, _build, _record


def test_a_delivery_in_doubt_is_unconfirmed_also_where_it_would_be_skipped_now() -> None:
    world = World(repeatable=False)
    world.ledger.rows["m1"] = {"state": "sending", "attempts": 2, "done": 1}
    world.deliver(_record(customerId=None))
    assert world.states == {"unconfirmed": 1}
    row = world.ledger.rows["m1"]
    assert (row["reason"], row["attempts"], row["done"]) == (
        "in doubt: an earlier attempt ended without a word",
        2,
        1,
    )


@dataclass(frozen=True)
class Witness(FakeQueue):
    """A dead-letter queue that looks at the receipt when its message comes."""

    ledger: FakeLedger = field(default_factory=FakeLedger)
    seen: list[Any] = field(default_factory=list)

    def dead_letter(self, record: Message, attributes: Mapping[str, str]) -> None:
        self.seen.append(self.ledger.rows.get(record.message_id, {}).get("state"))
        super().dead_letter(record, attributes)


def test_a_message_is_parked_before_its_receipt_says_so() -> None:
    ledger = FakeLedger()
    queue = Witness(ledger=ledger)
    world = World({"m1": [Response(400)]}, queue, ledger)
    world.deliver(_record())
    assert (queue.seen, ledger.rows["m1"]["state"]) == ([None], "parked")
    assert queue.parked["m1"] == {
        "agent": "example",
        "reason": "HTTP 400",
        "status": "400",
        "attempts": "1",
        "firstSeen": NOW.isoformat(),
    }


class Refusing(FakeQueue):
    """A dead-letter queue that takes nothing."""

    def dead_letter(self, _record: Message, _attributes: Mapping[str, str]) -> None:
        raise QueueUnavailable("RequestThrottled")


def test_a_message_that_cannot_be_parked_is_tried_again_with_both_reasons() -> None:
    world = World({"m1": [Response(400)]}, Refusing())
    assert world.deliver(_record(receives=2)) == ["m1"]
    row = world.ledger.rows["m1"]
    assert (row["state"], row["reason"]) == ("retrying", "cannot be parked (RequestThrottled): HTTP 400")
    assert world.queue.postponed == {"m1": 30}


@dataclass
class Unordered(FakeLedger):
    """A ledger whose row of the device has ended."""

    def advance_sequences(self, updates: Sequence[SequenceUpdate]) -> list[OrderResult | LedgerUnavailable]:
        return [OrderResult(is_newest=False, is_unknown=True)] * len(updates)


def test_an_event_whose_order_is_not_known_any_more_expires_and_is_never_sent() -> None:
    world = World(ordered=True, ledger=Unordered())
    assert world.deliver(_record()) == []
    assert (world.states, world.sent) == ({"expired": 1}, [])
    assert world.ledger.rows["m1"]["reason"] == ORDER_UNKNOWN == "older than 24 days, so that its order is not known"


def test_a_superseded_event_that_has_nothing_to_send_keeps_its_own_reason() -> None:
    world = World(ordered=True, ledger=Unordered())
    world.deliver(_record(customerId=None))
    assert world.ledger.rows["m1"]["reason"] == "no customerId"


@dataclass
class Slow(FakeLedger):
    """A ledger that takes an outcome at the last of so many tries."""

    tries: int = 1

    def settle(self, settlements: Sequence[ReceiptUpdate]) -> list[bool]:
        self.tries -= 1
        if self.tries > 0:
            return [False] * len(settlements)
        return super().settle(settlements)


def test_an_outcome_is_written_again_after_waits_that_double_and_no_longer_than_needed() -> None:
    assert SETTLE_BACKOFF_SECONDS == (0.1, 0.2, 0.4, 0.8, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6)
    for tries in (1, 3, len(SETTLE_BACKOFF_SECONDS)):
        ledger = Slow(tries=tries)
        world = World(repeatable=False, ledger=ledger)
        assert world.deliver(_record()) == []
        assert (ledger.tries, world.states) == (0, {"delivered": 1})
    world = World(repeatable=False, ledger=Slow(tries=99))
    world.deliver(_record())
    assert world.states == {"unsettled": 1}


REQUESTS = [Request("https://agent.example.com", str(number).encode()) for number in range(3)]


@dataclass
class Line:
    """A client whose agent answers so, one after the other."""

    answers: list[Response | Exception]
    repeatable: bool = True
    left: bool = True
    circuit: FakeCircuit = field(default_factory=FakeCircuit)
    sent: list[bytes] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    refusal: Exception | None = None

    def client(self, **more: Any) -> AgentClient[Settings]:
        known: dict[str, Any] = {"repeatable": self.repeatable, "authorize": self._authorize, **more}
        agent = Agent("example", "advertising", Settings, _build, **known)
        return AgentClient(agent, self.circuit, self._send, lambda: NOW, lambda: self.left, Settings())

    def _authorize(self, request: Request, _settings: Settings, attempt: Attempt) -> Request:
        self.attempts.append(attempt)
        if self.refusal:
            raise self.refusal
        return request

    def _send(self, request: Request) -> Response:
        self.sent.append(request.body)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_the_requests_that_are_done_are_not_sent_again() -> None:
    line = Line([Response(200), Response(202)])
    delivered = Verdict(VerdictKind.DELIVERED, "HTTP 202", status=202)
    assert line.client().send_all(REQUESTS, 1) == (delivered, 3)
    assert line.sent == [b"1", b"2"]
    nothing = Verdict(VerdictKind.DELIVERED, "nothing was left to send")
    assert line.client().send_all(REQUESTS, 3) == (nothing, 3)


def test_the_first_request_that_fails_is_where_the_next_attempt_begins() -> None:
    line = Line([Response(200), Response(429)])
    assert line.client().send_all(REQUESTS, 0) == (Verdict(VerdictKind.RETRY, "HTTP 429", status=429), 1)
    assert line.sent == [b"0", b"1"]


@pytest.mark.parametrize(
    ("sent", "repeatable", "kind", "reason"),
    [
        (True, False, "unconfirmed", "in doubt: no answer: ReadTimeout"),
        (True, True, "retry", "no answer: ReadTimeout"),
        (False, False, "retry", "no answer: ReadTimeout"),
    ],
)
def test_silence_is_in_doubt_where_something_was_sent_that_must_not_be_sent_twice(
    sent: bool,  # noqa: FBT001
    repeatable: bool,  # noqa: FBT001
    kind: str,
    reason: str,
) -> None:
    line = Line([Unreachable("ReadTimeout", sent=sent)], repeatable)
    result, done = line.client().send_all(REQUESTS[:1], 0)
    assert (result, done) == (Verdict(VerdictKind(kind), reason), 1 if kind == "unconfirmed" else 0)


@pytest.mark.parametrize(
    ("refusal", "kind", "reason"),
    [
        (CredentialsRefused("token endpoint: HTTP 401"), "credentials", "token endpoint: HTTP 401"),
        (Unreachable("ReadTimeout", sent=True), "retry", "no answer: ReadTimeout"),
    ],
)
def test_without_authorization_nothing_is_sent_and_nothing_is_in_doubt(
    refusal: Exception, kind: str, reason: str
) -> None:
    line = Line([], repeatable=False, refusal=refusal)
    assert line.client().send_all(REQUESTS, 0) == (Verdict(VerdictKind(kind), reason), 0)
    assert line.sent == []
    assert (line.attempts[0].now, line.attempts[0].force_refresh) == (NOW, False)


@pytest.mark.parametrize(("repeatable", "kind"), [(True, "retry"), (False, "unconfirmed")])
def test_a_response_that_cannot_be_read_costs_its_own_delivery(repeatable: bool, kind: str) -> None:  # noqa: FBT001
    def classify(_response: Response) -> Verdict:
        raise KeyError("the person's own data")

    result, _ = Line([Response(200)], repeatable).client(classify=classify).send_all(REQUESTS[:1], 0)
    assert result == Verdict(VerdictKind(kind), "HTTP 200, which cannot be read: KeyError", status=200)


def test_without_time_or_while_the_circuit_is_open_nothing_is_sent() -> None:
    late = Line([], left=False)
    result, done = late.client().send_all(REQUESTS, 1)
    assert (type(result), str(result), done) == (OutOfTime, "no time left", 1)
    held = Line([], circuit=FakeCircuit(opens_after=0))
    result, done = held.client().send_all(REQUESTS, 0)
    assert (type(result), done, held.sent, held.attempts) == (CircuitOpen, 0, [], [])


@pytest.mark.parametrize(("status", "kind"), [(503, CircuitOpen), (429, Verdict), (400, Verdict)])
def test_only_an_outage_asks_whether_the_circuit_has_opened(status: int, kind: type) -> None:
    line = Line([Response(status)], circuit=FakeCircuit(opens_after=1))
    result, _ = line.client(classify=by_status).send_all(REQUESTS[:1], 0)
    assert type(result) is kind


def test_an_agent_that_takes_one_event_a_request_joins_none() -> None:
    with pytest.raises(TypeError, match=r"^example takes one event a request$"):
        Line([]).client().send_joined(REQUESTS)


def test_a_delivery_that_another_worker_has_is_reported_once_and_never_written() -> None:
    world = World(repeatable=False)
    world.ledger.rows["m1"] = {"state": "busy"}
    assert world.deliver(_record()) == ["m1"]
    assert (world.states, world.sent, world.ledger.rows["m1"]) == ({"busy": 1}, [], {"state": "busy"})
    assert "settle" not in world.ledger.asked


def test_an_event_without_an_order_for_now_is_tried_again() -> None:
    class Silent(FakeLedger):
        def advance_sequences(self, updates: Sequence[SequenceUpdate]) -> list[OrderResult | LedgerUnavailable]:
            return [LedgerUnavailable("ThrottlingException")] * len(updates)

    world = World(ordered=True, ledger=Silent())
    assert world.deliver(_record()) == ["m1"]
    assert (world.states, world.sent, world.queue.postponed) == ({"retrying": 1}, [], {"m1": 5})
    assert world.ledger.rows["m1"]["reason"] == "ledger: ThrottlingException"


def test_a_settled_delivery_beside_held_ones_hides_none_of_them() -> None:
    world = World(repeatable=False, circuit=FakeCircuit(opens_after=0))
    world.ledger.rows["m1"] = {"state": "delivered"}
    assert world.deliver(_record(), _record("m2")) == ["m2"]
    assert (world.ledger.rows["m2"]["state"], world.states) == ("held", {"repeated": 1, "held": 1})
    # Nothing but the settled one is claimed.
    assert world.ledger.asked.count("claim") == 1


class Releasing(FakeLedger):
    """A ledger that knows of another person on each device."""

    def advance_sequences(self, updates: Sequence[SequenceUpdate]) -> list[OrderResult | LedgerUnavailable]:
        return [OrderResult(is_newest=True, must_release=True)] * len(updates)


@pytest.mark.parametrize(("status", "loads"), [(401, [False, True]), (200, [False]), (429, [False])])
def test_only_refused_credentials_of_a_release_are_read_again(status: int, loads: list[bool]) -> None:
    world = World({"release m1": [Response(status)]}, ordered=True, ledger=Releasing())
    world.deliver(_record(customerId=None, deviceId="phone", device={"id": "phone"}, anonymousId="visitor"))
    assert world.loads[-len(loads) :] == loads
    assert world.sent_ids == ["release m1"] * len(loads)


def test_an_app_without_the_agent_has_nothing_to_release() -> None:
    def left(_fresh: bool) -> Settings:  # noqa: FBT001
        raise Skip("the app does not use the agent")

    world = World(ordered=True, settings=left, purpose="messaging")
    event = _record(customerId=None, device={"id": "phone"}, anonymousId="visitor", consent={"messaging": False})
    assert world.deliver(event) == []
    assert (world.states, world.sent) == ({"skipped": 1}, [])


@pytest.mark.parametrize(("before", "after"), [(None, 1), (2, 3)])
def test_an_attempt_that_ends_in_a_fault_of_ours_counts_as_one(before: int | None, after: int) -> None:
    world = World({"m1": [KeyError("a fault of ours")]})
    if before:
        world.ledger.rows["m1"] = {"state": "retrying", "attempts": before}
    assert world.deliver(_record(receives=(before or 0) + 1)) == ["m1"]
    row = world.ledger.rows["m1"]
    assert (row["state"], row["attempts"]) == ("retrying", after)


def test_a_response_is_read_as_one_to_so_many_events_as_its_request_holds() -> None:
    numbers: list[int] = []

    def classify(_response: Response, number: int) -> Verdict:
        numbers.append(number)
        return Verdict(VerdictKind.DELIVERED)

    batching = BatchSpec(10, lambda requests: requests[0], classify)
    client = Line([Response(200)] * 4).client(batching=batching)
    client.send_all(REQUESTS, 0)
    client.send_joined(REQUESTS[:2])
    assert numbers == [1, 1, 1, 2]
