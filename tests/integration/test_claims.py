"""Claims against DynamoDB: lost answers, names of claims, clocks that differ, and what a row says to each reader."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from relay.aws import clients
from relay.errors import LedgerUnavailable, Warned
from relay.ledger.ledger import Claim, ClaimStatus, Ledger
from tests.integration.test_ledger import NOW, _claimed, _event, _settle

SECOND = timedelta(seconds=1)
LOST = ConnectTimeoutError(endpoint_url="https://dynamodb.us-east-1.amazonaws.com")
THROTTLED = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "UpdateItem")


@pytest.fixture
def ledger(table: str) -> Ledger:
    """The ledger of an agent."""
    return Ledger(table, "emarsys", now=lambda: NOW)


def _row() -> dict[str, Any]:
    (row,) = boto3.client("dynamodb").scan(TableName="receipts")["Items"]
    return row


def _counted(monkeypatch: pytest.MonkeyPatch, *names: str) -> list[str]:
    client, made = clients.dynamodb(), list[str]()

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        return lambda **named: made.append(name) or call(**named)  # type: ignore[func-returns-value]

    for name in names:
        monkeypatch.setattr(client, name, counted(name, getattr(client, name)))
    return made


def _loses_the_answer(monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    """Lets DynamoDB write so many rows of a call, whose answer then does not come."""
    client = clients.dynamodb()
    insert = client.batch_execute_statement

    def lost(Statements: list[Any]) -> Any:  # noqa: N803 - botocore's own name
        if Statements[:written]:
            insert(Statements=Statements[:written])
        raise LOST

    monkeypatch.setattr(client, "batch_execute_statement", lost)


def test_a_claim_says_nothing_that_the_row_does_not_say() -> None:
    assert Claim(ClaimStatus.ACQUIRED) == ("acquired", 0, 0, False, 0, None, 0, "", "")
    assert [status.value for status in ClaimStatus] == ["acquired", "already_settled", "in_progress"]


def test_a_claimed_row_names_the_claim_its_end_and_the_events_type(ledger: Ledger) -> None:
    claim = _claimed(ledger, _event())
    row = _row()
    assert UUID(claim.by).version == 7
    assert {name: row[name] for name in ("state", "by", "lease", "type")} == {
        "state": {"S": "sending"},
        "by": {"S": claim.by},
        "lease": {"N": str(int(NOW.timestamp()) + 60)},
        "type": {"S": "login"},
    }


def test_a_claim_of_a_known_row_is_named_and_ends_as_that_of_a_new_one(ledger: Ledger) -> None:
    _settle(ledger, _event(), "retrying", failing=7, attempts=2)
    claim = _claimed(ledger, _event(), NOW + SECOND)
    row = _row()
    assert (claim.attempts, claim.failing_since, claim.by) == (2, 7, row["by"]["S"])
    assert (row["state"]["S"], row["lease"]["N"]) == ("sending", str(int(NOW.timestamp()) + 61))


def test_a_lost_answer_takes_nothing_that_another_worker_has(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    other = _claimed(ledger, _event("evt_1"))
    _loses_the_answer(monkeypatch, written=2)
    claims = ledger.claim([_event("evt_1"), _event("evt_2")], NOW + SECOND)
    assert [claim.status for claim in claims if isinstance(claim, Claim)] == ["in_progress", "acquired"]
    assert [claim.by for claim in claims if isinstance(claim, Claim)] != [other.by, other.by]


def test_of_a_call_that_was_half_written_the_rest_is_claimed_one_by_one(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    _loses_the_answer(monkeypatch, written=1)
    updates = _counted(monkeypatch, "update_item")
    claims = ledger.claim([_event("evt_1"), _event("evt_2")], NOW)
    assert [(claim.status, claim.in_doubt) for claim in claims if isinstance(claim, Claim)] == [("acquired", False)] * 2
    assert updates == ["update_item"]


def test_a_call_of_which_nothing_was_written_is_no_claim_and_names_what_it_would_have_been(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    _loses_the_answer(monkeypatch, written=0)
    (fault,) = ledger.claim([_event()], NOW)
    assert isinstance(fault, LedgerUnavailable)
    assert UUID(fault.claim).version == 7


def test_a_lost_answer_to_rows_that_others_have_written_is_no_fault(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    _claimed(ledger, _event())
    _loses_the_answer(monkeypatch, written=1)
    assert _claimed(ledger, _event(), NOW + SECOND).status is ClaimStatus.IN_PROGRESS


def test_a_known_row_that_cannot_be_claimed_names_the_claim_that_may_stand(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    _settle(ledger, _event(), "held")

    def throttled(**_named: Any) -> Any:
        raise THROTTLED

    monkeypatch.setattr(clients.dynamodb(), "update_item", throttled)
    (fault,) = ledger.claim([_event()], NOW)
    assert isinstance(fault, LedgerUnavailable)
    assert (str(fault), UUID(fault.claim).version) == ("ThrottlingException", 7)


def test_another_workers_delivery_costs_one_conditional_write_and_one_read(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    _claimed(ledger, _event())
    made = _counted(monkeypatch, "update_item", "get_item")
    assert _claimed(ledger, _event(), NOW + SECOND).status is ClaimStatus.IN_PROGRESS
    assert made == ["update_item", "get_item"]
    made.clear()
    _settle(ledger, _event(), "held")
    assert _claimed(ledger, _event()).status is ClaimStatus.ACQUIRED
    assert made == ["update_item"]


@pytest.mark.parametrize("names", ["{}", "other,{}", "{},other"])
def test_any_of_the_claims_that_sent_nothing_is_taken_over_without_doubt(ledger: Ledger, names: str) -> None:
    lost = _claimed(ledger, _event())
    (again,) = ledger.claim([_event()], NOW + SECOND, [names.format(lost.by)])
    assert isinstance(again, Claim)
    assert (again.status, again.in_doubt, again.by == lost.by) == ("acquired", False, False)
    assert _row()["by"]["S"] == again.by


def test_a_claim_that_is_not_among_those_that_sent_nothing_stands(ledger: Ledger) -> None:
    lost = _claimed(ledger, _event())
    (other,) = ledger.claim([_event()], NOW + SECOND, ["another"])
    assert isinstance(other, Claim)
    assert (other.status, _row()["by"]["S"]) == ("in_progress", lost.by)


def test_a_delivery_that_has_ended_is_not_opened_by_the_name_of_its_claim(ledger: Ledger) -> None:
    claim = _claimed(ledger, _event())
    boto3.client("dynamodb").update_item(
        TableName="receipts",
        Key={name: _row()[name] for name in ("event", "agent")},
        UpdateExpression="SET #state = :state",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={":state": {"S": "delivered"}},
    )
    (again,) = ledger.claim([_event()], NOW + SECOND, [claim.by])
    assert again == Claim(ClaimStatus.ALREADY_SETTLED)


def test_a_worker_whose_clock_is_behind_takes_no_claim_that_stands(ledger: Ledger) -> None:
    _claimed(ledger, _event(), NOW + 10 * SECOND)
    behind = _claimed(ledger, _event(), NOW)
    assert (behind.status, behind.wait) == (ClaimStatus.IN_PROGRESS, 71)


def test_a_claim_after_a_doubt_is_the_new_workers_own(ledger: Ledger) -> None:
    first = _claimed(ledger, _event())
    second = _claimed(ledger, _event(), NOW + 61 * SECOND)
    assert (second.in_doubt, second.by == first.by, second.by) == (True, False, _row()["by"]["S"])


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("held", Claim(ClaimStatus.ACQUIRED, held="why")),
        ("retrying", Claim(ClaimStatus.ACQUIRED)),
        ("parked", Claim(ClaimStatus.ACQUIRED)),
        ("skipped", Claim(ClaimStatus.ALREADY_SETTLED)),
    ],
)
def test_only_what_is_held_says_why_to_a_look(ledger: Ledger, state: str, expected: Claim) -> None:
    _settle(ledger, _event(), state, reason="why")
    assert ledger.read_claims([_event()]) == [expected]


def test_a_look_at_a_claimed_row_that_waits_again_names_its_last_claim(ledger: Ledger) -> None:
    _settle(ledger, _event(), "retrying")
    claim = _claimed(ledger, _event())
    assert ledger.settle_unclaimed([]) == []
    boto3.client("dynamodb").update_item(
        TableName="receipts",
        Key={name: _row()[name] for name in ("event", "agent")},
        UpdateExpression="SET #state = :state",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={":state": {"S": "retrying"}},
    )
    assert ledger.read_claims([_event()]) == [Claim(ClaimStatus.ACQUIRED, by=claim.by)]


def test_an_acceptance_keeps_how_an_event_is_ordered_and_each_warning_once(ledger: Ledger) -> None:
    warned = Warned("#/traits/secret", "was cut", "#/traits", is_within=True)
    ledger.accept([_event(warnings=(warned, warned, Warned("#/name", "was cut", "#/name")), ordered_by="receipt")])
    row = ledger.receipts("shop", "evt_1")[""]["*"]
    known = {name: row.get(name) for name in ("state", "type", "accepted", "orderedBy", "warnings")}
    assert known == {
        "state": "accepted",
        "type": "login",
        "accepted": int(NOW.timestamp() * 1000),
        "orderedBy": "receipt",
        "warnings": '[{"pointer":"#/traits","detail":"a part of it was cut"},{"pointer":"#/name","detail":"was cut"}]',
    }
    ledger.accept([_event("evt_2")])
    assert "warnings" not in ledger.receipts("shop", "evt_2")[""]["*"]


def test_a_delivery_that_was_not_claimed_keeps_its_events_type_and_its_end(ledger: Ledger) -> None:
    _settle(ledger, _event(), "skipped", reason="why", attempts=0)
    row = _row()
    assert (row["type"], row["attempts"]) == ({"S": "login"}, {"N": "0"})
    assert row["expires"] == {"N": str(int((NOW + timedelta(days=25)).timestamp()))}
