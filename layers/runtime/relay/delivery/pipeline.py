"""The pipeline of a delivery: prepare, claim, send, settle."""

import random
from collections.abc import Callable, Sequence
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
from relay.delivery.item import Item, event_of, must_release, settings_of
from relay.delivery.outcome import MAX_REASON, Outcome
from relay.delivery.plan import Plan, make_plan
from relay.delivery.queue import Message, Queue
from relay.delivery.release import UNSENT, is_done, release_outcome, retry_rejected
from relay.delivery.report import Report
from relay.delivery.retry import MAX_PROBE_SECONDS, MAX_PROBE_SECONDS_ORDERED, RetryPolicy
from relay.delivery.settlement import Settler
from relay.delivery.turns import Turns
from relay.errors import CircuitOpen, InvalidEvent, LedgerUnavailable, SettingsUnavailable, Skip
from relay.event.contact import Contact, without_own
from relay.event.model import EVENT_TYPES, Event
from relay.ledger.ledger import Claim, ClaimStatus, Ledger
from relay.ledger.states import DeliveryState

S = TypeVar("S", bound=BaseModel)


def _now() -> datetime:
    return datetime.now(UTC)


def _always() -> bool:
    return True


MAX_WAIT_FOR_VERSION = timedelta(hours=24)
"""How long an event of an unknown type waits: while a canary runs, one version may send what the other cannot read."""

MAX_WAIT_FOR_VERSION_ORDERED = timedelta(hours=1)
"""The same at an ordered agent, where a logout waits behind it; a version takes over within 15 minutes (Rollout)."""


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

    @property
    def settler(self) -> Settler:
        """What writes and reports how deliveries end."""
        return Settler(
            self.agent,
            self.queue,
            self.ledger,
            self.report,
            self.retry_policy,
            self.now,
            self.jitter,
            self.has_time,
            self.pause,
        )

    @property
    def turns(self) -> Turns:
        """The order of the agent's devices."""
        return Turns(self.agent, self.ledger, self.retry_policy)

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
        self.settler.settle_unattempted(list(ended))
        return items

    def _read(self, item: Item[S]) -> None:
        try:
            item.event = Event.load(item.message.body)
        except InvalidEvent as invalid:
            item.outcome = self._unreadable(item.message, invalid)
            if item.outcome.state is DeliveryState.PARKED:
                item.outcome = self.settler.dead_letter(item.message, item.outcome, item.message.sent_at)
            self.settler.close(item)

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
        event = event_of(item)
        item.plan = self._plan(event, item.message)
        try:
            item.needs_turn = isinstance(item.plan, Outcome) and self._needs_turn(event, item.plan)
        except SettingsUnavailable as fault:
            item.plan = self.hold(item, str(fault))
        except Exception as bug:  # noqa: BLE001 - as in _plan
            item.plan = self._bug(event, item.message, bug, item.previous)

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
            obstacle = self._obstacle(self.load(event_of(item).app_id, _CACHED))
        except (SettingsUnavailable, Skip):
            return
        if not obstacle or not isinstance(item.plan, Outcome):
            return
        (claim,) = self.ledger.read_claims([event_of(item)])
        outcome = self._hold_release(item, item.plan, obstacle)
        if isinstance(claim, Claim) and _is_held(outcome) and outcome.reason == claim.held:
            item.outcome = outcome._replace(attempts=claim.attempts)
            self.settler.close(item)

    def _hold_release(self, item: Item[S], ended: Outcome, obstacle: CircuitOpen | str) -> Outcome:
        result = obstacle if isinstance(obstacle, CircuitOpen) else Verdict(VerdictKind.UNAUTHORIZED, obstacle)
        outcome = release_outcome(self.retry_policy, item.message, result, ended)
        return outcome._replace(refused=False)

    def _hold(self, held: Sequence[tuple[Item[S], CircuitOpen | str]]) -> None:
        """Writes that deliveries are held, unless their receipts say so already."""
        claims = self.ledger.read_claims([event_of(item) for item, _ in held])
        changed: list[Item[S]] = []
        for (item, obstacle), claim in zip(held, claims, strict=True):
            if isinstance(claim, LedgerUnavailable) or claim.status is not ClaimStatus.ACQUIRED:
                # The claim that follows says what becomes of it.
                continue
            item.claim = claim
            outcome = self._held(item, obstacle)
            if _is_held(outcome) and outcome.reason[:MAX_REASON] == claim.held:
                item.outcome = outcome
                self.settler.close(item)
            else:
                item.plan = outcome
                changed.append(item)
        self.settler.settle_unattempted(changed)

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
        events = [event_of(item) for item in items]
        if not events:
            return []
        if not self.agent.repeatable:
            return self.ledger.claim(events, self.now(), [item.message.unsent for item in items])
        # Repeatable agents need no claim: to read costs a fifth of a write.
        return self.ledger.read_claims(events, devices=self.agent.ordered)

    def _apply_claim(self, item: Item[S], claim: Claim | LedgerUnavailable) -> None:
        if isinstance(claim, LedgerUnavailable):
            item.outcome = self.settler.hand_on(item, self.settler.wait_for_ledger(item, claim), claim.claim)
            self.settler.close(item)
            return
        item.claim = claim
        match claim.status:
            case ClaimStatus.ALREADY_SETTLED:
                item.outcome = Outcome(DeliveryState.REPEATED)
                self.settler.close(item)
            case ClaimStatus.IN_PROGRESS:
                item.outcome = Outcome(DeliveryState.BUSY, wait=claim.wait)
                self.settler.close(item)
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

    def attempt(self, item: Item[S]) -> None:
        """Sends the requests of one delivery, or releases its device, and sets its outcome."""
        try:
            ended = item.plan if isinstance(item.plan, Outcome) else self._send(item)
            item.outcome = self._release(item, ended) if must_release(item, ended) else ended
        except Exception as fault:  # noqa: BLE001 - a bug of ours must neither lose the event nor print what it holds
            self.fail([item], fault)
        if item.outcome and must_release(item, item.outcome) and not item.outcome.released:
            self.turns.keep_linked(item)

    def fail(self, items: Sequence[Item[S]], fault: Exception) -> None:
        """Sets the outcome of deliveries whose attempt ended in an exception."""
        for item in items:
            if isinstance(fault, SettingsUnavailable):
                item.outcome = self.hold(item, str(fault))
            else:
                attempted = item.previous._replace(attempts=(item.previous.attempts or 0) + 1)
                item.outcome = self._bug(event_of(item), item.message, fault, attempted)

    def _release(self, item: Item[S], ended: Outcome) -> Outcome:
        """The outcome of a delivery that ends unsent, once the agent links nobody to the device any more."""
        foreign = item.turn.foreign if item.turn else ()
        load = partial(self.load, event_of(item).app_id)
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
        requests = build(event_of(item), scoped.settings, contacts) if build else []
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
        scoped = settings_of(item)
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
        foreign = without_own(item.turn.foreign, event_of(item)) if item.turn else []
        if foreign:
            result = self._send_release(
                item, self._release_requests(item, foreign, settings_of(item)), settings_of(item)
            )
            if not is_done(result):
                return result, done
        return self.client(item).send_all(item.requests, done)

    def plan_again(self, item: Item[S], *, force_refresh: bool) -> None:
        """Plans a delivery by the settings that are stored now; sets its outcome if these allow no request."""
        item.is_refreshed = True
        plan = self._plan(event_of(item), item.message, force_refresh=force_refresh)
        if isinstance(plan, Outcome):
            item.outcome = plan._replace(attempts=item.previous.attempts, done=item.previous.done)
        item.plan = plan

    def client(self, item: Item[S]) -> AgentClient[S]:
        """The agent's client by the settings of an item's plan."""
        return self._client(item, settings_of(item))

    def _client(self, item: Item[S], scoped: ScopedSettings[S]) -> AgentClient[S]:
        circuit = self.circuit(scoped.scope)
        return AgentClient(self.agent, circuit, self.send, self.now, self.has_time, scoped.settings, item.is_refreshed)

    def _bug(self, event: Event, message: Message, bug: Exception, attempted: Outcome) -> Outcome:
        logger().error("fault", extra={"agent": self.agent.name, "event_id": event.event_id, **_origin(bug)})
        verdict = Verdict(VerdictKind.RETRY, f"fault: {type(bug).__name__}")
        return self.retry_policy.retry(message, verdict, attempted)


_DOUBT = "in doubt: an earlier attempt ended without a word"
_CACHED, _REFRESHED = False, True


def _is_held(plan: object) -> TypeGuard[Outcome]:
    return isinstance(plan, Outcome) and plan.state is DeliveryState.HELD


def _origin(bug: Exception) -> dict[str, str]:
    """The type and place of an exception without its text, which may quote the event."""
    trace = bug.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return {"kind": type(bug).__name__, "place": place}
