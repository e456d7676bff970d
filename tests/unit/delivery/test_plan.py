"""The plan: which events an agent is not sent, in which order that is decided, and each bound on both its sides."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relay.agent.definition import Agent
from relay.agent.http import Request
from relay.agent.settings import SettingsModel
from relay.delivery.app_settings import ScopedSettings
from relay.delivery.outcome import Outcome
from relay.delivery.plan import ORDER_UNKNOWN, Plan, make_plan
from relay.event.model import Event
from relay.ledger.states import DeliveryState

NOW = datetime(2026, 11, 20, 9, 15, 42, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Settings(SettingsModel):
    """An agent without settings."""


REQUEST = Request("https://agent.example.com", b"{}")


def _agent(**more: Any) -> Agent[Settings]:
    known: dict[str, Any] = {"name": "example", "purpose": "analytics", "settings": Settings}
    return Agent(**{**known, "build_requests": lambda _event, _settings: [REQUEST], **more})


def _ordered(**more: Any) -> Agent[Settings]:
    return _agent(ordered=True, build_release=lambda _event, _settings, _contacts: [], **more)


def _planned(
    agent: Agent[Settings], *, default_consent: bool = True, age: timedelta = timedelta(0), **event: Any
) -> Plan[Settings] | Outcome:
    at = (NOW - age).isoformat()
    known = {"type": "login", "appId": "shop", "eventId": "e1", "sequence": 1, "occurredAt": at, "receivedAt": at}
    loaded = ScopedSettings(Settings(), "example#shop")
    return make_plan(
        agent, Event.load(json.dumps({**known, **event})), lambda: loaded, NOW, default_consent=default_consent
    )


def test_a_plan_holds_the_settings_their_scope_and_the_requests_and_nothing_withheld() -> None:
    assert _planned(_agent()) == Plan(Settings(), [REQUEST], "example#shop", 0, ())
    counting = _agent(count_withheld=lambda _event, _settings: 3, remarks=lambda _event, _settings: ("cut",))
    assert _planned(counting) == Plan(Settings(), [REQUEST], "example#shop", 3, ("cut",))


@pytest.mark.parametrize("agent", [_agent(), _agent(purpose=None, purpose_of=lambda _settings: "analytics")])
@pytest.mark.parametrize(
    ("consent", "default_consent", "is_sent"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"analytics": True}, False, True),
        ({"analytics": False}, True, False),
        ({"advertising": False}, True, True),
    ],
)
def test_a_purpose_of_the_agent_or_of_its_settings_is_allowed_by_the_event_or_by_default(
    agent: Agent[Settings],
    consent: dict[str, bool],
    default_consent: bool,  # noqa: FBT001
    is_sent: bool,  # noqa: FBT001
) -> None:
    planned = _planned(agent, default_consent=default_consent, consent=consent)
    expected = Outcome(DeliveryState.SKIPPED, "consent: analytics")
    assert isinstance(planned, Plan) if is_sent else planned == expected


@pytest.mark.parametrize(
    ("event_type", "age", "is_sent"),
    [
        ("login", timedelta(days=24), True),
        ("login", timedelta(days=24) - SECOND, True),
        ("login", timedelta(days=24) + SECOND, False),
        ("track", timedelta(days=24) + SECOND, True),
    ],
)
def test_an_event_of_an_ordered_agent_expires_after_24_days_unless_it_has_no_order(
    event_type: str,
    age: timedelta,
    is_sent: bool,  # noqa: FBT001
) -> None:
    planned = _planned(_ordered(), age=age, type=event_type, name="x")
    assert isinstance(planned, Plan) if is_sent else planned == Outcome(DeliveryState.EXPIRED, ORDER_UNKNOWN)
    assert isinstance(_planned(_agent(), age=age, type=event_type, name="x"), Plan)


@pytest.mark.parametrize(("age", "is_sent"), [(-SECOND, True), (timedelta(0), True), (SECOND, False)])
def test_an_event_of_exactly_the_age_that_the_agent_accepts_is_sent(
    age: timedelta,
    is_sent: bool,  # noqa: FBT001
) -> None:
    planned = _planned(_agent(max_age=timedelta(hours=72)), age=timedelta(hours=72) + age)
    assert (
        isinstance(planned, Plan)
        if is_sent
        else planned == Outcome(DeliveryState.EXPIRED, "older than 3 days, 0:00:00")
    )


def test_the_age_that_an_agent_accepts_counts_from_when_an_event_happened() -> None:
    before = (NOW - timedelta(hours=73)).isoformat()
    assert isinstance(_planned(_agent(max_age=timedelta(hours=72)), occurredAt=before), Outcome)
    assert isinstance(_planned(_agent(max_age=timedelta(hours=72)), receivedAt=before), Plan)
