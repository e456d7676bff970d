"""The circuit breaker: an agent that is down is left alone for a while; then one delivery asks whether it is back."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from aws_lambda_powertools.utilities.circuit_breaker import (
    CircuitBreakerConfig,
    CircuitBreakerOpenError,
    CircuitState,
    CircuitTransition,
    circuit_breaker,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence

from relay import aws
from relay.errors import CircuitOpen
from relay.log import count, logger
from relay.verdict import Meaning, Verdict

FAILURES_THAT_OPEN = 5
"""In a row, as one function instance sees them."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """One agent's circuit, shared by all instances of its function through the ledger's table.

    It stays open for `seconds`, then lets one delivery through; its success closes it.
    """

    agent: str
    table: str
    seconds: int

    def guard(self, exchange: Callable[[], Verdict]) -> Verdict:
        """Makes an exchange unless the circuit is open.

        Raises:
            CircuitOpen: nothing was sent.
        """
        try:
            return _guarded(self.agent, self.table, self.seconds)(exchange)
        except _IllError as ill:
            return ill.verdict
        except CircuitBreakerOpenError:
            raise CircuitOpen(f"circuit open: {self.agent} does not answer") from None


class _IllError(Exception):
    """The agent's answer, or its silence, says that it is down."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(verdict.reason)


def _healthy(exchange: Callable[[], Verdict]) -> Verdict:
    verdict = exchange()
    # Being told to slow down is an answer of a healthy agent.
    if verdict.meaning is Meaning.RETRY and (verdict.status is None or verdict.status >= 500):  # noqa: PLR2004
        raise _IllError(verdict)
    return verdict


@cache
def _guarded(agent: str, table: str, seconds: int) -> Callable[[Callable[[], Verdict]], Verdict]:
    store = CircuitBreakerDynamoDBPersistence(
        table_name=table,
        key_attr="event",
        sort_key_attr="agent",
        static_pk_value="circuit",
        expiry_attr="expires",
        boto3_client=aws.dynamodb(),
    )
    config = CircuitBreakerConfig(
        failure_threshold=FAILURES_THAT_OPEN,
        recovery_timeout=seconds,
        # A probe belongs to one thread, and ours end with their batch: one success must do.
        success_threshold=1,
        handled_exceptions=_IllError,
        local_cache_max_age=min(5, seconds),
    )
    guarded: Callable[[Callable[[], Verdict]], Verdict] = circuit_breaker(
        name=agent, persistence_store=store, config=config, on_transition=_noted
    )(_healthy)
    return guarded


def _noted(change: CircuitTransition) -> None:
    logger().warning("circuit", extra={"agent": change.circuit_name, "from": change.from_state, "to": change.to_state})
    if change.to_state == CircuitState.OPEN:
        count("CircuitOpen", agent=change.circuit_name)
