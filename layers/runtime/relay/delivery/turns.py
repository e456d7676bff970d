"""Whose turn it is on a device: what an ordered agent is sent, and what a newer event has superseded."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from relay.agent.definition import Agent
from relay.delivery.item import Item, event_of
from relay.delivery.outcome import Outcome
from relay.delivery.plan import ORDER_UNKNOWN, Plan
from relay.delivery.retry import RetryPolicy
from relay.errors import LedgerUnavailable, SettingsUnavailable
from relay.event.model import Event
from relay.ledger.device_order import OrderResult, SequenceUpdate
from relay.ledger.ledger import Ledger
from relay.ledger.states import DeliveryState

SUPERSEDED = "superseded"
"""Why an event is skipped whose device has a newer one."""


class Turns(NamedTuple):
    """The order of one agent's devices, as the ledger has it."""

    agent: Agent[Any]
    ledger: Ledger
    retry_policy: RetryPolicy

    def apply(self, items: Sequence[Item[Any]]) -> None:
        """Moves the order of each device forward; sets the outcome of each delivery that a newer event supersedes.

        Where the ledger does not say which event is newer, the delivery is retried; without its keys it is held.
        """
        if not self.agent.ordered or not items:
            return
        try:
            turns = self.ledger.advance_sequences([self._sequence_update(item) for item in items])
            for item, turn in zip(items, turns, strict=True):
                self._apply(item, turn)
        except SettingsUnavailable as fault:
            for item in items:
                item.outcome = item.outcome or self.retry_policy.hold(item.message, item.previous, str(fault))

    def _sequence_update(self, item: Item[Any]) -> SequenceUpdate:
        event, contact = event_of(item), self.agent.contact
        known = item.claim.device if item.claim else None
        return SequenceUpdate(event, known or {}, isinstance(item.plan, Plan), contact(event) if contact else None)

    def _apply(self, item: Item[Any], turn: OrderResult | LedgerUnavailable) -> None:
        fault = turn if isinstance(turn, LedgerUnavailable) else None
        try:
            if isinstance(turn, OrderResult):
                item.turn = turn
                if turn.is_newest or self._is_pending_logout(event_of(item)):
                    return
        except LedgerUnavailable as unavailable:
            fault = unavailable
        if fault:
            wait = self.retry_policy.backoff(item.message.receives)
            item.outcome = item.previous._replace(state=DeliveryState.RETRYING, reason=f"ledger: {fault}", wait=wait)
        elif isinstance(turn, OrderResult):
            older = item.previous._replace(state=DeliveryState.SKIPPED, reason=SUPERSEDED, late_by=turn.late_by)
            unknown = item.previous._replace(state=DeliveryState.EXPIRED, reason=ORDER_UNKNOWN)
            ended = unknown if turn.is_unknown else older
            item.outcome = item.plan if isinstance(item.plan, Outcome) else ended

    def _is_pending_logout(self, event: Event) -> bool:
        """Whether an older event logs out a person who has not come back since: without it the pushes go on."""
        return self.agent.contact is not None and event.type == "logout" and self.ledger.has_new_owner(event)

    def keep_linked(self, item: Item[Any]) -> None:
        """Lets the device's next event release whom this one has not, before this one ends; else it waits."""
        event, contact = event_of(item), self.agent.contact
        try:
            self.ledger.keep_linked(event, contact(event) if contact else None)
        except (LedgerUnavailable, SettingsUnavailable) as fault:
            wait = self.retry_policy.backoff(item.message.receives)
            item.outcome = item.previous._replace(state=DeliveryState.RETRYING, reason=f"ledger: {fault}", wait=wait)
