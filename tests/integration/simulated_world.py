"""Everything around the three ordered agents as values in this process: clock, topic, FIFO queues, vendors, faults."""

from base64 import urlsafe_b64encode
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import SecretStr

from functions.agents.dashx import app as dashx
from functions.agents.eitri_push import app as eitri_push
from functions.agents.emarsys import app as emarsys
from local import settings as local_settings
from local.sandbox import exchange
from local.sandbox.dashx import DashX
from local.sandbox.eitri_push import EitriPush
from local.sandbox.emarsys import Emarsys
from relay.agent.definition import Agent
from relay.agent.http import Request, Response
from relay.agent.verdict import Verdict
from relay.aws.environment import AgentEnvironment
from relay.delivery.app_settings import ScopedSettings
from relay.delivery.batch import process_batch
from relay.delivery.circuit import Circuit
from relay.delivery.pipeline import DeliveryPipeline
from relay.delivery.queue import MAX_DELAY_SECONDS, Queue
from relay.delivery.queue import Message as QueueMessage
from relay.delivery.report import Report
from relay.errors import CircuitOpen, SettingsUnavailable, Unreachable
from relay.event.model import Event
from relay.ledger.keys import LedgerKeys, LedgerKeysRecord
from relay.ledger.ledger import Ledger
from tests.integration.simulated_dynamodb import Crash, SimulatedDynamoDB

START = datetime(2026, 11, 20, 9, 15, 42, tzinfo=UTC)
KEYS = LedgerKeys(LedgerKeysRecord(keys=(SecretStr(urlsafe_b64encode(bytes(32)).decode()),)))
VISIBILITY_SECONDS = 180
VENDORS = "https://vendors.example.com"
HOLD_SECONDS = 900
ENVIRONMENT = AgentEnvironment(
    settings_parameter="",
    apps_path="",
    table="receipts",
    queue_url="queue",
    dead_letter_queue_url="dead",
    retry_schedule=(5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 28800),
    retry_horizon=86400,
    hold=HOLD_SECONDS,
    circuit=30,
    claim=60,
    default_consent=True,
    allow_insecure=False,
)
AGENTS: dict[str, Agent[Any]] = {made.AGENT.name: made.AGENT for made in (emarsys, dashx, eitri_push)}
SETTINGS = local_settings.agents(VENDORS)
# In clear, so that a failure can be read.
SETTINGS["emarsys"] |= {"contact_value": "customer_id"}
WRONG: dict[str, dict[str, Any]] = {
    "emarsys": {"applications": {"android": {"code": "4F7AC-90B1D", "password": "of last year"}}},
    "dashx": {"private_key": "prv_of_last_year"},
    "eitri_push": {"signing_secrets": ["whsec_b2YtbGFzdC15ZWFyLW9mLWxhc3QteWVhci1vZi1sYXN0"]},
}

Fault: TypeAlias = Literal[
    "503", "429", "400", "no answer", "answer lost", "503 after the work", "crash before", "crash after"
]
IN_DOUBT = {"answer lost", "503 after the work", "crash before", "crash after"}
Trouble: TypeAlias = Literal["credentials", "circuit", "settings"]


@dataclass
class Clock:
    """The time of everything; it moves only when a test moves it."""

    now: datetime = START

    def pass_(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += timedelta(seconds=seconds)


@dataclass
class Message:
    """A message in a queue; hidden until `visible_at`, which only its newest receipt can move."""

    id: str
    body: str
    group: str
    sent_at: datetime
    visible_at: datetime
    receives: int = 0

    @property
    def receipt(self) -> str:
        """The handle of its newest receipt."""
        return f"{self.id}/{self.receives}"


@dataclass(frozen=True)
class SimulatedQueue(Queue):
    """A FIFO queue and its dead-letter queue as SQS keeps them: one device's messages wait for the first of them."""

    url: str = "queue"
    dead_letter_url: str = "dead"
    clock: Clock = field(default_factory=Clock)
    waiting: list[Message] = field(default_factory=list)
    parked: list[Message] = field(default_factory=list)
    ids: "count[int]" = field(default_factory=count)

    def put(self, body: str, group: str) -> None:
        """Takes a message on, as a new one."""
        self.waiting.append(Message(f"m{next(self.ids)}", body, group, self.clock.now, self.clock.now))

    def receive(self, limit: int) -> list[QueueMessage]:
        """Hands over up to so many messages, in order, none of a group that has one under way or hidden."""
        hidden = {message.group for message in self.waiting if message.visible_at > self.clock.now}
        taken = [message for message in self.waiting if message.group not in hidden][:limit]
        for message in taken:
            message.receives += 1
            message.visible_at = self.clock.now + timedelta(seconds=VISIBILITY_SECONDS)
        return [
            QueueMessage(message.id, message.receipt, message.body, message.receives, message.sent_at, message.group)
            for message in taken
        ]

    def delete(self, message_ids: set[str]) -> None:
        """Acknowledges messages."""
        self.waiting[:] = [message for message in self.waiting if message.id not in message_ids]

    def delay(self, messages: Sequence[tuple[QueueMessage, int]]) -> None:
        seconds = {record.receipt_handle: hidden for record, hidden in messages}
        for message in self.waiting:
            if message.receipt in seconds:
                hidden = min(max(seconds[message.receipt], 0), MAX_DELAY_SECONDS)
                message.visible_at = self.clock.now + timedelta(seconds=hidden)

    def dead_letter(self, record: QueueMessage, notes: Any) -> None:
        assert notes["reason"]
        self.parked.append(Message(record.message_id, record.body, record.group or "", self.clock.now, self.clock.now))

    def redrive(self) -> None:
        """Moves what is parked back, behind what waits, under new ids."""
        for message in self.parked:
            self.put(message.body, message.group)
        self.parked.clear()

    @property
    def bodies(self) -> list[str]:
        """What is in either queue."""
        return [message.body for message in [*self.waiting, *self.parked]]


@dataclass(frozen=True)
class Switch(Circuit):
    """A circuit that is open while `troubles` says so."""

    name: str = ""
    table: str = "receipts"
    seconds: int = 30
    troubles: set[Trouble] = field(default_factory=set)

    def call(self, exchange: Callable[[], Verdict]) -> Verdict:
        self.check()
        return exchange()

    def check(self) -> None:
        if "circuit" in self.troubles:
            raise CircuitOpen("circuit open")


@dataclass
class Time:
    """A Lambda context with this much time left."""

    left: int = 30_000

    def get_remaining_time_in_millis(self) -> int:
        return self.left


class Vendor:
    """One ordered agent of ours, at work on its queue, and the vendor that it speaks to, as the sandbox plays it.

    `faults` meet its next requests one by one, None is none; `troubles` last until they are cleared. `met` counts its
    requests by their fault, `doubts` the faults after which nobody knows what of a delivery was done.
    """

    def __init__(self, name: str, clock: Clock, table: SimulatedDynamoDB) -> None:
        self.name, self.clock, self.table = name, clock, table
        self.queue = SimulatedQueue(clock=clock)
        self.faults: deque[Fault | None] = deque()
        self.troubles: set[Trouble] = set()
        played: dict[str, Callable[[Any], exchange.Agent]] = {
            "emarsys": Emarsys,
            "dashx": DashX,
            "eitri_push": EitriPush,
        }
        self.sandbox = played[name](SETTINGS[name])
        self.met: Counter[str] = Counter()
        self.doubts = 0
        self.ledger = Ledger(
            "receipts",
            name,
            ENVIRONMENT.claim,
            keeps_contacts=AGENTS[name].contact is not None,
            keys=lambda _fresh: KEYS,
            now=lambda: clock.now,
        )
        self.runtime: DeliveryPipeline[Any] = DeliveryPipeline(
            AGENTS[name],
            ENVIRONMENT,
            self.queue,
            self.ledger,
            lambda _scope: Switch(troubles=self.troubles),
            self._load,
            Report(name),
            send=self._send,
            now=lambda: clock.now,
            jitter=lambda _low, high: high,
            pause=lambda _seconds: None,
        )

    def work(self, limit: int = 10, *, left: int = 30_000, acknowledged: bool = True) -> bool:
        """Delivers one batch, as the function's event source would have it; whether there was any."""
        records = self.queue.receive(limit)
        refusals = sum(fault is not None for fault in self.table.faults)
        try:
            kept = process_batch(self.runtime, records, Time(left))
        except Crash:
            return True
        finally:
            self.doubts += refusals - sum(fault is not None for fault in self.table.faults)
            self.faults.clear()
            self.table.faults.clear()
        if acknowledged:
            self.queue.delete({record.message_id for record in records} - set(kept))
        return bool(records)

    def await_work(self) -> None:
        """Lets time pass until there is a message to receive, if there is any at all."""
        if self.queue.waiting:
            self.clock.now = max(self.clock.now, min(message.visible_at for message in self.queue.waiting))

    def state(self) -> Any:
        """What the vendor keeps."""
        return self.sandbox.state()

    def _load(self, _app: str, _fresh: bool) -> ScopedSettings[Any]:  # noqa: FBT001 - the runtime's own question
        if "settings" in self.troubles:
            raise SettingsUnavailable("the parameter cannot be read")
        given = SETTINGS[self.name] | (WRONG[self.name] if "credentials" in self.troubles else {})
        return ScopedSettings(AGENTS[self.name].settings.model_validate(given), self.name)

    def _send(self, request: Request) -> Response:
        fault = self.faults.popleft() if self.faults else None
        self.met[fault or "answered"] += 1
        self.doubts += fault in IN_DOUBT
        if fault == "no answer":
            raise Unreachable("ConnectTimeout")
        if fault == "crash before":
            raise Crash
        if fault in {"503", "429", "400"}:
            return Response(int(fault), headers={"retry-after": "77"} if fault == "429" else {})
        judgement = self.sandbox.check(_arriving(request, self.name), self.clock.now.timestamp())
        assert "credentials" in self.troubles or not judgement.violations, judgement.violations
        answer = judgement.work()
        if fault == "answer lost":
            raise Unreachable("ReadTimeout")
        if fault == "crash after":
            raise Crash
        if fault == "503 after the work":
            return Response(503)
        return Response(answer.status, answer.body.encode(), answer.headers)


def _arriving(request: Request, name: str) -> exchange.Request:
    def unmasked(value: str | SecretStr) -> str:
        return value.get_secret_value() if isinstance(value, SecretStr) else value

    headers = {name.lower(): unmasked(value) for name, value in request.headers.items()}
    path = urlsplit(request.url).path.removeprefix(f"/{name}")
    query = {name: unmasked(value) for name, value in request.query.items()}
    return exchange.Request(request.method, path, query, {"user-agent": "session-relay/0.1.0", **headers}, request.body)


@dataclass
class World:
    """The ordered agents behind one topic."""

    clock: Clock = field(default_factory=Clock)
    table: SimulatedDynamoDB = field(default_factory=SimulatedDynamoDB)
    vendors: dict[str, Vendor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begins with empty queues."""
        self.vendors = {name: Vendor(name, self.clock, self.table) for name in AGENTS}

    def publish(self, event: Event) -> None:
        """Puts an event into every agent's queue, as the topic does."""
        for vendor in self.vendors.values():
            vendor.queue.put(event.dump(), event.group)

    def settle(self) -> None:
        """Ends every trouble, redrives everything and lets time pass until every queue is empty."""
        for vendor in self.vendors.values():
            vendor.troubles.clear()
            for _ in range(40):
                vendor.queue.redrive()
                while vendor.work():
                    pass
                if not vendor.queue.bodies:
                    break
                self.clock.pass_(MAX_DELAY_SECONDS)

    def receipts(self, event: Event) -> dict[str, Any]:
        """What became of an event at each agent."""
        return Ledger("receipts").receipts(event.app_id, event.event_id)[event.scope]
