"""The retry policy: what an agent's response makes of a delivery, and how long the delivery waits."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from relay.agent.verdict import Verdict, VerdictKind
from relay.delivery.outcome import Outcome
from relay.delivery.queue import Message
from relay.errors import CircuitOpen, OutOfTime
from relay.ledger.states import DeliveryState

MAX_WAIT = timedelta(days=9)
"""A delivery that waits for longer is parked with the reason, before SQS would move its message without one."""

MAX_RECEIVES = 980
"""SQS moves a message without a reason at its 1,000th receive; before that it is parked with one."""

MAX_PROBE_SECONDS, MAX_PROBE_SECONDS_ORDERED = 1800, 900
"""The longest between two looks at a delivery while the circuit is open. At an ordered agent a new logout waits for as
long behind the held message of its device."""

_PART_OF_OUTAGE = 5


class RetryPolicy(NamedTuple):
    """How long a delivery waits for its next attempt, and when it is parked; all times in seconds.

    `schedule` holds the longest wait before each attempt, `horizon` is how long a failing delivery is tried again,
    `hold_seconds` is the wait for credentials, `circuit_seconds` is how long an open circuit sends no probe, and
    `max_probe_seconds` the longest wait for one.
    """

    schedule: tuple[int, ...]
    horizon: int
    hold_seconds: int
    circuit_seconds: int
    max_probe_seconds: int
    now: Callable[[], datetime]
    jitter: Callable[[float, float], float]

    def decide(self, message: Message, response: Verdict | CircuitOpen | OutOfTime, previous: Outcome) -> Outcome:
        """The outcome of an agent's response, or of an attempt that was not made."""
        if isinstance(response, CircuitOpen):
            return self.hold_open(message, previous, response)
        if isinstance(response, OutOfTime):
            return previous._replace(state=DeliveryState.RETRYING, reason=str(response), wait=0)
        attempts = (previous.attempts or 0) + 1
        outcome = previous._replace(reason=response.reason, attempts=attempts, status=response.status)
        match response.kind:
            case VerdictKind.DELIVERED:
                return outcome._replace(state=DeliveryState.DELIVERED)
            case VerdictKind.UNCONFIRMED:
                return outcome._replace(state=DeliveryState.UNCONFIRMED, in_doubt=response.status is None)
            case VerdictKind.UNAUTHORIZED:
                # The wait for new credentials costs no attempt.
                free = outcome._replace(attempts=previous.attempts, refused=True)
                return self.hold(message, free, response.reason)
            case VerdictKind.REJECTED:
                return outcome._replace(state=DeliveryState.PARKED)
            case VerdictKind.RETRY:
                return self.retry(message, response, outcome)

    def hold(self, message: Message, previous: Outcome, reason: str, wait: int | None = None) -> Outcome:
        """A delivery that waits until an operator or the agent has fixed the cause; parked before SQS would move it."""
        if message.receives >= MAX_RECEIVES:
            reason = f"still held after {MAX_RECEIVES} looks: {reason}"
            return previous._replace(state=DeliveryState.PARKED, reason=reason)
        if self.now() - message.sent_at > MAX_WAIT:
            return previous._replace(state=DeliveryState.PARKED, reason=f"still held after nine days: {reason}")
        wait = self.hold_seconds if wait is None else wait
        return previous._replace(state=DeliveryState.HELD, reason=reason, wait=wait)

    def hold_open(self, message: Message, previous: Outcome, circuit_open: CircuitOpen) -> Outcome:
        """A delivery that waits for the agent: a fifth of the time that the agent has been down, within bounds."""
        shortest = 2 * self.circuit_seconds
        longest = max(shortest, min(circuit_open.down_for // _PART_OF_OUTAGE, self.max_probe_seconds))
        wait = math.ceil(self.jitter(longest - longest / _PART_OF_OUTAGE, longest))
        return self.hold(message, previous, str(circuit_open), wait)

    def retry(self, message: Message, verdict: Verdict, outcome: Outcome) -> Outcome:
        """A delivery that failed and is tried again; parked after the horizon.

        The horizon counts from the first of the failures in a row: a hold or a redrive starts it again.
        """
        now = int(self.now().timestamp())
        since = outcome.failing_since or now
        is_over = now - since > self.horizon or self.now() - message.sent_at > MAX_WAIT
        if is_over or message.receives >= MAX_RECEIVES:
            reason = f"still failing after the horizon: {verdict.reason}"
            return outcome._replace(state=DeliveryState.PARKED, reason=reason)
        wait = max(self.backoff(outcome.attempts or message.receives), verdict.wait or 0)
        return outcome._replace(state=DeliveryState.RETRYING, reason=verdict.reason, wait=wait, failing_since=since)

    def backoff(self, attempts: int) -> int:
        """Seconds until the next attempt: random between zero and the schedule's value, so that retries spread out."""
        longest = self.schedule[min(max(attempts, 1), len(self.schedule)) - 1]
        return max(1, math.ceil(self.jitter(0, longest)))
