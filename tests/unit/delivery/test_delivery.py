"""The delivery runtime: what becomes of a record, with the agent, its queue and the clock as fakes."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from pydantic import BaseModel, SecretStr

from relay.agent.definition import Agent
from relay.agent.filters import AgentSettings, Filters
from relay.agent.http import Request, Response
from relay.agent.verdict import Verdict
from relay.aws.environment import AgentEnvironment
from relay.delivery.app_settings import ScopedSettings
from relay.delivery.batch import CHUNK_SIZE, MIN_REMAINING_MS, process_batch
from relay.delivery.circuit import Circuit
from relay.delivery.pipeline import DeliveryPipeline
from relay.delivery.queue import Message, Queue
from relay.delivery.report import Report
from relay.errors import AddressRefused, CircuitOpen, LedgerUnavailable, SettingsUnavailable, Skip, Unreachable
from relay.event.contact import Contact
from relay.event.model import Event, Purpose
from relay.ledger.device_order import OrderResult, SequenceUpdate
from relay.ledger.ledger import Claim, ClaimStatus, Ledger, ReceiptUpdate
from relay.ledger.rows import MAX_WRITES
from relay.ledger.states import NOT_REDRIVABLE

T = TypeVar("T")
NOW = datetime(2026, 11, 20, 9, 15, 42, tzinfo=UTC)
ENVIRONMENT = AgentEnvironment(
    settings_parameter="/session-relay/test/agents/example",
    apps_path="/session-relay/test/apps",
    table="receipts",
    queue_url="queue",
    dead_letter_queue_url="dead",
    retry_schedule=(5, 30, 120),
    retry_horizon=86400,
    hold=900,
    circuit=30,
    claim=60,
    default_consent=True,
    allow_insecure=False,
)


class Settings(BaseModel):
    """The example agent's settings."""

    key: SecretStr = SecretStr("first")
    url: str = "https://agent.example.com/events"


@dataclass(frozen=True)
class FakeQueue(Queue):
    """Remembers what was asked of it."""

    url: str = "queue"
    dead_letter_url: str = "dead"
    postponed: dict[str, int] = field(default_factory=dict)
    parked: dict[str, Mapping[str, str]] = field(default_factory=dict)
    requeued: list[tuple[str, int, str]] = field(default_factory=list)

    def delay(self, messages: Sequence[tuple[Message, int]]) -> None:
        self.postponed.update({message.message_id: seconds for message, seconds in messages})

    def requeue(self, message: Message, seconds: int, claim: str) -> bool:
        self.requeued.append((message.message_id, seconds, claim))
        return True

    def dead_letter(self, record: Message, attributes: Mapping[str, str]) -> None:
        self.parked[record.message_id] = attributes


@dataclass
class FakeLedger(Ledger):
    """Keeps deliveries in memory; `down` names what DynamoDB refuses."""

    table: str = "receipts"
    agent: str = "example"
    lease: int = 60
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    last: dict[str, tuple[int, str]] = field(default_factory=dict)
    people: dict[str, str | None] = field(default_factory=dict)
    before: dict[str, str | None] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    unwritten: set[str] = field(default_factory=set)
    unsent: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def keep_linked(self, event: Event, own: Contact | None) -> None:  # noqa: ARG002 - the ledger's own
        if "keep" in self.down:
            raise LedgerUnavailable("Throttled")
        self.kept.append(event.event_id)

    def read_claims(self, events: Sequence[Event], *, devices: bool = False) -> list[Claim | LedgerUnavailable]:
        if devices:
            self.asked.append("devices")
        return [self._unless_refused("look", self._seen, event) for event in events]

    def _seen(self, event: Event) -> Claim:
        row = self.rows.get(event.event_id, {})
        if row.get("state") in NOT_REDRIVABLE:
            return Claim(ClaimStatus.ALREADY_SETTLED)
        held = row.get("reason", "") if row.get("state") == "held" else ""
        claim = Claim(ClaimStatus.ACQUIRED, row.get("attempts", 0), row.get("done", 0), held=held, by="claim-1")
        return claim._replace(failing_since=row.get("failing", 0))

    def claim(
        self,
        events: Sequence[Event],
        now: datetime,  # noqa: ARG002 - leases are the real ledger's tests
        unsent: Sequence[str] = (),
    ) -> list[Claim | LedgerUnavailable]:
        self.unsent = list(unsent)
        return [self._unless_refused("claim", self._claimed, event) for event in events]

    def _claimed(self, event: Event) -> Claim:
        row = self.rows.get(event.event_id, {})
        if row.get("state") == "busy":
            return Claim(ClaimStatus.IN_PROGRESS, wait=33)
        in_doubt = row.get("state") == "sending"
        return self._seen(event)._replace(in_doubt=in_doubt)

    def settle(self, settlements: Sequence[ReceiptUpdate]) -> list[bool]:
        self._refuse("settle")
        self.rows.update({one.event.event_id: {**one.attributes, "state": one.state} for one in settlements})
        return [one.event.event_id not in self.unwritten for one in settlements]

    def settle_unclaimed(self, settlements: Sequence[ReceiptUpdate]) -> list[bool]:
        self._refuse("note")
        return [self._settle_unclaimed(one) for one in settlements]

    def _settle_unclaimed(self, settlement: ReceiptUpdate) -> bool:
        row = self.rows.get(settlement.event.event_id, {})
        if row.get("state") in {*NOT_REDRIVABLE, "busy", "sending"}:
            return False
        self.rows[settlement.event.event_id] = {**row, **settlement.attributes, "state": settlement.state}
        return True

    def advance_sequences(self, updates: Sequence[SequenceUpdate]) -> list[OrderResult | LedgerUnavailable]:
        if "keys" in self.down:
            raise SettingsUnavailable("the ledger's keys cannot be read")
        return [self._unless_refused("in_order", self._applied, update.event) for update in updates]

    def _applied(self, event: Event) -> OrderResult:
        newest = self.last.get(event.group, (0, ""))
        if event.sequence < newest[0]:
            return OrderResult(is_newest=False, late_by=newest[0] - event.sequence)
        before = self.people.get(event.group)
        if newest[1] != event.event_id:
            self.before[event.group] = before
        self.last[event.group] = (event.sequence, event.event_id)
        self.people[event.group] = event.owner
        return OrderResult(is_newest=True, must_release=self.before[event.group] not in {None, event.owner})

    def _unless_refused(self, operation: str, write: Callable[[Event], T], event: Event) -> T | LedgerUnavailable:
        try:
            self._refuse(operation)
        except LedgerUnavailable as fault:
            return fault
        return write(event)

    def _refuse(self, operation: str) -> None:
        self.asked.append(operation)
        if operation in self.down:
            raise LedgerUnavailable("ProvisionedThroughputExceededException")


@dataclass(frozen=True)
class FakeCircuit(Circuit):
    """Closed, unless it is open; `opens_after` exchanges it opens."""

    name: str = "example"
    table: str = "receipts"
    seconds: int = 30
    opens_after: int = 1_000
    down_for: int = 0
    made: list[Verdict] = field(default_factory=list)

    def call(self, exchange: Callable[[], Verdict]) -> Verdict:
        self.check()
        self.made.append(exchange())
        return self.made[-1]

    def check(self) -> None:
        if len(self.made) >= self.opens_after:
            raise CircuitOpen("circuit open: the agent does not answer", down_for=self.down_for)


@dataclass
class Time:
    """A Lambda context with this much time left."""

    left: int = 30_000

    def get_remaining_time_in_millis(self) -> int:
        return self.left


def _build(event: Event, settings: Settings) -> list[Request]:
    if event.customer_id is None and event.type != "logout":
        raise Skip("no customerId")
    if event.customer_id == "bug":
        raise KeyError("the customer's own data")
    headers = {"authorization": settings.key}
    return [Request(settings.url, event.event_id.encode(), headers) for _ in range(2 if event.name == "twice" else 1)]


def _release(event: Event, settings: Settings, _contacts: Sequence[Contact]) -> list[Request]:
    return [Request(settings.url, f"release {event.event_id}".encode())] if event.device.platform != "web" else []


def _record(message_id: str = "m1", group: str | None = None, receives: int = 1, **event: Any) -> Message:
    document = {
        "type": "login",
        "appId": "shop",
        "eventId": message_id,
        "occurredAt": NOW.isoformat(),
        "receivedAt": NOW.isoformat(),
        "sequence": 1,
        "customerId": "12345",
        **event,
    }
    return Message(message_id, f"receipt-{message_id}", json.dumps(document), receives, NOW, group)


@dataclass
class World:
    """A runtime whose agent gives these answers, event by event (its last one again and again).

    `more` are members of the agent as well; `pauses` are the seconds that the pipeline waited.
    """

    answers: dict[str, list[Response | Exception]] = field(default_factory=dict)
    queue: FakeQueue = field(default_factory=FakeQueue)
    ledger: FakeLedger = field(default_factory=FakeLedger)
    circuit: FakeCircuit = field(default_factory=FakeCircuit)
    sent: list[Request] = field(default_factory=list)
    loads: list[bool] = field(default_factory=list)
    settings: Callable[[bool], Settings] = lambda _fresh: Settings()
    max_age: timedelta | None = None
    ordered: bool = False
    repeatable: bool = True
    remarks: tuple[str, ...] = ()
    purpose: Purpose = "advertising"
    now: datetime = NOW
    built: list[Event] = field(default_factory=list)
    jitter: Callable[[float, float], float] = lambda _low, high: high
    pauses: list[float] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    def deliver(self, *records: Message, context: Time | None = None) -> list[str]:
        known: dict[str, Any] = {
            "build_requests": self._build,
            "max_age": self.max_age,
            "ordered": self.ordered,
            "repeatable": self.repeatable,
            "remarks": lambda _event, _settings: self.remarks,
            "build_release": _release,
        }
        agent = Agent("example", self.purpose, Settings, **{**known, **self.more})
        runtime = DeliveryPipeline(
            agent,
            ENVIRONMENT,
            self.queue,
            self.ledger,
            lambda _scope: self.circuit,
            self._load,
            Report("example"),
            send=self._send,
            now=lambda: self.now,
            jitter=self.jitter,
            pause=self.pauses.append,
        )
        kept = process_batch(runtime, records, context or Time())
        self.states = dict(runtime.report.states)
        return kept

    def _build(self, event: Event, settings: Settings) -> list[Request]:
        self.built.append(event)
        return _build(event, settings)

    def _load(self, app_id: str, force_refresh: bool) -> ScopedSettings[Settings]:  # noqa: ARG002, FBT001
        self.loads.append(force_refresh)
        return ScopedSettings(self.settings(force_refresh), "example")

    def _send(self, request: Request) -> Response:
        self.sent.append(request)
        answers = self.answers.get(request.body.decode(), [Response(200)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def sent_ids(self) -> list[str]:
        return [request.body.decode() for request in self.sent]


def test_a_delivered_record_leaves_the_queue() -> None:
    world = World()
    assert world.deliver(_record()) == []
    assert world.sent_ids == ["m1"]


def test_remarks_are_written_with_the_outcome_of_every_attempt() -> None:
    world = World({"m1": [Response(503), Response(200)]}, remarks=("the title was cut", "the time zone was filled in"))
    for state in ("retrying", "delivered"):
        world.deliver(_record())
        assert world.ledger.rows["m1"]["state"] == state
        assert world.ledger.rows["m1"]["remarks"] == "the title was cut\nthe time zone was filled in"
    assert world.states == {"delivered": 1}


def test_what_an_agent_has_no_use_for_is_skipped_with_the_reason() -> None:
    world = World()
    assert world.deliver(_record(customerId=None)) == []
    assert world.sent == []
    assert world.ledger.rows["m1"]["reason"] == "no customerId"


def test_a_denied_purpose_is_decided_when_sending() -> None:
    world = World()
    world.deliver(_record(consent={"advertising": False}))
    assert world.sent == []
    assert world.ledger.rows["m1"]["reason"] == "consent: advertising"


class Filtering(Settings, AgentSettings):
    """Settings by which the agent gets the events of Android phones alone."""

    filters: Filters = Filters(platforms=["android"])


def test_an_event_that_the_settings_filter_out_is_skipped_with_the_reason() -> None:
    world = World(settings=lambda _fresh: Filtering())
    assert world.deliver(_record("m1"), _record("m2", device={"id": "d2", "platform": "android"})) == []
    assert world.sent_ids == ["m2"]
    assert world.ledger.rows["m1"]["reason"] == "filtered out: platform unknown"


def test_a_login_that_is_filtered_out_releases_the_device_from_another_person() -> None:
    world = World(settings=lambda _fresh: Filtering(), ordered=True, purpose="messaging")
    device = {"id": "d1", "platform": "ios"}
    world.ledger.people[Event.load(_record(device=device).body).group] = "another"
    world.deliver(_record(device=device))
    assert world.sent_ids == ["release m1"]
    reason = "filtered out: platform ios; the device was released, nobody is on it"
    assert world.ledger.rows["m1"]["reason"] == reason


def test_retries_by_our_own_clock_whatever_sqs_counts() -> None:
    world = World({"m1": [Response(500)]})
    waits = []
    for receives in (1, 7, 8, 400):
        assert world.deliver(_record(receives=receives)) == ["m1"]
        waits.append(world.queue.postponed["m1"])
    assert waits == [5, 30, 120, 120]
    assert world.ledger.rows["m1"]["attempts"] == 4


def test_the_agents_own_wish_to_wait_wins_when_it_is_longer() -> None:
    world = World({"m1": [Response(429, headers={"retry-after": "600"})]})
    world.deliver(_record())
    assert world.queue.postponed == {"m1": 600}


def test_no_answer_is_retried() -> None:
    world = World({"m1": [Unreachable("ConnectTimeout")]})
    assert world.deliver(_record()) == ["m1"]
    assert world.states == {"retrying": 1}


def test_a_rejected_record_is_parked_with_the_reason_and_acknowledged() -> None:
    world = World({"m1": [Response(400)]})
    assert world.deliver(_record()) == []
    assert world.queue.parked == {
        "m1": {"agent": "example", "reason": "HTTP 400", "status": "400", "attempts": "1", "firstSeen": NOW.isoformat()}
    }
    assert world.ledger.rows["m1"]["state"] == "parked"


def test_a_record_that_still_fails_after_the_horizon_is_parked() -> None:
    world = World({"m1": [Response(500)]})
    assert world.deliver(_record()) == ["m1"]
    world.now = NOW + timedelta(seconds=86401)
    assert world.deliver(_record()) == []
    assert world.queue.parked["m1"]["reason"] == "still failing after the horizon: HTTP 500"


def test_an_event_older_than_the_agent_accepts_expires_unsent() -> None:
    world = World(max_age=timedelta(hours=72), now=NOW + timedelta(hours=72, seconds=1))
    assert world.deliver(_record()) == []
    assert world.sent == []
    assert world.states == {"expired": 1}


def test_a_message_that_is_no_event_is_parked() -> None:
    world = World()
    assert world.deliver(Message("m1", "r", '{"type":"login"}', 1, NOW, None)) == []
    parked = world.queue.parked["m1"]
    assert (parked["reason"].startswith("unreadable: "), parked["attempts"]) == (True, "0")


def test_refused_credentials_are_fetched_again_and_tried_once_more() -> None:
    world = World(
        {"m1": [Response(401), Response(200)]},
        settings=lambda force_refresh: Settings(key=SecretStr("second" if force_refresh else "first")),
    )
    assert world.deliver(_record()) == []
    assert world.loads == [False, True]
    assert [request.headers["authorization"] for request in world.sent] == [SecretStr("first"), SecretStr("second")]


def test_credentials_that_stay_refused_hold_the_delivery() -> None:
    world = World({"m1": [Response(403)]})
    assert world.deliver(_record()) == ["m1"]
    assert len(world.sent) == 2
    assert world.queue.postponed == {"m1": 900}
    assert world.states == {"held": 1}


def test_settings_that_cannot_be_had_hold_the_delivery() -> None:
    def unavailable(_fresh: bool) -> Settings:  # noqa: FBT001
        raise SettingsUnavailable("the parameter does not exist")

    world = World(settings=unavailable)
    assert world.deliver(_record()) == ["m1"]
    assert world.queue.postponed == {"m1": 900}


def test_settings_that_lead_where_nothing_may_be_sent_hold_the_delivery() -> None:
    world = World({"m1": [AddressRefused("the agent's URL must begin with https://")]})
    assert world.deliver(_record()) == ["m1"]
    assert world.queue.postponed == {"m1": 900}
    assert world.states == {"held": 1}


def test_a_fault_of_ours_keeps_the_event_and_prints_nothing_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    assert world.deliver(_record(customerId="bug")) == ["m1"]
    assert world.queue.postponed == {"m1": 5}
    assert "the customer's own data" not in capsys.readouterr().out


def test_the_second_of_two_requests_waits_for_the_first() -> None:
    world = World({"m1": [Response(500)]})
    world.deliver(_record(name="twice"))
    assert world.sent_ids == ["m1"]


def test_a_delivery_that_failed_half_way_resumes_where_it_stopped() -> None:
    world = World({"m1": [Response(200), Response(500), Response(200)]})
    assert world.deliver(_record(name="twice")) == ["m1"]
    assert world.ledger.rows["m1"]["done"] == 1
    assert world.deliver(_record(name="twice", receives=2)) == []
    assert len(world.sent) == 3
    assert world.ledger.rows["m1"] | {"at": 0, "wait": 0} == {
        "state": "delivered",
        "reason": "HTTP 200",
        "attempts": 2,
        "done": 2,
        "status": 200,
        "at": 0,
        "wait": 0,
    }


def test_a_settled_delivery_is_never_made_again() -> None:
    world = World()
    assert world.deliver(_record("m1")) == []
    copy = _record("m2")
    assert world.deliver(Message("m3", "r", _record("m1").body, 1, NOW, None)) == []
    assert world.sent_ids == ["m1"]
    assert world.deliver(copy) == []
    assert world.sent_ids == ["m1", "m2"]


def test_a_delivery_that_another_is_making_is_left_to_it() -> None:
    world = World(repeatable=False)
    world.ledger.rows["m1"] = {"state": "busy"}
    assert world.deliver(_record()) == ["m1"]
    assert world.sent == []
    assert world.queue.postponed == {"m1": 33}


@pytest.mark.parametrize(("repeatable", "sent_ids", "state"), [(True, ["m1"], "delivered"), (False, [], "unconfirmed")])
def test_in_doubt_is_sent_again_only_where_that_does_no_harm(
    repeatable: bool,  # noqa: FBT001
    sent_ids: list[str],
    state: str,
) -> None:
    world = World(repeatable=repeatable)
    world.ledger.rows["m1"] = {"state": "sending"}
    assert world.deliver(_record()) == []
    assert world.sent_ids == sent_ids
    assert world.ledger.rows["m1"]["state"] == state


@pytest.mark.parametrize(
    ("repeatable", "sent", "state"),
    [(True, True, "retrying"), (True, False, "retrying"), (False, True, "unconfirmed"), (False, False, "retrying")],
)
def test_a_lost_answer_leaves_a_delivery_in_doubt_too(
    repeatable: bool,  # noqa: FBT001
    sent: bool,  # noqa: FBT001
    state: str,
) -> None:
    world = World({"m1": [Unreachable("ReadTimeout", sent=sent)]}, repeatable=repeatable)
    world.deliver(_record())
    assert world.ledger.rows["m1"]["state"] == state


def test_a_parked_delivery_is_made_again_when_its_message_comes_back() -> None:
    world = World({"m1": [Response(400), Response(200)]})
    world.deliver(_record())
    assert world.ledger.rows["m1"]["state"] == "parked"
    assert world.deliver(_record()) == []
    assert world.ledger.rows["m1"]["state"] == "delivered"


def test_an_older_event_is_superseded_at_an_ordered_agent() -> None:
    world = World(ordered=True)
    device = {"id": "phone"}
    world.deliver(_record("logout", type="logout", sequence=6, device=device))
    assert world.deliver(_record("login", sequence=5, device=device)) == []
    assert world.sent_ids == ["logout"]
    assert world.ledger.rows["login"]["reason"] == "superseded"


@pytest.mark.parametrize(
    ("event", "sent_ids"),
    [
        ({"type": "login"}, []),
        ({"type": "open"}, []),
        ({"type": "push_token", "device": {"pushToken": "t"}}, []),
        ({"type": "logout"}, ["m1"]),
        ({"type": "push_token", "device": {"pushToken": False}}, ["m1"]),
    ],
)
def test_where_the_device_was_unusable_an_ordered_agent_hears_only_what_protects_the_person(
    event: dict[str, Any], sent_ids: list[str]
) -> None:
    world = World(ordered=True)
    assert world.deliver(_record(deviceUnusable=True, **event)) == []
    assert world.sent_ids == sent_ids
    assert sent_ids or world.ledger.rows["m1"]["reason"] == "unusable device id"
    other = World()
    assert other.deliver(_record(deviceUnusable=True, **event)) == []
    assert other.sent_ids == ["m1"]


def test_held_costs_no_attempt() -> None:
    world = World({"m1": [Response(401)]})
    for _ in range(3):
        world.deliver(_record())
    assert world.ledger.rows["m1"]["attempts"] == 0


def test_an_open_circuit_holds_what_is_left_of_a_delivery_and_costs_no_attempt() -> None:
    world = World(circuit=FakeCircuit(opens_after=1))
    assert world.deliver(_record(name="twice")) == ["m1"]
    assert world.queue.postponed == {"m1": 60}
    row = world.ledger.rows["m1"]
    assert (row["state"], row["attempts"], row["done"]) == ("held", 0, 1)


def test_a_delivery_that_is_held_for_nine_days_is_parked_with_the_reason() -> None:
    world = World({"m1": [Response(401)]}, now=NOW + timedelta(days=9, seconds=1))
    assert world.deliver(_record()) == []
    assert world.queue.parked["m1"]["reason"] == "still held after nine days: HTTP 401"


@pytest.mark.parametrize("repeatable", [True, False])
def test_nothing_is_sent_while_the_ledger_does_not_answer(repeatable: bool) -> None:  # noqa: FBT001
    world = World(ledger=FakeLedger(down={"claim", "look"}), repeatable=repeatable)
    assert world.deliver(_record()) == ["m1"]
    assert world.sent == []
    assert world.states == {"waiting": 1}


def test_what_was_sent_and_could_not_be_noted_comes_back_when_the_claim_has_run_out() -> None:
    world = World(ledger=FakeLedger(down={"settle"}))
    assert world.deliver(_record()) == ["m1"]
    assert world.queue.postponed == {"m1": 61}
    assert world.states == {"unsettled": 1}


def test_a_redriven_message_has_its_time_before_it() -> None:
    later = NOW + timedelta(days=10)
    world = World({"m1": [Response(500)]}, now=later)
    redriven = Message("m1", "r", _record().body, 1, later, None)
    assert world.deliver(redriven) == ["m1"]
    assert world.queue.parked == {}


def test_only_the_failed_record_of_a_batch_stays() -> None:
    world = World({"m2": [Response(500)]})
    assert world.deliver(_record("m1"), _record("m2"), _record("m3")) == ["m2"]
    assert sorted(world.sent_ids) == ["m1", "m2", "m3"]


def test_a_devices_later_messages_wait_behind_the_one_that_failed() -> None:
    world = World({"a1": [Response(500)]})
    kept = world.deliver(_record("a1", "A"), _record("b1", "B"), _record("a2", "A"), _record("b2", "B"))
    assert kept == ["a1", "a2"]
    assert world.queue.postponed == {"a1": 5, "a2": 5}
    assert "a2" not in world.sent_ids
    assert [sent_ids for sent_ids in world.sent_ids if sent_ids.startswith("b")] == ["b1", "b2"]


def test_little_time_left_leaves_the_batch_untouched() -> None:
    world = World()
    assert world.deliver(_record("m1"), _record("m2"), context=Time(MIN_REMAINING_MS - 1)) == ["m1", "m2"]
    assert world.sent == []
    assert world.queue.postponed == {"m1": 0, "m2": 0}


PHONE = {"id": "phone"}
ENDS_UNSENT: list[tuple[str, dict[str, Any], dict[str, list[Response | Exception]], str]] = [
    ("denied consent", {"consent": {"messaging": False}}, {}, "skipped"),
    ("a missing field", {"customerId": None, "type": "open"}, {}, "skipped"),
    ("a refusal", {}, {"bob": [Response(400)]}, "parked"),
    ("its age", {"receivedAt": (NOW - timedelta(days=25)).isoformat()}, {}, "expired"),
]
ends_unsent = pytest.mark.parametrize(
    ("why", "event", "answers", "state"), ENDS_UNSENT, ids=[case[0] for case in ENDS_UNSENT]
)


@ends_unsent
def test_an_event_that_ends_unsent_releases_the_device_from_another_person(
    why: str, event: dict[str, Any], answers: dict[str, list[Response | Exception]], state: str
) -> None:
    world = World(dict(answers), ordered=True, purpose="messaging")
    world.deliver(_record("ana", sequence=5, customerId="ana", device=PHONE))
    assert world.deliver(_record("bob", **{"sequence": 6, "customerId": "bob", "device": PHONE, **event})) == []
    assert world.sent_ids[-1] == "release bob", why
    row = world.ledger.rows["bob"]
    assert (row["state"], row["released"]) == (state, 1)
    assert row["reason"].endswith("; the device was released, nobody is on it")


@ends_unsent
def test_a_delivery_ends_only_after_its_release(
    why: str, event: dict[str, Any], answers: dict[str, list[Response | Exception]], state: str
) -> None:
    failing: list[Response | Exception] = [Response(503), Response(400), Response(200)]
    world = World({**answers, "release bob": failing}, ordered=True, purpose="messaging")
    world.deliver(_record("ana", sequence=5, customerId="ana", device=PHONE))
    bob = _record("bob", **{"sequence": 6, "customerId": "bob", "device": PHONE, **event})
    for _ in range(2):
        assert world.deliver(bob) == ["bob"], why
        assert world.ledger.rows["bob"]["state"] == "retrying"
        assert "; not released: HTTP " in world.ledger.rows["bob"]["reason"]
        assert world.queue.parked == {}
    assert world.deliver(bob) == []
    assert world.ledger.rows["bob"]["state"] == state


def test_a_release_that_fails_for_nine_days_is_parked_with_both_reasons() -> None:
    world = World({"release bob": [Response(503)]}, ordered=True, purpose="messaging")
    world.deliver(_record("ana", sequence=5, customerId="ana", device=PHONE))
    world.now = NOW + timedelta(days=9, seconds=1)
    denied = _record("bob", sequence=6, customerId="bob", device=PHONE, consent={"messaging": False})
    assert world.deliver(denied) == []
    assert world.queue.parked["bob"]["reason"] == "consent: messaging; not released: HTTP 503"
    assert world.ledger.kept == ["bob"]


def test_what_cannot_be_kept_of_a_failed_release_is_tried_again_before_the_delivery_is_parked() -> None:
    world = World({"release bob": [Response(503)]}, ordered=True, purpose="messaging")
    world.deliver(_record("ana", sequence=5, customerId="ana", device=PHONE))
    world.now = NOW + timedelta(days=9, seconds=1)
    world.ledger.down.add("keep")
    denied = _record("bob", sequence=6, customerId="bob", device=PHONE, consent={"messaging": False})
    assert world.deliver(denied) == ["bob"]
    assert (world.queue.parked, world.ledger.rows["bob"]["reason"]) == ({}, "ledger: Throttled")


@pytest.mark.parametrize(
    ("why", "event"),
    [
        ("the same person", {"customerId": "ana"}),
        ("superseded", {"sequence": 4}),
        ("a track", {"type": "track", "name": "x"}),
        ("an identify", {"type": "identify"}),
        ("a push token that names nobody", {"type": "push_token", "customerId": None}),
        ("a device for which the agent is not meant", {"device": {**PHONE, "platform": "web"}}),
    ],
)
def test_an_event_that_does_not_say_that_another_person_is_on_the_device_releases_nothing(
    why: str, event: dict[str, Any]
) -> None:
    world = World(ordered=True, purpose="messaging")
    world.deliver(_record("ana", sequence=5, customerId="ana", device=PHONE))
    denied = {"sequence": 6, "customerId": "bob", "device": PHONE, "consent": {"messaging": False}, **event}
    world.deliver(_record("bob", **denied))
    assert world.sent_ids == ["ana"], why
    assert world.ledger.rows["bob"]["reason"] == "consent: messaging"


def test_without_the_ledgers_keys_an_ordered_agent_holds() -> None:
    world = World(ledger=FakeLedger(down={"keys"}), ordered=True)
    assert world.deliver(_record(device=PHONE)) == ["m1"]
    assert (world.states, world.sent) == ({"held": 1}, [])


def test_a_superseded_event_says_by_how_much_it_was_late() -> None:
    world = World(ordered=True)
    world.deliver(_record("new", sequence=9_000, device=PHONE))
    world.deliver(_record("old", sequence=2_000, device=PHONE))
    assert (world.ledger.rows["old"]["reason"], world.ledger.rows["old"]["late"]) == ("superseded", 7_000)


def test_an_ordered_event_that_was_accepted_more_than_24_days_ago_expires_and_an_unordered_one_does_not() -> None:
    old = (NOW - timedelta(days=24, seconds=1)).isoformat()
    for ordered, state in ((True, "expired"), (False, "delivered")):
        world = World(ordered=ordered)
        world.deliver(_record(receivedAt=old, device=PHONE))
        assert world.states == {state: 1}


def test_one_that_could_not_be_noted_with_the_others_comes_back_alone() -> None:
    world = World(ledger=FakeLedger(unwritten={"m2"}), repeatable=False)
    assert world.deliver(_record("m1"), _record("m2"), _record("m3")) == ["m2"]
    assert world.states == {"delivered": 2, "unsettled": 1}


def test_what_there_is_no_time_for_any_more_costs_no_attempt() -> None:
    world = World(repeatable=False)
    # Time enough to begin, and too little to send.
    time = iter([MIN_REMAINING_MS, 0])
    context = Time()
    context.get_remaining_time_in_millis = lambda: next(time)  # type: ignore[method-assign]
    assert world.deliver(_record(), context=context) == ["m1"]
    assert world.sent == []
    assert world.queue.postponed == {"m1": 0}
    assert (world.ledger.rows["m1"]["state"], world.ledger.rows["m1"]["attempts"]) == ("retrying", 0)


def test_a_larger_batch_is_claimed_and_settled_in_chunks() -> None:
    world = World(repeatable=False)
    assert world.deliver(*(_record(f"m{number}") for number in range(100))) == []
    assert sorted(world.sent_ids) == sorted(f"m{number}" for number in range(100))
    assert world.ledger.asked.count("settle") == -(-100 // CHUNK_SIZE)


def test_deliveries_of_a_repeatable_agent_are_settled_by_as_few_calls_as_dynamodb_takes() -> None:
    world = World()
    world.deliver(*(_record(f"m{number}") for number in range(100)))
    assert world.ledger.asked.count("settle") == 100 // MAX_WRITES


def test_what_was_skipped_is_noted_and_that_is_all() -> None:
    world = World()
    world.deliver(_record(customerId=None))
    assert world.ledger.asked == ["note"]


def test_an_ordered_agents_delivery_is_looked_at_ordered_and_settled() -> None:
    world = World(ordered=True)
    world.deliver(_record(device={"id": "phone"}))
    assert world.ledger.asked == ["devices", "look", "in_order", "settle"]


def test_devices_of_a_batch_are_looked_at_as_well_so_that_their_order_is_one_call() -> None:
    world = World(ordered=True)
    world.deliver(*(_record(f"m{number}", group=f"g{number}", device={"id": f"phone{number}"}) for number in range(3)))
    assert world.ledger.asked[0] == "devices"
    assert world.ledger.rows.keys() == {"m0", "m1", "m2"}


@pytest.mark.parametrize(("repeatable", "first"), [(True, "look"), (False, "claim")])
def test_another_agents_delivery_is_claimed_only_where_telling_twice_does_harm(repeatable: bool, first: str) -> None:  # noqa: FBT001
    world = World(repeatable=repeatable)
    world.deliver(_record())
    assert world.ledger.asked == [first, "settle"]
