"""The delivery runtime: what becomes of a record, with the agent, its queue and the clock as fakes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from relay.delivery import MARGIN_MILLISECONDS, Agent, Outcome, Runtime
from relay.environment import AgentEnvironment
from relay.errors import SettingsUnavailable, Skip, Unreachable
from relay.event import Event
from relay.http import Request, Response
from relay.queue import Queue, Record

NOW = datetime(2026, 11, 20, 9, 15, 42, tzinfo=UTC)
ENVIRONMENT = AgentEnvironment(
    settings_parameter="/session-relay/test/agents/example",
    queue_url="queue",
    dead_letter_queue_url="dead",
    retry_schedule=(5, 30, 120),
    retry_horizon=86400,
    hold=900,
    default_consent=True,
    allow_insecure=False,
)


class Settings(BaseModel):
    """The example agent's settings."""

    key: SecretStr = SecretStr("first")
    url: str = "https://agent.example.com/events"


@dataclass(frozen=True)
class FakeQueue(Queue):
    """Remembers what was asked of it."""

    url: str = "queue"
    dead_letter_url: str = "dead"
    postponed: dict[str, int] = field(default_factory=dict)
    parked: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def postpone(self, record: Record, seconds: int) -> None:
        self.postponed[record.message_id] = seconds

    def park(self, record: Record, notes: Mapping[str, str]) -> None:
        self.parked[record.message_id] = notes


@dataclass
class Time:
    """A Lambda context with this much time left."""

    left: int = 30_000

    def get_remaining_time_in_millis(self) -> int:
        return self.left


def _build(event: Event, settings: Settings) -> list[Request]:
    if event.customer_id is None:
        raise Skip("no customerId")
    if event.customer_id == "bug":
        raise KeyError("the customer's own data")
    headers = {"authorization": settings.key}
    return [Request(settings.url, event.event_id.encode(), headers) for _ in range(2 if event.name == "twice" else 1)]


def _record(message_id: str = "m1", group: str | None = None, receives: int = 1, **event: Any) -> Record:
    document = {
        "type": "login",
        "appId": "shop",
        "eventId": message_id,
        "occurredAt": NOW.isoformat(),
        "receivedAt": NOW.isoformat(),
        "sequence": 1,
        "customerId": "12345",
        **event,
    }
    return Record(message_id, f"receipt-{message_id}", json.dumps(document), receives, NOW, group)


@dataclass
class World:
    """A runtime whose agent gives these answers, event by event (its last one again and again)."""

    answers: dict[str, list[Response | Exception]] = field(default_factory=dict)
    queue: FakeQueue = field(default_factory=FakeQueue)
    sent: list[Request] = field(default_factory=list)
    loads: list[bool] = field(default_factory=list)
    settings: Callable[[bool], Settings] = lambda _fresh: Settings()
    max_age: timedelta | None = None
    now: datetime = NOW

    def deliver(self, *records: Record, context: Time | None = None) -> list[str]:
        agent = Agent("example", "advertising", Settings, _build, max_age=self.max_age)
        runtime = Runtime(
            agent,
            ENVIRONMENT,
            self.queue,
            self._load,
            send=self._send,
            now=lambda: self.now,
            draw=lambda _low, high: high,
        )
        kept = runtime.deliver(records, context or Time())
        self.outcomes = dict(runtime.outcomes)
        return kept

    def _load(self, fresh: bool) -> Settings:  # noqa: FBT001
        self.loads.append(fresh)
        return self.settings(fresh)

    def _send(self, request: Request) -> Response:
        self.sent.append(request)
        answers = self.answers.get(request.body.decode(), [Response(200)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def told(self) -> list[str]:
        return [request.body.decode() for request in self.sent]


def test_a_delivered_record_leaves_the_queue() -> None:
    world = World()
    assert world.deliver(_record()) == []
    assert world.told == ["m1"]
    assert world.outcomes == {("delivered", ""): 1}


def test_what_an_agent_has_no_use_for_is_skipped_with_the_reason() -> None:
    world = World()
    assert world.deliver(_record(customerId=None)) == []
    assert world.sent == []
    assert world.outcomes == {("skipped", "no customerId"): 1}


def test_a_denied_purpose_is_decided_when_sending() -> None:
    world = World()
    world.deliver(_record(consent={"advertising": False}))
    assert world.sent == []
    assert world.outcomes == {("skipped", "consent: advertising"): 1}


@pytest.mark.parametrize(("receives", "wait"), [(1, 5), (2, 30), (3, 120), (50, 120)])
def test_retries_by_our_own_clock(receives: int, wait: int) -> None:
    world = World({"m1": [Response(500)]})
    assert world.deliver(_record(receives=receives)) == ["m1"]
    assert world.queue.postponed == {"m1": wait}


def test_the_agents_own_wish_to_wait_wins_when_it_is_longer() -> None:
    world = World({"m1": [Response(429, headers={"retry-after": "600"})]})
    world.deliver(_record())
    assert world.queue.postponed == {"m1": 600}


def test_no_answer_is_retried() -> None:
    world = World({"m1": [Unreachable("ConnectTimeout")]})
    assert world.deliver(_record()) == ["m1"]
    assert world.outcomes == {("retrying", ""): 1}


def test_a_rejected_record_is_parked_with_the_reason_and_acknowledged() -> None:
    world = World({"m1": [Response(400)]})
    assert world.deliver(_record(receives=3)) == []
    assert world.queue.parked == {
        "m1": {"agent": "example", "reason": "HTTP 400", "attempts": "3", "firstSeen": NOW.isoformat()}
    }


def test_a_record_that_still_fails_after_the_horizon_is_parked() -> None:
    world = World({"m1": [Response(500)]}, now=NOW + timedelta(seconds=86401))
    assert world.deliver(_record()) == []
    assert world.queue.parked["m1"]["reason"] == "still failing after the horizon: HTTP 500"


def test_an_event_older_than_the_agent_accepts_expires_unsent() -> None:
    world = World(max_age=timedelta(hours=72), now=NOW + timedelta(hours=72, seconds=1))
    assert world.deliver(_record()) == []
    assert world.sent == []
    assert world.outcomes == {("expired", ""): 1}


def test_a_message_that_is_no_event_is_parked() -> None:
    world = World()
    assert world.deliver(Record("m1", "r", '{"type":"login"}', 1, NOW, None)) == []
    assert world.queue.parked["m1"]["reason"].startswith("unreadable: ")


def test_refused_credentials_are_fetched_afresh_and_tried_once_more() -> None:
    world = World(
        {"m1": [Response(401), Response(200)]},
        settings=lambda fresh: Settings(key=SecretStr("second" if fresh else "first")),
    )
    assert world.deliver(_record()) == []
    assert world.loads == [False, True]
    assert [request.headers["authorization"] for request in world.sent] == [SecretStr("first"), SecretStr("second")]


def test_credentials_that_stay_refused_hold_the_delivery() -> None:
    world = World({"m1": [Response(403)]})
    assert world.deliver(_record()) == ["m1"]
    assert len(world.sent) == 2
    assert world.queue.postponed == {"m1": 900}
    assert world.outcomes == {("held", ""): 1}


def test_settings_that_cannot_be_had_hold_the_delivery() -> None:
    def unavailable(_fresh: bool) -> Settings:  # noqa: FBT001
        raise SettingsUnavailable("the parameter does not exist")

    world = World(settings=unavailable)
    assert world.deliver(_record()) == ["m1"]
    assert world.queue.postponed == {"m1": 900}


def test_an_agents_url_is_https() -> None:
    world = World(settings=lambda _fresh: Settings(url="http://agent.example.com"))
    assert world.deliver(_record()) == ["m1"]
    assert world.sent == []
    assert world.outcomes == {("held", ""): 1}


def test_a_fault_of_ours_keeps_the_event_and_prints_nothing_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    assert world.deliver(_record(customerId="bug")) == ["m1"]
    assert world.queue.postponed == {"m1": 5}
    assert "the customer's own data" not in capsys.readouterr().out


def test_the_second_of_two_requests_waits_for_the_first() -> None:
    world = World({"m1": [Response(500)]})
    world.deliver(_record(name="twice"))
    assert world.told == ["m1"]


def test_only_the_failed_record_of_a_batch_stays() -> None:
    world = World({"m2": [Response(500)]})
    assert world.deliver(_record("m1"), _record("m2"), _record("m3")) == ["m2"]
    assert sorted(world.told) == ["m1", "m2", "m3"]


def test_a_devices_later_messages_wait_behind_the_one_that_failed() -> None:
    world = World({"a1": [Response(500)]})
    kept = world.deliver(_record("a1", "A"), _record("b1", "B"), _record("a2", "A"), _record("b2", "B"))
    assert kept == ["a1", "a2"]
    assert world.queue.postponed == {"a1": 5, "a2": 5}
    assert "a2" not in world.told
    assert [told for told in world.told if told.startswith("b")] == ["b1", "b2"]


def test_little_time_left_leaves_the_batch_untouched() -> None:
    world = World()
    assert world.deliver(_record("m1"), _record("m2"), context=Time(MARGIN_MILLISECONDS - 1)) == ["m1", "m2"]
    assert world.sent == []
    assert world.queue.postponed == {"m1": 0, "m2": 0}


def test_an_outcome_says_whether_it_is_parked() -> None:
    assert Outcome("parked").parked
    assert not Outcome("delivered").parked
