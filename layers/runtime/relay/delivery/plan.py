"""The plan of a delivery: the requests that an event makes of an agent, or why it makes none."""

from collections.abc import Callable
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from relay.agent.definition import Agent
from relay.agent.filters import filter_reason
from relay.agent.http import Request
from relay.delivery.app_settings import ScopedSettings
from relay.delivery.outcome import Outcome
from relay.errors import Skip
from relay.event.model import Event
from relay.ledger.states import DeliveryState

S = TypeVar("S", bound=BaseModel)

DENIED = "consent: "
"""The beginning of the reason of an event whose person denied the agent's purpose."""


class Plan(NamedTuple, Generic[S]):
    """The requests by these settings; `withheld` properties of the event are personal data and are not among them.

    `scope` names the settings: what fails with them (a circuit, refused credentials) never holds what others serve.
    """

    settings: S
    requests: list[Request]
    scope: str
    withheld: int = 0


def make_plan(
    agent: Agent[S], event: Event, load: Callable[[], ScopedSettings[S]], now: datetime, *, default_consent: bool
) -> Plan[S] | Outcome:
    """The plan of an event at an agent, or the outcome skipped or expired.

    Raises:
        SettingsUnavailable: the agent's settings cannot be read or do not validate.
    """
    # The usual purpose is known without the settings: what it denies is not held for their sake.
    if agent.purpose and not event.allows(agent.purpose, default=default_consent):
        return Outcome(DeliveryState.SKIPPED, f"{DENIED}{agent.purpose}")
    if agent.ordered and event.device_unusable and not event.protects:
        return Outcome(DeliveryState.SKIPPED, "unusable device id")
    if agent.max_age and now - event.occurred_at > agent.max_age:
        return Outcome(DeliveryState.EXPIRED, f"older than {agent.max_age}")
    try:
        settings, scope = load()
        if agent.purpose_of and not event.allows(purpose := agent.purpose_of(settings), default=default_consent):
            return Outcome(DeliveryState.SKIPPED, f"{DENIED}{purpose}")
        if reason := filter_reason(event, settings):
            return Outcome(DeliveryState.SKIPPED, reason)
        requests = agent.build_requests(event, settings)
    except Skip as skip:
        return Outcome(DeliveryState.SKIPPED, skip.reason)
    withheld = agent.count_withheld(event, settings) if agent.count_withheld else 0
    return Plan(settings, requests, scope, withheld)
