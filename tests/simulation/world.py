"""A simulated month: the real runtime between queues, a table, parameters and agents that fail."""

import json
import random as global_random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from bench.template import deployed
from relay.aws import parameters
from relay.aws.environment import AgentEnvironment
from relay.delivery.app_settings import ScopedSettings
from relay.delivery.batch import process_batch
from relay.delivery.circuit import Circuit
from relay.delivery.pipeline import DeliveryPipeline
from relay.delivery.queue import Message, Queue
from relay.delivery.report import Report
from relay.event.model import Event
from relay.ledger.ledger import Ledger
from tests.integration.simulated_dynamodb import Crash
from tests.integration.simulated_world import KEYS
from tests.simulation import clock as clocks
from tests.simulation.cloud import SimulatedQueue, SimulatedSqs, SimulatedSsm, SimulatedTable
from tests.simulation.vendors import AGENTS, SETTINGS, Vendor
from tests.simulation.weather import DAY, Weather

TIMEOUT_SECONDS = 30
ENVIRONMENT = AgentEnvironment(
    settings_parameter="",
    apps_path="",
    table="receipts",
    queue_url="",
    dead_letter_queue_url="",
    retry_schedule=(5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 28800),
    retry_horizon=DAY,
    hold=900,
    circuit=30,
    claim=60,
    default_consent=True,
    allow_insecure=False,
)


class _Quiet(Report):
    """A report that counts and writes nothing."""

    def close(self) -> None:
        """Writes nothing."""

    def add(self, _event: Event | None, outcome: Any, _now: datetime, _milliseconds: float) -> None:
        self.states[outcome.state] += 1


@dataclass
class Month:
    """What is simulated: how many days, what happens, and when; `weathers` by agent, and the cloud's `clouds`."""

    random: Random
    days: int = 30
    weathers: dict[str, Weather] = field(default_factory=dict)
    clouds: Sequence[Weather] = ()
    agents: Iterable[str] = tuple(AGENTS)


class World:
    """The agents' functions and all that is around them."""

    def __init__(self, month: Month) -> None:
        self.month, self.random, self.clock = month, month.random, clocks.Clock()
        self.table = SimulatedTable(self.random, self.luck)
        self.queues = {name: SimulatedQueue(name, AGENTS[name].ordered, self.clock) for name in month.agents}
        self.sqs = SimulatedSqs(self.queues, self.random, self.luck)
        self.ssm = SimulatedSsm(SETTINGS, self.random, self.luck)
        self.vendors = {name: self._vendor(name) for name in month.agents}
        self.crashed: set[tuple[str, str]] = set()
        """Agent and event of messages that a function had when it died."""
        self.events: dict[str, Event] = {}
        self.invocations = 0
        self._depth = 0

    def _vendor(self, name: str) -> Vendor:
        weather = self.month.weathers.get(name, Weather())
        return Vendor(name, self.clock, self.random, weather, self.luck, partial(self._meanwhile, name))

    def luck(self, trouble: str) -> bool:
        """Whether the cloud has a trouble now; SQS refuses at good times alone.

        A claim whose answer is lost and whose copy SQS refuses ends in doubt, as docs/reliability.md says.
        """
        now = {weather.at(self.clock.now) for weather in self.month.clouds}
        return trouble in ({"no queue"} if "no queue" in now else now)

    def publish(self, event: Event) -> None:
        """Puts an event into the queue of every agent that receives its type, as the topic does."""
        self.events[event.event_id] = event
        for name, queue in self.queues.items():
            if event.type in deployed().events[name]:
                queue.put(event.dump(), event.group)

    def run(self, arrivals: list[tuple[datetime, Event]], until: datetime) -> None:
        """Lets the functions work until that moment."""
        global_random.seed(self.random.random())
        pending = sorted(arrivals, key=lambda one: (one[0], one[1].event_id), reverse=True)
        while True:
            times = {name: at for name, queue in self.queues.items() if (at := queue.next_at())}
            moments = [*times.values(), *([pending[-1][0]] if pending else [])]
            if not moments or min(moments) > until:
                break
            # A second or so, in which a batch gathers.
            self.clock.now = max(self.clock.now, min(moments)) + timedelta(seconds=self.random.uniform(0.1, 2))
            while pending and pending[-1][0] <= self.clock.now:
                self.publish(pending.pop()[1])
            for name, at in times.items():
                if at <= self.clock.now:
                    self.invoke(name)
        self.clock.now = max(self.clock.now, until)

    def invoke(self, name: str) -> None:
        """Invokes an agent's function with what its queue has to receive."""
        records = self.queues[name].receive(deployed().batches[name], twice=self._is_twice())
        if not records:
            return
        self.invocations += 1
        if self.random.random() < 1 / 20:
            clocks.forget(name)
        try:
            kept = process_batch(self._pipeline(name), map(Message.parse, records), self._context())
        except Crash:
            self.crashed |= {(name, json.loads(record["body"]).get("eventId", "")) for record in records}
            clocks.forget(name)
            return
        for record in records:
            if record["messageId"] not in kept:
                self.queues[name].waiting.pop(record["messageId"], None)

    def is_repeated(self, name: str) -> bool:
        """Whether the cloud may make a repeatable delivery again: a message twice, an answer of the table lost."""
        return any(weather.episodes for weather in self.month.clouds) and AGENTS[name].repeatable

    def _is_twice(self) -> bool:
        return self.luck("duplicates") and self.random.random() < 1 / 3

    def _meanwhile(self, name: str) -> None:
        """Another instance of the function takes a batch while a request is under way."""
        if self._depth == 0 and self.random.random() < 1 / 30:
            self._depth += 1
            try:
                self.invoke(name)
            finally:
                self._depth -= 1

    def _context(self) -> Any:
        timeout = 9 if self.luck("slow") else TIMEOUT_SECONDS
        return _Context(self.clock, self.clock.now + timedelta(seconds=timeout))

    def _pipeline(self, name: str) -> DeliveryPipeline[Any]:
        agent = self.vendors[name].agent
        return DeliveryPipeline(
            agent,
            ENVIRONMENT,
            Queue(name, f"dead:{name}"),
            Ledger(
                ENVIRONMENT.table,
                name,
                ENVIRONMENT.claim,
                keeps_contacts=agent.contact is not None,
                keys=lambda _force_refresh: KEYS,
                now=self.clock.read,
            ),
            lambda scope: Circuit(scope, ENVIRONMENT.table, ENVIRONMENT.circuit),
            lambda _app_id, force_refresh: ScopedSettings(
                parameters.load(agent.settings, name, force_refresh=force_refresh), name
            ),
            _Quiet(name),
            self.vendors[name].send,
            now=self.clock.read,
            jitter=self.random.uniform,
            pause=self.clock.pass_,
        )


@dataclass
class _Context:
    clock: clocks.Clock
    ends: datetime

    def get_remaining_time_in_millis(self) -> int:
        return int((self.ends - self.clock.now).total_seconds() * 1000)
