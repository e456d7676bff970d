"""The ledger against DynamoDB: claims, leases, order, receipts."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from relay.aws import clients, parameters
from relay.errors import LedgerUnavailable
from relay.event.contact import Contact
from relay.event.model import Device, Event
from relay.ledger import device_order, rows
from relay.ledger.device_order import OrderResult, SequenceUpdate
from relay.ledger.keys import LedgerKeys, LedgerKeysRecord, make_key
from relay.ledger.ledger import Claim, ClaimStatus, Ledger, ReceiptUpdate
from relay.ledger.rows import BACKOFF_SECONDS
from relay.ledger.states import DeliveryState

NOW = datetime(2026, 11, 20, 9, 15, 42, tzinfo=UTC)


@pytest.fixture
def ledger(table: str) -> Ledger:
    """The ledger of an agent."""
    return Ledger(table, "emarsys", now=lambda: NOW)


def _claimed(ledger: Ledger, event: Event, now: datetime = NOW) -> Claim:
    (claim,) = ledger.claim([event], now)
    assert isinstance(claim, Claim)
    return claim


def _settle(ledger: Ledger, event: Event, state: str, **notes: Any) -> None:
    assert ledger.settle([ReceiptUpdate(event, DeliveryState(state), notes)]) == [True]


def _event(event_id: str = "evt_1", event_type: Any = "login", sequence: int = 5, **more: Any) -> Event:
    known = {"event_id": event_id, "type": event_type, "sequence": sequence, "app_id": "shop", "customer_id": "ana"}
    times = {"occurred_at": NOW, "received_at": NOW}
    return Event.model_construct(None, **{**known, **times, **more})


def test_a_claim_is_ours_alone_until_it_is_settled(ledger: Ledger) -> None:
    claim = _claimed(ledger, _event())
    assert claim._replace(by="") == Claim(ClaimStatus.ACQUIRED)
    busy = _claimed(ledger, _event(), NOW + timedelta(seconds=10))
    assert (busy.status, busy.wait) == (ClaimStatus.IN_PROGRESS, 51)


def test_a_claim_whose_answer_was_lost_is_still_ours(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    client = clients.dynamodb()
    insert = client.batch_execute_statement
    # botocore asks again when an answer is lost, and the row is there by then.
    monkeypatch.setattr(client, "batch_execute_statement", lambda **named: [insert(**named), insert(**named)][1])
    assert _claimed(ledger, _event())._replace(by="") == Claim(ClaimStatus.ACQUIRED)


def test_many_are_claimed_by_few_calls_but_for_those_that_are_not_free(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = _event("evt_1")
    _claimed(ledger, known)
    _settle(ledger, known, "delivered")
    client, parameters = clients.dynamodb(), list[int]()
    insert = client.batch_execute_statement

    def counted(**named: Any) -> Any:
        parameters.append(len(named["Statements"]))
        return insert(**named)

    monkeypatch.setattr(client, "batch_execute_statement", counted)
    claims = ledger.claim([_event(f"evt_{number}") for number in range(30)], NOW)
    standings = [claim.status if isinstance(claim, Claim) else claim for claim in claims]
    assert standings == [ClaimStatus.ALREADY_SETTLED if number == 1 else ClaimStatus.ACQUIRED for number in range(30)]
    assert parameters == [25, 5]


def test_of_two_messages_of_an_event_one_is_ours(ledger: Ledger) -> None:
    claims = ledger.claim([_event(), _event("evt_2"), _event()], NOW)
    assert [claim.status for claim in claims if isinstance(claim, Claim)] == ["acquired", "acquired", "in_progress"]


@pytest.mark.parametrize("state", ["retrying", "held", "parked"])
def test_of_two_messages_of_a_delivery_that_waits_one_is_ours(ledger: Ledger, state: str) -> None:
    _settle(ledger, _event(), state)
    claims = ledger.claim([_event(), _event()], NOW)
    assert [(claim.status, claim.wait) for claim in claims if isinstance(claim, Claim)] == [
        (ClaimStatus.ACQUIRED, 0),
        (ClaimStatus.IN_PROGRESS, 1),
    ]


def test_of_two_workers_that_find_a_claim_run_out_one_takes_it_over(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    _claimed(ledger, _event())
    later, read, taken = NOW + timedelta(seconds=61), rows.get, list[Claim]()

    def overtaken(table: str, key: rows.Row) -> rows.Row:
        found = read(table, key)
        monkeypatch.setattr(rows, "get", read)
        taken.append(_claimed(ledger, _event(), later))
        return found

    monkeypatch.setattr(rows, "get", overtaken)
    second = _claimed(ledger, _event(), later)
    assert (taken[0].status, taken[0].in_doubt) == (ClaimStatus.ACQUIRED, True)
    assert second == Claim(ClaimStatus.IN_PROGRESS, wait=1)
    assert boto3.client("dynamodb").scan(TableName="receipts")["Items"][0]["by"]["S"] == taken[0].by


@pytest.mark.parametrize(("seconds", "in_doubt", "wait"), [(59, False, 2), (60, True, 0), (61, True, 0)])
def test_a_claim_stands_until_the_second_in_which_it_runs_out(
    ledger: Ledger,
    seconds: int,
    in_doubt: bool,  # noqa: FBT001
    wait: int,
) -> None:
    _claimed(ledger, _event())
    claim = _claimed(ledger, _event(), NOW + timedelta(seconds=seconds))
    assert (claim.in_doubt, claim.wait) == (in_doubt, wait)


def test_keys_are_read_again_only_where_a_row_names_another_one(table: str) -> None:
    asked, known = list[bool](), _of_keys(make_key())
    ledger = Ledger(table, "emarsys", keys=lambda fresh: asked.append(fresh) or known, now=lambda: NOW)  # type: ignore[func-returns-value]
    _turns(ledger, [_on_phone("a", "login", 5, "ana")], is_sent=True)
    _turns(ledger, [_on_phone("b", "login", 6, "bob")], is_sent=True)
    assert asked == [False, False]
    other = _of_keys(make_key())
    rotated = Ledger(table, "emarsys", keys=lambda fresh: asked.append(fresh) or other, now=lambda: NOW)  # type: ignore[func-returns-value]
    _turns(rotated, [_on_phone("c", "login", 7, "eva")], is_sent=True)
    assert asked == [False, False, False, True]


def test_a_failing_delivery_keeps_the_first_of_its_failures_and_a_hold_ends_them(ledger: Ledger) -> None:
    _settle(ledger, _event(), "retrying", failing=7)
    assert ledger.read_claims([_event()]) == [Claim(ClaimStatus.ACQUIRED, failing_since=7)]
    assert _claimed(ledger, _event()).failing_since == 7
    for state in ("held", "parked"):
        _settle(ledger, _event(), state, failing=7)
        assert ledger.read_claims([_event()])[0] == Claim(ClaimStatus.ACQUIRED)


def test_a_look_at_a_delivery_that_is_being_made_says_so(ledger: Ledger) -> None:
    _claimed(ledger, _event())
    assert ledger.read_claims([_event()]) == [Claim(ClaimStatus.IN_PROGRESS)]


def test_each_agent_has_its_own_claim(ledger: Ledger) -> None:
    _claimed(ledger, _event())
    assert _claimed(Ledger("receipts", "dashx"), _event()).status is ClaimStatus.ACQUIRED


def test_each_app_has_its_own_event_ids(ledger: Ledger) -> None:
    _settle(ledger, _event(), "delivered")
    assert _claimed(ledger, _event(app_id="other")).status is ClaimStatus.ACQUIRED


@pytest.mark.parametrize("state", ["delivered", "unconfirmed", "skipped", "expired"])
def test_what_is_settled_stays_settled(ledger: Ledger, state: str) -> None:
    _claimed(ledger, _event())
    _settle(ledger, _event(), state)
    assert _claimed(ledger, _event(), NOW + timedelta(days=14)).status is ClaimStatus.ALREADY_SETTLED


@pytest.mark.parametrize("state", ["retrying", "held", "parked"])
def test_what_waits_can_be_claimed_again_with_what_is_known_of_it(ledger: Ledger, state: str) -> None:
    _claimed(ledger, _event())
    _settle(ledger, _event(), state, attempts=3, done=1)
    assert _claimed(ledger, _event())._replace(by="") == Claim(ClaimStatus.ACQUIRED, attempts=3, done=1)


def test_a_claim_that_ran_out_leaves_its_delivery_in_doubt(ledger: Ledger) -> None:
    _claimed(ledger, _event())
    again = _claimed(ledger, _event(), NOW + timedelta(seconds=60))
    assert (again.status, again.in_doubt) == (ClaimStatus.ACQUIRED, True)


def _turns(ledger: Ledger, events: list[Event], **more: Any) -> list[OrderResult | LedgerUnavailable]:
    """Events put in order as a delivery does it."""
    return ledger.advance_sequences(_updates(ledger, events, **more))


def _updates(ledger: Ledger, events: list[Event], **more: Any) -> list[SequenceUpdate]:
    seen = ledger.read_claims(events, devices=True)
    devices = [claim.device or {} for claim in seen if isinstance(claim, Claim)]
    return [SequenceUpdate(event, known, **more) for event, known in zip(events, devices, strict=True)]


def _placed(ledger: Ledger, events: list[Event]) -> list[bool | LedgerUnavailable]:
    """Whether each event is the newest of its device."""
    return [turn.is_newest if isinstance(turn, OrderResult) else turn for turn in _turns(ledger, events)]


@pytest.mark.parametrize(
    ("newest", "then", "advance"),
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
    advance: bool,  # noqa: FBT001
) -> None:
    # Alone, and beside the event of a device that is new and of one that is known.
    for others in ([], [_event("new", "login", 1, customer_id="eva"), _event("known", "login", 2, customer_id="bob")]):
        event_ids = [f"{name}-{len(others)}" for name in ("first", "second")]
        device = Device(id=f"phone-{len(others)}")
        _placed(ledger, [_event("before", "login", 1, customer_id="bob")])
        assert _placed(ledger, [_event(event_ids[0], *newest, device=device)]) == [True]
        placed = _placed(ledger, [_event(event_ids[1], *then, device=device), *others])
        assert placed == [advance, *[True] * len(others)]


def test_an_event_is_in_order_with_itself(ledger: Ledger) -> None:
    assert _placed(ledger, [_event("evt_1", "login", 5)]) == [True]
    assert _placed(ledger, [_event("evt_1", "login", 5)]) == [True]


def test_a_tracked_event_moves_no_devices_order(ledger: Ledger) -> None:
    assert _placed(ledger, [_event("a", "track", 9)]) == [True]
    assert _placed(ledger, [_event("b", "login", 5)]) == [True]


def test_devices_and_agents_have_orders_of_their_own(ledger: Ledger) -> None:
    assert _placed(ledger, [_event("a", "logout", 9, customer_id="ana")]) == [True]
    assert _placed(ledger, [_event("b", "login", 5, customer_id="bob")]) == [True]
    assert _placed(Ledger("receipts", "dashx"), [_event("c", "login", 5, customer_id="ana")]) == [True]


def test_a_look_takes_nothing_and_knows_what_was_written(ledger: Ledger) -> None:
    assert ledger.read_claims([_event()]) == [Claim(ClaimStatus.ACQUIRED)]
    _settle(ledger, _event(), "retrying", attempts=2, done=1)
    assert ledger.read_claims([_event()]) == [Claim(ClaimStatus.ACQUIRED, attempts=2, done=1)]
    _settle(ledger, _event(), "delivered", attempts=3)
    assert ledger.read_claims([_event()]) == [Claim(ClaimStatus.ALREADY_SETTLED)]


def test_many_are_looked_at_in_their_order_repeated_or_not(ledger: Ledger) -> None:
    _settle(ledger, _event("evt_3"), "delivered")
    seen = ledger.read_claims([_event(f"evt_{number % 120}") for number in range(240)])
    assert [at for at, claim in enumerate(seen) if claim == Claim(ClaimStatus.ALREADY_SETTLED)] == [3, 123]


@pytest.mark.parametrize("state", ["delivered", "unconfirmed", "skipped", "expired"])
def test_without_a_claim_nothing_settled_is_written_over(ledger: Ledger, state: str) -> None:
    assert ledger.settle_unclaimed([ReceiptUpdate(_event(), DeliveryState(state), {})]) == [True]
    assert ledger.settle_unclaimed([ReceiptUpdate(_event(), DeliveryState.HELD, {})]) == [False]
    assert ledger.receipts("shop", "evt_1")[""]["emarsys"]["state"] == state


def test_without_a_claim_nothing_is_written_over_that_another_is_making(ledger: Ledger) -> None:
    _claimed(ledger, _event())
    assert ledger.settle_unclaimed([ReceiptUpdate(_event(), DeliveryState.SKIPPED, {})]) == [False]


def test_a_note_keeps_what_was_known_of_earlier_attempts(ledger: Ledger) -> None:
    _settle(ledger, _event(), "retrying", attempts=2, done=1)
    assert ledger.settle_unclaimed([ReceiptUpdate(_event(), DeliveryState.HELD, {"reason": "no settings"})]) == [True]
    assert ledger.read_claims([_event()]) == [Claim(ClaimStatus.ACQUIRED, attempts=2, done=1, held="no settings")]


def test_a_claim_that_certainly_sent_nothing_is_taken_over_without_doubt(ledger: Ledger) -> None:
    lost = _claimed(ledger, _event())
    (again,) = ledger.claim([_event()], NOW + timedelta(seconds=10), [lost.by])
    assert isinstance(again, Claim)
    assert (again.status, again.in_doubt) == (ClaimStatus.ACQUIRED, False)
    (other,) = ledger.claim([_event()], NOW + timedelta(seconds=10), [lost.by])
    assert isinstance(other, Claim)
    assert other.status is ClaimStatus.IN_PROGRESS


def test_a_claim_that_was_written_though_the_call_failed_is_read_back(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = clients.dynamodb()
    insert = client.batch_execute_statement

    def lost(**named: Any) -> Any:
        insert(**named)
        raise ConnectTimeoutError(endpoint_url="https://dynamodb.us-east-1.amazonaws.com")

    monkeypatch.setattr(client, "batch_execute_statement", lost)
    claim = _claimed(ledger, _event())
    assert (claim.status, claim.in_doubt) == (ClaimStatus.ACQUIRED, False)


def test_a_claim_that_may_have_been_written_has_a_name(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    client = clients.dynamodb()

    def silent(**_named: Any) -> Any:
        raise ConnectTimeoutError(endpoint_url="https://dynamodb.us-east-1.amazonaws.com")

    monkeypatch.setattr(client, "batch_execute_statement", silent)
    monkeypatch.setattr(client, "batch_get_item", silent)
    (fault,) = ledger.claim([_event()], NOW)
    assert isinstance(fault, LedgerUnavailable)
    assert fault.claim != ""


def _on_phone(event_id: str, event_type: str, sequence: int, customer: str | None, **more: Any) -> Event:
    return _event(event_id, event_type, sequence, **{"customer_id": customer, "device": Device(id="phone"), **more})


def _releases(ledger: Ledger, event: Event, *, is_sent: bool = False) -> bool:
    (turn,) = _turns(ledger, [event], is_sent=is_sent)
    assert isinstance(turn, OrderResult)
    return turn.must_release


def _of_keys(*keys: str) -> LedgerKeys:
    return LedgerKeys(LedgerKeysRecord.model_validate({"keys": keys}))


def test_a_device_is_released_where_the_agent_links_another_person_than_the_newest_event_says(ledger: Ledger) -> None:
    assert not _releases(ledger, _on_phone("a", "login", 5, "ana"), is_sent=True)
    assert not _releases(ledger, _on_phone("b", "open", 6, "ana"))
    assert _releases(ledger, _on_phone("c", "login", 7, "bob"))
    # Until it is through it is looked at again.
    assert _releases(ledger, _on_phone("c", "login", 7, "bob"))
    # Then nobody is linked.
    assert not _releases(ledger, _on_phone("d", "login", 8, "eva"))


def test_an_event_that_says_that_nobody_is_on_the_device_releases_it_and_one_that_says_nothing_does_not(
    ledger: Ledger,
) -> None:
    _releases(ledger, _on_phone("a", "login", 5, "ana"), is_sent=True)
    assert not _releases(ledger, _on_phone("b", "push_token", 6, None))
    assert _releases(ledger, _on_phone("c", "open", 7, None))


def test_an_event_that_says_that_push_is_declined_releases_also_its_own_person(ledger: Ledger) -> None:
    _releases(ledger, _on_phone("a", "login", 5, "ana"), is_sent=True)
    assert _releases(
        ledger, _on_phone("b", "open", 6, "ana", device=Device.model_validate({"id": "phone", "pushToken": False}))
    )


def test_what_no_key_opens_neither_releases_nor_lets_an_old_logout_pass(ledger: Ledger) -> None:
    _releases(ledger, _on_phone("a", "login", 5, "ana"), is_sent=True)
    other = _of_keys(make_key())
    later = Ledger("receipts", "emarsys", keys=lambda _fresh: other, now=lambda: NOW)
    assert not later.has_new_owner(_on_phone("b", "logout", 4, "bob"))
    assert not _releases(later, _on_phone("c", "login", 6, "bob"))


def test_after_a_rotation_the_previous_key_still_opens(table: str) -> None:
    old, new = make_key(), make_key()
    first, then = _of_keys(old), _of_keys(new, old)
    _releases(Ledger(table, "emarsys", keys=lambda _: first), _on_phone("a", "login", 5, "ana"), is_sent=True)
    rotated = Ledger(table, "emarsys", keys=lambda _: then)
    assert not _releases(rotated, _on_phone("b", "open", 6, "ana"))
    assert _releases(rotated, _on_phone("c", "login", 7, "bob"))


def test_contacts_are_sealed_and_count_in_their_own_devices_row_alone(table: str) -> None:
    ledger, token = Ledger(table, "dashx", keeps_contacts=True, now=lambda: NOW), "token-of-ana"
    _turns(ledger, [_on_phone("a", "login", 5, "ana")], contact=Contact("ana", None, token))
    (row,) = boto3.client("dynamodb").scan(TableName="receipts")["Items"]
    assert token not in str(row)
    (turn,) = _turns(ledger, [_on_phone("b", "login", 6, "bob")], contact=Contact("bob", None, token))
    assert turn == OrderResult(is_newest=True, must_release=True, foreign=[Contact("ana", None, token)])
    other = _event("c", "login", 7, customer_id="bob", device=Device(id="tablet"))
    moved: Any = {**device_order.key("dashx", other), "contacts": row["contacts"], "version": {"N": "1"}}
    boto3.client("dynamodb").put_item(TableName="receipts", Item=moved)
    assert _turns(ledger, [other]) == [OrderResult(is_newest=True, foreign=[])]


def test_what_waits_at_one_worker_does_not_reopen_what_another_has_ended(ledger: Ledger) -> None:
    event = _event()
    assert ledger.settle([ReceiptUpdate(event, DeliveryState.DELIVERED, {"reason": "HTTP 200"})]) == [True]
    assert ledger.settle([ReceiptUpdate(event, DeliveryState.HELD, {"reason": "HTTP 401"})]) == [True]
    (row,) = boto3.client("dynamodb").scan(TableName="receipts")["Items"]
    assert (row["state"]["S"], row["reason"]["S"]) == ("delivered", "HTTP 200")


def test_whom_a_failed_release_left_there_is_released_by_the_next_event(ledger: Ledger) -> None:
    ana, bob, eva = (_on_phone(name, "login", at, name) for at, name in enumerate(("ana", "bob", "eva"), start=5))
    _releases(ledger, ana, is_sent=True)
    assert _releases(ledger, bob)
    ledger.keep_linked(bob, None)
    assert _releases(ledger, eva)
    ledger.keep_linked(bob, None)
    assert not _releases(ledger, _on_phone("then", "login", 8, "eva"))


def test_the_contacts_that_a_failed_release_left_there_are_ended_by_the_next_event(table: str) -> None:
    ledger = Ledger(table, "dashx", keeps_contacts=True, now=lambda: NOW)
    ana, bob, eva = (Contact(name, None, "token") for name in ("ana", "bob", "eva"))
    _turns(ledger, [_on_phone("a", "login", 5, "ana")], contact=ana)
    login = _on_phone("b", "login", 6, "bob")
    _turns(ledger, [login], contact=bob)
    ledger.keep_linked(login, bob)
    (turn,) = _turns(ledger, [_on_phone("c", "login", 7, "eva")], contact=eva)
    assert turn == OrderResult(is_newest=True, must_release=True, foreign=[ana, bob])


@pytest.mark.parametrize(
    ("newest", "then", "is_newest"),
    [
        # Phones print whole seconds: of equal times the later received counts, also where the earlier one is a logout.
        (("logout", "occurredAt", 0), ("login", "occurredAt", 1), True),
        (("login", "occurredAt", 1), ("logout", "occurredAt", 0), False),
        (("login", "receipt", 1), ("logout", "occurredAt", 0), False),
        (("logout", "sequence", 0), ("login", "sequence", 1), False),
        (("login", "sequence", 1), ("logout", "sequence", 0), True),
    ],
)
def test_of_equal_times_the_later_received_counts_and_of_equal_sequences_the_logout(
    ledger: Ledger,
    newest: tuple[str, str, int],
    then: tuple[str, str, int],
    is_newest: bool,  # noqa: FBT001
) -> None:
    def made(event_id: str, event_type: str, ordered_by: str, seconds: int) -> Event:
        received_at = NOW + timedelta(seconds=seconds)
        return _on_phone(event_id, event_type, 5, "ana", ordered_by=ordered_by, received_at=received_at)

    assert _placed(ledger, [made("a", *newest)]) == [True]
    assert _placed(ledger, [made("b", *then)]) == [is_newest]


def test_a_push_token_that_names_nobody_supersedes_no_login(ledger: Ledger) -> None:
    assert _placed(ledger, [_on_phone("a", "push_token", 9, None)]) == [True]
    assert _placed(ledger, [_on_phone("b", "login", 5, "ana")]) == [True]
    assert _placed(ledger, [_on_phone("c", "push_token", 8, None)]) == [False]


def test_an_event_that_is_older_than_rows_live_has_no_order_where_no_row_is_left(ledger: Ledger) -> None:
    old = int((NOW - timedelta(days=25)).timestamp() * 1000)
    assert _turns(ledger, [_on_phone("a", "login", old, "ana")]) == [OrderResult(is_newest=False, is_unknown=True)]
    assert _placed(ledger, [_on_phone("b", "login", 5, "ana")]) == [True]
    assert _placed(ledger, [_on_phone("c", "login", old, "ana")]) == [True]


def test_events_that_share_an_id_have_claims_and_receipts_of_their_own(ledger: Ledger) -> None:
    login, logout = _event(scope="one"), _event(event_type="logout", scope="two")
    _settle(ledger, login, "delivered")
    assert _claimed(ledger, logout).status is ClaimStatus.ACQUIRED
    found = ledger.receipts("shop", "evt_1")
    assert {scope: set(rows) for scope, rows in found.items()} == {"one": {"emarsys"}, "two": {"emarsys"}}


def test_the_first_to_need_the_ledgers_keys_makes_them_and_none_replaces_them(ledger: Ledger) -> None:
    _placed(ledger, [_event()])
    name, ssm = "/session-relay/test/ledger-keys", boto3.client("ssm")
    kept = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]
    assert kept["Type"] == "SecureString"
    parameters.create(name, "another")
    assert ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"] == kept["Value"]


def test_receipts_are_of_one_event_with_its_acceptance(ledger: Ledger) -> None:
    ledger.accept([_event(f"evt_{number}") for number in range(30)])
    _settle(ledger, _event("evt_7"), "parked", reason="HTTP 400", attempts=1)
    rows = ledger.receipts("shop", "evt_7")[""]
    assert set(rows) == {"*", "emarsys"}
    assert (rows["*"]["accepted"], rows["*"]["type"]) == (1795166142000, "login")
    assert (rows["emarsys"]["state"], rows["emarsys"]["reason"]) == ("parked", "HTTP 400")
    assert ledger.receipts("other", "evt_7") == {}
    assert set(ledger.receipts("shop", "evt_29")[""]) == {"*"}


def test_rows_end_25_days_after_they_were_last_written_and_hold_no_person(ledger: Ledger) -> None:
    event = _event(customer_id="cust-77", email="ana@example.com", phone="+5511999887766")
    ledger.accept([event])
    _claimed(ledger, event)
    _settle(ledger, event, "delivered", reason="HTTP 200")
    _placed(ledger, [event])
    rows = boto3.client("dynamodb").scan(TableName="receipts")["Items"]
    assert len(rows) == 3
    assert {row["expires"]["N"] for row in rows} == {str(int((NOW + timedelta(days=25)).timestamp()))}
    assert not any(secret in str(rows) for secret in ("cust-77", "ana@example.com", "5511999887766"))


def test_a_table_that_does_not_answer_is_said_so(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def throttled(**_: object) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "UpdateItem")

    for call in ("update_item", "batch_execute_statement", "batch_get_item", "batch_write_item"):
        monkeypatch.setattr(clients.dynamodb(), call, throttled)
    with pytest.raises(LedgerUnavailable):
        ledger.settle([ReceiptUpdate(_event(), DeliveryState.DELIVERED, {})])
    two = [_event(), _event("b", customer_id="bob")]
    advanced = ledger.advance_sequences([SequenceUpdate(event, {}) for event in two])
    assert str(advanced[0]) == "ThrottlingException"
    for answers in (ledger.claim(two, NOW), ledger.read_claims(two), advanced):
        assert [type(answer) for answer in answers] == [LedgerUnavailable] * 2


def test_what_dynamodb_leaves_unprocessed_is_asked_for_again_after_waits_that_grow(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = clients.dynamodb()
    write, read, calls = client.batch_write_item, client.batch_get_item, list[str]()

    def write_all_but_one(RequestItems: Any) -> Any:  # noqa: N803 - botocore's own name
        calls.append("write")
        *first, last = RequestItems["receipts"]
        if first:
            write(RequestItems={"receipts": first})
        return {"UnprocessedItems": {"receipts": [last]}}

    def read_half(RequestItems: Any) -> Any:  # noqa: N803 - as above
        calls.append("read")
        keys = RequestItems["receipts"]["Keys"]
        answer = read(RequestItems={"receipts": {"Keys": keys[:2], "ConsistentRead": True}})
        return {**answer, "UnprocessedKeys": {"receipts": {"Keys": keys[2:]}} if keys[2:] else {}}

    pauses: list[float] = []
    monkeypatch.setattr("relay.ledger.rows.time.sleep", pauses.append)
    monkeypatch.setattr("relay.ledger.rows.random.uniform", lambda _low, high: high)
    monkeypatch.setattr(client, "batch_write_item", write_all_but_one)
    monkeypatch.setattr(client, "batch_get_item", read_half)
    four = [_event(f"evt_{number}") for number in range(4)]
    assert ledger.settle([ReceiptUpdate(event, DeliveryState.DELIVERED, {}) for event in four]) == [
        True,
        True,
        True,
        False,
    ]
    seen = [claim.status for claim in ledger.read_claims(four) if isinstance(claim, Claim)]
    assert seen == [
        ClaimStatus.ALREADY_SETTLED,
        ClaimStatus.ALREADY_SETTLED,
        ClaimStatus.ALREADY_SETTLED,
        ClaimStatus.ACQUIRED,
    ]
    tries = 1 + len(BACKOFF_SECONDS)
    assert calls == ["write"] * tries + ["read", "read"]
    assert pauses == [*BACKOFF_SECONDS, BACKOFF_SECONDS[0]]
    many = [_event(f"evt_{number}") for number in range(2 * tries + 1)]
    assert {type(claim) for claim in ledger.read_claims(many)} == {LedgerUnavailable}


def test_what_has_moved_since_it_was_looked_at_is_looked_at_again(ledger: Ledger) -> None:
    known, new = _event("a", "login", 5, customer_id="ana"), _event("b", "login", 5, customer_id="bob")
    _placed(ledger, [known])
    later = [event.model_copy(update={"event_id": f"{event.event_id}2", "sequence": 7}) for event in (known, new)]
    seen = _updates(ledger, later)
    between = later[0].model_copy(update={"event_id": "a1", "sequence": 6})
    newest = later[1].model_copy(update={"event_id": "b3", "sequence": 8})
    assert _placed(ledger, [between]) == _placed(ledger, [newest]) == [True]
    assert [turn.is_newest for turn in ledger.advance_sequences(seen) if isinstance(turn, OrderResult)] == [True, False]


def test_a_claim_that_answers_twice_is_in_order_still(ledger: Ledger) -> None:
    two = [_event("a", "login", 5, customer_id="ana"), _event("b", "login", 5, customer_id="bob")]
    seen = _updates(ledger, two)
    assert ledger.advance_sequences(seen) == ledger.advance_sequences(seen) == [OrderResult(is_newest=True)] * 2


def test_a_delivery_of_several_writes_its_devices_order_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    client, made = clients.dynamodb(), list[str]()

    def noted(name: str) -> Callable[..., Any]:
        call = getattr(client, name)

        def make(**parameters: Any) -> Any:
            made.append(name)
            return call(**parameters)

        return make

    for name in ("update_item", "batch_execute_statement", "batch_get_item"):
        monkeypatch.setattr(client, name, noted(name))
    known, late = _event("a", "login", 5, customer_id="ana"), _event("c", "login", 4, customer_id="bob")
    _placed(ledger, [known])
    _placed(ledger, [_event("b", "login", 5, customer_id="bob")])
    made.clear()
    assert _placed(ledger, [_event("d", "open", 6, customer_id="ana"), late, _event("e", customer_id="eva")]) == [
        True,
        False,
        True,
    ]
    assert made == ["batch_get_item", "batch_execute_statement"]
