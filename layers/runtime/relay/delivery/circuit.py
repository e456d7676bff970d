"""An agent's circuit: an agent that is down gets no requests for a while; then one delivery probes it."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic, time
from typing import Any

from relay.agent.verdict import Verdict, is_outage
from relay.aws import clients
from relay.errors import CircuitOpen

SEEN_SECONDS = 5
"""How old this instance's knowledge of the shared state may be."""

_failing: set[str] = set()
_healthy_until: dict[str, float] = {}


class Circuit:
    """One circuit, shared by all instances of an agent's function through the ledger's table.

    `name` is the agent, or the agent and the app whose own settings failed: settings that fail never hold others. It
    stays open for `seconds`, then lets one delivery through; its success closes it. While neither this instance nor the
    table knows of a failure there is nothing to break, and the breaker itself is not even loaded.
    """

    def __init__(self, name: str, table: str, seconds: int) -> None:
        self.name, self.table, self.seconds = name, table, seconds

    def call(self, exchange: Callable[[], Verdict]) -> Verdict:
        """Makes an exchange unless the circuit is open.

        Raises:
            CircuitOpen: nothing was sent.
        """
        if self._known_closed():
            verdict = exchange()
            if not is_outage(verdict):
                return verdict
            _failing.add(self.name)
            self._count(verdict)
            return verdict
        return self._break(exchange)

    def _count(self, verdict: Verdict) -> None:
        """Counts a failure of a request that was sent; it stays sent where others have opened the circuit meanwhile."""
        with suppress(CircuitOpen):
            self._break(lambda: verdict)

    def check(self) -> None:
        """Asks whether a request would be sent now, without sending one.

        Raises:
            CircuitOpen: the circuit is open, and it is not yet time for a probe.
        """
        if self._known_closed():
            return
        row, now = self._read(self.name), time()
        state = _text(row, "state")
        is_open = state == "OPEN" and now < _number(row, "opened_at") + self.seconds
        is_probed = state == "HALF_OPEN" and now < _number(row, "probe_lease_expiry")
        if is_open or is_probed:
            raise self._open()

    def _break(self, exchange: Callable[[], Verdict]) -> Verdict:
        from relay.delivery import breaker  # noqa: PLC0415 - see its first line

        try:
            return breaker.call(self.name, self.table, self.seconds, exchange)
        except CircuitOpen:
            raise self._open() from None

    def _open(self) -> CircuitOpen:
        since = _number(self._read(down_key(self.name)), "since")
        return CircuitOpen("circuit open: the agent does not answer", down_for=int(time()) - since if since else 0)

    def _known_closed(self) -> bool:
        if self.name in _failing:
            return False
        if monotonic() - _healthy_until.get(self.name, -SEEN_SECONDS) < min(SEEN_SECONDS, self.seconds):
            return True
        if _text(self._read(self.name), "state") not in {"", "CLOSED"}:
            _failing.add(self.name)
            return False
        _healthy_until[self.name] = monotonic()
        return True

    def _read(self, name: str) -> Mapping[str, Any]:
        try:
            row: Mapping[str, Any] = clients.dynamodb().get_item(TableName=self.table, Key=key(name)).get("Item", {})
        except clients.AwsError:
            # An instance that cannot ask knows of no failure; the ledger will say that DynamoDB is silent.
            return {}
        return row


def key(name: str) -> dict[str, dict[str, str]]:
    """The key of a circuit's row."""
    return {"event": {"S": "circuit"}, "agent": {"S": name}}


def down_key(name: str) -> str:
    """The name of the row that keeps since when a circuit has been open; each probe replaces the circuit's own row.

    It holds two signs that no app's id holds: an app named `down` may have a circuit of its own.
    """
    return f"{name}##down"


def _text(row: Mapping[str, Any], name: str) -> str:
    return str(row.get(name, {}).get("S", ""))


def _number(row: Mapping[str, Any], name: str) -> int:
    return int(row.get(name, {}).get("N", 0))
