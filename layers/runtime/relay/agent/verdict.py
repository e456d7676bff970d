"""What an agent's answer means, and the table that holds where its contract says nothing else."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import NamedTuple

from relay.agent.http import Response, bounded


class VerdictKind(StrEnum):
    """What to do with a delivery after an answer."""

    DELIVERED = "delivered"
    UNCONFIRMED = "unconfirmed"
    RETRY = "retry"
    UNAUTHORIZED = "credentials"
    REJECTED = "rejected"


class Verdict(NamedTuple):
    """An answer's meaning; the reason holds statuses and codes, never personal data; `wait` is in seconds.

    `status` is the runtime's to fill in: the HTTP status of the answer, None where there was none. `suspects` are the
    positions of the events of a joined request that its rejection names; `reference` is the vendor's id of a request
    that was taken, by which its status can be asked later.
    """

    kind: VerdictKind
    reason: str = ""
    wait: int | None = None
    status: int | None = None
    suspects: tuple[int, ...] = ()
    reference: str = ""


def is_outage(verdict: Verdict) -> bool:
    """Whether a response, or silence, shows that the agent is down; a healthy agent may ask to slow down.

    Silence counts whatever becomes of the delivery: one that must not be sent twice is unconfirmed after it.
    """
    if verdict.status is None:
        return verdict.kind in {VerdictKind.RETRY, VerdictKind.UNCONFIRMED}
    return verdict.kind is VerdictKind.RETRY and verdict.status >= 500  # noqa: PLR2004


_TRANSIENT = {408, 425, 429}
_REFUSED = {401, 403}


def by_status(response: Response) -> Verdict:
    """The verdict of an answer whose HTTP status says it all (DESIGN: delivery rule 4)."""
    reason = f"HTTP {response.status}"
    if response.ok:
        return Verdict(VerdictKind.DELIVERED, reason)
    if response.status in _TRANSIENT or response.status >= 500:  # noqa: PLR2004
        return Verdict(VerdictKind.RETRY, reason, retry_after(response))
    if response.status in _REFUSED:
        return Verdict(VerdictKind.UNAUTHORIZED, reason)
    return Verdict(VerdictKind.REJECTED, reason)


MAX_WAIT_SECONDS = 43_200
"""Twelve hours: SQS hides a message no longer."""


def retry_after(response: Response) -> int | None:
    """Seconds to wait by Retry-After, 43,200 at most: digits, or an HTTP date, counted from the response's own Date."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return bounded(value, MAX_WAIT_SECONDS)
    try:
        until = parsedate_to_datetime(value)
        since = parsedate_to_datetime(response.headers.get("date", ""))
        return bounded((_aware(until) - _aware(since)).total_seconds(), MAX_WAIT_SECONDS)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
