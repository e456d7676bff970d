"""End to end on the local cloud: how soon after an app's call each agent has its request, at a steady rate.

The reference is what the emulator itself takes for the least that the way of an event needs: one publish to a topic of
its own, received from a queue that listens to it.
"""

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests

from bench import samples
from bench.measure import Extent, Row, Say, percentile
from local import cloud, deploy

EVENTS_A_SECOND = 4.0
WARMING = 12
"""Events before those that are measured: every function must have started."""

LIMIT_SECONDS = 2.0
PATIENCE_SECONDS = 30.0

_NUMBER = re.compile(r"bench(\d{5})")


@dataclass
class Trip:
    """What was seen of the events' way, in seconds: when called, by number; when received, by agent and number."""

    answered: list[float] = field(default_factory=list)
    reference: list[float] = field(default_factory=list)
    called: dict[int, float] = field(default_factory=dict)
    received: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))


def measure(extent: Extent, say: Say) -> Iterator[Row]:
    """A row for the caller's wait, the reference, and each agent's percentiles."""
    with cloud.running("bench", say) as stack:
        hop = Hop(deploy.Cloud(stack.aws_endpoint, stack.region))
        trip = Trip()
        for number in range(WARMING):
            _send(stack, number, trip)
        _await(stack, trip)
        for number in range(WARMING, WARMING + extent.events):
            began = time.monotonic()
            say(f"end to end: event {number - WARMING + 1} of {extent.events}")
            _send(stack, number, trip)
            trip.reference.append(hop.seconds())
            time.sleep(max(0.0, 1 / EVENTS_A_SECOND - (time.monotonic() - began)))
        _await(stack, trip)
    yield from _rows(trip)


class Hop:
    """A topic and a queue of their own on the same emulator."""

    def __init__(self, local: deploy.Cloud) -> None:
        self._topics, self._queues = local.client("sns"), local.client("sqs")
        self._topic = self._topics.create_topic(Name="bench")["TopicArn"]
        self._queue = self._queues.create_queue(QueueName="bench")["QueueUrl"]
        asked = self._queues.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        self._topics.subscribe(TopicArn=self._topic, Protocol="sqs", Endpoint=asked["Attributes"]["QueueArn"])

    def seconds(self) -> float:
        """How long one message takes from publishing to being received."""
        began = time.monotonic()
        self._topics.publish(TopicArn=self._topic, Message=samples.message())
        (found,) = self._queues.receive_message(QueueUrl=self._queue, WaitTimeSeconds=10)["Messages"]
        taken = time.monotonic() - began
        self._queues.delete_message(QueueUrl=self._queue, ReceiptHandle=found["ReceiptHandle"])
        return taken


def _send(stack: cloud.Stack, number: int, trip: Trip) -> None:
    mark = f"bench{number:05d}"
    device = {**samples.PHONE, "id": mark, "pushToken": f"token-{mark}"}
    body = {**samples.LOGIN, "customerId": mark, "eventId": mark, "device": device, "properties": {"mark": mark}}
    began = time.time()
    answer = requests.post(
        f"{stack.api_url}/login", json=body, headers={"authorization": f"Bearer {stack.secret_key}"}, timeout=30
    )
    answer.raise_for_status()
    trip.called[number] = began
    trip.answered.append(time.time() - began)


def _await(stack: cloud.Stack, trip: Trip) -> None:
    """Reads the sandbox' journal until every agent has every event."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for agent in samples.AGENTS:
            listing = requests.get(f"{stack.sandbox_url}/_requests", params={"agent": agent}, timeout=60).json()
            for request in listing["requests"]:
                _note(request, trip.received[agent])
        if all(len(trip.received[agent]) == len(trip.called) for agent in samples.AGENTS):
            return
        time.sleep(1)


def _note(request: dict[str, Any], received: dict[int, float]) -> None:
    at = datetime.fromisoformat(request["receivedAt"]).timestamp()
    for number in _NUMBER.findall(json.dumps(request)):
        # The first request of a delivery counts.
        received.setdefault(int(number), at)


def _rows(trip: Trip) -> Iterator[Row]:
    reference = percentile(trip.reference, 0.5)
    yield Row("end to end", "one publish, received", reference * 1000, "ms")
    answered = trip.answered[WARMING:]
    yield _row("caller has 202", answered, reference, {})
    for agent in samples.AGENTS:
        delays = [at - trip.called[number] for number, at in trip.received[agent].items() if number >= WARMING]
        if not delays:
            raise AssertionError(f"{agent} received nothing that bears a number")
        yield _row(agent, delays, reference, {"missing": len(answered) - len(delays)})


def _row(name: str, seconds: list[float], reference: float, more: dict[str, float]) -> Row:
    parts = {f"p{share * 100:g}_ms": percentile(seconds, share) * 1000 for share in (0.5, 0.95, 0.99)}
    last = parts["p99_ms"] / 1000
    return Row(
        "end to end",
        f"{name}, p50 (p95 {parts['p95_ms']:,.0f}, p99 {parts['p99_ms']:,.0f})",
        parts["p50_ms"],
        "ms",
        "one publish, received",
        parts["p50_ms"] / 1000 / reference,
        f"p99 ≤ {LIMIT_SECONDS:g} s",
        last <= LIMIT_SECONDS,
        {**parts, **more},
    )
