"""The ledger against DynamoDB: claims, leases, order, receipts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from relay import aws
from relay.errors import LedgerUnavailable
from relay.event import Device, Event
from relay.ledger import Claim, Ledger, Standing

NOW = datetime(2026, 11, 20, 9, 15, 42, tzinfo=UTC)


@pytest.fixture
def ledger(table: str) -> Ledger:
    """The ledger of an agent."""
    return Ledger(table, "emarsys")


def _event(event_id: str = "evt_1", event_type: Any = "login", sequence: int = 5, **more: Any) -> Event:
    known = {"event_id": event_id, "type": event_type, "sequence": sequence, "app_id": "shop", "customer_id": "ana"}
    times = {"occurred_at": NOW, "received_at": NOW}
    return Event.model_construct(None, **{**known, **times, **more})


def test_a_claim_is_ours_alone_until_it_is_settled(ledger: Ledger) -> None:
    claim = ledger.claim(_event(), NOW)
    assert claim.standing is Standing.OURS
    assert (claim.attempts, claim.done, claim.in_doubt) == (0, 0, False)
    busy = ledger.claim(_event(), NOW + timedelta(seconds=10))
    assert (busy.standing, busy.wait) == (Standing.BUSY, 51)


def test_each_agent_has_its_own_claim(ledger: Ledger) -> None:
    ledger.claim(_event(), NOW)
    assert Ledger("receipts", "dashx").claim(_event(), NOW).standing is Standing.OURS


def test_each_app_has_its_own_event_ids(ledger: Ledger) -> None:
    ledger.settle(_event(), ledger.claim(_event(), NOW), "delivered", {})
    assert ledger.claim(_event(app_id="other"), NOW).standing is Standing.OURS


@pytest.mark.parametrize("state", ["delivered", "unconfirmed", "skipped", "expired"])
def test_what_is_settled_stays_settled(ledger: Ledger, state: str) -> None:
    ledger.settle(_event(), ledger.claim(_event(), NOW), state, {})
    assert ledger.claim(_event(), NOW + timedelta(days=14)).standing is Standing.SETTLED


@pytest.mark.parametrize("state", ["retrying", "held", "parked"])
def test_what_waits_can_be_claimed_again_with_what_is_known_of_it(ledger: Ledger, state: str) -> None:
    ledger.settle(_event(), ledger.claim(_event(), NOW), state, {"attempts": 3, "done": 1})
    again = ledger.claim(_event(), NOW)
    assert (again.standing, again.attempts, again.done, again.in_doubt) == (Standing.OURS, 3, 1, False)


def test_a_claim_that_ran_out_leaves_its_delivery_in_doubt(ledger: Ledger) -> None:
    ledger.claim(_event(), NOW)
    again = ledger.claim(_event(), NOW + timedelta(seconds=60))
    assert (again.standing, again.in_doubt) == (Standing.OURS, True)


def test_who_comes_back_after_his_claim_ran_out_settles_nothing(ledger: Ledger) -> None:
    late = ledger.claim(_event(), NOW)
    now = ledger.claim(_event(), NOW + timedelta(seconds=60))
    ledger.settle(_event(), late, "delivered", {"attempts": 1})
    ledger.settle(_event(), now, "retrying", {"attempts": 2})
    row = ledger.receipts("shop", "evt_1")["emarsys"]
    assert (row["state"], row["attempts"]) == ("retrying", 2)


@pytest.mark.parametrize(
    ("newest", "then", "applied"),
    [
        (("login", 5), ("logout", 6), True),
        (("logout", 6), ("login", 5), False),
        (("logout", 6), ("open", 5), False),
        (("logout", 6), ("push_token", 5), False),
        (("logout", 6), ("signup", 5), False),
        (("logout", 6), ("logout", 5), False),
        (("login", 5), ("logout", 5), True),
        (("login", 5), ("push_token", 5), True),
        (("logout", 5), ("logout", 5), True),
        (("logout", 5), ("login", 5), False),
        (("logout", 6), ("track", 5), True),
        (("logout", 6), ("identify", 5), True),
    ],
)
def test_an_older_event_is_out_of_order_and_on_a_tie_logout_wins(
    ledger: Ledger,
    newest: tuple[str, int],
    then: tuple[str, int],
    applied: bool,  # noqa: FBT001
) -> None:
    assert ledger.in_order(_event("first", *newest))
    assert ledger.in_order(_event("second", *then)) is applied


def test_an_event_is_in_order_with_itself(ledger: Ledger) -> None:
    assert ledger.in_order(_event("evt_1", "login", 5))
    assert ledger.in_order(_event("evt_1", "login", 5))


def test_a_tracked_event_moves_no_devices_order(ledger: Ledger) -> None:
    assert ledger.in_order(_event("a", "track", 9))
    assert ledger.in_order(_event("b", "login", 5))


def test_devices_and_agents_have_orders_of_their_own(ledger: Ledger) -> None:
    assert ledger.in_order(_event("a", "logout", 9, customer_id="ana"))
    assert ledger.in_order(_event("b", "login", 5, customer_id="bob"))
    assert Ledger("receipts", "dashx").in_order(_event("c", "login", 5, customer_id="ana"))


def test_a_look_takes_nothing_and_knows_what_was_written(ledger: Ledger) -> None:
    assert ledger.look(_event()) == Claim(Standing.OURS)
    assert ledger.settle(_event(), Claim(Standing.OURS), "retrying", {"attempts": 2, "done": 1})
    assert ledger.look(_event()) == Claim(Standing.OURS, attempts=2, done=1)
    assert ledger.settle(_event(), Claim(Standing.OURS), "delivered", {"attempts": 3})
    assert ledger.look(_event()).standing is Standing.SETTLED


@pytest.mark.parametrize("state", ["delivered", "unconfirmed", "skipped", "expired"])
def test_without_a_claim_nothing_settled_is_written_over(ledger: Ledger, state: str) -> None:
    assert ledger.settle(_event(), Claim(Standing.OURS), state, {})
    assert not ledger.settle(_event(), Claim(Standing.OURS), "held", {})
    assert ledger.receipts("shop", "evt_1")["emarsys"]["state"] == state


def test_without_a_claim_nothing_is_written_over_that_another_is_making(ledger: Ledger) -> None:
    ledger.claim(_event(), NOW)
    assert not ledger.settle(_event(), Claim(Standing.OURS), "skipped", {})


def test_a_device_is_anothers_once_another_was_applied_there(ledger: Ledger) -> None:
    assert not ledger.is_anothers(_event(customer_id="bob"))
    ledger.in_order(_event("a", "login", 5, customer_id="ana", device=Device(id="phone")))
    assert ledger.is_anothers(_event("b", "login", 6, customer_id="bob", device=Device(id="phone")))
    assert not ledger.is_anothers(_event("c", "login", 6, customer_id="ana", device=Device(id="phone")))
    ledger.in_order(_event("d", "logout", 7, customer_id=None, device=Device(id="phone")))
    assert not ledger.is_anothers(_event("e", "login", 8, customer_id="bob", device=Device(id="phone")))


def test_receipts_are_of_one_event_with_its_acceptance(ledger: Ledger) -> None:
    ledger.accept([_event(f"evt_{number}") for number in range(30)])
    ledger.settle(_event("evt_7"), ledger.claim(_event("evt_7"), NOW), "parked", {"reason": "HTTP 400", "attempts": 1})
    rows = ledger.receipts("shop", "evt_7")
    assert set(rows) == {"*", "emarsys"}
    assert (rows["*"]["accepted"], rows["*"]["type"]) == (1795166142000, "login")
    assert (rows["emarsys"]["state"], rows["emarsys"]["reason"]) == ("parked", "HTTP 400")
    assert ledger.receipts("other", "evt_7") == {}
    assert set(ledger.receipts("shop", "evt_29")) == {"*"}


def test_rows_forget_themselves_after_fifteen_days_and_hold_no_person(ledger: Ledger) -> None:
    event = _event(customer_id="cust-77", email="ana@example.com", phone="+5511999887766")
    ledger.accept([event])
    ledger.settle(event, ledger.claim(event, NOW), "delivered", {"reason": "HTTP 200"})
    ledger.in_order(event)
    rows = boto3.client("dynamodb").scan(TableName="receipts")["Items"]
    assert len(rows) == 3
    assert {row["expires"]["N"] for row in rows} == {str(int((NOW + timedelta(days=15)).timestamp()))}
    assert not any(secret in str(rows) for secret in ("cust-77", "ana@example.com", "5511999887766"))


def test_a_table_that_does_not_answer_is_said_so(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def throttled(**_: object) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "UpdateItem")

    monkeypatch.setattr(aws.dynamodb(), "update_item", throttled)
    with pytest.raises(LedgerUnavailable, match=r"^ThrottlingException$"):
        ledger.claim(_event(), NOW)
    with pytest.raises(LedgerUnavailable):
        ledger.settle(_event(), Claim(Standing.OURS), "delivered", {})
