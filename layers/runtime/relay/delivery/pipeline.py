"""The pipeline of a delivery: prepare, claim, send, settle."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from time import perf_counter, sleep
from typing import Generic, NamedTuple, TypeGuard, TypeVar

from pydantic import BaseModel

from relay.agent.auth import Send
from relay.agent.definition import Agent
from relay.agent.http import Request, read_json
from relay.agent.verdict import Verdict, VerdictKind
from relay.aws.environment import AgentEnvironment
from relay.aws.log import logger
from relay.delivery import refused
from relay.delivery.aftermath import Aftermath
from relay.delivery.app_settings import ScopedSettings
from relay.delivery.circuit import Circuit
from relay.delivery.client import AgentClient, Result
from relay.delivery.outcome import MAX_REASON, Outcome
from relay.delivery.plan import ORDER_UNKNOWN, Plan, make_plan
from relay.delivery.queue import Message, Queue
from relay.delivery.release import UNSENT, is_done, release_outcome, retry_rejected
from relay.delivery.report import Report
from relay.delivery.retry import MAX_PROBE_SECONDS, MAX_PROBE_SECONDS_ORDERED, RetryPolicy
from relay.errors import CircuitOpen, InvalidEvent, LedgerUnavailable, QueueUnavailable, SettingsUnavailable, Skip
from relay.event.contact import Contact, without_own
from relay.event.model import EVENT_TYPES, Event
from relay.ledger.device_order import OrderResult, SequenceUpdate
from relay.ledger.ledger import Claim, ClaimStatus, Ledger, ReceiptUpdate
from relay.ledger.states import DeliveryState

S = TypeVar("S", bound=BaseModel)


@dataclass(slots=True)
class Item(Generic[S]):
    """A message on its way through the pipeline; each stage fills in what it finds out.

    `plan` is set by prepare, `claim` by claim, `turn` by the order of its device, and `outcome` by the stage that
    decides it; `is_closed` once the outcome is written and reported. `needs_turn` is True if the event is not sent and
    may still have to release its device; `is_refreshed` if the plan is by settings that were read again after the agent
    refused the credentials.
    """

    message: Message
    started: float
    event: Event | None = None
    plan: Plan[S] | Outcome | None = None
    claim: Claim | None = None
    turn: OrderResult | None = None
    outcome: Outcome | None = None
    needs_turn: bool = False
    is_refreshed: bool = False
    is_closed: bool = False

    @property
    def requests(self) -> Sequence[Request]:
        """The requests of its plan; none where the plan is an outcome."""
        return self.plan.requests if isinstance(self.plan, Plan) else ()

    @property
    def previous(self) -> Outcome:
        """What is known of the delivery before this attempt."""
        claim = self.claim or Claim(ClaimStatus.ACQUIRED)
        known = Outcome(
            DeliveryState.PENDING, attempts=claim.attempts, done=claim.done, failing_since=claim.failing_since
        )
        return known._replace(withheld=self.plan.withheld, remarks=self.plan.remarks) if self.plan else known


def _now() -> datetime:
    return datetime.now(UTC)


def _always() -> bool:
    return True


MAX_WAIT_FOR_VERSION = timedelta(hours=24)
"""How long an event of an unknown type waits: while a canary runs, one version may send what the other cannot read."""

MAX_WAIT_FOR_VERSION_ORDERED = timedelta(hours=1)
"""The same at an ordered agent, where a logout waits behind it; a version takes over within 15 minutes (Rollout)."""

SETTLE_BACKOFF_SECONDS = (0.1, 0.2, 0.4, 0.8, *[1.6] * 6)
"""Waits between two attempts to write an outcome, while the function has time: no longer, as after a wait there must be
time for a call that hangs (6 s by two tries) and to hand on the claim."""


class DeliveryPipeline(NamedTuple, Generic[S]):
    """One agent at work: the agent, its queue, its settings, and the world that it acts on.

    `load` is given an app's id, and whether to read its settings again instead of from the cache.
    """

    agent: Agent[S]
    environment: AgentEnvironment
    queue: Queue
    ledger: Ledger
    circuit: Callable[[str], Circuit]
    load: Callable[[str, bool], ScopedSettings[S]]
    report: Report
    send: Send
    now: Callable[[], datetime] = _now
    jitter: Callable[[float, float], float] = random.uniform
    has_time: Callable[[], bool] = _always
    pause: Callable[[float], None] = sleep
    aftermath: Aftermath | None = None

    @property
    def retry_policy(self) -> RetryPolicy:
        """How long deliveries wait."""
        known = self.environment
        longest = MAX_PROBE_SECONDS_ORDERED if self.agent.ordered else MAX_PROBE_SECONDS
        return RetryPolicy(
            known.retry_schedule, known.retry_horizon, known.hold, known.circuit, longest, self.now, self.jitter
        )

    def prepare(self, messages: Sequence[Message]) -> list[Item[S]]:
        """Reads each message and plans its requests; what ends without a claim is written and reported here."""
        items: list[Item[S]] = [Item(message, perf_counter()) for message in messages]
        # All are read before any is planned: to change between the two for each costs a fifth of both.
        for item in items:
            self._read(item)
        for item in items:
            if not item.is_closed:
                self._prepare(item)
        ended = (item for item in items if not (item.is_closed or item.needs_turn or _is_held(item.plan)))
        self._settle_unattempted(list(ended))
        return items

    def _read(self, item: Item[S]) -> None:
        try:
            item.event = Event.load(item.message.body)
        except InvalidEvent as invalid:
            item.outcome = self._unreadable(item.message, invalid)
            if item.outcome.state is DeliveryState.PARKED:
                item.outcome = self._dead_letter(item.message, item.outcome, item.message.sent_at)
            self._close(item)

    def _unreadable(self, message: Message, invalid: InvalidEvent) -> Outcome:
        """An event of a type that a newer version has sent waits for that version; any other message is parked."""
        document = read_json(message.body)
        event_type = document.get("type") if isinstance(document, dict) else None
        is_newer = isinstance(event_type, str) and event_type not in EVENT_TYPES
        longest = MAX_WAIT_FOR_VERSION_ORDERED if self.agent.ordered else MAX_WAIT_FOR_VERSION
        if is_newer and self.now() - message.sent_at < longest:
            reason = "an event type that this version does not know"
            return Outcome(DeliveryState.WAITING, reason, wait=self.environment.hold, attempts=0)
        return Outcome(DeliveryState.PARKED, f"unreadable: {invalid}"[:MAX_REASON], attempts=0)

    def _prepare(self, item: Item[S]) -> None:
        event = _event(item)
        item.plan = self._plan(event, item.message)
        try:
            item.needs_turn = isinstance(item.plan, Outcome) and self._needs_turn(event, item.plan)
        except SettingsUnavailable as fault:
            item.plan = self.hold(item, str(fault))
        except Exception as bug:  # noqa: BLE001 - as in _plan
            item.plan = self._bug(event, item.message, bug, item.previous)

    def _settle_unattempted(self, items: Sequence[Item[S]]) -> None:
        """Writes outcomes that need no attempt without a claim of each; a claimed or settled delivery stays open.

        A parked message moves before its receipt is written, so it is claimed like any other.
        """
        decided = [
            (item, item.plan)
            for item in items
            if isinstance(item.plan, Outcome) and item.plan.state is not DeliveryState.PARKED
        ]
        if not decided:
            return
        try:
            written = self.ledger.settle_unclaimed([self._update(_event(item), outcome) for item, outcome in decided])
        except LedgerUnavailable as fault:
            for item, _ in decided:
                item.outcome = self._wait_for_ledger(item, fault)
                self._close(item)
            return
        for (item, outcome), is_written in zip(decided, written, strict=True):
            if is_written:
                item.outcome = outcome
                self._close(item)

    def _needs_turn(self, event: Event, plan: Outcome) -> bool:
        """Whether an event that is not sent may end another person's pushes on its device, if it is the newest there.

        Raises:
            SettingsUnavailable: the agent's settings cannot be read.
        """
        build = self.agent.build_release if self.agent.ordered else None
        if plan.state not in UNSENT or not build or not event.names_owner or event.device.id is None:
            return False
        try:
            # An agent that is not meant for the device's app has nothing to release. Contacts are known later.
            return self.agent.contact is not None or bool(build(event, self.load(event.app_id, _CACHED).settings, ()))
        except Skip:
            return False

    def _plan(self, event: Event, message: Message, *, force_refresh: bool = False) -> Plan[S] | Outcome:
        load = partial(self.load, event.app_id, force_refresh)
        try:
            return make_plan(self.agent, event, load, self.now(), default_consent=self.environment.default_consent)
        except SettingsUnavailable as fault:
            pending = Outcome(DeliveryState.PENDING)
            return self.retry_policy.hold(message, pending, str(fault))
        except Exception as bug:  # noqa: BLE001 - a bug of ours must neither lose the event nor print what it holds
            return self._bug(event, message, bug, Outcome(DeliveryState.PENDING))

    def hold_unsendable(self, items: Sequence[Item[S]]) -> None:
        """Holds deliveries of which it is known that nothing can be sent now, without a claim or an attempt.

        So it is without settings, while the circuit is open, and for a while after the agent refused the credentials.
        """
        obstacles: dict[str, CircuitOpen | str | None] = {}
        held: list[tuple[Item[S], CircuitOpen | str]] = []
        for item in (item for item in items if not item.is_closed):
            if _is_held(item.plan):
                held.append((item, item.plan.reason))
            if not isinstance(item.plan, Plan):
                continue
            if item.plan.scope not in obstacles:
                obstacles[item.plan.scope] = self._obstacle(item.plan)
            if obstacle := obstacles[item.plan.scope]:
                held.append((item, obstacle))
        if held:
            self._hold(held)
        for item in items:
            # Whose release has not been held before, takes its turn first.
            if item.needs_turn and item.message.receives > 1 and not item.is_closed:
                self._hold_release_again(item)

    def _obstacle(self, settings: Plan[S] | ScopedSettings[S]) -> CircuitOpen | str | None:
        try:
            self.circuit(settings.scope).check()
        except CircuitOpen as circuit_open:
            return circuit_open
        return refused.reason(settings.scope, settings.settings)

    def _hold_release_again(self, item: Item[S]) -> None:
        """Holds a release for the reason that its receipt gives already; its device's order moved when it was held."""
        try:
            obstacle = self._obstacle(self.load(_event(item).app_id, _CACHED))
        except (SettingsUnavailable, Skip):
            return
        claim = self.ledger.read_claims([_event(item)])[0] if obstacle else None
        if not obstacle or not isinstance(claim, Claim) or not claim.held or not isinstance(item.plan, Outcome):
            return
        outcome = self._hold_release(item, item.plan, obstacle)
        if _is_held(outcome) and outcome.reason == claim.held:
            item.outcome = outcome._replace(attempts=claim.attempts)
            self._close(item)

    def _hold_release(self, item: Item[S], ended: Outcome, obstacle: CircuitOpen | str) -> Outcome:
        result = obstacle if isinstance(obstacle, CircuitOpen) else Verdict(VerdictKind.UNAUTHORIZED, obstacle)
        outcome = release_outcome(self.retry_policy, item.message, result, ended)
        return outcome._replace(tried=False, refused=False)

    def _hold(self, held: Sequence[tuple[Item[S], CircuitOpen | str]]) -> None:
        """Writes that deliveries are held, unless their receipts say so already."""
        claims = self.ledger.read_claims([_event(item) for item, _ in held])
        changed: list[Item[S]] = []
        for (item, obstacle), claim in zip(held, claims, strict=True):
            if isinstance(claim, LedgerUnavailable) or claim.status is not ClaimStatus.ACQUIRED:
                # The claim that follows says what becomes of it.
                continue
            item.claim = claim
            outcome = self._held(item, obstacle)
            if _is_held(outcome) and outcome.reason[:MAX_REASON] == claim.held:
                item.outcome = outcome
                self._close(item)
            else:
                item.plan = outcome
                changed.append(item)
        self._settle_unattempted(changed)

    def _held(self, item: Item[S], obstacle: CircuitOpen | str) -> Outcome:
        if isinstance(obstacle, CircuitOpen):
            return self.retry_policy.hold_open(item.message, item.previous, obstacle)
        return self.hold(item, obstacle)

    def claim(self, items: Sequence[Item[S]]) -> None:
        """Claims the deliveries, or reads where they stand; sets the outcome of each that is not ours to attempt."""
        open_items = [item for item in items if not item.is_closed]
        claims = self._claims(open_items)
        for item, claim in zip(open_items, claims, strict=True):
            self._apply_claim(item, claim)

    def _claims(self, items: Sequence[Item[S]]) -> Sequence[Claim | LedgerUnavailable]:
        events = [_event(item) for item in items]
        if not events:
            return []
        if not self.agent.repeatable:
            return self.ledger.claim(events, self.now(), [item.message.unsent for item in items])
        # Repeatable agents need no claim: to read costs a fifth of a write.
        return self.ledger.read_claims(events, devices=self.agent.ordered)

    def _apply_claim(self, item: Item[S], claim: Claim | LedgerUnavailable) -> None:
        if isinstance(claim, LedgerUnavailable):
            item.outcome = self._hand_on(item, self._wait_for_ledger(item, claim), claim.claim)
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
                item.outcome = item.previous._replace(
                    state=DeliveryState.UNCONFIRMED, reason=_DOUBT, withheld=0, remarks=(), in_doubt=True
                )
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

    def _apply_order(self, item: Item[S], turn: OrderResult | LedgerUnavailable) -> None:
        fault = turn if isinstance(turn, LedgerUnavailable) else None
        try:
            if isinstance(turn, OrderResult):
                item.turn = turn
                if turn.is_newest or self._is_pending_logout(_event(item)):
                    return
        except LedgerUnavailable as unavailable:
            fault = unavailable
        if fault:
            wait = self.retry_policy.backoff(item.message.receives)
            item.outcome = item.previous._replace(state=DeliveryState.RETRYING, reason=f"ledger: {fault}", wait=wait)
        elif isinstance(turn, OrderResult):
            older = item.previous._replace(state=DeliveryState.SKIPPED, reason=SUPERSEDED, late_by=turn.late_by)
            unknown = item.previous._replace(state=DeliveryState.EXPIRED, reason=ORDER_UNKNOWN)
            ended = unknown if turn.is_unknown else older
            item.outcome = item.plan if isinstance(item.plan, Outcome) else ended

    def attempt(self, item: Item[S]) -> None:
        """Sends the requests of one delivery, or releases its device, and sets its outcome."""
        try:
            ended = item.plan if isinstance(item.plan, Outcome) else self._send(item)
            item.outcome = self._release(item, ended) if _must_release(item, ended) else ended
        except Exception as fault:  # noqa: BLE001 - a bug of ours must neither lose the event nor print what it holds
            self.fail([item], fault)
        if item.outcome and _must_release(item, item.outcome) and not item.outcome.released:
            self._keep_linked(item)

    def _keep_linked(self, item: Item[S]) -> None:
        """Lets the device's next event release whom this one has not, before this one ends; else it waits."""
        event, contact = _event(item), self.agent.contact
        try:
            self.ledger.keep_linked(event, contact(event) if contact else None)
        except (LedgerUnavailable, SettingsUnavailable) as fault:
            wait = self.retry_policy.backoff(item.message.receives)
            item.outcome = item.previous._replace(state=DeliveryState.RETRYING, reason=f"ledger: {fault}", wait=wait)

    def fail(self, items: Sequence[Item[S]], fault: Exception) -> None:
        """Sets the outcome of deliveries whose attempt ended in an exception."""
        for item in items:
            if isinstance(fault, SettingsUnavailable):
                item.outcome = self.hold(item, str(fault))
            else:
                attempted = item.previous._replace(attempts=(item.previous.attempts or 0) + 1)
                item.outcome = self._bug(_event(item), item.message, fault, attempted)

    def _release(self, item: Item[S], ended: Outcome) -> Outcome:
        """The outcome of a delivery that ends unsent, once the agent links nobody to the device any more."""
        foreign = item.turn.foreign if item.turn else ()
        load = partial(self.load, _event(item).app_id)
        try:
            scoped = load(_CACHED)
            requests = self._release_requests(item, foreign, scoped)
            if reason := refused.reason(scoped.scope, scoped.settings):
                return self._hold_release(item, ended, reason)
            result = self._send_release(item, requests, scoped)
            if isinstance(result, Verdict) and result.kind is VerdictKind.UNAUTHORIZED:
                item.is_refreshed = True
                scoped = load(_REFRESHED)
                result = self._send_release(item, self._release_requests(item, foreign, scoped), scoped)
        except Skip:
            # The app has left the agent, or its settings name no device there: nothing can be released.
            return ended
        self._remember_refusal(result, scoped)
        return release_outcome(self.retry_policy, item.message, result, ended)

    def _release_requests(
        self, item: Item[S], contacts: Sequence[Contact], scoped: ScopedSettings[S]
    ) -> Sequence[Request]:
        build = self.agent.build_release
        requests = build(_event(item), scoped.settings, contacts) if build else []
        if not requests:
            raise Skip("nothing to release")
        return requests

    def _send_release(self, item: Item[S], requests: Sequence[Request], scoped: ScopedSettings[S]) -> Result:
        result, _ = self._client(item, scoped).send_all(requests, 0)
        return retry_rejected(result)

    def _remember_refusal(self, result: Result, settings: Plan[S] | ScopedSettings[S]) -> None:
        if isinstance(result, Verdict) and result.kind is VerdictKind.UNAUTHORIZED:
            refused.remember(settings.scope, settings.settings, result.reason, self.environment.hold)

    def hold(self, item: Item[S], reason: str) -> Outcome:
        """The outcome of a delivery whose settings cannot be used."""
        return self.retry_policy.hold(item.message, item.previous, reason)

    def decide(self, item: Item[S], result: Result, done: int | None = None) -> Outcome:
        """The outcome of a result, of which `done` requests are behind the delivery."""
        previous = item.previous if done is None else item.previous._replace(done=done)
        if isinstance(item.plan, Plan):
            self._remember_refusal(result, item.plan)
        return self.retry_policy.decide(item.message, result, previous)

    def _send(self, item: Item[S]) -> Outcome:
        scoped = _scoped(item)
        if reason := refused.reason(scoped.scope, scoped.settings):
            # Another delivery of this batch has just been refused.
            return self.hold(item, reason)
        result, done = self._send_after_release(item, item.previous.done or 0)
        if isinstance(result, Verdict) and result.kind is VerdictKind.UNAUTHORIZED:
            self.plan_again(item, force_refresh=True)
            if item.outcome:
                return item.outcome._replace(done=done)
            result, done = self._send_after_release(item, done)
        return self.decide(item, result, done)

    def _send_after_release(self, item: Item[S], done: int) -> tuple[Result, int]:
        """Sends the requests of a delivery but the first `done`; the contacts of another person end before them.

        These are ended again at each attempt: `done` counts the event's own requests alone.
        """
        foreign = without_own(item.turn.foreign, _event(item)) if item.turn else []
        if foreign:
            result = self._send_release(item, self._release_requests(item, foreign, _scoped(item)), _scoped(item))
            if not is_done(result):
                return result, done
        return self.client(item).send_all(item.requests, done)

    def plan_again(self, item: Item[S], *, force_refresh: bool) -> None:
        """Plans a delivery by the settings that are stored now; sets its outcome if these allow no request."""
        item.is_refreshed = True
        plan = self._plan(_event(item), item.message, force_refresh=force_refresh)
        if isinstance(plan, Outcome):
            item.outcome = plan._replace(attempts=item.previous.attempts, done=item.previous.done)
        item.plan = plan

    def client(self, item: Item[S]) -> AgentClient[S]:
        """The agent's client by the settings of an item's plan."""
        return self._client(item, _scoped(item))

    def _client(self, item: Item[S], scoped: ScopedSettings[S]) -> AgentClient[S]:
        circuit = self.circuit(scoped.scope)
        return AgentClient(self.agent, circuit, self.send, self.now, self.has_time, scoped.settings, item.is_refreshed)

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
                item.outcome = self._dead_letter(item.message, _outcome(item), _event(item).received_at)
        unwritten, fault = self._write(items)
        for item in items:
            if item in unwritten:
                item.outcome = self._unsettled(item, fault)
            self._close(item)

    def _write(self, items: Sequence[Item[S]]) -> tuple[Sequence[Item[S]], str]:
        """The items whose outcomes the ledger did not take, however often it was asked, and why."""
        left, fault = list(items), "too many writes at once"
        for wait in SETTLE_BACKOFF_SECONDS:
            try:
                written = self.ledger.settle([self._update(_event(item), _outcome(item)) for item in left])
            except LedgerUnavailable as unavailable:
                written, fault = [False] * len(left), str(unavailable)
            left = [item for item, is_written in zip(left, written, strict=True) if not is_written]
            if not left or not self.has_time():
                break
            self.pause(self.jitter(wait / 2, wait))
        return left, fault

    def _unsettled(self, item: Item[S], fault: str) -> Outcome:
        # Our claim must run out before any worker can look at such a delivery again.
        wait = self.ledger.lease + 1
        outcome = _outcome(item)
        unsettled = outcome._replace(state=DeliveryState.UNSETTLED, reason=f"ledger: {fault}", wait=wait)
        claim = item.claim or Claim(ClaimStatus.ACQUIRED)
        is_unsent = outcome.state in {DeliveryState.RETRYING, DeliveryState.HELD, DeliveryState.PARKED}
        # The row does not say which of its requests were done just now: a copy would send them again.
        is_unsent = is_unsent and (outcome.done or 0) <= claim.done
        return self._hand_on(item, unsettled, claim.by if is_unsent else "")

    def _hand_on(self, item: Item[S], outcome: Outcome, claim: str) -> Outcome:
        """The outcome of a delivery whose claim sent nothing, and stands in the ledger all the same, or may do so."""
        if not claim or self.agent.repeatable:
            return outcome
        is_requeued = self.queue.requeue(item.message, outcome.wait or 0, claim)
        return outcome._replace(wait=None) if is_requeued else outcome

    def _update(self, event: Event, outcome: Outcome) -> ReceiptUpdate:
        return ReceiptUpdate(event, outcome.state, outcome.attributes(self.now()))

    def _dead_letter(self, message: Message, outcome: Outcome, first_seen: datetime) -> Outcome:
        """The outcome, after the message was copied to the dead-letter queue; retried where SQS does not take it."""
        attributes = {
            "agent": self.agent.name,
            "reason": outcome.reason,
            "status": str(outcome.status or ""),
            "attempts": str(outcome.attempts or 0),
            "firstSeen": first_seen.isoformat(),
        }
        try:
            self.queue.dead_letter(message, attributes)
        except QueueUnavailable as fault:
            wait = self.retry_policy.backoff(message.receives)
            reason = f"cannot be parked ({fault}): {outcome.reason}"[:MAX_REASON]
            return outcome._replace(state=DeliveryState.RETRYING, reason=reason, wait=wait)
        return outcome

    def _close(self, item: Item[S]) -> None:
        item.is_closed = True
        self.report.add(item.event, _outcome(item), self.now(), (perf_counter() - item.started) * 1000)


_DOUBT = "in doubt: an earlier attempt ended without a word"
SUPERSEDED = "superseded"
"""Why an event is skipped whose device has a newer one."""

_CACHED, _REFRESHED = False, True


def _event(item: Item[S]) -> Event:
    if item.event is None:
        raise TypeError("the message holds no event")
    return item.event


def _is_held(plan: object) -> TypeGuard[Outcome]:
    return isinstance(plan, Outcome) and plan.state is DeliveryState.HELD


def _must_release(item: Item[S], ended: Outcome) -> bool:
    return item.turn is not None and item.turn.must_release and ended.state in UNSENT


def _scoped(item: Item[S]) -> ScopedSettings[S]:
    if not isinstance(item.plan, Plan):
        raise TypeError("only a delivery with requests is sent")
    return ScopedSettings(item.plan.settings, item.plan.scope)


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
