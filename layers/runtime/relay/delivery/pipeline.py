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
from relay.delivery.client import OUT_OF_TIME, AgentClient
from relay.delivery.outcome import MAX_REASON, Outcome
from relay.delivery.plan import Plan, make_plan
from relay.delivery.queue import Message, Queue
from relay.delivery.report import Report
from relay.delivery.retry import RetryPolicy
from relay.errors import InvalidEvent, LedgerUnavailable, SettingsUnavailable
from relay.event.model import Event
from relay.ledger.ledger import Claim, ClaimStatus, Ledger, ReceiptUpdate
from relay.ledger.states import DeliveryState

S = TypeVar("S", bound=BaseModel)


@dataclass(slots=True)
class Item(Generic[S]):
    """A message on its way through the pipeline; each stage fills in what it finds out.

    `plan` is set by prepare, `claim` by claim, and `outcome` by the stage that decides it; `is_closed` once the outcome
    is written and reported. `reason_prefix` stands before the outcome's reason.
    """

    message: Message
    started: float
    event: Event | None = None
    plan: Plan[S] | Outcome | None = None
    claim: Claim | None = None
    outcome: Outcome | None = None
    reason_prefix: str = ""
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
        item.plan = self._plan(event, item.message)
        try:
            if self._must_log_out_previous(event, item.plan):
                item.event = event = event.model_copy(update=_AS_LOGOUT)
                item.reason_prefix = "consent denied, so the last person was logged out: "
                item.plan = self._plan(event, item.message)
            plan = item.plan
            # To write an outcome without an attempt at once saves its claim. A parked message moves before its receipt.
            if isinstance(plan, Outcome) and plan.state is not DeliveryState.PARKED:
                item.outcome = plan if self.ledger.settle_unclaimed(self._update(event, plan)) else None
        except LedgerUnavailable as fault:
            item.outcome = self._wait_for_ledger(item, fault)
        if item.outcome:
            self._close(item)

    def _plan(self, event: Event, message: Message, *, force_refresh: bool = False) -> Plan[S] | Outcome:
        load = partial(self.load, force_refresh)
        try:
            return make_plan(self.agent, event, load, self.now(), default_consent=self.environment.default_consent)
        except SettingsUnavailable as fault:
            pending = Outcome(DeliveryState.PENDING)
            return self.retry_policy.hold(message, pending, str(fault), self.environment.hold)
        except Exception as bug:  # noqa: BLE001 - a bug of ours must neither lose the event nor print what it holds
            return self._bug(event, message, bug, Outcome(DeliveryState.PENDING))

    def _must_log_out_previous(self, event: Event, plan: Plan[S] | Outcome) -> bool:
        """Whether a person who denied messaging uses a device that the agent still links to another person."""
        if isinstance(plan, Plan) or not self.agent.ordered or self.agent.personal_logout:
            return False
        is_denied = not event.allows(self.agent.purpose, default=self.environment.default_consent)
        return is_denied and bool(event.device.id and event.customer_id) and self.ledger.belongs_to_another(event)

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
        # Repeatable agents need no claim: to read costs a fifth of a write. Devices are read where their order is then
        # written by one call; the order of a single one is written unread.
        return self.ledger.read_claims(events, devices=self.agent.ordered and len(events) > 1)

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
                item.outcome = item.plan._replace(attempts=item.plan.attempts or claim.attempts, done=claim.done)
            case ClaimStatus.ACQUIRED:
                pass

    def _wait_for_ledger(self, item: Item[S], fault: LedgerUnavailable) -> Outcome:
        wait = self.retry_policy.backoff(item.message.receives)
        return Outcome(DeliveryState.WAITING, f"ledger: {fault}", wait)

    def apply_order(self, items: Sequence[Item[S]]) -> None:
        """Moves the order of each device forward; sets the outcome of each delivery that a newer event supersedes.

        Where the ledger does not say which event is newer, the delivery is retried.
        """
        if not self.agent.ordered:
            return
        devices = [item.claim.device if item.claim else None for item in items]
        updates = self.ledger.advance_sequences([_event(item) for item in items], devices)
        for item, is_newest in zip(items, updates, strict=True):
            self._apply_order(item, is_newest)

    def _apply_order(self, item: Item[S], is_newest: bool | LedgerUnavailable) -> None:  # noqa: FBT001 - the ledger's answer
        fault = is_newest if isinstance(is_newest, LedgerUnavailable) else None
        try:
            if not fault and (is_newest or self._is_pending_logout(_event(item))):
                return
        except LedgerUnavailable as unavailable:
            fault = unavailable
        if fault:
            wait = self.retry_policy.backoff(item.message.receives)
            item.outcome = item.previous._replace(state=DeliveryState.RETRYING, reason=f"ledger: {fault}", wait=wait)
        else:
            item.outcome = item.previous._replace(state=DeliveryState.SKIPPED, reason="superseded")

    def attempt(self, item: Item[S], has_time: Callable[[], bool]) -> None:
        """Sends the requests of one delivery, and sets its outcome."""
        previous = item.previous
        if not has_time():
            item.outcome = previous._replace(state=DeliveryState.RETRYING, reason=OUT_OF_TIME, wait=0)
            return
        try:
            item.outcome = self._send(item)
        except SettingsUnavailable as fault:
            item.outcome = self.hold(item, str(fault))
        except Exception as bug:  # noqa: BLE001 - as above
            attempted = previous._replace(attempts=(previous.attempts or 0) + 1)
            item.outcome = self._bug(_event(item), item.message, bug, attempted)

    def hold(self, item: Item[S], reason: str) -> Outcome:
        """The outcome of a delivery whose settings cannot be used."""
        return self.retry_policy.hold(item.message, item.previous, reason, self.environment.hold)

    def _send(self, item: Item[S]) -> Outcome:
        previous = item.previous
        result, done = self.client(item).send_all(item.requests, previous.done or 0)
        if isinstance(result, Verdict) and result.kind is VerdictKind.UNAUTHORIZED:
            self.plan_again(item, force_refresh=True)
            if item.outcome:
                return item.outcome._replace(done=done)
            result, done = self.client(item, force_refresh=True).send_all(item.requests, done)
        return self.retry_policy.decide(item.message, result, item.previous._replace(done=done))

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
        return AgentClient(self.agent, self.circuit, self.send, self.now, item.plan.settings, force_refresh)

    def _is_pending_logout(self, event: Event) -> bool:
        """Whether an older event logs out a person who has not come back since: without it the pushes go on."""
        return self.agent.personal_logout and event.type == "logout" and self.ledger.has_new_owner(event)

    def _bug(self, event: Event, message: Message, bug: Exception, attempted: Outcome) -> Outcome:
        logger().error("fault", extra={"agent": self.agent.name, "event_id": event.event_id, **_origin(bug)})
        verdict = Verdict(VerdictKind.RETRY, f"fault: {type(bug).__name__}")
        return self.retry_policy.retry(message, verdict, attempted)

    def settle(self, items: Sequence[Item[S]]) -> None:
        """Writes and reports the outcomes; a delivery whose outcome cannot be written is looked at again."""
        for item in items:
            item.outcome = _outcome(item).with_prefix(item.reason_prefix)
            if item.outcome.state is DeliveryState.PARKED:
                # First the message, then its receipt: the other way round, a crash between them would lose the message.
                self._dead_letter(item.message, item.outcome, _event(item).received_at)
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
_AS_LOGOUT = {"type": "logout", "customer_id": None, "anonymous_id": None, "email": None, "phone": None}
"""What makes an event say that nobody is on its device any more."""


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
