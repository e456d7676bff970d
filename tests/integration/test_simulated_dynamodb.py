"""The simulated DynamoDB agrees with moto's on whatever the ledger asks of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay import aws
from relay.event import Event
from relay.ledger import Ledger, Standing
from tests.integration.simulated_dynamodb import SimulatedDynamoDB

NOW = datetime(2026, 11, 20, 9, 15, 42, tzinfo=UTC)

events = st.builds(
    lambda number, kind, sequence, person: Event.model_construct(
        None,
        event_id=f"evt-{number}",
        type=kind,
        sequence=sequence,
        app_id="shop",
        customer_id=person,
        occurred_at=NOW,
        received_at=NOW,
    ),
    st.integers(1, 4),
    st.sampled_from(["login", "logout", "open", "push_token", "track"]),
    st.integers(1, 5),
    st.sampled_from(["ana", "bruno"]),
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["claim", "settle", "in_order", "moved_on", "receipts"]),
        events,
        st.integers(0, 200),
        st.sampled_from(["delivered", "retrying", "held", "parked", "skipped"]),
    ),
    max_size=12,
)


def _told(ledger: Ledger, done: list[Any]) -> list[Any]:
    """What a ledger says to these steps; what it claims it settles later."""
    said: list[Any] = []
    claims: dict[str, Any] = {}
    for step, event, seconds, state in done:
        match step:
            case "claim":
                claim = ledger.claim(event, NOW + timedelta(seconds=seconds))
                if claim.standing is Standing.OURS:
                    claims[event.event_id] = claim
                said.append(claim)
            case "settle" if event.event_id in claims:
                ledger.settle(event, claims[event.event_id], state, {"attempts": seconds, "reason": state})
            case "in_order":
                said.append(ledger.in_order(event))
            case "moved_on":
                said.append(ledger.moved_on(event))
            case "receipts":
                said.append(ledger.receipts("shop", event.event_id))
    return said


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(done=steps)
def test_both_say_the_same(table: str, done: list[Any]) -> None:
    client = aws.dynamodb()
    for row in client.scan(TableName=table)["Items"]:
        client.delete_item(TableName=table, Key={name: row[name] for name in ("event", "agent")})
    by_moto = _told(Ledger(table, "emarsys"), done)
    with pytest.MonkeyPatch.context() as patch:
        simulated = SimulatedDynamoDB()
        patch.setattr(aws, "dynamodb", lambda: simulated)
        assert _told(Ledger(table, "emarsys"), done) == by_moto
