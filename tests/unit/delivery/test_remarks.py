"""Remarks: what an agent's requests fill in, cut or leave out stands in the dry run, the outcome and the receipt."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.receipts.app import _receipt
from relay.agent.definition import Agent
from relay.agent.http import Request
from relay.agent.settings import SettingsModel
from relay.delivery.app_settings import ScopedSettings
from relay.delivery.dry_run import dry_run
from relay.delivery.outcome import Outcome
from relay.delivery.plan import Plan, make_plan
from relay.errors import Skip
from relay.event.model import Event
from relay.ledger.states import DeliveryState

NOW = datetime(2026, 11, 20, 9, 15, 42, tzinfo=UTC)
SAID = ("the title was cut", "the time zone was filled in")


class Settings(SettingsModel):
    """An agent without settings."""


def _load() -> ScopedSettings[Settings]:
    return ScopedSettings(Settings(), "example")


def _requests(event: Event, _settings: Settings) -> list[Request]:
    if event.type == "logout":
        raise Skip("no use for logout")
    return [Request("https://agent.example.com", b"{}")]


def _agent(remarks: Any) -> Agent[Settings]:
    return Agent("example", "analytics", Settings, _requests, remarks=remarks)


def _event(event_type: str = "open") -> Event:
    said = {"type": event_type, "appId": "shop", "eventId": "e1", "sequence": 1}
    return Event.load(json.dumps({**said, "occurredAt": NOW.isoformat(), "receivedAt": NOW.isoformat()}))


def test_a_plan_and_the_dry_run_hold_the_agents_remarks() -> None:
    agent = _agent(lambda _event, _settings: SAID)
    plan = make_plan(agent, _event(), _load, NOW, default_consent=True)
    assert isinstance(plan, Plan)
    assert plan.remarks == SAID
    assert dry_run(agent, _event(), _load, default_consent=True)["remarks"] == list(SAID)


def test_a_dry_run_without_remarks_has_no_such_member() -> None:
    for agent in (_agent(None), _agent(lambda _event, _settings: ())):
        assert dry_run(agent, _event(), _load, default_consent=True).keys() == {"requests"}


def test_an_event_that_is_skipped_is_not_remarked_on() -> None:
    def refuse(_event: Event, _settings: Settings) -> tuple[str, ...]:
        raise AssertionError

    plan = make_plan(_agent(refuse), _event("logout"), _load, NOW, default_consent=True)
    assert plan == Outcome(DeliveryState.SKIPPED, "no use for logout")


@pytest.mark.parametrize("remarks", [SAID, SAID[:1]])
def test_a_receipt_lists_the_remarks_that_the_outcome_wrote(remarks: tuple[str, ...]) -> None:
    row = Outcome(DeliveryState.DELIVERED, remarks=remarks).attributes(NOW)
    assert _receipt({"state": "delivered", **row})["remarks"] == list(remarks)
    assert "remarks" not in _receipt({"state": "delivered", **Outcome(DeliveryState.DELIVERED).attributes(NOW)})
