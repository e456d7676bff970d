"""The retry policy: what an agent's response makes of a delivery, and how long the delivery waits."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from relay.agent.verdict import Verdict, VerdictKind
from relay.delivery.outcome import Outcome
from relay.delivery.queue import Message
from relay.errors import CircuitOpen
from relay.ledger.states import DeliveryState

MAX_HOLD = timedelta(days=9)
"""A delivery that is still held then is parked with the reason, before SQS would move its message without one."""


class RetryPolicy(NamedTuple):
    """How long a delivery waits for its next attempt, and when it is parked; all times in seconds.

    `schedule` holds the longest wait before each attempt, `horizon` is how long a failing delivery is tried again,
    `hold_seconds` is the wait for credentials, and `circuit_seconds` is how long an open circuit stays open.
    """

    schedule: tuple[int, ...]
    horizon: int
    hold_seconds: int
    circuit_seconds: int
    now: Callable[[], datetime]
    jitter: Callable[[float, float], float]

    def decide(self, message: Message, response: Verdict | CircuitOpen, previous: Outcome) -> Outcome:
        """The outcome of an agent's response, or of an open circuit."""
        if isinstance(response, CircuitOpen):
            return self.hold(message, previous, str(response), self._jittered(self.circuit_seconds))
        attempts = (previous.attempts or 0) + 1
        outcome = previous._replace(reason=response.reason, attempts=attempts, status=response.status, tried=True)
        match response.kind:
            case VerdictKind.DELIVERED | VerdictKind.UNCONFIRMED:
                return outcome._replace(state=DeliveryState(response.kind))
            case VerdictKind.UNAUTHORIZED:
                # The wait for new credentials costs no attempt.
                free = outcome._replace(attempts=previous.attempts, refused=True)
                return self.hold(message, free, response.reason, self.hold_seconds)
            case VerdictKind.REJECTED:
                return outcome._replace(state=DeliveryState.PARKED)
            case VerdictKind.RETRY:
                return self.retry(message, response, outcome)

    def hold(self, message: Message, previous: Outcome, reason: str, wait: int) -> Outcome:
        """A delivery that waits until an operator or the agent has fixed the cause; parked after nine days."""
        if self.now() - message.sent_at > MAX_HOLD:
            return previous._replace(state=DeliveryState.PARKED, reason=f"still held after nine days: {reason}")
        return previous._replace(state=DeliveryState.HELD, reason=reason, wait=wait)

    def retry(self, message: Message, verdict: Verdict, outcome: Outcome) -> Outcome:
        """A delivery that failed and is tried again; parked after the horizon."""
        # The time counts from when this message was sent: a redriven message is a new one, and starts again.
        if self.now() - message.sent_at > timedelta(seconds=self.horizon):
            reason = f"still failing after the horizon: {verdict.reason}"
            return outcome._replace(state=DeliveryState.PARKED, reason=reason)
        wait = max(self.backoff(outcome.attempts or message.receives), verdict.wait or 0)
        return outcome._replace(state=DeliveryState.RETRYING, reason=verdict.reason, wait=wait)

    def backoff(self, attempts: int) -> int:
        """Seconds until the next attempt: random between zero and the schedule's value, so that retries spread out."""
        longest = self.schedule[min(max(attempts, 1), len(self.schedule)) - 1]
        return max(1, math.ceil(self.jitter(0, longest)))

    def _jittered(self, seconds: int) -> int:
        """A wait of at least this long and at most twice as long."""
        return math.ceil(seconds + self.jitter(0, seconds))
