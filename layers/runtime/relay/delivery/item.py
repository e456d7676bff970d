"""A message on its way through the pipeline of a delivery."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from relay.agent.http import Request
from relay.delivery.app_settings import ScopedSettings
from relay.delivery.outcome import Outcome
from relay.delivery.plan import Plan
from relay.delivery.queue import Message
from relay.delivery.release import UNSENT
from relay.event.model import Event
from relay.ledger.device_order import OrderResult
from relay.ledger.ledger import Claim, ClaimStatus
from relay.ledger.states import DeliveryState

S = TypeVar("S", bound=BaseModel)


@dataclass(slots=True)
class Item(Generic[S]):
    """A message on its way through the pipeline; each stage fills in what it finds out.

    `plan` is set by prepare, `claim` by claim, `turn` by the order of its device, and `outcome` by the stage that
    decides it; `is_closed` once the outcome is written and reported. `needs_turn` is True if the event is not sent and
    may still have to release its device; `is_refreshed` if the plan is by settings that were read again after the agent
    refused the credentials.
    """

    message: Message
    started: float
    event: Event | None = None
    plan: Plan[S] | Outcome | None = None
    claim: Claim | None = None
    turn: OrderResult | None = None
    outcome: Outcome | None = None
    needs_turn: bool = False
    is_refreshed: bool = False
    is_closed: bool = False

    @property
    def requests(self) -> Sequence[Request]:
        """The requests of its plan; none where the plan is an outcome."""
        return self.plan.requests if isinstance(self.plan, Plan) else ()

    @property
    def previous(self) -> Outcome:
        """What is known of the delivery before this attempt."""
        claim = self.claim or Claim(ClaimStatus.ACQUIRED)
        known = Outcome(
            DeliveryState.PENDING, attempts=claim.attempts, done=claim.done, failing_since=claim.failing_since
        )
        return known._replace(withheld=self.plan.withheld, remarks=self.plan.remarks) if self.plan else known


def event_of(item: Item[S]) -> Event:
    """The event of a message that could be read."""
    if item.event is None:
        raise TypeError("the message holds no event")
    return item.event


def outcome_of(item: Item[S]) -> Outcome:
    """The outcome of a delivery that has one."""
    if item.outcome is None:
        raise TypeError("the delivery has no outcome yet")
    return item.outcome


def settings_of(item: Item[S]) -> ScopedSettings[S]:
    """The settings that a delivery's requests are sent by."""
    if not isinstance(item.plan, Plan):
        raise TypeError("only a delivery with requests is sent")
    return ScopedSettings(item.plan.settings, item.plan.scope)


def must_release(item: Item[S], ended: Outcome) -> bool:
    """Whether a delivery that ends so leaves its device to a person who is not on it."""
    return item.turn is not None and item.turn.must_release and ended.state in UNSENT
