"""Powertools' circuit breaker over the ledger's table; loaded once an agent has been ill, as loading takes 20 ms."""

from collections.abc import Callable
from functools import cache

from aws_lambda_powertools.utilities.circuit_breaker import (
    CircuitBreakerConfig,
    CircuitBreakerOpenError,
    CircuitState,
    CircuitTransition,
    circuit_breaker,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence

from relay.agent.verdict import Verdict, is_outage
from relay.aws import clients
from relay.aws.log import emit_metric, logger
from relay.errors import CircuitOpen

FAILURES_THAT_OPEN = 5
"""In a row, as one function instance sees them."""


def call(agent: str, table: str, seconds: int, exchange: Callable[[], Verdict]) -> Verdict:
    """Makes an exchange unless the agent's circuit is open, and counts what it shows of the agent's health.

    Raises:
        CircuitOpen: nothing was sent.
    """
    try:
        return _guarded(agent, table, seconds)(exchange)
    except _IllError as ill:
        return ill.verdict
    except CircuitBreakerOpenError:
        raise CircuitOpen(f"circuit open: {agent} does not answer") from None


class _IllError(Exception):
    """The agent's answer, or its silence, says that it is down."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(verdict.reason)


def _healthy(exchange: Callable[[], Verdict]) -> Verdict:
    verdict = exchange()
    if is_outage(verdict):
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
        boto3_client=clients.dynamodb(),
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
        emit_metric("CircuitOpen", agent=change.circuit_name)
