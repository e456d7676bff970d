"""The pipeline of a delivery: prepare, claim, send, settle."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
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
from relay.delivery.client import OUT_OF_TIME, AgentClient, Result
from relay.delivery.outcome import MAX_REASON, Outcome
from relay.delivery.plan import Plan, make_plan
from relay.delivery.queue import Message, Queue
from relay.delivery.release import UNSENT, is_done, release_outcome, retry_rejected
from relay.delivery.report import Report
from relay.delivery.retry import RetryPolicy
from relay.errors import InvalidEvent, LedgerUnavailable, SettingsUnavailable
from relay.event.contact import Contact, without_own
from relay.event.model import Event
from relay.ledger.device_order import SequenceUpdate, Turn
from relay.ledger.ledger import Claim, ClaimStatus, Ledger, ReceiptUpdate
from relay.ledger.states import DeliveryState

S = TypeVar("S", bound=BaseModel)


@dataclass(slots=True)
class Item(Generic[S]):
    """A message on its way through the pipeline; each stage fills in what it finds out.

    `plan` is set by prepare, `claim` by claim, `turn` by the order of its device, and `outcome` by the stage that
    decides it; `is_closed` once the outcome is written and reported.
    """

    message: Message
    started: float
    event: Event | None = None
    plan: Plan[S] | Outcome | None = None
    claim: Claim | None = None
    turn: Turn | None = None
    outcome: Outcome | None = None
    is_closed: bool = False

    @property
    def requests(self) -> Sequence[Request]:
        """The requests of its plan; none where the plan is an outcome."""
        return self.plan.requests if isinstance(self.plan, Plan) else ()

    @property
    def previous(self) -> Outcome:
        """What is known of the delivery before this attempt."""
        claim = self.claim or Claim(ClaimStatus.ACQUIRED)
        withheld = self.plan.withheld if self.plan else 0
        return Outcome(DeliveryState.PENDING, attempts=claim.attempts, done=claim.done, withheld=withheld)


def _now() -> datetime:
    return datetime.now(UTC)


class DeliveryPipeline(NamedTuple, Generic[S]):
    """One agent at work: the agent, its queue, its settings (from the cache or not), and the world that it acts on."""

    agent: Agent[S]
    environment: AgentEnvironment
    queue: Queue
    ledger: Ledger
    circuit: Circuit
    load: Callable[[bool], S]
    report: Report
    send: Send
    now: Callable[[], datetime] = _now
    jitter: Callable[[float, float], float] = random.uniform

    @property
    def retry_policy(self) -> RetryPolicy:
        """How long deliveries wait."""
        known = self.environment
        return RetryPolicy(known.retry_schedule, known.retry_horizon, known.hold, known.circuit, self.now, self.jitter)

    def prepare(self, messages: Sequence[Message]) -> list[Item[S]]:
        """Reads each message and plans its requests; an outcome that needs no claim is written and reported here."""
        items: list[Item[S]] = [Item(message, perf_counter()) for message in messages]
        # All are read before any is planned: to change between the two for each costs a fifth of both.
        for item in items:
            self._read(item)
        for item in items:
            if not item.is_closed:
                self._prepare(item)
        return items

    def _read(self, item: Item[S]) -> None:
        try:
            item.event = Event.load(item.message.body)
        except InvalidEvent as invalid:
            item.outcome = Outcome(DeliveryState.PARKED, f"unreadable: {invalid}"[:MAX_REASON], attempts=0)
            self._dead_letter(item.message, item.outcome, item.message.sent_at)
            self._close(item)

    def _prepare(self, item: Item[S]) -> None:
        event = _event(item)
        try:
            item.plan = self._plan(event, item.message)
            if isinstance(item.plan, Plan) or self._needs_turn(event, item.plan):
                return
        except SettingsUnavailable as fault:
            item.plan = self.hold(item, str(fault))
        if item.plan.state is DeliveryState.PARKED:
            # A parked message moves before its receipt.
            return
        try:
            # To write an outcome without an attempt at once saves its claim.
            item.outcome = item.plan if self.ledger.settle_unclaimed(self._update(event, item.plan)) else None
        except LedgerUnavailable as fault:
            item.outcome = self._wait_for_ledger(item, fault)
        if item.outcome:
            self._close(item)

    def _needs_turn(self, event: Event, plan: Outcome) -> bool:
        """Whether an event that is not sent may end another person's pushes on its device, if it is the newest there.

        Raises:
            SettingsUnavailable: the agent's settings cannot be read.
        """
        build = self.agent.build_release
        if plan.state not in UNSENT or not build or not event.names_owner or event.device.id is None:
            return False
        # An agent that is not meant for the device's app has nothing to release. Contacts are known later.
        return self.agent.contact is not None or bool(build(event, self.load(_CACHED), ()))

    def _plan(self, event: Event, message: Message, *, force_refresh: bool = False) -> Plan[S] | Outcome:
        load = partial(self.load, force_refresh)
        try:
            return make_plan(self.agent, event, load, self.now(), default_consent=self.environment.default_consent)
        except SettingsUnavailable as fault:
            pending = Outcome(DeliveryState.PENDING)
            return self.retry_policy.hold(message, pending, str(fault), self.environment.hold)
        except Exception as bug:  # noqa: BLE001 - a bug of ours must neither lose the event nor print what it holds
            return self._bug(event, message, bug, Outcome(DeliveryState.PENDING))

    def claim(self, items: Sequence[Item[S]]) -> None:
        """Claims the deliveries, or reads where they stand; sets the outcome of each that is not ours to attempt."""
        open_items = [item for item in items if not item.is_closed]
        claims = self._claims([_event(item) for item in open_items])
        for item, claim in zip(open_items, claims, strict=True):
            self._apply_claim(item, claim)

    def _claims(self, events: Sequence[Event]) -> Sequence[Claim | LedgerUnavailable]:
        if not events:
            return []
        if not self.agent.repeatable:
            return self.ledger.claim(events, self.now())
        # Repeatable agents need no claim: to read costs a fifth of a write.
        return self.ledger.read_claims(events, devices=self.agent.ordered)

    def _apply_claim(self, item: Item[S], claim: Claim | LedgerUnavailable) -> None:
        if isinstance(claim, LedgerUnavailable):
            item.outcome = self._wait_for_ledger(item, claim)
            self._close(item)
            return
        item.claim = claim
        match claim.status:
            case ClaimStatus.ALREADY_SETTLED:
                item.outcome = Outcome(DeliveryState.REPEATED)
                self._close(item)
            case ClaimStatus.IN_PROGRESS:
                item.outcome = Outcome(DeliveryState.BUSY, wait=claim.wait)
                self._close(item)
            case ClaimStatus.ACQUIRED if claim.in_doubt:
                item.outcome = item.previous._replace(state=DeliveryState.UNCONFIRMED, reason=_DOUBT, withheld=0)
            case ClaimStatus.ACQUIRED if isinstance(item.plan, Outcome):
                item.plan = item.plan._replace(attempts=item.plan.attempts or claim.attempts, done=claim.done)
                # What ends unsent at an ordered agent may have to release its device first.
                item.outcome = None if self.agent.ordered and item.plan.state in UNSENT else item.plan
            case ClaimStatus.ACQUIRED:
                pass

    def _wait_for_ledger(self, item: Item[S], fault: LedgerUnavailable) -> Outcome:
        wait = self.retry_policy.backoff(item.message.receives)
        return Outcome(DeliveryState.WAITING, f"ledger: {fault}", wait)

    def apply_order(self, items: Sequence[Item[S]]) -> None:
        """Moves the order of each device forward; sets the outcome of each delivery that a newer event supersedes.

        Where the ledger does not say which event is newer, the delivery is retried; without its keys it is held.
        """
        if not self.agent.ordered or not items:
            return
        try:
            turns = self.ledger.advance_sequences([self._sequence_update(item) for item in items])
            for item, turn in zip(items, turns, strict=True):
                self._apply_order(item, turn)
        except SettingsUnavailable as fault:
            for item in items:
                item.outcome = item.outcome or self.hold(item, str(fault))

    def _sequence_update(self, item: Item[S]) -> SequenceUpdate:
        event, contact = _event(item), self.agent.contact
        known = item.claim.device if item.claim else None
        return SequenceUpdate(event, known or {}, isinstance(item.plan, Plan), contact(event) if contact else None)

    def _apply_order(self, item: Item[S], turn: Turn | LedgerUnavailable) -> None:
        fault = turn if isinstance(turn, LedgerUnavailable) else None
        try:
            if isinstance(turn, Turn):
                item.turn = turn
                if turn.is_newest or self._is_pending_logout(_event(item)):
                    return
        except LedgerUnavailable as unavailable:
            fault = unavailable
        if fault:
            wait = self.retry_policy.backoff(item.message.receives)
            item.outcome = item.previous._replace(state=DeliveryState.RETRYING, reason=f"ledger: {fault}", wait=wait)
        elif isinstance(turn, Turn):
            older = item.previous._replace(state=DeliveryState.SKIPPED, reason=SUPERSEDED, late_by=turn.late_by)
            item.outcome = item.plan if isinstance(item.plan, Outcome) else older

    def attempt(self, item: Item[S], has_time: Callable[[], bool]) -> None:
        """Sends the requests of one delivery, and sets its outcome."""
        previous = item.previous
        if not has_time():
            item.outcome = previous._replace(state=DeliveryState.RETRYING, reason=OUT_OF_TIME, wait=0)
            return
        try:
            ended = item.plan if isinstance(item.plan, Outcome) else self._send(item)
            must_release = item.turn and item.turn.must_release and ended.state in UNSENT
            item.outcome = self._release(item, ended) if must_release else ended
        except SettingsUnavailable as fault:
            item.outcome = self.hold(item, str(fault))
        except Exception as bug:  # noqa: BLE001 - as above
            attempted = previous._replace(attempts=(previous.attempts or 0) + 1)
            item.outcome = self._bug(_event(item), item.message, bug, attempted)

    def _release(self, item: Item[S], ended: Outcome) -> Outcome:
        """The outcome of a delivery that ends unsent, once the agent links nobody to the device any more."""
        foreign = item.turn.foreign if item.turn else ()
        result = self._send_release(item, foreign, self.load(_CACHED))
        if isinstance(result, Verdict) and result.kind is VerdictKind.UNAUTHORIZED:
            result = self._send_release(item, foreign, self.load(_AFRESH), force_refresh=True)
        return release_outcome(self.retry_policy, item.message, result, ended)

    def _send_release(
        self, item: Item[S], contacts: Sequence[Contact], settings: S, *, force_refresh: bool = False
    ) -> Result:
        event, build = _event(item), self.agent.build_release
        requests = build(event, settings, contacts) if build else []
        result, _ = self._client(settings, force_refresh=force_refresh).send_all(requests, 0)
        return retry_rejected(result)

    def hold(self, item: Item[S], reason: str) -> Outcome:
        """The outcome of a delivery whose settings cannot be used."""
        return self.retry_policy.hold(item.message, item.previous, reason, self.environment.hold)

    def _send(self, item: Item[S]) -> Outcome:
        previous = item.previous
        result, done = self._send_after_release(item, previous.done or 0)
        if isinstance(result, Verdict) and result.kind is VerdictKind.UNAUTHORIZED:
            self.plan_again(item, force_refresh=True)
            if item.outcome:
                return item.outcome._replace(done=done)
            result, done = self._send_after_release(item, done, force_refresh=True)
        return self.retry_policy.decide(item.message, result, item.previous._replace(done=done))

    def _send_after_release(self, item: Item[S], done: int, *, force_refresh: bool = False) -> tuple[Result, int]:
        """Sends the requests of a delivery but the first `done`; the contacts of another person end before them.

        These are ended again at each attempt: `done` counts the event's own requests alone.
        """
        client = self.client(item, force_refresh=force_refresh)
        foreign = without_own(item.turn.foreign, _event(item)) if item.turn else []
        if foreign:
            result = self._send_release(item, foreign, client.settings, force_refresh=force_refresh)
            if not is_done(result):
                return result, done
        return client.send_all(item.requests, done)

    def plan_again(self, item: Item[S], *, force_refresh: bool) -> None:
        """Plans a delivery by the settings that are stored now; sets its outcome if these allow no request."""
        plan = self._plan(_event(item), item.message, force_refresh=force_refresh)
        if isinstance(plan, Outcome):
            item.outcome = plan._replace(attempts=item.previous.attempts, done=item.previous.done)
        item.plan = plan

    def client(self, item: Item[S], *, force_refresh: bool = False) -> AgentClient[S]:
        """The agent's client by the settings of an item's plan."""
        if not isinstance(item.plan, Plan):
            raise TypeError("only a delivery with requests is sent")
        return self._client(item.plan.settings, force_refresh=force_refresh)

    def _client(self, settings: S, *, force_refresh: bool) -> AgentClient[S]:
        return AgentClient(self.agent, self.circuit, self.send, self.now, settings, force_refresh)

    def _is_pending_logout(self, event: Event) -> bool:
        """Whether an older event logs out a person who has not come back since: without it the pushes go on."""
        return self.agent.contact is not None and event.type == "logout" and self.ledger.has_new_owner(event)

    def _bug(self, event: Event, message: Message, bug: Exception, attempted: Outcome) -> Outcome:
        logger().error("fault", extra={"agent": self.agent.name, "event_id": event.event_id, **_origin(bug)})
        verdict = Verdict(VerdictKind.RETRY, f"fault: {type(bug).__name__}")
        return self.retry_policy.retry(message, verdict, attempted)

    def settle(self, items: Sequence[Item[S]]) -> None:
        """Writes and reports the outcomes; a delivery whose outcome cannot be written is looked at again."""
        for item in items:
            if _outcome(item).state is DeliveryState.PARKED:
                # First the message, then its receipt: the other way round, a crash between them would lose the message.
                self._dead_letter(item.message, _outcome(item), _event(item).received_at)
        fault = "too many writes at once"
        try:
            written = self.ledger.settle([self._update(_event(item), _outcome(item)) for item in items])
        except LedgerUnavailable as unavailable:
            written, fault = [False] * len(items), str(unavailable)
        for item, is_written in zip(items, written, strict=True):
            if not is_written:
                item.outcome = self._unsettled(_outcome(item), fault)
            self._close(item)

    def _unsettled(self, outcome: Outcome, fault: str) -> Outcome:
        # Our claim must run out before any worker can look at such a delivery again.
        wait = self.ledger.lease + 1
        return outcome._replace(state=DeliveryState.UNSETTLED, reason=f"ledger: {fault}", wait=wait)

    def _update(self, event: Event, outcome: Outcome) -> ReceiptUpdate:
        return ReceiptUpdate(event, outcome.state, outcome.attributes(self.now()))

    def _dead_letter(self, message: Message, outcome: Outcome, first_seen: datetime) -> None:
        self.queue.dead_letter(
            message,
            {
                "agent": self.agent.name,
                "reason": outcome.reason,
                "status": str(outcome.status or ""),
                "attempts": str(outcome.attempts or 0),
                "firstSeen": first_seen.isoformat(),
            },
        )

    def _close(self, item: Item[S]) -> None:
        item.is_closed = True
        self.report.add(item.event, _outcome(item), self.now(), (perf_counter() - item.started) * 1000)


_DOUBT = "in doubt: an earlier attempt ended without a word"
SUPERSEDED = "superseded"
"""Why an event is skipped whose device has a newer one."""

_CACHED, _AFRESH = False, True


def _event(item: Item[S]) -> Event:
    if item.event is None:
        raise TypeError("the message holds no event")
    return item.event


def _outcome(item: Item[S]) -> Outcome:
    if item.outcome is None:
        raise TypeError("the delivery has no outcome yet")
    return item.outcome


def _origin(bug: Exception) -> dict[str, str]:
    """The type and place of an exception without its text, which may quote the event."""
    trace = bug.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return {"kind": type(bug).__name__, "place": place}
