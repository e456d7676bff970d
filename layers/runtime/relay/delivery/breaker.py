"""Powertools' circuit breaker over the ledger's table; loaded at the first failure of an agent, as that takes 20 ms."""

from collections.abc import Callable
from functools import cache, partial
from time import time

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
from relay.delivery.circuit import down_key, key
from relay.errors import CircuitOpen

FAILURES_THAT_OPEN = 5
"""In a row, as one function instance sees them."""

KEPT_SECONDS = 25 * 86_400
"""A circuit is open for no longer than a delivery can be held."""


def call(name: str, table: str, seconds: int, exchange: Callable[[], Verdict]) -> Verdict:
    """Makes an exchange unless the circuit is open, and counts what it shows of the agent's health.

    Raises:
        CircuitOpen: nothing was sent.
    """
    try:
        return _guarded(name, table, seconds)(exchange)
    except _OutageError as outage:
        return outage.verdict
    except CircuitBreakerOpenError:
        raise CircuitOpen("the circuit is open") from None
    except clients.AwsError as fault:
        # DynamoDB refused to say who probes: nothing was sent, and the next look asks again.
        raise CircuitOpen(f"circuit: {clients.error_code(fault)}") from None


class _OutageError(Exception):
    """The agent's response, or its silence, shows that it is down."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(verdict.reason)


def _healthy(exchange: Callable[[], Verdict]) -> Verdict:
    verdict = exchange()
    if is_outage(verdict):
        raise _OutageError(verdict)
    return verdict


@cache
def _guarded(name: str, table: str, seconds: int) -> Callable[[Callable[[], Verdict]], Verdict]:
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
        handled_exceptions=_OutageError,
        local_cache_max_age=min(5, seconds),
    )
    guarded: Callable[[Callable[[], Verdict]], Verdict] = circuit_breaker(
        name=name, persistence_store=store, config=config, on_transition=partial(_changed, table)
    )(_healthy)
    return guarded


def _changed(table: str, change: CircuitTransition) -> None:
    name = change.circuit_name
    logger().warning(
        "circuit",
        extra={"agent": name.partition("#")[0], "scope": name, "from": change.from_state, "to": change.to_state},
    )
    if change.to_state == CircuitState.OPEN:
        emit_metric("CircuitOpen", agent=name.partition("#")[0])
        emit_metric("Unanswered")
    try:
        _remember(table, name, change.to_state)
    except clients.AwsError as fault:
        logger().warning(
            "circuit not noted",
            extra={"agent": name.partition("#")[0], "scope": name, "kind": clients.error_code(fault)},
        )


def _remember(table: str, name: str, state: CircuitState) -> None:
    """Writes since when the agent is down: from its first failure on, however often a probe fails after it."""
    if state == CircuitState.HALF_OPEN:
        return
    now, is_open = int(time()), state == CircuitState.OPEN
    since = ", #since = if_not_exists(#since, :now)" if is_open else " REMOVE #since"
    clients.dynamodb().update_item(
        TableName=table,
        Key=key(down_key(name)),
        UpdateExpression=f"SET #expires = :expires{since}",
        ExpressionAttributeNames={"#since": "since", "#expires": "expires"},
        ExpressionAttributeValues={
            ":expires": {"N": str(now + KEPT_SECONDS)},
            **({":now": {"N": str(now)}} if is_open else {}),
        },
    )
