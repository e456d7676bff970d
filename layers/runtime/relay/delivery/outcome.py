"""What becomes of a delivery, and for how long it is worth waiting."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from relay.agent.verdict import Verdict, VerdictKind
from relay.aws.environment import AgentEnvironment
from relay.delivery.queue import Record
from relay.errors import CircuitOpen

MAX_HOLD = timedelta(days=9)
"""A delivery that is still held then is parked with the reason, before SQS would move its message without one."""

MAX_REASON = 250
"""Characters of a reason that are kept."""

TOLD = frozenset({"delivered", "unconfirmed"})
"""States in which the agent has what it was sent, as far as anybody can know."""

SETTLED = TOLD | {"skipped", "expired", "parked"}
"""States in which a delivery has ended."""


class Outcome(NamedTuple):
    """What has become of a delivery: settled, or to be looked at again in `wait` seconds.

    `attempts` were made so far and `done` of its requests are behind us, None where the ledger was not asked; `tried`
    if an attempt was made just now, and `refused` if its credentials were; `status` is the last HTTP status; `withheld`
    properties were personal data.
    """

    state: str
    reason: str = ""
    wait: int | None = None
    attempts: int | None = None
    done: int | None = None
    status: int | None = None
    withheld: int = 0
    tried: bool = False
    refused: bool = False

    def notes(self, now: datetime) -> dict[str, str | int]:
        """What the ledger keeps of it."""
        known = {
            "reason": self.reason[:MAX_REASON],
            "attempts": self.attempts,
            "done": self.done,
            "at": int(now.timestamp() * 1000),
            "status": self.status,
            "wait": self.wait,
            "withheld": self.withheld or None,
        }
        return {name: value for name, value in known.items() if value is not None}


class RetryPolicy(NamedTuple):
    """How long a delivery waits for its next attempt, and when it has waited long enough."""

    environment: AgentEnvironment
    now: Callable[[], datetime]
    draw: Callable[[float, float], float]

    def read(self, record: Record, answer: Verdict | CircuitOpen, before: Outcome) -> Outcome:
        """What an agent's answer makes of a delivery."""
        if isinstance(answer, CircuitOpen):
            return self.held(record, before, str(answer), self._spread(self.environment.circuit))
        attempts = (before.attempts or 0) + 1
        made = before._replace(reason=answer.reason, attempts=attempts, status=answer.status, tried=True)
        match answer.kind:
            case VerdictKind.DELIVERED | VerdictKind.UNCONFIRMED:
                return made._replace(state=str(answer.kind))
            case VerdictKind.UNAUTHORIZED:
                # Waiting for a credential to be mended costs no attempt.
                free = made._replace(attempts=before.attempts, refused=True)
                return self.held(record, free, answer.reason, self.environment.hold)
            case VerdictKind.REJECTED:
                return made._replace(state="parked")
            case VerdictKind.RETRY:
                return self.later(record, answer, made)

    def held(self, record: Record, before: Outcome, reason: str, wait: int) -> Outcome:
        """A delivery that waits for something to be mended; parked when it has waited for too long."""
        if self.now() - record.sent_at > MAX_HOLD:
            return before._replace(state="parked", reason=f"still held after nine days: {reason}")
        return before._replace(state="held", reason=reason, wait=wait)

    def later(self, record: Record, answer: Verdict, made: Outcome) -> Outcome:
        """A delivery that failed and is tried again; parked when it has been tried for too long."""
        # Counted from when this message was sent: a redriven one is a new one, and has its time before it.
        if self.now() - record.sent_at > timedelta(seconds=self.environment.retry_horizon):
            return made._replace(state="parked", reason=f"still failing after the horizon: {answer.reason}")
        wait = max(self.wait(made.attempts or record.receives), answer.wait or 0)
        return made._replace(state="retrying", reason=answer.reason, wait=wait)

    def wait(self, attempts: int) -> int:
        """Seconds until the next attempt: somewhere between zero and the schedule's word, so that herds disperse."""
        schedule = self.environment.retry_schedule
        return max(1, math.ceil(self.draw(0, schedule[min(max(attempts, 1), len(schedule)) - 1])))

    def _spread(self, seconds: int) -> int:
        """A wait of at least this long and at most twice as long."""
        return math.ceil(seconds + self.draw(0, seconds))
