"""What the sandbox remembers of each request: the newest 50,000, numbered from 1."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, takewhile

from local.sandbox.exchange import KEPT, Json, Request


@dataclass
class Entry:
    """One request, its violations and what was answered; status None is a reset, or an answer still to come."""

    number: int
    agent: str
    received_at: str
    request: Request
    violations: Sequence[str] = ()
    status: int | None = None
    fault: dict[str, Json] | None = None

    def display(self) -> dict[str, Json]:
        """Give the entry as the control API shows it."""
        return {
            "number": self.number,
            "agent": self.agent,
            "receivedAt": self.received_at,
            "method": self.request.method,
            "path": self.request.path,
            "query": dict(self.request.query),
            "headers": dict(self.request.headers),
            "body": self.request.display(),
            "status": self.status,
            "violations": list(self.violations),
            "fault": self.fault,
        }


class Journal:
    """All requests to all agents, in the order of arrival."""

    def __init__(self, kept: int = KEPT) -> None:
        """Begin with no requests."""
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._last = 0

    def add(self, agent: str, request: Request, now: float) -> Entry:
        """Write down a request that came at `now` (Unix seconds)."""
        self._last += 1
        received_at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        entry = Entry(self._last, agent, received_at, request)
        self._entries.append(entry)
        return entry

    def display(
        self, agent: str | None = None, after: int = 0, limit: int | None = None, *, wrong: bool = False
    ) -> list[dict[str, Json]]:
        """Give the requests after a number: of one agent, with violations, and the last few, if so asked."""
        newest = takewhile(lambda one: one.number > after, reversed(self._entries))
        chosen = (one for one in newest if agent in (None, one.agent) and (one.violations or not wrong))
        return [one.display() for one in islice(chosen, limit)][::-1]

    def summary(self) -> dict[str, dict[str, int]]:
        """Count requests and those with violations by agent."""
        counts: dict[str, dict[str, int]] = {}
        for entry in self._entries:
            count = counts.setdefault(entry.agent, {"requests": 0, "withViolations": 0})
            count["requests"] += 1
            count["withViolations"] += bool(entry.violations)
        return counts

    def clear(self) -> None:
        """Forget the requests; the numbers run on."""
        self._entries.clear()
