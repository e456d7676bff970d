"""The delivery runtime: takes an agent's records from its queue to a settled state, and reports those that are not."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Lock
from time import perf_counter
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

from relay import http, settings
from relay.agent import Agent, dry_run
from relay.authorization import Attempt, Send
from relay.circuit import Circuit
from relay.environment import AgentEnvironment
from relay.errors import (
    CircuitOpen,
    CredentialsRefused,
    InvalidEvent,
    LedgerUnavailable,
    SettingsUnavailable,
    Skip,
    Unreachable,
)
from relay.event import Event
from relay.http import Request
from relay.ledger import Claim, Ledger, Standing
from relay.log import count, logger
from relay.queue import Queue, Record
from relay.verdict import Meaning, Verdict

MAX_WORKERS = 16
"""Deliveries of one batch under way at once."""

MARGIN_MILLISECONDS = 8_000
"""No delivery is begun with less time left than this: a request may take its time-outs, 7 s, in full."""

HELD_AT_MOST = timedelta(days=9)
"""A delivery that is still held then is parked with the reason, before SQS would move its message without one."""

MAX_REASON = 250
"""Characters of a reason that are kept."""

S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has become of a delivery: settled, or to be looked at again in `wait` seconds.

    `attempts` were made so far and `done` of its requests are behind us; `status` is the last HTTP status.
    """

    state: str
    reason: str = ""
    wait: int | None = None
    attempts: int = 0
    done: int = 0
    status: int | None = None


class LambdaContext(Protocol):
    """The part of the Lambda context that deliveries need."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is ended."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Runtime(Generic[S]):
    """One agent at work: the agent, its queue, its settings (afresh or not), and the world that it acts on."""

    agent: Agent[S]
    environment: AgentEnvironment
    queue: Queue
    ledger: Ledger
    circuit: Circuit
    load: Callable[[bool], S]
    send: Send = http.send
    now: Callable[[], datetime] = _now
    draw: Callable[[float, float], float] = random.uniform
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    counting: Lock = field(default_factory=Lock)

    def deliver(self, records: Iterable[Record], context: LambdaContext) -> list[str]:
        """Delivers a batch, devices side by side, each device in order; the ids of messages that must stay queued."""
        lanes: dict[str, list[Record]] = {}
        for record in records:
            lanes.setdefault(record.group or record.message_id, []).append(record)
        with ThreadPoolExecutor(max_workers=min(MAX_WORKERS, len(lanes) or 1)) as workers:
            unsettled = workers.map(partial(self._deliver_lane, context=context), lanes.values())
            return [message_id for lane in unsettled for message_id in lane]

    def _deliver_lane(self, lane: list[Record], context: LambdaContext) -> list[str]:
        for position, record in enumerate(lane):
            if context.get_remaining_time_in_millis() < MARGIN_MILLISECONDS:
                return self._keep(lane[position:], 0)
            started = perf_counter()
            event, outcome = self._take(record)
            self._report(event, outcome, perf_counter() - started)
            if outcome.wait is not None:
                return self._keep(lane[position:], outcome.wait)
        return []

    def _keep(self, records: list[Record], seconds: int) -> list[str]:
        # The rest of a device's messages come back together with the one that failed, and SQS keeps their order.
        for record in records:
            self.queue.postpone(record, seconds)
        return [record.message_id for record in records]

    def _take(self, record: Record) -> tuple[Event | None, Outcome]:
        try:
            event = Event.load(record.body)
        except InvalidEvent as invalid:
            outcome = Outcome("parked", f"unreadable: {invalid}"[:MAX_REASON])
            self._park(record, outcome, record.sent_at)
            return None, outcome
        try:
            claim = self.ledger.claim(event, self.now())
        except LedgerUnavailable as fault:
            return event, Outcome("waiting", f"ledger: {fault}", self._wait(record.receives))
        match claim.standing:
            case Standing.SETTLED:
                return event, Outcome("repeated")
            case Standing.BUSY:
                return event, Outcome("busy", wait=claim.wait)
            case Standing.OURS:
                return event, self._settle(event, record, claim)

    def _settle(self, event: Event, record: Record, claim: Claim) -> Outcome:
        outcome = self._judge(event, record, claim)
        if outcome.state == "held" and self.now() - record.sent_at > HELD_AT_MOST:
            outcome = replace(
                outcome, state="parked", reason=f"still held after nine days: {outcome.reason}", wait=None
            )
        if outcome.state == "parked":
            # First the message, then the note: the other way round, a crash between them would lose the message.
            self._park(record, outcome, event.received_at)
        notes: dict[str, str | int] = {
            "reason": outcome.reason[:MAX_REASON],
            "attempts": outcome.attempts,
            "done": outcome.done,
            "at": int(self.now().timestamp() * 1000),
            **({"status": outcome.status} if outcome.status else {}),
            **({"wait": outcome.wait} if outcome.wait is not None else {}),
        }
        try:
            self.ledger.settle(event, claim, outcome.state, notes)
        except LedgerUnavailable as fault:
            # Our claim must run out before anybody can look at this delivery again.
            return replace(outcome, state="unsettled", reason=f"ledger: {fault}", wait=self.ledger.lease + 1)
        return outcome

    def _judge(self, event: Event, record: Record, claim: Claim) -> Outcome:
        before = Outcome("", attempts=claim.attempts, done=claim.done)
        try:
            return self._attempt(event, record, claim)
        except Skip as skip:
            return replace(before, state="skipped", reason=skip.reason)
        except SettingsUnavailable as fault:
            return replace(before, state="held", reason=str(fault), wait=self.environment.hold)
        except _HeldError as held:
            wait = self._spread(self.environment.circuit)
            return replace(before, state="held", reason=str(held), wait=wait, done=held.done)
        except LedgerUnavailable as fault:
            return replace(before, state="retrying", reason=f"ledger: {fault}", wait=self._wait(record.receives))
        except Exception as bug:  # noqa: BLE001 - a fault of ours must neither lose the event nor print what it holds
            logger().error("fault", extra={"agent": self.agent.name, "event_id": event.event_id, **_where(bug)})
            told = Verdict(Meaning.RETRY, f"fault: {type(bug).__name__}")
            return self._later(record, told, replace(before, attempts=claim.attempts + 1))

    def _attempt(self, event: Event, record: Record, claim: Claim) -> Outcome:
        agent = self.agent
        if claim.in_doubt and not agent.repeatable:
            return Outcome("unconfirmed", "in doubt: an earlier attempt ended without a word", attempts=claim.attempts)
        if not event.allows(agent.purpose, default=self.environment.default_consent):
            raise Skip(f"consent: {agent.purpose}")
        if agent.max_age and self.now() - event.occurred_at > agent.max_age:
            return Outcome("expired", f"older than {agent.max_age}", attempts=claim.attempts, done=claim.done)
        answer, done = self._tell(event, claim.done, fresh=False)
        if answer.meaning is Meaning.CREDENTIALS:
            answer, done = self._tell(event, done, fresh=True)
        made = Outcome(answer.meaning, answer.reason, None, claim.attempts + 1, done, answer.status)
        match answer.meaning:
            case Meaning.DELIVERED | Meaning.UNCONFIRMED:
                return made
            case Meaning.CREDENTIALS:
                # Waiting for a credential to be mended costs no attempt.
                return replace(made, state="held", wait=self.environment.hold, attempts=claim.attempts)
            case Meaning.REJECTED:
                return replace(made, state="parked")
            case Meaning.RETRY:
                return self._later(record, answer, made)

    def _tell(self, event: Event, done: int, *, fresh: bool) -> tuple[Verdict, int]:
        """Makes the requests that are not done yet, until one fails; its verdict, and how many are done now."""
        agent = self.agent
        current = self.load(fresh)
        requests = agent.build_requests(event, current)
        if agent.ordered and not (self.ledger.in_order(event) or self._parts(event)):
            raise Skip("superseded")
        answer = Verdict(Meaning.DELIVERED, "nothing was left to send")
        for position, request in enumerate(requests[done:], done):
            try:
                answer = self.circuit.guard(partial(self._exchange, request, current, fresh))
            except CircuitOpen as held:
                raise _HeldError(held, position) from None
            if answer.meaning not in {Meaning.DELIVERED, Meaning.UNCONFIRMED}:
                return answer, position
        return answer, len(requests)

    def _parts(self, event: Event) -> bool:
        """Whether an older event is the logout of somebody who has not come back since: without it the pushes go on."""
        return self.agent.personal_logout and event.type == "logout" and self.ledger.moved_on(event)

    def _exchange(self, request: Request, current: S, fresh: bool) -> Verdict:  # noqa: FBT001 - as `load` has it
        if not (request.url.startswith("https://") or self.environment.allow_insecure):
            raise SettingsUnavailable("the agent's URL must begin with https://")
        try:
            if self.agent.authorize:
                request = self.agent.authorize(request, current, Attempt(self.now(), self.send, fresh))
            response = self.send(request)
        except Unreachable as fault:
            if fault.sent and not self.agent.repeatable:
                return Verdict(Meaning.UNCONFIRMED, f"in doubt: no answer: {fault}")
            return Verdict(Meaning.RETRY, f"no answer: {fault}")
        except CredentialsRefused as fault:
            return Verdict(Meaning.CREDENTIALS, str(fault))
        return replace(self.agent.classify(response), status=response.status)

    def _later(self, record: Record, answer: Verdict, made: Outcome) -> Outcome:
        # Counted from when this message was sent: a redriven one is a new one, and has its time before it.
        if self.now() - record.sent_at > timedelta(seconds=self.environment.retry_horizon):
            return replace(made, state="parked", reason=f"still failing after the horizon: {answer.reason}")
        wait = max(self._wait(made.attempts), answer.wait or 0)
        return replace(made, state="retrying", reason=answer.reason, wait=wait)

    def _wait(self, attempts: int) -> int:
        """Seconds until the next attempt: somewhere between zero and the schedule's word, so that herds disperse."""
        schedule = self.environment.retry_schedule
        return max(1, math.ceil(self.draw(0, schedule[min(max(attempts, 1), len(schedule)) - 1])))

    def _spread(self, seconds: int) -> int:
        """A wait of at least this long and at most twice as long."""
        return math.ceil(seconds + self.draw(0, seconds))

    def _park(self, record: Record, outcome: Outcome, first_seen: datetime) -> None:
        self.queue.park(
            record,
            {
                "agent": self.agent.name,
                "reason": outcome.reason,
                "status": str(outcome.status or ""),
                "attempts": str(outcome.attempts),
                "firstSeen": first_seen.isoformat(),
            },
        )

    def _report(self, event: Event | None, outcome: Outcome, seconds: float) -> None:
        with self.counting:
            self.outcomes[outcome.state, outcome.reason if outcome.state == "skipped" else ""] += 1
        known = {"event_id": event.event_id, "app": event.app_id, "type": event.type} if event else {}
        extra = {"agent": self.agent.name, **known, "attempt": outcome.attempts, "ms": round(seconds * 1000)}
        write = logger().warning if outcome.state in _ALARMING else logger().info
        write(outcome.state, extra={**extra, "reason": outcome.reason, "wait": outcome.wait})


class _HeldError(Exception):
    """The circuit opened when this many requests of a delivery were done."""

    def __init__(self, why: CircuitOpen, done: int) -> None:
        self.done = done
        super().__init__(str(why))


_ALARMING = {"parked", "held", "waiting", "unsettled"}


def handler_of(agent: Agent[S], send: Send = http.send) -> Callable[[Mapping[str, Any], LambdaContext], dict[str, Any]]:
    """The Lambda handler of an agent: an SQS batch in, a partial batch response out; or a dry run of one event."""

    def handle(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        environment = AgentEnvironment.read()
        load = partial(_load, agent.settings, environment.settings_parameter)
        if "dryRun" in event:
            return _dry_run(agent, event["dryRun"], load, default_consent=environment.default_consent)
        runtime = Runtime(
            agent,
            environment,
            Queue(environment.queue_url, environment.dead_letter_queue_url),
            Ledger(environment.table, agent.name, environment.claim),
            Circuit(agent.name, environment.table, environment.circuit),
            load,
            send,
        )
        unsettled = runtime.deliver(map(Record.read, event["Records"]), context)
        for (state, reason), number in runtime.outcomes.items():
            count(state.capitalize(), number, agent=agent.name, **({"reason": reason} if reason else {}))
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in unsettled]}

    return handle


def _dry_run(agent: Agent[S], message: str, load: Callable[[bool], S], *, default_consent: bool) -> dict[str, Any]:
    try:
        return dry_run(agent, Event.load(message), load(False), default_consent=default_consent)  # noqa: FBT003
    except SettingsUnavailable as fault:
        return {"held": str(fault)}


def _load(model: type[S], name: str, fresh: bool) -> S:  # noqa: FBT001 - the runtime's own question
    return settings.load(model, name, fresh=fresh)


def _where(bug: Exception) -> dict[str, str]:
    """The kind and place of an exception without its text, which may quote the event."""
    trace = bug.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return {"kind": type(bug).__name__, "place": place}
