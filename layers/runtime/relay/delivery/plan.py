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
from relay.ledger.device_order import UNORDERED
from relay.ledger.ledger import MAX_ORDERED_AGE
from relay.ledger.states import DeliveryState

S = TypeVar("S", bound=BaseModel)

ORDER_UNKNOWN = f"older than {MAX_ORDERED_AGE.days} days, so that its order is not known"
"""Why an event of an ordered agent expires: the row that would supersede it may have ended."""


class Plan(NamedTuple, Generic[S]):
    """The requests by these settings; `withheld` properties of the event are personal data and are not among them.

    `scope` names the settings: what fails with them (a circuit, refused credentials) never holds what others serve.
    `remarks` name what the requests fill in, cut or leave out.
    """

    settings: S
    requests: list[Request]
    scope: str
    withheld: int
    remarks: tuple[str, ...]


def make_plan(
    agent: Agent[S], event: Event, load: Callable[[], ScopedSettings[S]], now: datetime, *, default_consent: bool
) -> Plan[S] | Outcome:
    """The plan of an event at an agent, or the outcome skipped or expired.

    Raises:
        SettingsUnavailable: the agent's settings cannot be read or do not validate.
    """
    # The usual purpose is known without the settings: what it denies is not held for their sake.
    if agent.purpose and not event.allows(agent.purpose, default=default_consent):
        return Outcome(DeliveryState.SKIPPED, f"consent: {agent.purpose}")
    if agent.ordered and event.device_unusable and not event.protects:
        return Outcome(DeliveryState.SKIPPED, "unusable device id")
    if agent.ordered and event.type not in UNORDERED and now - event.received_at > MAX_ORDERED_AGE:
        return Outcome(DeliveryState.EXPIRED, ORDER_UNKNOWN)
    if agent.max_age and now - event.occurred_at > agent.max_age:
        return Outcome(DeliveryState.EXPIRED, f"older than {agent.max_age}")
    try:
        settings, scope = load()
        if agent.purpose_of and not event.allows(purpose := agent.purpose_of(settings), default=default_consent):
            return Outcome(DeliveryState.SKIPPED, f"consent: {purpose}")
        if reason := filter_reason(event, settings):
            return Outcome(DeliveryState.SKIPPED, reason)
        requests = agent.build_requests(event, settings)
    except Skip as skip:
        return Outcome(DeliveryState.SKIPPED, skip.reason)
    withheld = agent.count_withheld(event, settings) if agent.count_withheld else 0
    remarks = agent.remarks(event, settings) if agent.remarks else ()
    return Plan(settings, requests, scope, withheld, remarks)
