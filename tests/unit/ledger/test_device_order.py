"""The order of a device's events: which row is changed, and only as it was read."""

from datetime import UTC, datetime
from typing import Any

import pytest

from relay.event.model import Device, Event
from relay.ledger import rows
from relay.ledger.device_order import DeviceOrder, OrderResult, SequenceUpdate, is_superseded, key, key_names
from relay.ledger.keys import LedgerKeys, LedgerKeysRecord, make_key
from relay.ledger.rows import ConditionalWrite, Row, number, string

NOW = datetime(2026, 11, 20, 9, 15, 42, tzinfo=UTC)
KEYS = LedgerKeys(LedgerKeysRecord.model_validate({"keys": [make_key()]}))
ORDER = DeviceOrder("receipts", "emarsys", KEYS, keeps_contacts=False, expires=number(99), oldest=10**12)


def _event(event_type: Any = "login", sequence: int = 5, **more: Any) -> Event:
    known = {"event_id": "evt_1", "type": event_type, "sequence": sequence, "app_id": "shop", "customer_id": "ana"}
    times = {"occurred_at": NOW, "received_at": NOW, "device": Device(id="phone")}
    return Event.model_construct(None, **{**known, **times, **more})


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[ConditionalWrite]:
    """What is written, each as if its condition held."""
    made: list[ConditionalWrite] = []

    def change(_table: str, changes: list[ConditionalWrite]) -> list[bool]:
        made.extend(changes)
        return [True] * len(changes)

    monkeypatch.setattr(rows, "change", change)
    return made


def test_a_row_of_an_earlier_version_is_changed_only_while_both_its_sequence_and_its_event_stand(
    written: list[ConditionalWrite],
) -> None:
    known: Row = {"sequence": number(4), "last": string("other"), "type": string("login")}
    ORDER.advance([SequenceUpdate(_event(), known)])
    (change,) = written
    assert change.condition == '"sequence" = ? AND "last" = ?'
    assert change.parameters == [number(4), string("other")]


def test_a_row_is_changed_only_while_its_version_stands_and_counts_it_up(written: list[ConditionalWrite]) -> None:
    known: Row = {"sequence": number(4), "last": string("other"), "type": string("login"), "version": number(7)}
    ORDER.advance([SequenceUpdate(_event(), known)])
    (change,) = written
    assert (change.condition, change.parameters) == ('"version" = ?', [number(7)])
    assert change.row["version"] == number(8)


def test_a_new_row_says_all_that_the_order_needs(written: list[ConditionalWrite]) -> None:
    event = _event()
    ORDER.advance([SequenceUpdate(event, {})])
    (change,) = written
    ana = string(ORDER.digest(event, "ana"))
    assert change == ConditionalWrite(
        {
            **key("emarsys", event),
            "version": number(1),
            "sequence": number(5),
            "source": string(event.ordered_by),
            "received": number(event.received),
            "last": string(event.unique_id),
            "type": string("login"),
            "person": ana,
            "before": string(""),
            "linked": ana,
            "expires": number(99),
        }
    )


def test_a_row_that_keeps_changing_is_read_again_so_many_times_and_then_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[int] = []

    def unchanged(_table: str, changes: list[ConditionalWrite]) -> list[bool]:
        tries.append(len(changes))
        return [False] * len(changes)

    monkeypatch.setattr(rows, "change", unchanged)
    monkeypatch.setattr(rows, "read", lambda _table, keys: [{}] * len(keys))
    (fault,) = ORDER.advance([SequenceUpdate(_event(), {})])
    assert str(fault) == "the device's row keeps changing"
    assert tries == [1, 1, 1]


def test_of_two_devices_only_the_one_whose_row_has_changed_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, asked = iter([[True, False], [True]]), list[Row]()

    def again(_table: str, keys: list[Row]) -> list[Row]:
        asked.extend(keys)
        return [{}]

    monkeypatch.setattr(rows, "change", lambda *_: next(answers))
    monkeypatch.setattr(rows, "read", again)
    other = _event(device=Device(id="tablet"))
    turns = ORDER.advance([SequenceUpdate(_event(), {}), SequenceUpdate(other, {})])
    assert turns == [OrderResult(is_newest=True)] * 2
    assert asked == [key("emarsys", other)]


@pytest.mark.parametrize(("sequence", "is_unknown"), [(10**12 - 1, False), (10**12, True), (2 * 10**12, False)])
def test_an_order_is_unknown_from_the_first_millisecond_that_counts_to_the_oldest_row(
    written: list[ConditionalWrite],
    sequence: int,
    is_unknown: bool,  # noqa: FBT001
) -> None:
    order = ORDER._replace(oldest=2 * 10**12)
    (turn,) = order.advance([SequenceUpdate(_event(sequence=sequence), {})])
    assert isinstance(turn, OrderResult)
    assert (turn.is_unknown, turn.is_newest) == (is_unknown, not is_unknown)
    assert bool(written) is not is_unknown


@pytest.mark.parametrize(("sequence", "late_by"), [(4, 3), (7, 0)])
def test_a_superseded_event_is_late_by_the_newest_of_login_and_token(sequence: int, late_by: int) -> None:
    received = number(_event().received + 1)
    known: Row = {"sequence": number(6), "last": string("x"), "type": string("login"), "version": number(1)}
    known |= {"token": number(7), "tokenReceived": received, "received": received}
    token = _event("push_token", sequence, customer_id=None)
    assert is_superseded(token, known)
    (turn,) = ORDER.advance([SequenceUpdate(token, known)])
    assert turn == OrderResult(is_newest=False, late_by=late_by)


def test_a_push_token_that_names_nobody_moves_its_own_position_alone(written: list[ConditionalWrite]) -> None:
    token = _event("push_token", 8, customer_id=None)
    ORDER.advance([SequenceUpdate(token, {})])
    (change,) = written
    assert set(change.row) == {"event", "agent", "version", "token", "tokenReceived", "expires"}
    assert (change.row["token"], change.row["tokenReceived"]) == (number(8), number(token.received))


@pytest.mark.parametrize("newest", ["login", "open", "push_token", "signup"])
def test_of_equal_explicit_sequences_only_a_logout_stands_before_what_was_received_later(newest: str) -> None:
    event = _event("login", 5, ordered_by="sequence")
    known: Row = {"sequence": number(5), "source": string("sequence"), "received": number(event.received - 1)}
    assert not is_superseded(event, known | {"type": string(newest), "last": string("other")})
    assert is_superseded(event, known | {"type": string("logout"), "last": string("other")})


def test_an_event_is_never_older_than_itself_also_where_the_token_is_newer() -> None:
    event = _event("push_token", 5, customer_id=None)
    known: Row = {"sequence": number(9), "type": string("login"), "last": string(event.unique_id)}
    assert not is_superseded(event, known | {"token": number(9), "tokenReceived": number(event.received)})


def test_a_row_is_known_by_the_keys_of_all_its_people() -> None:
    known: Row = {"person": string("k1.a"), "linked": string("k2.b"), "before": string("?"), "last": string("x")}
    assert key_names(known) == {"k1.a", "k2.b"}
    assert key_names(known | {"before": string("k3.c"), "person": string("")}) == {"k2.b", "k3.c"}
