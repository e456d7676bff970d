"""Parked messages: what may be said of one, and what would become of it if it were redriven."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from ops import product
from ops.ledger import keys
from ops.queues import received
from ops.show import Row
from ops.stage import Parts, Stage
from relay.errors import InvalidEvent, LedgerUnavailable
from relay.event.model import Event
from relay.ledger import device_order
from relay.ledger.ledger import MAX_ORDERED_AGE, ClaimStatus, Ledger

MOST = 1000
"""Messages that are looked at."""

AGAIN, SUPERSEDED, EXPIRED, SETTLED, UNREADABLE = (
    "told again",
    "superseded",
    "expired",
    "settled already",
    "unreadable, parked again",
)


@dataclass(frozen=True)
class Letter:
    """A message in an agent's dead-letter queue; its body, the event with the person's data, is never shown."""

    agent: Parts
    message: dict[str, Any]
    event: Event | None

    @classmethod
    def read(cls, agent: Parts, message: dict[str, Any]) -> Self:
        """A message as SQS hands it over."""
        try:
            return cls(agent, message, Event.load(message["Body"]))
        except InvalidEvent:
            return cls(agent, message, None)

    def settle_unclaimed(self, name: str) -> str:
        """What was noted when it was parked: `reason`, `status`, `attempts`; "" where SQS itself moved it."""
        return str(self.message.get("MessageAttributes", {}).get(name, {}).get("StringValue", ""))

    @property
    def reason(self) -> str:
        """Why it was parked."""
        return self.settle_unclaimed("reason") or "moved by SQS after too many receives"

    @property
    def first_seen(self) -> datetime:
        """When the event was accepted, or the message sent."""
        if self.event:
            return self.event.received_at
        return datetime.fromtimestamp(int(self.message["Attributes"]["SentTimestamp"]) / 1000, UTC)

    def matches(self, event: str | None, reason: str | None) -> bool:
        """Whether it is of this event and its reason contains this text; None admits all."""
        own = self.event.event_id if self.event else None
        return (event is None or own == event) and (reason is None or reason.lower() in self.reason.lower())

    def shown(self) -> Row:
        """What an operator may see of it."""
        event = self.event
        return {
            "agent": self.agent.name,
            "event": event.event_id if event else None,
            "type": event.type if event else None,
            "app": event.app_id if event else None,
            "reason": self.reason,
            "status": self.settle_unclaimed("status") or None,
            "attempts": int(self.settle_unclaimed("attempts") or 0),
            "firstSeen": self.first_seen,
            "bytes": len(self.message["Body"].encode()),
        }


def letters(agent: Parts, most: int = MOST) -> list[Letter]:
    """What an agent has parked; hidden for a minute, or until put back."""
    return [Letter.read(agent, message) for message in received(agent.part("DeadLetterQueue"), most)]


def forecasts(stage: Stage, chosen: Iterable[Letter]) -> Counter[str]:
    """How many of these would be told again, and what would become of the others."""
    return Counter(forecast(stage, letter) for letter in chosen)


def forecast(stage: Stage, letter: Letter) -> str:
    """What would become of a message by what is known now; a later event may change it."""
    event, agent = letter.event, product.agent(letter.agent.name)
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
