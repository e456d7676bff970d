"""The end of a delivery: what became of it is written, reported, and moved to the dead-letter queue if it is parked."""

from collections.abc import Callable, Sequence
from datetime import datetime
from time import perf_counter
from typing import Any, NamedTuple

from relay.agent.definition import Agent
from relay.delivery.item import Item, event_of, outcome_of
from relay.delivery.outcome import MAX_REASON, Outcome
from relay.delivery.queue import Message, Queue
from relay.delivery.report import Report
from relay.delivery.retry import RetryPolicy
from relay.errors import LedgerUnavailable, QueueUnavailable
from relay.event.model import Event
from relay.ledger.ledger import Claim, ClaimStatus, Ledger, ReceiptUpdate
from relay.ledger.states import DeliveryState

SETTLE_BACKOFF_SECONDS = (0.1, 0.2, 0.4, 0.8, *[1.6] * 6)
"""Waits between two attempts to write an outcome, while the function has time: no longer, as after a wait there must be
time for a call that hangs (6 s by two tries) and to hand on the claim."""


class Settler(NamedTuple):
    """Settles one agent's deliveries; `has_time` says whether the function may go on, `pause` waits so many seconds."""

    agent: Agent[Any]
    queue: Queue
    ledger: Ledger
    report: Report
    retry_policy: RetryPolicy
    now: Callable[[], datetime]
    jitter: Callable[[float, float], float]
    has_time: Callable[[], bool]
    pause: Callable[[float], None]

    def settle(self, items: Sequence[Item[Any]]) -> None:
        """Writes and reports the outcomes; a delivery whose outcome cannot be written is looked at again."""
        for item in items:
            if outcome_of(item).state is DeliveryState.PARKED:
                # First the message, then its receipt: the other way round, a crash between them would lose the message.
                item.outcome = self.dead_letter(item.message, outcome_of(item), event_of(item).received_at)
        unwritten, fault = self._write(items)
        for item in items:
            if item in unwritten:
                item.outcome = self._unsettled(item, fault)
            self.close(item)

    def _write(self, items: Sequence[Item[Any]]) -> tuple[Sequence[Item[Any]], str]:
        """The items whose outcomes the ledger did not take, however often it was asked, and why."""
        left, fault = list(items), "too many writes at once"
        for wait in SETTLE_BACKOFF_SECONDS:
            try:
                written = self.ledger.settle([self._update(event_of(item), outcome_of(item)) for item in left])
            except LedgerUnavailable as unavailable:
                written, fault = [False] * len(left), str(unavailable)
            left = [item for item, is_written in zip(left, written, strict=True) if not is_written]
            if not left or not self.has_time():
                break
            self.pause(self.jitter(wait / 2, wait))
        return left, fault

    def _unsettled(self, item: Item[Any], fault: str) -> Outcome:
        # Our claim must run out before any worker can look at such a delivery again.
        wait = self.ledger.lease + 1
        outcome = outcome_of(item)
        unsettled = outcome._replace(state=DeliveryState.UNSETTLED, reason=f"ledger: {fault}", wait=wait)
        claim = item.claim or Claim(ClaimStatus.ACQUIRED)
        is_unsent = outcome.state in {DeliveryState.RETRYING, DeliveryState.HELD, DeliveryState.PARKED}
        # The row does not say which of its requests were done just now: a copy would send them again.
        is_unsent = is_unsent and (outcome.done or 0) <= claim.done
        return self.hand_on(item, unsettled, claim.by if is_unsent else "")

    def hand_on(self, item: Item[Any], outcome: Outcome, claim: str) -> Outcome:
        """The outcome of a delivery whose claim sent nothing, and stands in the ledger all the same, or may do so."""
        if not claim or self.agent.repeatable:
            return outcome
        is_requeued = self.queue.requeue(item.message, outcome.wait or 0, claim)
        return outcome._replace(wait=None) if is_requeued else outcome

    def _update(self, event: Event, outcome: Outcome) -> ReceiptUpdate:
        return ReceiptUpdate(event, outcome.state, outcome.attributes(self.now()))

    def dead_letter(self, message: Message, outcome: Outcome, first_seen: datetime) -> Outcome:
        """The outcome, after the message was copied to the dead-letter queue; retried where SQS does not take it."""
        attributes = {
            "agent": self.agent.name,
            "reason": outcome.reason,
            "status": str(outcome.status or ""),
            "attempts": str(outcome.attempts or 0),
            "firstSeen": first_seen.isoformat(),
        }
        try:
            self.queue.dead_letter(message, attributes)
        except QueueUnavailable as fault:
            wait = self.retry_policy.backoff(message.receives)
            reason = f"cannot be parked ({fault}): {outcome.reason}"[:MAX_REASON]
            return outcome._replace(state=DeliveryState.RETRYING, reason=reason, wait=wait)
        return outcome

    def close(self, item: Item[Any]) -> None:
        """Reports a delivery, which the pipeline is then done with."""
        item.is_closed = True
        self.report.add(item.event, outcome_of(item), self.now(), (perf_counter() - item.started) * 1000)

    def settle_unattempted(self, items: Sequence[Item[Any]]) -> None:
        """Writes outcomes that need no attempt without a claim of each; a claimed or settled delivery stays open.

        A parked message moves before its receipt is written, so it is claimed like any other.
        """
        decided = [
            (item, item.plan)
            for item in items
            if isinstance(item.plan, Outcome) and item.plan.state is not DeliveryState.PARKED
        ]
        if not decided:
            return
        try:
            written = self.ledger.settle_unclaimed([self._update(event_of(item), outcome) for item, outcome in decided])
        except LedgerUnavailable as fault:
            for item, _ in decided:
                item.outcome = self.wait_for_ledger(item, fault)
                self.close(item)
            return
        for (item, outcome), is_written in zip(decided, written, strict=True):
            if is_written:
                item.outcome = outcome
                self.close(item)

    def wait_for_ledger(self, item: Item[Any], fault: LedgerUnavailable) -> Outcome:
        """The outcome of a delivery of which the ledger does not say where it stands."""
        wait = self.retry_policy.backoff(item.message.receives)
        return Outcome(DeliveryState.WAITING, f"ledger: {fault}", wait)
