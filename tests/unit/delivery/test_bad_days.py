"""Bad days: what an outage, a throttled ledger, a refused dead letter and hostile answers cost."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from relay.agent.auth import Attempt, ClientCredentials, bearer
from relay.agent.http import Response, bounded, read_json
from relay.agent.verdict import MAX_WAIT_SECONDS, Verdict, VerdictKind, is_outage, retry_after
from relay.aws import clients
from relay.delivery.outcome import Outcome
from relay.delivery.pipeline import MAX_WAIT_FOR_VERSION
from relay.delivery.queue import Message, Queue
from relay.delivery.retry import (
    MAX_PROBE_SECONDS,
    MAX_PROBE_SECONDS_ORDERED,
    MAX_RECEIVES,
    RetryPolicy,
)
from relay.delivery.settlement import SETTLE_BACKOFF_SECONDS
from relay.errors import CircuitOpen, CredentialsRefused, QueueUnavailable, Unreachable
from relay.ledger.states import DeliveryState
from tests.unit.delivery.test_delivery import NOW, FakeCircuit, FakeLedger, FakeQueue, World, _record

DAY = 86_400


def _policy(longest: int = MAX_PROBE_SECONDS, now: datetime = NOW) -> RetryPolicy:
    return RetryPolicy((5, 30, 120), DAY, 900, 30, longest, lambda: now, lambda _low, high: high)


def _message(receives: int = 1, sent_at: datetime = NOW) -> Message:
    return Message("m1", "r", "{}", receives, sent_at, None)


PENDING = Outcome(DeliveryState.PENDING)


# 1. Silence.


@pytest.mark.parametrize("kind", [VerdictKind.RETRY, VerdictKind.UNCONFIRMED])
def test_silence_is_an_outage_whatever_becomes_of_the_delivery(kind: VerdictKind) -> None:
    assert is_outage(Verdict(kind, "no answer: ReadTimeout"))


def test_an_answer_that_proves_nothing_is_no_outage() -> None:
    assert not is_outage(Verdict(VerdictKind.UNCONFIRMED, "HTTP 204", status=204))
    assert not is_outage(Verdict(VerdictKind.UNAUTHORIZED, "token endpoint: HTTP 401"))


def test_a_delivery_without_an_answer_is_in_doubt_and_one_with_an_answer_is_not() -> None:
    silent = _policy().decide(_message(), Verdict(VerdictKind.UNCONFIRMED, "in doubt"), PENDING)
    answered = _policy().decide(_message(), Verdict(VerdictKind.UNCONFIRMED, "HTTP 204", status=204), PENDING)
    assert (silent.in_doubt, answered.in_doubt) == (True, False)


# 3. The ledger.


class Sent:
    """SQS' client, which keeps the attributes of what it is sent."""

    def send_message(self, **message: Any) -> None:
        self.attributes: dict[str, Any] = message["MessageAttributes"]


class Throttled(FakeLedger):
    """Refuses to settle so many times."""

    refusals: int = 0

    def _refuse(self, operation: str) -> None:
        if operation == "settle" and self.refusals > 0:
            self.refusals -= 1
            self.down = {"settle"}
        else:
            self.down = set()
        super()._refuse(operation)


def test_an_outcome_is_written_again_and_again_while_there_is_time() -> None:
    ledger = Throttled()
    ledger.refusals = len(SETTLE_BACKOFF_SECONDS) - 1
    world = World({"m1": [Response(503)]}, ledger=ledger, repeatable=False)
    assert world.deliver(_record()) == ["m1"]
    assert world.states == {"retrying": 1}
    assert ledger.rows["m1"]["state"] == "retrying"


def test_a_claim_that_sent_nothing_and_cannot_be_settled_is_handed_on_as_such() -> None:
    world = World({"m1": [Unreachable("ConnectTimeout")]}, ledger=FakeLedger(down={"settle"}), repeatable=False)
    assert world.deliver(_record()) == []
    assert world.queue.requeued == [("m1", 61, "claim-1")]
    again = World(repeatable=False)
    again.deliver(_record()._replace(unsent="claim-1"))
    assert again.ledger.unsent == ["claim-1"]


def test_a_copy_names_every_claim_that_sent_nothing_as_the_row_may_bear_the_name_of_any() -> None:
    message = _message()._replace(unsent="claim-1,claim-2")
    queue, sent = Queue("q", "dead"), Sent()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clients, "sqs", lambda: sent)
        assert queue.requeue(message, 61, "claim-3")
    assert sent.attributes["unsent"]["StringValue"] == "claim-1,claim-2,claim-3"


def test_a_claim_that_may_have_sent_something_is_not_handed_on() -> None:
    world = World({"m1": [Response(200)]}, ledger=FakeLedger(down={"settle"}), repeatable=False)
    assert world.deliver(_record()) == ["m1"]
    assert world.queue.requeued == []


# 4. The dead-letter queue.


class RefusingQueue(FakeQueue):
    """Takes no dead letter."""

    def dead_letter(self, message: Message, attributes: Any) -> None:  # noqa: ARG002 - it takes none
        raise QueueUnavailable("RequestThrottled")


def test_a_refused_dead_letter_costs_its_own_message_alone() -> None:
    world = World({"m2": [Response(400)]}, queue=RefusingQueue(), repeatable=False)
    assert world.deliver(_record("m1"), _record("m2"), _record("m3")) == ["m2"]
    assert world.states == {"delivered": 2, "retrying": 1}
    assert world.ledger.rows["m2"]["reason"] == "cannot be parked (RequestThrottled): HTTP 400"


def test_an_unreadable_message_that_cannot_be_parked_stays_in_the_queue() -> None:
    world = World(queue=RefusingQueue())
    assert world.deliver(Message("m1", "r", '{"type":"login"}', 1, NOW, None)) == ["m1"]


# 5. Long outages.


@pytest.mark.parametrize(
    ("down_for", "ordered", "wait"),
    [
        (0, False, 60),
        (300, False, 60),
        (3600, False, 720),
        (DAY, False, MAX_PROBE_SECONDS),
        (3600, True, 720),
        (DAY, True, MAX_PROBE_SECONDS_ORDERED),
    ],
)
def test_the_longer_the_agent_is_down_the_longer_a_held_delivery_waits(
    down_for: int, wait: int, *, ordered: bool
) -> None:
    policy = _policy(MAX_PROBE_SECONDS_ORDERED if ordered else MAX_PROBE_SECONDS)
    outcome = policy.decide(_message(), CircuitOpen("open", down_for=down_for), PENDING)
    assert (outcome.state, outcome.wait) == ("held", wait)


def test_a_held_delivery_is_neither_claimed_nor_written_while_nothing_has_changed() -> None:
    world = World(circuit=FakeCircuit(opens_after=0), repeatable=False)
    assert world.deliver(_record()) == ["m1"]
    assert world.ledger.asked == ["look", "note"]
    world.ledger.asked.clear()
    assert world.deliver(_record(receives=2)) == ["m1"]
    assert world.ledger.asked == ["look"]
    assert "wait" not in world.ledger.rows["m1"]


def test_near_the_last_receive_a_held_message_is_parked_with_its_reason() -> None:
    outcome = _policy().decide(_message(MAX_RECEIVES), CircuitOpen("open", down_for=DAY), PENDING)
    assert (outcome.state, outcome.reason) == ("parked", f"still held after {MAX_RECEIVES} looks: open")


# 6. The horizon.


def test_the_horizon_counts_failing_and_not_waiting() -> None:
    world = World({"m1": [Response(503)]})
    world.deliver(_record())
    world.now = NOW + timedelta(hours=1)
    world.circuit = FakeCircuit(opens_after=0)
    assert world.deliver(_record(receives=2)) == ["m1"]
    world.now = NOW + timedelta(hours=26)
    world.circuit, world.answers = FakeCircuit(), {"m1": [Response(429)]}
    assert world.deliver(_record(receives=3)) == ["m1"]
    assert world.ledger.rows["m1"]["state"] == "retrying"


def test_failing_ends_at_nine_days_in_all() -> None:
    outcome = _policy(now=NOW + timedelta(days=9, seconds=1)).decide(
        _message(), Verdict(VerdictKind.RETRY, "HTTP 503", status=503), PENDING
    )
    assert outcome.state == "parked"


# 8. Time.


class RunsOut:
    """A context whose time runs out after so many questions."""

    def __init__(self, questions: int) -> None:
        self.left = questions

    def get_remaining_time_in_millis(self) -> int:
        self.left -= 1
        return 30_000 if self.left >= 0 else 0


def test_no_second_request_of_a_delivery_begins_that_cannot_end_in_time() -> None:
    world = World(repeatable=False)
    assert world.deliver(_record(name="twice"), context=RunsOut(2)) == ["m1"]  # type: ignore[arg-type]
    assert len(world.sent) == 1
    assert (world.ledger.rows["m1"]["done"], world.ledger.rows["m1"]["attempts"]) == (1, 0)


def test_no_second_try_with_fresh_credentials_begins_that_cannot_end_in_time() -> None:
    world = World({"m1": [Response(401), Response(200)]})
    assert world.deliver(_record(), context=RunsOut(2)) == ["m1"]  # type: ignore[arg-type]
    assert len(world.sent) == 1
    assert world.states == {"retrying": 1}


# 9. Hostile answers.


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("9" * 5000, MAX_WAIT_SECONDS),
        ("120", 120),
        ("-5", None),
        ("1e400", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_WAIT_SECONDS),
        ("Mon, 99 Zzz 99999999999999999999 99:99:99 +9999", None),
        ("", None),
    ],
)
def test_any_retry_after_is_a_wait_within_bounds_or_none(value: str, seconds: int | None) -> None:
    answer = Response(429, b"", {"retry-after": value, "date": "Fri, 20 Nov 2026 09:15:42 GMT"})
    assert retry_after(answer) == seconds


@pytest.mark.parametrize("body", ["[" * 100_000, "NaN", '{"a": Infinity}', '{"a": 1e999}', "\xff", ""])
def test_a_body_that_cannot_be_read_is_no_json(body: str) -> None:
    assert Response(200, body.encode("latin-1")).json() is None
    assert read_json(body) is None


@pytest.mark.parametrize(
    ("value", "number"),
    [(float("inf"), None), (float("nan"), None), (True, None), ([], None), (None, None), (-1, 0), (1e300, 9), ("7", 7)],
)
def test_a_vendors_number_is_bounded_or_nothing(value: object, number: int | None) -> None:
    assert bounded(value, 9) == number


def test_a_token_of_endless_life_is_renewed_after_a_day() -> None:
    answers = [Response(200, json.dumps({"access_token": "t", "expires_in": 10**400}).encode())]
    client = ClientCredentials.model_validate(
        {"token_url": "https://auth.example.com/endless", "client_id": "c", "client_secret": "s"}
    )
    assert bearer(client, Attempt(NOW, lambda _request: answers[0], force_refresh=False)).get_secret_value() == "t"


@pytest.mark.parametrize("token", [None, 5, {"a": 1}, ""])
def test_a_token_that_is_no_text_is_refused(token: object) -> None:
    body = json.dumps({"access_token": token, "expires_in": 60}).encode()
    client = ClientCredentials.model_validate(
        {"token_url": "https://auth.example.com/none", "client_id": "c", "client_secret": "s"}
    )
    with pytest.raises(CredentialsRefused):
        bearer(client, Attempt(NOW, lambda _request: Response(200, body), force_refresh=False))


# 10. Refused credentials.


def test_a_backlog_does_not_ask_again_for_credentials_that_were_just_refused() -> None:
    world = World({f"m{number}": [Response(401)] for number in range(30)}, repeatable=False)
    kept = world.deliver(_record("m0"))
    assert kept == ["m0"]
    sent, loads = len(world.sent), world.loads.count(True)
    assert (sent, loads) == (2, 1)
    world.deliver(*(_record(f"m{number}") for number in range(1, 30)))
    assert (len(world.sent), world.loads.count(True)) == (sent, loads)
    assert world.states == {"held": 29}
    assert {row["attempts"] for row in world.ledger.rows.values()} == {0}


# 11. An event of a newer version.


def _of_tomorrow(sent_at: datetime = NOW) -> Message:
    body = json.dumps({"type": "refund", "appId": "shop", "eventId": "e1"})
    return Message("m1", "r", body, 1, sent_at, None)


def test_an_event_of_an_unknown_type_waits_for_the_version_that_knows_it() -> None:
    world = World()
    assert world.deliver(_of_tomorrow()) == ["m1"]
    assert world.queue.parked == {}


def test_an_event_of_an_unknown_type_is_parked_after_a_day() -> None:
    world = World(now=NOW + MAX_WAIT_FOR_VERSION)
    assert world.deliver(_of_tomorrow()) == []
    assert world.queue.parked["m1"]["reason"].startswith("unreadable")


class ClosedForOne(FakeCircuit):
    """An open circuit that lets one delivery through, its probe."""

    is_probed: bool = False

    def call(self, exchange: Any) -> Verdict:
        self.is_probed = True
        verdict: Verdict = exchange()
        return verdict

    def check(self) -> None:
        if self.is_probed:
            raise CircuitOpen("circuit open: the agent does not answer", down_for=DAY)


def test_a_probe_that_fails_waits_for_the_agent_as_all_others_do() -> None:
    world = World({"m1": [Response(503)]}, circuit=ClosedForOne())
    assert world.deliver(_record()) == ["m1"]
    assert (world.states, len(world.sent)) == ({"held": 1}, 1)
    assert world.ledger.rows["m1"].get("failing", 0) == 0
