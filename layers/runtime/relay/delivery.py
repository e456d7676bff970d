"""The delivery runtime: takes an agent's records from its queue to a settled state, and reports those that are not."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from time import perf_counter
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

from relay import http, settings, verdict
from relay.authorization import Attempt, Send
from relay.environment import AgentEnvironment
from relay.errors import CredentialsRefused, InvalidEvent, SettingsUnavailable, Skip, Unreachable
from relay.event import Event, Purpose
from relay.http import Request, Response
from relay.log import count, logger
from relay.queue import Queue, Record
from relay.verdict import Meaning, Verdict

MAX_WORKERS = 16
"""Deliveries of one batch under way at once."""

MARGIN_MILLISECONDS = 8_000
"""No delivery is begun with less time left than this: a request may take its time-outs, 7 s, in full."""

S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Agent(Generic[S]):
    """All that the runtime must know of one external system.

    `max_age` is how old an event the agent accepts, counted from when it happened; `authorize` adds to a request what
    cannot be built from the event alone, such as a signature over the time of sending.
    """

    name: str
    purpose: Purpose
    settings: type[S]
    build_requests: Callable[[Event, S], list[Request]]
    classify: Callable[[Response], Verdict] = verdict.by_status
    authorize: Callable[[Request, S, Attempt], Request] | None = None
    max_age: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a delivery for now: settled, or waiting this many seconds in its queue."""

    state: str
    reason: str = ""
    wait: int | None = None

    @property
    def parked(self) -> bool:
        """Whether the message goes to the dead-letter queue."""
        return self.state == "parked"


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
    load: Callable[[bool], S]
    send: Send = http.send
    now: Callable[[], datetime] = _now
    draw: Callable[[float, float], float] = random.uniform
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)

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
            event, outcome = self._outcome(record)
            if outcome.parked:
                self.queue.park(record, self._notes(record, event, outcome))
            self._report(record, event, outcome, perf_counter() - started)
            if outcome.wait is not None:
                return self._keep(lane[position:], outcome.wait)
        return []

    def _keep(self, records: list[Record], seconds: int) -> list[str]:
        # The rest of a device's messages come back together with the one that failed, and SQS keeps their order.
        for record in records:
            self.queue.postpone(record, seconds)
        return [record.message_id for record in records]

    def _outcome(self, record: Record) -> tuple[Event | None, Outcome]:
        try:
            event = Event.load(record.body)
        except InvalidEvent as invalid:
            return None, Outcome("parked", f"unreadable: {invalid}"[:250])
        try:
            return event, self._attempt(event, record)
        except Skip as skip:
            return event, Outcome("skipped", skip.reason)
        except SettingsUnavailable as fault:
            return event, Outcome("held", str(fault), self.environment.hold)
        except Exception as bug:  # noqa: BLE001 - a fault of ours must neither lose the event nor print what it holds
            logger().error("fault", extra={"agent": self.agent.name, "event_id": event.event_id, **_where(bug)})
            return event, self._later(event, record, Verdict(Meaning.RETRY, f"fault: {type(bug).__name__}"))

    def _attempt(self, event: Event, record: Record) -> Outcome:
        agent = self.agent
        if not event.allows(agent.purpose, default=self.environment.default_consent):
            raise Skip(f"consent: {agent.purpose}")
        if agent.max_age and self.now() - event.occurred_at > agent.max_age:
            return Outcome("expired", f"older than {agent.max_age}")
        answer = self._tell(event, fresh=False)
        if answer.meaning is Meaning.CREDENTIALS:
            answer = self._tell(event, fresh=True)
        match answer.meaning:
            case Meaning.DELIVERED | Meaning.UNCONFIRMED:
                return Outcome(answer.meaning, answer.reason)
            case Meaning.CREDENTIALS:
                return Outcome("held", answer.reason, self.environment.hold)
            case Meaning.REJECTED:
                return Outcome("parked", answer.reason)
            case Meaning.RETRY:
                return self._later(event, record, answer)

    def _tell(self, event: Event, *, fresh: bool) -> Verdict:
        agent = self.agent
        current = self.load(fresh)
        answer = Verdict(Meaning.REJECTED, "nothing to send")
        for request in agent.build_requests(event, current):
            answer = self._exchange(request, current, fresh=fresh)
            if answer.meaning not in {Meaning.DELIVERED, Meaning.UNCONFIRMED}:
                break
        return answer

    def _exchange(self, request: Request, current: S, *, fresh: bool) -> Verdict:
        if not (request.url.startswith("https://") or self.environment.allow_insecure):
            raise SettingsUnavailable("the agent's URL must begin with https://")
        try:
            if self.agent.authorize:
                request = self.agent.authorize(request, current, Attempt(self.now(), self.send, fresh))
            return self.agent.classify(self.send(request))
        except Unreachable as fault:
            return Verdict(Meaning.RETRY, f"no answer: {fault}")
        except CredentialsRefused as fault:
            return Verdict(Meaning.CREDENTIALS, str(fault))

    def _later(self, event: Event, record: Record, answer: Verdict) -> Outcome:
        if self.now() - event.received_at > timedelta(seconds=self.environment.retry_horizon):
            return Outcome("parked", f"still failing after the horizon: {answer.reason}")
        schedule = self.environment.retry_schedule
        longest = schedule[min(record.receives, len(schedule)) - 1]
        wait = max(math.ceil(self.draw(0, longest)), answer.wait or 0, 1)
        return Outcome("retrying", answer.reason, wait)

    def _notes(self, record: Record, event: Event | None, outcome: Outcome) -> dict[str, str]:
        return {
            "agent": self.agent.name,
            "reason": outcome.reason,
            "attempts": str(record.receives),
            "firstSeen": (event.received_at if event else record.sent_at).isoformat(),
        }

    def _report(self, record: Record, event: Event | None, outcome: Outcome, seconds: float) -> None:
        self.outcomes[outcome.state, outcome.reason if outcome.state == "skipped" else ""] += 1
        known = {"event_id": event.event_id, "app": event.app_id, "type": event.type} if event else {}
        extra = {"agent": self.agent.name, **known, "attempt": record.receives, "ms": round(seconds * 1000)}
        write = logger().warning if outcome.parked or outcome.state == "held" else logger().info
        write(outcome.state, extra={**extra, "reason": outcome.reason, "wait": outcome.wait})


def handler_of(agent: Agent[S], send: Send = http.send) -> Callable[[Mapping[str, Any], LambdaContext], dict[str, Any]]:
    """The Lambda handler of an agent: an SQS batch in, a partial batch response out."""

    def handle(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        environment = AgentEnvironment.read()
        queue = Queue(environment.queue_url, environment.dead_letter_queue_url)
        runtime = Runtime(
            agent, environment, queue, partial(_load, agent.settings, environment.settings_parameter), send
        )
        unsettled = runtime.deliver(map(Record.read, event["Records"]), context)
        for (state, reason), number in runtime.outcomes.items():
            count(state.capitalize(), number, agent=agent.name, **({"reason": reason} if reason else {}))
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in unsettled]}

    return handle


def _load(model: type[S], name: str, fresh: bool) -> S:  # noqa: FBT001 - the runtime's own question
    return settings.load(model, name, fresh=fresh)


def _where(bug: Exception) -> dict[str, str]:
    """The kind and place of an exception without its text, which may quote the event."""
    trace = bug.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return {"kind": type(bug).__name__, "place": place}
