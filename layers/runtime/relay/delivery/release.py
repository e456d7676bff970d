"""A release: an ordered agent links no person to a device whose newest event it cannot be sent as it is."""

from datetime import timedelta

from relay.agent.verdict import Verdict, VerdictKind
from relay.delivery.client import Result
from relay.delivery.outcome import MAX_REASON, Outcome
from relay.delivery.queue import Message
from relay.delivery.retry import MAX_RECEIVES, MAX_WAIT, RetryPolicy
from relay.errors import CircuitOpen, OutOfTime
from relay.ledger.states import DeliveryState

UNSENT = frozenset({DeliveryState.SKIPPED, DeliveryState.EXPIRED, DeliveryState.PARKED})
"""The states in which a delivery ends without the agent knowing who is on the device."""

RELEASED = "the device was released, nobody is on it"

_DONE = {VerdictKind.DELIVERED, VerdictKind.UNCONFIRMED}


def is_done(result: Result) -> bool:
    """Whether the agent has taken the requests."""
    return isinstance(result, Verdict) and result.kind in _DONE


def retry_rejected(result: Result) -> Result:
    """The result of requests that end another person's pushes: one that is refused for good is tried again."""
    if isinstance(result, Verdict) and result.kind is VerdictKind.REJECTED:
        return result._replace(kind=VerdictKind.RETRY)
    return result


def release_outcome(policy: RetryPolicy, message: Message, result: Result, ended: Outcome) -> Outcome:
    """The outcome of a delivery that ends unsent, after its release: it ends, or waits for the release to succeed.

    After nine days it is parked all the same, before SQS would move its message without a reason.
    """
    if is_done(result):
        return ended._replace(reason=_both(ended.reason, RELEASED), released=True)
    fault = result.reason if isinstance(result, Verdict) else str(result)
    failed = ended._replace(reason=_both(ended.reason, f"not released: {fault}"))
    if policy.now() - message.sent_at > MAX_WAIT or message.receives >= MAX_RECEIVES:
        return failed._replace(state=DeliveryState.PARKED)
    if isinstance(result, OutOfTime):
        return failed._replace(state=DeliveryState.RETRYING, wait=0)
    if isinstance(result, CircuitOpen):
        wait = policy.hold_open(message, failed, result).wait
        return failed._replace(state=DeliveryState.HELD, wait=wait)
    if result.kind is VerdictKind.UNAUTHORIZED:
        return failed._replace(state=DeliveryState.HELD, wait=policy.hold_seconds, refused=True)
    wait = max(policy.backoff(max(ended.attempts or 0, message.receives)), result.wait or 0)
    return failed._replace(state=DeliveryState.RETRYING, wait=min(wait, _LONGEST))


_LONGEST = int(timedelta(hours=12).total_seconds())


def _both(first: str, then: str) -> str:
    """Two reasons as one, as long as a receipt keeps it; the first is cut before the second."""
    return f"{first[: max(MAX_REASON - len(then) - 2, 0)]}; {then}"[:MAX_REASON]
