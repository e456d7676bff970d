"""The life of a delivery: planned, claimed, attempted, settled or kept for later, and reported."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from relay.agent.auth import Send
from relay.agent.definition import Agent
from relay.agent.http import Request
from relay.agent.verdict import Verdict, VerdictKind
from relay.aws.environment import AgentEnvironment
from relay.aws.log import logger
from relay.delivery.circuit import Circuit
from relay.delivery.client import AgentClient
from relay.delivery.outcome import MAX_REASON, Outcome, RetryPolicy
from relay.delivery.queue import Queue, Record
from relay.delivery.report import Report
from relay.errors import InvalidEvent, LedgerUnavailable, SettingsUnavailable, Skip
from relay.event.model import Event
from relay.ledger.ledger import Claim, ClaimStatus, Ledger, ReceiptUpdate

S = TypeVar("S", bound=BaseModel)


class Plan(NamedTuple, Generic[S]):
    """What an event makes of an agent: its requests by these settings, and how many properties were withheld."""

    settings: S
    requests: list[Request]
    withheld: int = 0
    remark: str = ""


class Delivery(NamedTuple, Generic[S]):
    """A delivery that is ours to attempt."""

    record: Record
    event: Event
    claim: Claim
    plan: Plan[S]
    began: float

    @property
    def before(self) -> Outcome:
        """What is known of it before this attempt."""
        return _before(self.claim, self.plan.withheld)

    def remarked(self, outcome: Outcome) -> Outcome:
        """The outcome with the plan's remark before its reason."""
        return outcome._replace(reason=self.plan.remark + outcome.reason)


def _before(claim: Claim, withheld: int) -> Outcome:
    return Outcome("", attempts=claim.attempts, done=claim.done, withheld=withheld)


class _Read(NamedTuple):
    """A record and the event that it is."""

    record: Record
    event: Event
    began: float


class _Planned(NamedTuple, Generic[S]):
    """A record that was read and planned, of which the ledger has not been asked."""

    record: Record
    event: Event
    planned: Plan[S] | Outcome
    began: float


def _now() -> datetime:
    return datetime.now(UTC)


class DeliveryPipeline(NamedTuple, Generic[S]):
    """One agent at work: the agent, its queue, its settings (afresh or not), and the world that it acts on."""

    agent: Agent[S]
    environment: AgentEnvironment
    queue: Queue
    ledger: Ledger
    circuit: Circuit
    load: Callable[[bool], S]
    report: Report
    send: Send
    now: Callable[[], datetime] = _now
    draw: Callable[[float, float], float] = random.uniform

    @property
    def patience(self) -> RetryPolicy:
        """How long deliveries wait."""
        return RetryPolicy(self.environment, self.now, self.draw)

    def begin(self, records: Sequence[Record]) -> list[Delivery[S] | Outcome]:
        """Deliveries that are ours; or, noted and reported, the outcomes of those that are not, or are settled already.

        Both are in the order of their records.
        """
        # All are read before any is planned: to change between the two for each costs a fifth of both.
        read = [self._read(record) for record in records]
        begun = [self._planned(*one) if isinstance(one, _Read) else one for one in read]
        claims = iter(self._claims([one.event for one in begun if isinstance(one, _Planned)]))
        return [self._claimed(one, next(claims)) if isinstance(one, _Planned) else one for one in begun]

    def _read(self, record: Record) -> _Read | Outcome:
        began = perf_counter()
        try:
            return _Read(record, Event.load(record.body), began)
        except InvalidEvent as invalid:
            outcome = Outcome("parked", f"unreadable: {invalid}"[:MAX_REASON], attempts=0)
            self._park(record, outcome, record.sent_at)
            return self._told(None, outcome, began)

    def _planned(self, record: Record, event: Event, began: float) -> _Planned[S] | Outcome:
        planned = self.plan(event, record)
        try:
            if self._must_log_out_previous(event, planned):
                event = event.model_copy(update=_AS_LOGOUT)
                planned = self.plan(event, record, remark="consent denied, so the last person was logged out: ")
            # One that needs no attempt is noted at once, which saves claiming it; what is parked moves before its note.
            if (
                isinstance(planned, Outcome)
                and planned.state != "parked"
                and self.ledger.note(self._update(event, planned))
            ):
                return self._told(event, planned, began)
        except LedgerUnavailable as fault:
            return self._told(event, self._waiting(record, fault), began)
        return _Planned(record, event, planned, began)

    def _must_log_out_previous(self, event: Event, planned: Plan[S] | Outcome) -> bool:
        """Whether somebody comes of whom the agent may not be told, to a device where it goes on reaching another."""
        if isinstance(planned, Plan) or not self.agent.ordered or self.agent.personal_logout:
            return False
        denied = not event.allows(self.agent.purpose, default=self.environment.default_consent)
        return denied and bool(event.device.id and event.customer_id) and self.ledger.belongs_to_another(event)

    def _claims(self, events: Sequence[Event]) -> Sequence[Claim | LedgerUnavailable]:
        if not events:
            return []
        if not self.agent.repeatable:
            return self.ledger.claim(events, self.now())
        # What may be told twice need not be claimed: reading costs a fifth of writing. Devices are read where that lets
        # their order be written by one call; that of a single one is written unread.
        return self.ledger.read_claims(events, devices=self.agent.ordered and len(events) > 1)

    def _claimed(self, one: _Planned[S], claim: Claim | LedgerUnavailable) -> Delivery[S] | Outcome:
        record, event, planned, began = one
        if isinstance(claim, LedgerUnavailable):
            return self._told(event, self._waiting(record, claim), began)
        match claim.standing:
            case ClaimStatus.SETTLED:
                return self._told(event, Outcome("repeated"), began)
            case ClaimStatus.IN_PROGRESS:
                return self._told(event, Outcome("busy", wait=claim.wait), began)
            case ClaimStatus.ACQUIRED if claim.in_doubt:
                doubt = _before(claim, 0)._replace(state="unconfirmed", reason=_DOUBT)
                return self._told(event, self._settled([(record, event, doubt)])[0], began)
            case ClaimStatus.ACQUIRED if isinstance(planned, Outcome):
                known = planned._replace(attempts=planned.attempts or claim.attempts, done=claim.done)
                return self._told(event, self._settled([(record, event, known)])[0], began)
            case ClaimStatus.ACQUIRED:
                return Delivery(record, event, claim, planned, began)

    def _waiting(self, record: Record, fault: LedgerUnavailable) -> Outcome:
        return Outcome("waiting", f"ledger: {fault}", self.patience.wait(record.receives))

    def plan(self, event: Event, record: Record, *, force_refresh: bool = False, remark: str = "") -> Plan[S] | Outcome:
        """The requests that are to be made, or what becomes of the delivery without any."""
        agent = self.agent
        try:
            if not event.allows(agent.purpose, default=self.environment.default_consent):
                return Outcome("skipped", f"consent: {agent.purpose}")
            if agent.max_age and self.now() - event.occurred_at > agent.max_age:
                return Outcome("expired", f"older than {agent.max_age}")
            current = self.load(force_refresh)
            withheld = agent.withheld(event, current) if agent.withheld else 0
            return Plan(current, agent.build_requests(event, current), withheld, remark)
        except Skip as skip:
            return Outcome("skipped", skip.reason)
        except SettingsUnavailable as fault:
            return self.patience.held(record, Outcome(""), str(fault), self.environment.hold)
        except Exception as bug:  # noqa: BLE001 - a fault of ours must neither lose the event nor print what it holds
            return self._fault(event, record, bug, Outcome(""))

    def overtaken(self, deliveries: Sequence[Delivery[S]]) -> list[Outcome | None]:
        """What becomes of deliveries that must not be made, or not yet; None for those to make.

        A newer event of their device was applied before, or it cannot be known whether one was.
        """
        if not self.agent.ordered:
            return [None] * len(deliveries)
        events, devices = [one.event for one in deliveries], [one.claim.device for one in deliveries]
        advance_sequences = self.ledger.advance_sequences(events, devices)
        return [self._placed(delivery, place) for delivery, place in zip(deliveries, advance_sequences, strict=True)]

    def _placed(self, delivery: Delivery[S], place: bool | LedgerUnavailable) -> Outcome | None:  # noqa: FBT001 - the ledger's word
        fault = place if isinstance(place, LedgerUnavailable) else None
        try:
            if not fault and (place or self._is_pending_logout(delivery.event)):
                return None
        except LedgerUnavailable as unavailable:
            fault = unavailable
        if fault:
            wait = self.patience.wait(delivery.record.receives)
            return delivery.remarked(delivery.before._replace(state="retrying", reason=f"ledger: {fault}", wait=wait))
        return delivery.remarked(delivery.before._replace(state="skipped", reason="superseded"))

    def attempt(self, delivery: Delivery[S], in_time: Callable[[], bool]) -> Outcome:
        """What becomes of a delivery by making its requests."""
        record, event, before = delivery.record, delivery.event, delivery.before
        if not in_time():
            return before._replace(state="retrying", reason=OUT_OF_TIME, wait=0)
        try:
            outcome = self._exchange(delivery)
        except SettingsUnavailable as fault:
            outcome = self.patience.held(record, before, str(fault), self.environment.hold)
        except Exception as bug:  # noqa: BLE001 - as above
            outcome = self._fault(event, record, bug, before._replace(attempts=delivery.claim.attempts + 1))
        return delivery.remarked(outcome)

    def _exchange(self, delivery: Delivery[S]) -> Outcome:
        answer, done = self.line(delivery.plan).tell(delivery.plan.requests, delivery.claim.done)
        if isinstance(answer, Verdict) and answer.kind is VerdictKind.UNAUTHORIZED:
            again = self.plan(delivery.event, delivery.record, force_refresh=True)
            if isinstance(again, Outcome):
                return again._replace(attempts=delivery.claim.attempts, done=done)
            answer, done = self.line(again, force_refresh=True).tell(again.requests, done)
        return self.patience.read(delivery.record, answer, delivery.before._replace(done=done))

    def line(self, plan: Plan[S], *, force_refresh: bool = False) -> AgentClient[S]:
        """The line to the agent by a plan's settings."""
        return AgentClient(self.agent, self.circuit, self.send, self.now, plan.settings, force_refresh)

    def _is_pending_logout(self, event: Event) -> bool:
        """Whether an older event is the logout of somebody who has not come back since: without it the pushes go on."""
        return self.agent.personal_logout and event.type == "logout" and self.ledger.has_new_owner(event)

    def _fault(self, event: Event, record: Record, bug: Exception, tried: Outcome) -> Outcome:
        logger().error("fault", extra={"agent": self.agent.name, "event_id": event.event_id, **_where(bug)})
        return self.patience.later(record, Verdict(VerdictKind.RETRY, f"fault: {type(bug).__name__}"), tried)

    def end(self, deliveries: Sequence[Delivery[S]], outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes of deliveries, noted and reported; those that could not be noted are to be looked at again."""
        pairs = zip(deliveries, outcomes, strict=True)
        settled = self._settled([(delivery.record, delivery.event, outcome) for delivery, outcome in pairs])
        return [self._told(one.event, outcome, one.began) for one, outcome in zip(deliveries, settled, strict=True)]

    def _settled(self, known: Sequence[tuple[Record, Event, Outcome]]) -> list[Outcome]:
        for record, event, outcome in known:
            if outcome.state == "parked":
                # First the message, then the note: the other way round, a crash between them would lose the message.
                self._park(record, outcome, event.received_at)
        fault = "too many writes at once"
        try:
            noted = self.ledger.settle([self._update(event, outcome) for _, event, outcome in known])
        except LedgerUnavailable as unavailable:
            noted, fault = [False] * len(known), str(unavailable)
        # Our claim must run out before anybody can look at such a delivery again.
        wait, reason = self.ledger.lease + 1, f"ledger: {fault}"
        return [
            outcome if written else outcome._replace(state="unsettled", reason=reason, wait=wait)
            for (_, _, outcome), written in zip(known, noted, strict=True)
        ]

    def _update(self, event: Event, outcome: Outcome) -> ReceiptUpdate:
        return ReceiptUpdate(event, outcome.state, outcome.notes(self.now()))

    def _park(self, record: Record, outcome: Outcome, first_seen: datetime) -> None:
        self.queue.dead_letter(
            record,
            {
                "agent": self.agent.name,
                "reason": outcome.reason,
                "status": str(outcome.status or ""),
                "attempts": str(outcome.attempts or 0),
                "firstSeen": first_seen.isoformat(),
            },
        )

    def _told(self, event: Event | None, outcome: Outcome, began: float) -> Outcome:
        self.report.add(event, outcome, self.now(), (perf_counter() - began) * 1000)
        return outcome


OUT_OF_TIME = "no time left"
"""Why a delivery is tried again whose function was about to be ended."""

_DOUBT = "in doubt: an earlier attempt ended without a word"
_AS_LOGOUT = {"type": "logout", "customer_id": None, "anonymous_id": None, "email": None, "phone": None}
"""What makes an event say that nobody is on its device any more."""


def _where(bug: Exception) -> dict[str, str]:
    """The kind and place of an exception without its text, which may quote the event."""
    trace = bug.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return {"kind": type(bug).__name__, "place": place}
