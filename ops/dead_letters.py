"""Parked messages: what an operator may see of one, and what a redrive would do with it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from ops import agent_modules
from ops.layout import Row
from ops.ledger import keys
from ops.queues import received
from ops.stage import AgentStack, Stage
from relay.errors import InvalidEvent, LedgerUnavailable
from relay.event.model import Event
from relay.ledger import device_order
from relay.ledger.ledger import MAX_ORDERED_AGE, ClaimStatus, Ledger

MAX_MESSAGES = 1000
"""Messages that are read at most."""

AGAIN, SUPERSEDED, EXPIRED, SETTLED, UNREADABLE = (
    "sent again",
    "superseded",
    "expired",
    "already settled",
    "unreadable, parked again",
)


@dataclass(frozen=True)
class DeadLetter:
    """A message in an agent's dead-letter queue; its body, the event with the person's data, is never shown."""

    agent: AgentStack
    message: dict[str, Any]
    event: Event | None

    @classmethod
    def read(cls, agent: AgentStack, message: dict[str, Any]) -> Self:
        """Reads a message as SQS returns it."""
        try:
            return cls(agent, message, Event.load(message["Body"]))
        except InvalidEvent:
            return cls(agent, message, None)

    def note(self, name: str) -> str:
        """Returns an attribute that the agent wrote when it parked the message; "" if SQS itself moved it."""
        return str(self.message.get("MessageAttributes", {}).get(name, {}).get("StringValue", ""))

    @property
    def reason(self) -> str:
        """Why it was parked."""
        return self.note("reason") or "moved by SQS after too many receives"

    @property
    def first_seen(self) -> datetime:
        """When the event was accepted, or the message sent."""
        if self.event:
            return self.event.received_at
        return datetime.fromtimestamp(int(self.message["Attributes"]["SentTimestamp"]) / 1000, UTC)

    def matches(self, event: str | None, reason: str | None) -> bool:
        """Whether it is of this event and its reason contains this text; None matches all."""
        own = self.event.event_id if self.event else None
        return (event is None or own == event) and (reason is None or reason.lower() in self.reason.lower())

    def display(self) -> Row:
        """Returns what an operator may see of it: never the person's data."""
        event = self.event
        return {
            "agent": self.agent.name,
            "event": event.event_id if event else None,
            "type": event.type if event else None,
            "app": event.app_id if event else None,
            "reason": self.reason,
            "status": self.note("status") or None,
            "attempts": int(self.note("attempts") or 0),
            "firstSeen": self.first_seen,
            "bytes": len(self.message["Body"].encode()),
        }


def dead_letters(agent: AgentStack, most: int = MAX_MESSAGES) -> list[DeadLetter]:
    """Reads what is parked at an agent; SQS hides it for a minute, or until it is put back."""
    return [DeadLetter.read(agent, message) for message in received(agent.resource("DeadLetterQueue"), most)]


def forecasts(stage: Stage, chosen: Iterable[DeadLetter]) -> Counter[str]:
    """Counts what a redrive would do with these messages."""
    return Counter(forecast(stage, dead_letter) for dead_letter in chosen)


def forecast(stage: Stage, dead_letter: DeadLetter) -> str:
    """Says what a redrive would do with a message by what the ledger knows now; a later event may change it."""
    event, agent = dead_letter.event, agent_modules.deployed(stage, dead_letter.agent.name)
    if event is None:
        return UNREADABLE
    contacts = agent.contact is not None
    ledger = Ledger(stage.resources["Receipts"], agent.name, keeps_contacts=contacts, keys=lambda _: keys(stage))
    (seen,) = ledger.read_claims([event], devices=agent.ordered)
    if isinstance(seen, LedgerUnavailable):
        raise seen
    if seen.status is ClaimStatus.ALREADY_SETTLED:
        return SETTLED
    now = datetime.now(UTC)
    if agent.max_age and now - event.occurred_at > agent.max_age:
        return EXPIRED
    if not agent.ordered or event.type in device_order.UNORDERED:
        return AGAIN
    if now - event.received_at > MAX_ORDERED_AGE:
        return EXPIRED
    if device_order.is_superseded(event, seen.device or {}):
        parts = contacts and event.type == "logout" and ledger.has_new_owner(event)
        return AGAIN if parts else SUPERSEDED
    return AGAIN
