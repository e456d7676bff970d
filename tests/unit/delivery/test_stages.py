"""The stages of the pipeline one by one: what each decides, writes, reports and leaves to the next."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from relay.agent.auth import Attempt
from relay.agent.definition import BatchSpec
from relay.agent.http import Request, Response
from relay.agent.verdict import VerdictKind, by_status
from relay.delivery.pipeline import MAX_WAIT_FOR_VERSION
from relay.delivery.queue import Message
from relay.delivery.retry import MAX_PROBE_SECONDS, MAX_PROBE_SECONDS_ORDERED
from relay.delivery.settlement import SETTLE_BACKOFF_SECONDS
from relay.errors import LedgerUnavailable, SettingsUnavailable, Skip, Unreachable
from relay.event.contact import Contact
from relay.event.model import Event
from relay.ledger.device_order import OrderResult, SequenceUpdate
from relay.ledger.ledger import Claim, ReceiptUpdate
from tests.unit.delivery.test_delivery import (
    NOW,
    PHONE,
    FakeCircuit,
    FakeLedger,
    Settings,
    Time,
    World,
    _build,
    _record,
)

DENIED: dict[str, Any] = {"device": PHONE, "consent": {"messaging": False}}
NEWER = '{"type":"refund","appId":"shop","eventId":"e1"}'


def _messaging(answers: dict[str, list[Response | Exception]] | None = None, **more: Any) -> World:
    return World(answers or {}, **{"ordered": True, "purpose": "messaging", **more})


def _unavailable(_fresh: bool) -> Settings:  # noqa: FBT001
    raise SettingsUnavailable("the parameter does not exist")


def _lines(caplog: pytest.LogCaptureFixture, message: str) -> list[dict[str, Any]]:
    return [vars(record) for record in caplog.records if record.getMessage() == message]


# Prepare.


@pytest.mark.parametrize(
    ("age", "is_parked"),
    [(timedelta(hours=24, seconds=-1), False), (timedelta(hours=24), True), (timedelta(hours=25), True)],
)
def test_an_event_of_a_newer_version_waits_for_less_than_24_hours(age: timedelta, is_parked: bool) -> None:  # noqa: FBT001
    assert timedelta(hours=24) == MAX_WAIT_FOR_VERSION
    world = World(now=NOW + age)
    assert world.deliver(Message("m1", "r", NEWER, 1, NOW, None)) == ([] if is_parked else ["m1"])
    assert world.queue.postponed == ({} if is_parked else {"m1": 900})


def test_an_event_of_a_newer_version_is_reported_with_its_reason_and_no_attempt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    World().deliver(Message("m1", "r", NEWER, 1, NOW, None))
    (line,) = _lines(caplog, "waiting")
    assert (line["reason"], line["wait"], line["attempt"]) == ("an event type that this version does not know", 900, 0)


def test_a_parked_message_that_is_no_event_has_no_status_and_no_attempt(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World()
    world.deliver(Message("m1", "r", "{}", 1, NOW - timedelta(hours=1), None))
    parked = world.queue.parked["m1"]
    assert (parked["status"], parked["attempts"]) == ("", "0")
    assert parked["firstSeen"] == (NOW - timedelta(hours=1)).isoformat()
    (line,) = _lines(caplog, "parked")
    assert line["attempt"] == 0


@pytest.mark.parametrize(
    ("why", "event", "ordered"),
    [
        ("no order at the agent", {}, False),
        ("it names nobody", {"type": "push_token", "customerId": None}, True),
        ("no device", {"device": {}}, True),
        ("a device for which the agent is not meant", {"device": {**PHONE, "platform": "web"}}, True),
    ],
)
def test_a_denied_event_that_can_release_no_device_is_written_without_a_claim(
    why: str,
    event: dict[str, Any],
    ordered: bool,  # noqa: FBT001
) -> None:
    world = World(ordered=ordered, purpose="messaging")
    assert world.deliver(_record(**{**DENIED, **event})) == []
    assert (world.states, world.ledger.asked) == ({"skipped": 1}, ["note"]), why


def test_a_denied_event_of_an_app_without_the_agent_is_written_without_a_claim() -> None:
    def left(_fresh: bool) -> Settings:  # noqa: FBT001
        raise Skip("the app does not use the agent")

    world = _messaging(settings=left)
    assert world.deliver(_record(**DENIED)) == []
    assert (world.states, world.ledger.asked) == ({"skipped": 1}, ["note"])


def test_a_denied_event_whose_settings_cannot_be_read_is_held_without_a_claim() -> None:
    world = _messaging(settings=_unavailable)
    assert world.deliver(_record(**DENIED)) == ["m1"]
    assert (world.states, world.ledger.asked) == ({"held": 1}, ["look", "note"])
    assert world.ledger.rows["m1"]["reason"] == "the parameter does not exist"


def test_a_denied_event_whose_release_cannot_be_built_is_tried_again_without_a_claim() -> None:
    def broken(*_: object) -> list[Request]:
        raise KeyError("a fault of ours")

    world = _messaging(more={"build_release": broken})
    assert world.deliver(_record(**DENIED)) == ["m1"]
    assert (world.states, world.ledger.asked) == ({"retrying": 1}, ["note"])
    assert world.ledger.rows["m1"]["reason"] == "fault: KeyError"


def test_outcomes_that_cannot_be_written_without_a_claim_wait_for_the_ledger(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    world = World(ledger=FakeLedger(down={"note"}))
    assert world.deliver(_record("m1", customerId=None, receives=2), _record("m2")) == ["m1"]
    assert (world.states, world.queue.postponed) == ({"waiting": 1, "delivered": 1}, {"m1": 30})
    (line,) = _lines(caplog, "waiting")
    assert line["reason"] == "ledger: ProvisionedThroughputExceededException"


def test_properties_that_are_withheld_are_counted_in_the_outcome_of_every_attempt() -> None:
    world = World({"m1": [Response(503), Response(200)]}, more={"count_withheld": lambda _event, _settings: 3})
    for state in ("retrying", "delivered"):
        world.deliver(_record())
        assert (world.ledger.rows["m1"]["state"], world.ledger.rows["m1"]["withheld"]) == (state, 3)


def test_a_fault_of_ours_is_reported_by_its_type_and_place_and_event(caplog: pytest.LogCaptureFixture) -> None:
    World().deliver(_record(customerId="bug"))
    (line,) = _lines(caplog, "fault")
    code = _build.__code__
    assert (line["agent"], line["event_id"], line["kind"]) == ("example", "m1", "KeyError")
    file, _, number = line["place"].rpartition(":")
    assert file == code.co_filename
    assert code.co_firstlineno < int(number) < code.co_firstlineno + 6


# Hold.


def test_an_open_circuit_holds_what_stands_behind_a_delivery_that_is_through() -> None:
    world = World(circuit=FakeCircuit(opens_after=0), repeatable=False)
    assert world.deliver(_record("m1", customerId=None), _record("m2")) == ["m2"]
    assert world.states == {"skipped": 1, "held": 1}
    assert "claim" not in world.ledger.asked


def test_an_open_circuit_holds_what_stands_behind_an_event_that_takes_its_turn() -> None:
    world = _messaging(circuit=FakeCircuit(opens_after=0))
    denied, next_one = _record("m1", **DENIED), _record("m2", device={"id": "tablet"})
    assert world.deliver(denied, next_one) == ["m2"]
    assert (world.states, world.ledger.asked.count("in_order")) == ({"skipped": 1, "held": 1}, 1)


def test_a_delivery_that_comes_again_reads_its_settings_once() -> None:
    world = World()
    assert world.deliver(_record(receives=2)) == []
    assert world.loads == [False]


def test_a_held_delivery_whose_row_cannot_be_read_waits_for_the_ledger() -> None:
    world = World(circuit=FakeCircuit(opens_after=0), ledger=FakeLedger(down={"look"}))
    assert world.deliver(_record()) == ["m1"]
    assert (world.states, world.queue.postponed) == ({"waiting": 1}, {"m1": 5})


@pytest.mark.parametrize("before", ["HTTP 401", "the parameter does not exist"])
def test_a_held_delivery_that_is_held_for_another_reason_now_is_written(before: str) -> None:
    world = World(circuit=FakeCircuit(opens_after=0))
    world.ledger.rows["m1"] = {"state": "held", "reason": before, "attempts": 2}
    assert world.deliver(_record()) == ["m1"]
    row = world.ledger.rows["m1"]
    assert (row["reason"], row["attempts"]) == ("circuit open: the agent does not answer", 2)


@pytest.mark.parametrize(("ordered", "wait"), [(False, 1800), (True, 900)])
def test_the_longest_wait_for_a_probe_is_half_an_hour_and_at_an_ordered_agent_a_quarter(
    ordered: bool,  # noqa: FBT001
    wait: int,
) -> None:
    assert (MAX_PROBE_SECONDS, MAX_PROBE_SECONDS_ORDERED) == (1800, 900)
    world = World(circuit=FakeCircuit(opens_after=0, down_for=86_400), ordered=ordered)
    world.deliver(_record(device=PHONE))
    assert world.queue.postponed == {"m1": wait}


# Claim.


def test_a_doubt_counts_no_withheld_properties_and_no_remarks_and_shows_in_the_metrics(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    world = World(repeatable=False, remarks=("the title was cut",), more={"count_withheld": lambda *_: 3})
    world.ledger.rows["m1"] = {"state": "sending"}
    world.deliver(_record())
    assert world.ledger.rows["m1"].keys() & {"withheld", "remarks"} == set()
    (line,) = _lines(caplog, "unconfirmed")
    assert line["InDoubt"] == 1


@pytest.mark.parametrize("repeatable", [True, False])
def test_what_the_ledger_cannot_claim_is_not_written_either(repeatable: bool) -> None:  # noqa: FBT001
    world = World(ledger=FakeLedger(down={"claim", "look"}), repeatable=repeatable)
    world.deliver(_record())
    assert (world.states, world.ledger.rows) == ({"waiting": 1}, {})


@pytest.mark.parametrize("repeatable", [True, False])
def test_what_is_settled_keeps_its_receipt_when_its_message_comes_again(repeatable: bool) -> None:  # noqa: FBT001
    world = World(repeatable=repeatable)
    world.ledger.rows["m1"] = {"state": "delivered", "reason": "HTTP 200"}
    assert world.deliver(_record()) == []
    assert (world.states, world.ledger.rows) == ({"repeated": 1}, {"m1": {"state": "delivered", "reason": "HTTP 200"}})


def test_a_release_keeps_what_is_known_of_earlier_attempts() -> None:
    world = _messaging()
    world.deliver(_record("ana", sequence=5, customerId="ana", device=PHONE))
    world.ledger.rows["bob"] = {"state": "retrying", "attempts": 2, "done": 1}
    world.deliver(_record("bob", sequence=6, customerId="bob", **DENIED))
    row = world.ledger.rows["bob"]
    assert (row["state"], row["attempts"], row["done"]) == ("skipped", 2, 1)


def test_what_waits_for_its_settings_moves_no_order_though_another_worker_has_its_row() -> None:
    world = _messaging(settings=_unavailable)
    world.ledger.rows["m1"] = {"state": "sending"}
    assert world.deliver(_record(device=PHONE)) == ["m1"]
    assert (world.states, world.ledger.asked) == ({"held": 1}, ["look", "note", "devices", "look", "settle"])


def _old(message: Message) -> Message:
    return message._replace(sent_at=NOW - timedelta(days=9, seconds=1))


def test_a_delivery_that_is_parked_before_its_attempt_stays_out_of_the_request_of_the_others() -> None:
    batching = BatchSpec(10, lambda requests: requests[0], lambda response, _number: by_status(response))
    world = World(more={"batching": batching}, settings=_unavailable)
    assert world.deliver(_old(_record("m1"))) == []
    assert (world.sent, list(world.queue.parked)) == ([], ["m1"])


# Order.


NEWEST = OrderResult(is_newest=True)


@dataclass
class Contacts(FakeLedger):
    """A ledger of an agent with contacts: what it knows of each device, and what it was to keep."""

    turn: OrderResult = NEWEST
    has_left: bool = True
    updates: list[SequenceUpdate] = field(default_factory=list)
    owns: list[Contact | None] = field(default_factory=list)

    def _seen(self, event: Event) -> Claim:
        return super()._seen(event)._replace(device={"last": {"S": event.event_id}})

    def advance_sequences(self, updates: Sequence[SequenceUpdate]) -> list[OrderResult | LedgerUnavailable]:
        self.updates += updates
        return [self.turn] * len(updates)

    def has_new_owner(self, _event: Event) -> bool:
        if "owner" in self.down:
            raise LedgerUnavailable("Throttled")
        return self.has_left

    def keep_linked(self, event: Event, own: Contact | None) -> None:
        if "keys" in self.down:
            raise SettingsUnavailable("the ledger's keys cannot be read")
        self.owns.append(own)
        super().keep_linked(event, own)


ANA, BOB = Contact("ana", None, "token-a"), Contact("bob", None, "token-b")


def _end(event: Event, settings: Settings, contacts: Sequence[Contact]) -> list[Request]:
    return [Request(settings.url, f"end {one.uid} {event.event_id}".encode()) for one in contacts]


WITH_CONTACTS: dict[str, Any] = {"contact": lambda _event: BOB, "build_release": _end}


def test_a_devices_row_and_the_contact_go_with_the_order_which_says_whether_the_event_itself_is_sent() -> None:
    world = _messaging(ledger=Contacts(), more=WITH_CONTACTS)
    world.deliver(_record("m1", device=PHONE), _record("m2", **{**DENIED, "device": {"id": "tablet"}}))
    assert [(update.contact, update.is_sent) for update in world.ledger.updates] == [(BOB, True), (BOB, False)]  # type: ignore[attr-defined]
    assert [update.known["last"]["S"] for update in world.ledger.updates] == ["m1", "m2"]  # type: ignore[attr-defined]


def test_the_contacts_of_another_person_end_before_the_event_is_sent_and_no_others() -> None:
    world = _messaging(ledger=Contacts(turn=OrderResult(is_newest=True, foreign=[ANA])), more=WITH_CONTACTS)
    assert world.deliver(_record(device=PHONE)) == []
    assert world.sent_ids == ["end ana m1", "m1"]
    own = _messaging(ledger=Contacts(turn=OrderResult(is_newest=True, foreign=[BOB])), more=WITH_CONTACTS)
    device = {**PHONE, "pushToken": "token-b"}
    assert own.deliver(_record(type="logout", customerId="bob", device=device)) == []
    assert own.sent_ids == ["m1"]


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (Response(503), "retrying", "HTTP 503"),
        (Response(400), "retrying", "HTTP 400"),
        (Response(202), "delivered", None),
    ],
)
def test_an_event_is_sent_only_after_the_contacts_of_another_person_have_ended(
    answer: Response, state: str, reason: str | None
) -> None:
    ledger = Contacts(turn=OrderResult(is_newest=True, foreign=[ANA]))
    world = _messaging({"end ana m1": [answer]}, ledger=ledger, more=WITH_CONTACTS)
    world.deliver(_record(device=PHONE))
    assert world.ledger.rows["m1"]["state"] == state
    assert world.sent_ids == ["end ana m1"] + ["m1"] * (state == "delivered")
    assert reason in {None, world.ledger.rows["m1"]["reason"]}


def test_a_denied_event_of_an_agent_with_contacts_ends_those_that_the_ledger_knows() -> None:
    ledger = Contacts(turn=OrderResult(is_newest=True, must_release=True, foreign=[ANA, BOB]))
    world = _messaging(ledger=ledger, more=WITH_CONTACTS)
    assert world.deliver(_record(**DENIED)) == []
    assert world.sent_ids == ["end ana m1", "end bob m1"]
    assert world.ledger.rows["m1"]["released"] == 1


def test_what_an_event_may_have_made_is_kept_where_its_release_fails() -> None:
    ledger = Contacts(turn=OrderResult(is_newest=True, must_release=True, foreign=[ANA]))
    world = _messaging({"end ana m1": [Response(503)]}, ledger=ledger, more=WITH_CONTACTS)
    assert world.deliver(_old(_record(**DENIED))) == []
    assert ledger.owns == [BOB]


@pytest.mark.parametrize(
    ("down", "reason"), [("keep", "ledger: Throttled"), ("keys", "ledger: the ledger's keys cannot be read")]
)
def test_what_cannot_be_kept_is_tried_again_after_the_schedules_wait(down: str, reason: str) -> None:
    ledger = Contacts(turn=OrderResult(is_newest=True, must_release=True, foreign=[ANA]), down={down})
    world = _messaging({"end ana m1": [Response(503)]}, ledger=ledger, more=WITH_CONTACTS)
    assert world.deliver(_old(_record(receives=2, **DENIED))) == ["m1"]
    assert (world.ledger.rows["m1"]["state"], world.ledger.rows["m1"]["reason"]) == ("retrying", reason)
    assert world.queue.postponed == {"m1": 30}


@pytest.mark.parametrize(
    ("event_type", "more", "has_left", "is_sent"),
    [
        ("logout", WITH_CONTACTS, True, True),
        ("logout", WITH_CONTACTS, False, False),
        ("logout", {}, True, False),
        ("login", WITH_CONTACTS, True, False),
        ("open", WITH_CONTACTS, True, False),
    ],
)
def test_of_superseded_events_only_the_logout_of_a_person_who_has_left_reaches_an_agent_with_contacts(
    event_type: str,
    more: dict[str, Any],
    has_left: bool,  # noqa: FBT001
    is_sent: bool,  # noqa: FBT001
) -> None:
    ledger = Contacts(turn=OrderResult(is_newest=False, late_by=7), has_left=has_left)
    world = _messaging(ledger=ledger, more=more)
    assert world.deliver(_record(type=event_type, device=PHONE)) == []
    assert world.sent_ids == (["m1"] if is_sent else [])
    assert is_sent or (world.ledger.rows["m1"]["reason"], world.ledger.rows["m1"]["late"]) == ("superseded", 7)


def test_a_superseded_logout_is_tried_again_while_the_ledger_does_not_say_who_is_there() -> None:
    ledger = Contacts(turn=OrderResult(is_newest=False), down={"owner"})
    world = _messaging(ledger=ledger, more=WITH_CONTACTS)
    assert world.deliver(_record(type="logout", device=PHONE, receives=2)) == ["m1"]
    assert (world.sent, world.queue.postponed) == ([], {"m1": 30})
    assert (world.ledger.rows["m1"]["state"], world.ledger.rows["m1"]["reason"]) == ("retrying", "ledger: Throttled")


# Send.


def test_only_a_request_after_refused_credentials_is_authorized_anew() -> None:
    attempts: list[bool] = []

    def authorize(request: Request, _settings: Settings, attempt: Attempt) -> Request:
        attempts.append(attempt.force_refresh)
        return request

    World({"m1": [Response(401), Response(200)]}, more={"authorize": authorize}).deliver(_record())
    assert attempts == [False, True]
    attempts.clear()
    released = Contacts(turn=OrderResult(is_newest=True, must_release=True))
    world = _messaging({"release m1": [Response(401)]}, ledger=released, more={"authorize": authorize})
    assert world.deliver(_record(**DENIED)) == ["m1"]
    assert attempts == [False, True]
    assert world.ledger.rows["m1"]["state"] == "held"


def test_new_settings_that_allow_no_request_end_a_delivery_that_is_half_done() -> None:
    def build(event: Event, settings: Settings) -> list[Request]:
        if settings.key.get_secret_value() == "second":
            raise Skip("not with these settings")
        return [Request(settings.url, f"{event.event_id} {number}".encode()) for number in range(2)]

    world = World(
        {"m1 1": [Response(401)]},
        settings=lambda fresh: Settings(key=SecretStr("second" if fresh else "first")),
        more={"build_requests": build},
    )
    world.ledger.rows["m1"] = {"state": "retrying", "attempts": 2}
    assert world.deliver(_record()) == []
    row = world.ledger.rows["m1"]
    assert (row["state"], row["reason"], row["attempts"], row["done"]) == ("skipped", "not with these settings", 2, 1)


def test_settings_that_cannot_be_read_again_hold_a_joined_delivery_with_what_is_known_of_it() -> None:
    def settings(fresh: bool) -> Settings:  # noqa: FBT001
        return _unavailable(fresh) if fresh else Settings()

    batching = BatchSpec(10, lambda requests: requests[0], lambda response, _number: by_status(response))
    world = World({"m1": [Response(401)]}, settings=settings, more={"batching": batching})
    world.ledger.rows["m1"] = {"state": "retrying", "attempts": 2, "done": 0}
    assert world.deliver(_record()) == ["m1"]
    row = world.ledger.rows["m1"]
    assert (row["state"], row["attempts"], row["done"]) == ("held", 2, 0)


def test_all_the_requests_of_a_release_are_sent() -> None:
    ledger = Contacts(turn=OrderResult(is_newest=True, must_release=True, foreign=[ANA, BOB]))
    world = _messaging({"end bob m1": [Response(503)]}, ledger=ledger, more=WITH_CONTACTS)
    assert world.deliver(_record(**DENIED)) == ["m1"]
    assert world.sent_ids == ["end ana m1", "end bob m1"]


def test_a_release_waits_for_an_agent_whose_circuit_is_open() -> None:
    ledger = Contacts(turn=OrderResult(is_newest=True, must_release=True, foreign=[ANA]))
    world = _messaging(ledger=ledger, circuit=FakeCircuit(opens_after=0), more=WITH_CONTACTS)
    assert world.deliver(_record(**DENIED)) == ["m1"]
    assert (world.states, world.sent, world.loads.count(True)) == ({"held": 1}, [], 0)


@pytest.mark.parametrize(("status", "refused"), [(401, 1), (400, None), (200, None)])
def test_only_refused_credentials_are_counted_as_such(
    status: int, refused: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    World({"m1": [Response(status)]}).deliver(_record())
    (line,) = [vars(record) for record in caplog.records if "_aws" in vars(record)]
    assert line.get("CredentialsRefused") == refused


# Settle.


class Refusing(FakeLedger):
    """Takes no outcome of a delivery, without a fault."""

    def settle(self, settlements: Sequence[ReceiptUpdate]) -> list[bool]:
        self.asked.append("settle")
        return [False] * len(settlements)


def test_between_two_tries_to_write_an_outcome_the_waits_double_and_are_at_least_half() -> None:
    world = World(ledger=Refusing())
    world.deliver(_record())
    assert world.pauses == list(SETTLE_BACKOFF_SECONDS)
    shortest = World(ledger=Refusing(), jitter=lambda low, _high: low)
    shortest.deliver(_record())
    assert shortest.pauses == [wait / 2 for wait in SETTLE_BACKOFF_SECONDS]
    written = World()
    written.deliver(_record())
    assert written.pauses == []


def test_without_time_an_outcome_is_written_once_and_no_wait_begins() -> None:
    class Ends(Time):
        def get_remaining_time_in_millis(self) -> int:
            return 30_000 if "settle" not in world.ledger.asked else 0

    world = World(ledger=Refusing())
    assert world.deliver(_record(), context=Ends()) == ["m1"]
    assert (world.ledger.asked.count("settle"), world.pauses) == (1, [])


@pytest.mark.parametrize(
    ("ledger", "reason"),
    [
        (Refusing(), "ledger: too many writes at once"),
        (FakeLedger(down={"settle"}), "ledger: ProvisionedThroughputExceededException"),
    ],
)
def test_an_outcome_that_is_not_written_is_reported_with_the_reason(
    ledger: FakeLedger, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    World(ledger=ledger).deliver(_record())
    (line,) = _lines(caplog, "unsettled")
    assert (line["reason"], line["wait"], line["attempt"]) == (reason, 61, 1)


@pytest.mark.parametrize(
    ("repeatable", "answer", "requeued"),
    [
        (False, Unreachable("ConnectTimeout"), [("m1", 61, "claim-1")]),
        (False, Response(400), [("m1", 61, "claim-1")]),
        (False, Response(200), []),
        (False, Response(204), []),
        (True, Unreachable("ConnectTimeout"), []),
    ],
)
def test_only_a_claim_that_sent_nothing_at_an_agent_that_needs_claims_is_handed_on(
    repeatable: bool,  # noqa: FBT001
    answer: Response | Exception,
    requeued: list[tuple[str, int, str]],
) -> None:
    world = World({"m1": [answer]}, ledger=FakeLedger(down={"settle"}), repeatable=repeatable)
    assert world.deliver(_record()) == ([] if requeued else ["m1"])
    assert world.queue.requeued == requeued


def test_a_delivery_is_reported_with_its_milliseconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    moments = iter([100.0, 110.5])
    for module in ("pipeline", "settlement"):
        monkeypatch.setattr(f"relay.delivery.{module}.perf_counter", lambda: next(moments))
    World().deliver(_record())
    (line,) = _lines(caplog, VerdictKind.DELIVERED)
    assert line["ms"] == 10_500
