"""What an agent's answer means, and the table that holds where its contract says nothing else."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import NamedTuple

from relay.agent.http import Response


class VerdictKind(StrEnum):
    """What to do with a delivery after an answer."""

    DELIVERED = "delivered"
    UNCONFIRMED = "unconfirmed"
    RETRY = "retry"
    UNAUTHORIZED = "credentials"
    REJECTED = "rejected"


class Verdict(NamedTuple):
    """An answer's meaning; the reason holds statuses and codes, never personal data; `wait` is in seconds.

    `status` is the runtime's to fill in: the HTTP status of the answer, None where there was none.
    """

    kind: VerdictKind
    reason: str = ""
    wait: int | None = None
    status: int | None = None


def is_outage(verdict: Verdict) -> bool:
    """Whether an answer, or silence, says that the agent is down; being told to slow down is a healthy one's answer."""
    return verdict.kind is VerdictKind.RETRY and (verdict.status is None or verdict.status >= 500)  # noqa: PLR2004


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


def retry_after(response: Response) -> int | None:
    """Seconds to wait by the answer's Retry-After: seconds, or an HTTP date counted from the answer's own Date."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return int(value)
    try:
        until = parsedate_to_datetime(value)
        since = parsedate_to_datetime(response.headers.get("date", ""))
    except ValueError:
        return None
    return max(0, int((_aware(until) - _aware(since)).total_seconds()))


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
