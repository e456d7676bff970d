"""An agent's circuit: one that is down is left alone for a while; then one delivery asks whether it is back."""

from collections.abc import Callable
from time import monotonic

from relay.agent.verdict import Verdict, is_outage
from relay.aws import clients

SEEN_SECONDS = 5
"""How old this instance's knowledge of the shared state may be."""

_failing: set[str] = set()
_healthy_until: dict[str, float] = {}


class Circuit:
    """One agent's circuit, shared by all instances of its function through the ledger's table.

    It stays open for `seconds`, then lets one delivery through; its success closes it. While neither this instance nor
    the table knows of a failure there is nothing to break, and the breaker itself is not even loaded.
    """

    def __init__(self, agent: str, table: str, seconds: int) -> None:
        self.agent, self.table, self.seconds = agent, table, seconds

    def call(self, exchange: Callable[[], Verdict]) -> Verdict:
        """Makes an exchange unless the circuit is open.

        Raises:
            CircuitOpen: nothing was sent.
        """
        if self._known_closed():
            verdict = exchange()
            if not is_outage(verdict):
                return verdict
            _failing.add(self.agent)
            return self._break(lambda: verdict)
        return self._break(exchange)

    def _break(self, exchange: Callable[[], Verdict]) -> Verdict:
        from relay.delivery import breaker  # noqa: PLC0415 - see its first line

        return breaker.call(self.agent, self.table, self.seconds, exchange)

    def _known_closed(self) -> bool:
        if self.agent in _failing:
            return False
        if monotonic() - _healthy_until.get(self.agent, -SEEN_SECONDS) < min(SEEN_SECONDS, self.seconds):
            return True
        if self._shared_state() not in {"", "CLOSED"}:
            _failing.add(self.agent)
            return False
        _healthy_until[self.agent] = monotonic()
        return True

    def _shared_state(self) -> str:
        key = {"event": {"S": "circuit"}, "agent": {"S": self.agent}}
        try:
            row = clients.dynamodb().get_item(TableName=self.table, Key=key).get("Item", {})
        except clients.AwsError:
            # Whoever cannot ask does not know of a failure; the ledger will say that DynamoDB is silent.
            return ""
        return row.get("state", {}).get("S", "")
