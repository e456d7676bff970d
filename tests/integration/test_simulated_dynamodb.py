"""The DynamoDB of the property test answers the ledger as moto's does, whatever is asked of it."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.aws import clients
from relay.event.model import Device, Event, EventType
from relay.ledger.device_order import SequenceUpdate
from relay.ledger.ledger import Claim, Ledger, ReceiptUpdate
from tests.examples import examples
from tests.integration.simulated_dynamodb import SimulatedDynamoDB
from tests.integration.simulated_world import KEYS

NOW = datetime(2026, 11, 20, 9, 15, 42, tzinfo=UTC)
TYPES: list[EventType] = ["login", "logout", "open", "push_token"]
STATES = ["delivered", "retrying", "held", "parked", "skipped"]
_shops = count()

events = st.tuples(st.integers(0, 2), st.sampled_from(TYPES), st.integers(1, 3), st.sampled_from(["ana", "bruno"]))
calls = st.lists(
    st.tuples(
        st.sampled_from(["claim", "look", "settle", "note", "in_order", "in order together", "moved_on"]),
        events,
        st.sampled_from([0, 1, 59, 61]),
        st.sampled_from(STATES),
    ),
    min_size=5,
    max_size=20,
)


def _answers(parameters: list[Any], shop: str) -> list[Any]:
    """What a ledger answers to calls, one after the other, and what it keeps in the end."""
    now = NOW
    ledger = Ledger("receipts", "emarsys", keys=lambda _fresh: KEYS, now=lambda: NOW)
    answers: list[Any] = []
    for name, (number, event_type, sequence, customer), seconds, state in parameters:
        now += timedelta(seconds=seconds)
        event = Event.model_construct(
            type=event_type,
            app_id=shop,
            event_id=f"e{number}",
            occurred_at=NOW,
            received_at=NOW,
            sequence=sequence,
            customer_id=customer,
            device=Device(id="phone"),
        )
        match name:
            case "claim":
                # The same event twice, as a batch may hold it.
                claims = ledger.claim([event, event], now)
                answers += [claim._replace(by="") if isinstance(claim, Claim) else claim for claim in claims]
            case "look":
                seen = ledger.read_claims([event])
                answers += [claim._replace(by="") if isinstance(claim, Claim) else claim for claim in seen]
            case "settle":
                answers += ledger.settle(
                    [ReceiptUpdate(event, state, {"reason": name, "attempts": sequence, "done": 1})]
                )
            case "note":
                answers.append(ledger.settle_unclaimed([ReceiptUpdate(event, state, {"reason": name})]))
            case "in_order":
                answers += ledger.advance_sequences(_updates(ledger, [event]))
            case "in order together":
                other = event.model_copy(update={"device": Device(id="tablet"), "event_id": f"t{number}"})
                answers += ledger.advance_sequences(_updates(ledger, [event, other]))
            case "moved_on":
                answers.append(ledger.has_new_owner(event))
    kept = [ledger.receipts(shop, f"e{number}") for number in range(3)]
    # A claim has a name that no other has.
    receipts = [rows for events in kept for rows in events.values()]
    return [*answers, *({agent: {**row, "by": ""} for agent, row in rows.items()} for rows in receipts)]


def _updates(ledger: Ledger, events: list[Event]) -> list[SequenceUpdate]:
    seen = ledger.read_claims(events, devices=True)
    devices = [claim.device or {} for claim in seen if isinstance(claim, Claim)]
    return [SequenceUpdate(event, known) for event, known in zip(events, devices, strict=True)]


@pytest.mark.slow
@pytest.mark.hypothesis
def test_it_answers_as_moto_does(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of_moto = boto3.client("dynamodb")

    @settings(
        max_examples=examples(25),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(parameters=calls)
    def agree(parameters: list[Any]) -> None:
        shop, simulated = f"{table}-{next(_shops)}", SimulatedDynamoDB()
        monkeypatch.setattr(clients, "dynamodb", lambda: simulated)
        answered = _answers(parameters, shop)
        monkeypatch.setattr(clients, "dynamodb", lambda: of_moto)
        assert answered == _answers(parameters, shop)

    agree()
