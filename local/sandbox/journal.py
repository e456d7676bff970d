"""The journal of the sandbox: the newest 50,000 requests with their answers, numbered from 1."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, takewhile

from local.sandbox.exchange import KEPT, Json, Request, VendorResponse

PROBE = "x-session-relay-probe"
"""The header by which `relay agents check` marks a request that breaks a contract on purpose."""

ANSWER_CHARACTERS = 4_000


@dataclass
class Entry:
    """One request, its violations and its answer; status None is a reset, or an answer still to come."""

    number: int
    agent: str
    received_at: str
    request: Request
    subject: str = ""
    violations: Sequence[str] = ()
    status: int | None = None
    answer: str = ""
    fault: dict[str, Json] | None = None

    @property
    def is_probe(self) -> bool:
        """Whether the request is a probe, whose violations are intended."""
        return PROBE in self.request.headers

    @property
    def is_wrong(self) -> bool:
        """Whether the request breaks its contract, and is no probe."""
        return bool(self.violations) and not self.is_probe

    def respond(self, answer: VendorResponse) -> None:
        """Record the answer."""
        self.status, self.answer = answer.status, answer.body[:ANSWER_CHARACTERS]

    def display(self) -> dict[str, Json]:
        """Give the entry as the control API shows it."""
        return {
            "number": self.number,
            "agent": self.agent,
            "receivedAt": self.received_at,
            "subject": self.subject,
            "method": self.request.method,
            "path": self.request.path,
            "query": dict(self.request.query),
            "headers": dict(self.request.headers),
            "body": self.request.display(),
            "status": self.status,
            "answer": self.answer,
            "violations": list(self.violations),
            "probe": self.is_probe,
            "fault": self.fault,
        }


class Journal:
    """All requests to all agents, in the order of arrival."""

    def __init__(self, kept: int = KEPT) -> None:
        """Begin with no requests."""
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._last = 0

    def add(self, agent: str, request: Request, now: float) -> Entry:
        """Record a request that arrived at `now` (Unix seconds)."""
        self._last += 1
        received_at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        entry = Entry(self._last, agent, received_at, request)
        self._entries.append(entry)
        return entry

    def display(
        self, agent: str | None = None, after: int = 0, limit: int | None = None, *, wrong: bool = False
    ) -> list[dict[str, Json]]:
        """Give the requests after a number: of one agent, with violations, and the last few, if so requested."""
        newest = takewhile(lambda one: one.number > after, reversed(self._entries))
        chosen = (one for one in newest if agent in (None, one.agent) and (one.is_wrong or not wrong))
        return [one.display() for one in islice(chosen, limit)][::-1]

    def between(self, agent: str, since: str, until: str) -> Iterator[Entry]:
        """Yield an agent's requests from one time to another (RFC 3339, UTC, milliseconds), newest first."""
        newest = takewhile(lambda one: one.received_at >= since, reversed(self._entries))
        return (one for one in newest if one.agent == agent and one.received_at <= until)

    def summary(self) -> dict[str, dict[str, int]]:
        """Count requests and those with violations by agent; probes are requests without violations."""
        counts: dict[str, dict[str, int]] = {}
        for entry in self._entries:
            count = counts.setdefault(entry.agent, {"requests": 0, "withViolations": 0})
            count["requests"] += 1
            count["withViolations"] += entry.is_wrong
        return counts

    def clear(self) -> None:
        """Delete the requests; the numbers run on."""
        self._entries.clear()
