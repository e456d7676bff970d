"""The main promise, by chance: one phone, three people, and all that can go wrong between them and the ordered agents.

Every event of the app names who is on the phone, with a visitor's id that is new after each logout, its push token and
the one before, and a rising time: a sequence, or only when it happened. An event may lack what an agent needs, name the
device's id alone, or come with denied consent. A person without a token sends push tokens of their own for the phone.
Events are held up, come twice or out of order, requests fail before and after the work or are refused for good,
functions die, DynamoDB refuses, credentials break, weeks pass, messages are parked and redriven. What must hold:

- When nothing waits any more for an agent, the phone gets there no pushes of a person who has left it: by the newest
  event that says who is on it, on a tie the logout.
- Where that event is one that the agent can be sent, its person does get them.
- While something waits, an agent is behind only as far as that: a person who gets pushes by mistake has left the phone
  by an event that is still on its way, queued or parked.
- No other token than the phone's own is ever bound to a person.
- Every receipt ends, the newest never as superseded. What DashX was sent twice was in doubt.
"""

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from local import scenario
from relay.aws import clients
from relay.event.model import Event, EventInput, EventType
from tests.examples import examples
from tests.integration.simulated_dynamodb import Fault as LedgerFault
from tests.integration.simulated_world import AGENTS, Fault, Trouble, Vendor, World

STEPS = 30
PEOPLE = (scenario.FIRST, scenario.SECOND, "carla-3")
FOREIGN_TOKEN = "token-of-another-phone"

Way = Literal["straight", "held up", "twice"]


@dataclass(frozen=True)
class Shift:
    """A batch that an agent delivers, the faults that its requests and its ledger meet, and the time after it."""

    agent: str
    limit: int
    answers: list[Fault | None]
    refusals: list[LedgerFault | None]
    left: int
    acknowledged: bool
    seconds: int


def _after_some(good: int, faults: list[Any]) -> list[Any]:
    return [*[None] * good, *faults]


ways: st.SearchStrategy[Way] = st.sampled_from(["straight", "straight", "straight", "held up", "held up", "twice"])
agents = st.sampled_from(sorted(AGENTS))


@dataclass(frozen=True)
class Gaps:
    """What an event lacks: fields of its device, consent, a sequence; `id_alone` leaves the device's id only."""

    fields: tuple[str, ...] = ()
    denied: bool = False
    untimed: bool = False
    id_alone: bool = False


WHOLE = Gaps()
gaps = st.one_of(
    st.just(WHOLE),
    st.just(WHOLE),
    st.builds(
        Gaps,
        fields=st.sampled_from([(), (), ("platform",), ("timezone",), ("language", "model")]),
        denied=st.sampled_from([False, False, True]),
        untimed=st.booleans(),
        id_alone=st.booleans(),
    ),
)
answers = st.builds(
    _after_some,
    st.sampled_from([0, 1, 2, 2]),
    st.lists(
        st.sampled_from(
            [
                "400",
                "400",
                "503",
                "429",
                "no answer",
                "answer lost",
                "503 after the work",
                "crash before",
                "crash after",
            ]
        ),
        max_size=3,
    ),
)
refusals = st.one_of(
    st.just([]),
    st.builds(
        _after_some,
        st.integers(0, 4),
        st.lists(st.sampled_from(["refused", "answer lost", "crash before", "crash after"]), max_size=2),
    ),
)
shifts = st.lists(
    st.builds(
        Shift,
        agent=agents,
        limit=st.sampled_from([10, 1, 2]),
        answers=answers,
        refusals=refusals,
        left=st.sampled_from([30_000, 30_000, 30_000, 1_000]),
        acknowledged=st.sampled_from([True, True, True, False]),
        seconds=st.sampled_from([0, 0, 6, 61, 181, 901, 30_000, 90_000, 700_000]),
    ),
    max_size=3,
)


QUIET: dict[str, Any] = {"way": "straight", "shifts": []}
HELD_UP: dict[str, Any] = {"way": "held up", "shifts": []}


@dataclass
class Phone:
    """The phone as it is; `kept` is the token that it had before."""

    person: str | None = None
    visitor: str = ""
    token: str | Literal[False] = "token-0"
    kept: str | None = None
    visitors: int = 0
    tokens: int = 0

    def __post_init__(self) -> None:
        """Begins with a visitor."""
        self.begin_visit()

    def begin_visit(self) -> None:
        """Makes a visitor whom nobody has seen."""
        self.visitors += 1
        self.visitor = str(uuid.UUID(int=self.visitors, version=4))

    def renew_token(self) -> None:
        """Gets another token; push is accepted if it was not."""
        self.tokens += 1
        self.kept, self.token = self.token or self.kept, f"token-{self.tokens}"

    def switch_push(self) -> None:
        """Declines push, or accepts it again under the token that there was."""
        if self.token:
            self.kept, self.token = self.token, False
        else:
            self.kept, self.token = None, self.kept or "token-0"

    @property
    def device(self) -> dict[str, Any]:
        """The phone as its app describes it."""
        before = {"previousPushToken": self.kept} if self.kept else {}
        return {**scenario.PHONE["device"], "pushToken": self.token, **before}


@dataclass
class Story:
    """Everything that the app has said, held up or not: the model that the agents must come to agree with."""

    said: list[Event] = field(default_factory=list)

    @property
    def advance_sequences(self) -> list[Event]:
        """The events by sequence; on a tie logout wins."""
        return sorted(self.said, key=lambda event: (event.sequence, event.type == "logout"))

    @property
    def deciding(self) -> list[Event]:
        """The events that say who is on the phone, in order."""
        return [event for event in self.advance_sequences if event.names_owner]

    @property
    def person(self) -> str | None:
        """Who is on the phone."""
        newest = self.deciding[-1:]
        return newest[0].owner if newest else None

    def ended(self, person: str) -> set[str]:
        """The ids of the events since the last one that says that a person is on the phone."""
        last = max(at for at, event in enumerate(self.deciding) if event.owner == person)
        return {event.event_id for event in self.deciding[last + 1 :]}


def _can_be_sent(event: Event, agent: str) -> bool:
    """Whether an agent can be sent an event with all that makes the pushes of its person reach the phone."""
    device = event.device
    described = device.platform and (agent != "emarsys" or (device.timezone and device.language and device.model))
    return bool(event.owner and device.push_token and described) and event.allows("messaging", default=True)


class OnePhoneTwoPeople(RuleBasedStateMachine):
    """Three people, one after the other or one into the other's visit, on one phone."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.phone = Phone()
        self.story = Story()
        self.on_the_way: list[Event] = []
        self.settled = 0
        self.unproven = self.last_unproven = 0
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(clients, "dynamodb", lambda: self.world.table)

    @rule(way=ways, shifts=shifts, gaps=gaps)
    def logs_in(self, way: Way, shifts: list[Shift], gaps: Gaps = WHOLE) -> None:
        self._log_in(self.phone.person or PEOPLE[0], way, shifts, gaps)

    @rule(way=ways, shifts=shifts, gaps=gaps, step=st.sampled_from([1, 1, 2]))
    def another_logs_in(self, way: Way, shifts: list[Shift], gaps: Gaps = WHOLE, step: int = 1) -> None:
        now = PEOPLE.index(self.phone.person) if self.phone.person else 0
        self._log_in(PEOPLE[(now + step) % len(PEOPLE)], way, shifts, gaps)

    @rule(way=ways, at_once=st.booleans(), shifts=shifts, gaps=gaps)
    def logs_out(self, way: Way, at_once: bool, shifts: list[Shift], gaps: Gaps = WHOLE) -> None:  # noqa: FBT001 - hypothesis calls it
        self._say("logout", way, gaps, at_once=at_once)
        self.phone.person = None
        self.phone.begin_visit()
        self._deliver(shifts)

    @rule(way=ways, shifts=shifts, gaps=gaps)
    def opens(self, way: Way, shifts: list[Shift], gaps: Gaps = WHOLE) -> None:
        self._say("open", way, gaps)
        self._deliver(shifts)

    @rule(way=ways, shifts=shifts, gaps=gaps)
    def gets_another_token(self, way: Way, shifts: list[Shift], gaps: Gaps = WHOLE) -> None:
        self.phone.renew_token()
        self._say("push_token", way, gaps)
        self._deliver(shifts)

    @rule(way=ways, shifts=shifts, gaps=gaps)
    def switches_push(self, way: Way, shifts: list[Shift], gaps: Gaps = WHOLE) -> None:
        self.phone.switch_push()
        self._say("push_token", way, gaps)
        self._deliver(shifts)

    @rule(named=st.booleans(), shifts=shifts)
    def an_unproven_push_token_comes(self, named: bool, shifts: list[Shift]) -> None:  # noqa: FBT001 - as above
        clock = self.world.clock
        clock.pass_(0.001)
        self.unproven += 1
        visitor = {"anonymousId": str(uuid.UUID(int=10_000 + self.unproven, version=4))} if named else {}
        device = {"id": scenario.DEVICE, "platform": "android", "pushToken": FOREIGN_TOKEN}
        call = EventInput.parse(json.dumps({**visitor, "device": device}), "push_token")
        self.world.publish(Event.stamp(call, "push_token", "demo", f"unproven-{self.unproven}", clock.now))
        self.last_unproven = _milliseconds(clock.now)
        self._deliver(shifts)

    @precondition(lambda self: self.on_the_way)
    @rule(which=st.integers(0, 5))
    def arrives_late(self, which: int) -> None:
        self._publish(self.on_the_way.pop(which % len(self.on_the_way)))

    @precondition(lambda self: any(map(_queued, self.world.vendors.values())))
    @rule(shifts=shifts)
    def delivers(self, shifts: list[Shift]) -> None:
        self._deliver(shifts)

    @precondition(lambda self: any(map(_queued, self.world.vendors.values())))
    @rule(agent=agents, trouble=st.sampled_from(["credentials", "credentials", "circuit", "settings", None]))
    def breaks_or_recovers(self, agent: str, trouble: Trouble | None) -> None:
        if trouble:
            self.world.vendors[agent].troubles.add(trouble)
        else:
            self.world.vendors[agent].troubles.clear()

    @precondition(lambda self: any(vendor.queue.parked for vendor in self.world.vendors.values()))
    @rule()
    def is_redriven(self) -> None:
        for vendor in self.world.vendors.values():
            vendor.queue.redrive()

    @precondition(lambda self: len(self.story.said) >= self.settled + 4)
    @rule()
    def settles(self) -> None:
        self._settle()

    def teardown(self) -> None:
        try:
            self._settle()
        finally:
            self.patch.undo()

    @invariant()
    def an_agent_is_wrong_only_as_far_as_something_waits(self) -> None:
        held_up = {event.event_id for event in self.on_the_way}
        for vendor in self.world.vendors.values():
            waiting = held_up | _queued(vendor)
            if waiting:
                self._check_that_mistakes_wait(vendor, waiting)
            else:
                self._check(vendor)

    def _log_in(self, who: str, way: Way, shifts: list[Shift], gaps: Gaps) -> None:
        if self.phone.person not in {None, who}:
            self.phone.begin_visit()
        self.phone.person = who
        self._say("login", way, gaps)
        self._deliver(shifts)

    def _say(self, event_type: EventType, way: Way, gaps: Gaps = WHOLE, *, at_once: bool = False) -> None:
        clock, said = self.world.clock, self.story.said
        at_once = at_once and bool(said) and said[-1].ordered_by == "sequence" and not gaps.untimed
        if not at_once:
            clock.pass_(0.001)
        sequence = said[-1].sequence if at_once else _milliseconds(clock.now)
        body = {
            **self._who_and_where(event_type, gaps),
            **({} if gaps.untimed else {"sequence": sequence}),
            **({"consent": {"messaging": False}} if gaps.denied else {}),
            "occurredAt": clock.now.isoformat(),
        }
        call = EventInput.parse(json.dumps(body), event_type)
        said.append(Event.stamp(call, event_type, "demo", f"{len(said)}-{event_type}", clock.now, trusted=True))
        if way != "held up":
            self._publish(said[-1])
        if way != "straight":
            self.on_the_way.append(said[-1])

    def _who_and_where(self, event_type: EventType, gaps: Gaps) -> dict[str, Any]:
        device = {name: value for name, value in self.phone.device.items() if name not in gaps.fields}
        is_ending = event_type == "logout" or (event_type == "push_token" and not self.phone.token)
        if gaps.id_alone and is_ending:
            alone = {"id": scenario.DEVICE} | ({"pushToken": False} if event_type == "push_token" else {})
            return {"device": alone}
        person = {"customerId": self.phone.person} if self.phone.person else {}
        return {**person, "anonymousId": self.phone.visitor, "device": device}

    def _publish(self, event: Event) -> None:
        self.world.publish(event.model_copy(update={"received_at": self.world.clock.now}))

    def _deliver(self, shifts: list[Shift]) -> None:
        for shift in shifts:
            vendor = self.world.vendors[shift.agent]
            vendor.await_work()
            vendor.faults.extend(shift.answers)
            self.world.table.faults.extend(shift.refusals)
            vendor.work(shift.limit, left=shift.left, acknowledged=shift.acknowledged)
            self.world.clock.pass_(shift.seconds)

    def _settle(self) -> None:
        self.settled = len(self.story.said)
        while self.on_the_way:
            self._publish(self.on_the_way.pop())
        self.world.settle()
        for vendor in self.world.vendors.values():
            assert not _queued(vendor)
            self._check(vendor)
            self._check_receipts(vendor.name)
        self._check_what_dashx_received()

    def _check(self, vendor: Vendor) -> None:
        person, token = self.story.person, self.phone.token
        got = _receivers(vendor, self.phone)
        assert got <= {person}, (vendor.name, got, person)
        assert token or not got or vendor.name == "eitri_push", (vendor.name, got)
        for newest in self.story.deciding[-1:]:
            in_time = self.world.clock.now - newest.received_at < timedelta(days=9)
            if _can_be_sent(newest, vendor.name) and newest.sequence > self.last_unproven and in_time:
                assert person in got or newest.device.push_token != token, (vendor.name, self.world.receipts(newest))

    def _check_that_mistakes_wait(self, vendor: Vendor, waiting: set[str]) -> None:
        for wrong in _receivers(vendor, self.phone) - {self.story.person}:
            assert waiting & self.story.ended(wrong), (vendor.name, wrong)

    def _check_receipts(self, name: str) -> None:
        for event in self.story.advance_sequences:
            row = self.world.receipts(event)[name]
            assert row["state"] in {"delivered", "skipped", "expired"}, (name, row)
        for newest in self.story.deciding[-1:]:
            row = self.world.receipts(newest)[name]
            assert row["reason"] != "superseded", (name, row)

    def _check_what_dashx_received(self) -> None:
        vendor = self.world.vendors["dashx"]
        tracked_ids = Counter(tracked["eventId"] for tracked in vendor.state()["events"])
        assert tracked_ids.total() - len(tracked_ids) <= vendor.doubts, tracked_ids
        for event in self.story.said:
            if event.type != "push_token" and self.world.receipts(event)["dashx"]["state"] == "delivered":
                assert tracked_ids[event.event_id], event.event_id


def _queued(vendor: Vendor) -> set[str]:
    """The ids of the events in an agent's queues."""
    return {json.loads(body)["eventId"] for body in vendor.queue.bodies}


def _receivers(vendor: Vendor, phone: Phone) -> set[str]:
    """Which people's pushes this phone would get; a push to a token that it has no more reaches nobody."""
    devices = vendor.state()["devices"]
    if vendor.name == "dashx":
        device = devices.get(phone.token, {})
    else:
        device = devices.get(scenario.DEVICE, {})
        assert not device or device["pushToken"] in {None, *_tokens(phone)}
    assert FOREIGN_TOKEN not in devices or not set(PEOPLE) & set(_listed(devices[FOREIGN_TOKEN].get("pushesGoTo")))
    got = device.get("pushesGoTo")
    reached = device.get("pushToken") == phone.token or not phone.token
    return {one for one in _listed(got) if one in PEOPLE and reached}


def _listed(got: Any) -> list[Any]:
    return got if isinstance(got, list) else [got]


def _tokens(phone: Phone) -> Iterator[str]:
    return (f"token-{number}" for number in range(phone.tokens + 1))


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


@pytest.mark.slow
@pytest.mark.hypothesis
def test_nobodys_pushes_reach_the_other_persons_phone() -> None:
    run_state_machine_as_test(
        OnePhoneTwoPeople,
        settings=settings(
            max_examples=examples(125),
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_logout_that_an_open_overtook_still_reaches_dashx() -> None:
    phone = OnePhoneTwoPeople()
    phone.logs_in(**QUIET)
    phone.logs_out(**HELD_UP, at_once=False)
    phone.opens(**QUIET)
    phone.teardown()


def test_a_logout_ends_the_pushes_to_a_token_that_was_declined_a_moment_ago() -> None:
    phone = OnePhoneTwoPeople()
    phone.logs_in(**QUIET)
    phone.switches_push(**HELD_UP)
    phone.logs_out(**QUIET, at_once=False)
    phone.switches_push(**QUIET)
    phone.teardown()


def test_a_late_logout_of_a_person_who_is_back_changes_nothing() -> None:
    phone = OnePhoneTwoPeople()
    phone.logs_in(**QUIET)
    phone.logs_out(**HELD_UP, at_once=False)
    phone.logs_in(**QUIET)
    phone.teardown()


def test_a_login_that_is_redriven_after_weeks_does_not_undo_the_logout() -> None:
    phone = OnePhoneTwoPeople()
    phone.logs_in(**QUIET)
    for vendor in phone.world.vendors.values():
        vendor.work()
        vendor.faults.append("400")
    phone.logs_in(**QUIET)
    login = phone.story.said[-1]
    for vendor in phone.world.vendors.values():
        vendor.work()
        vendor.troubles.add("settings")
    phone.logs_out(**QUIET, at_once=False)
    for vendor in phone.world.vendors.values():
        # Eight days it is held, ten more parked: the logout's row is still there.
        vendor.troubles.clear()
        vendor.await_work()
        vendor.work()
    phone.world.clock.pass_(18 * 86_400)
    phone.world.table.forget(phone.world.clock.now.timestamp())
    for vendor in phone.world.vendors.values():
        vendor.queue.redrive()
        vendor.work()
        assert phone.world.receipts(login)[vendor.name]["reason"] == "superseded"
    phone.teardown()


@pytest.mark.parametrize("fields", [("platform",), ("timezone",)])
def test_an_incomplete_login_after_another_persons_leaves_the_phone_to_nobody(fields: tuple[str, ...]) -> None:
    phone = OnePhoneTwoPeople()
    phone.logs_in(**QUIET)
    phone.another_logs_in(**QUIET, gaps=Gaps(fields=fields))
    phone.teardown()


def test_a_decline_that_a_newer_event_without_consent_overtook_ends_the_pushes() -> None:
    phone = OnePhoneTwoPeople()
    phone.logs_in(**QUIET)
    phone.switches_push(**HELD_UP)
    phone.logs_in(**HELD_UP, gaps=Gaps(denied=True))
    phone.teardown()
