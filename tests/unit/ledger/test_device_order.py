"""The order of a device's events: which row is changed, and only as it was read."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from relay.event.contact import Contact
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


def test_an_update_and_a_turn_say_nothing_that_they_were_not_given() -> None:
    event = _event()
    assert SequenceUpdate(event, {}) == (event, {}, True, None)
    assert OrderResult(is_newest=True) == (True, False, (), 0, False)
    assert key("emarsys", event) == {"event": string(f"emarsys#{event.group}"), "agent": string("order")}


def test_of_equal_sequences_a_row_that_does_not_say_when_it_was_received_counts_as_older() -> None:
    known: Row = {"sequence": number(5), "type": string("login"), "last": string("other")}
    assert not is_superseded(_event(), known)
    assert not is_superseded(_event(), known | {"received": number(_event().received)})
    assert is_superseded(_event(), known | {"received": number(_event().received + 1)})


@pytest.mark.parametrize(
    ("event_type", "sequence", "newest", "is_older"),
    [
        ("login", 6, "logout", False),
        ("logout", 4, "login", True),
        ("logout", 5, "login", False),
        ("login", 5, "logout", True),
        ("login", 5, "login", True),
    ],
)
def test_an_explicit_sequence_decides_before_the_type_and_the_type_before_the_receipt(
    event_type: str,
    sequence: int,
    newest: str,
    is_older: bool,  # noqa: FBT001
) -> None:
    event = _event(event_type, sequence, ordered_by="sequence")
    known: Row = {"sequence": number(5), "type": string(newest), "last": string("other"), "source": string("sequence")}
    assert is_superseded(event, known | {"received": number(event.received + 1)}) is is_older


@pytest.mark.parametrize(
    ("ordered_by", "source", "is_older"),
    [
        ("sequence", "sequence", True),
        ("sequence", "receipt", True),
        ("sequence", "occurredAt", False),
        ("occurredAt", "sequence", False),
        ("occurredAt", "occurredAt", False),
    ],
)
def test_a_logout_counts_before_what_was_received_later_unless_a_phone_said_when(
    ordered_by: str,
    source: str,
    is_older: bool,  # noqa: FBT001
) -> None:
    event = _event(ordered_by=ordered_by)
    known: Row = {"sequence": number(5), "type": string("logout"), "last": string("other"), "source": string(source)}
    assert is_superseded(event, known | {"received": number(event.received - 1)}) is is_older


@pytest.mark.parametrize(
    ("sequence", "received", "is_older"), [(4, 0, True), (5, 1, True), (5, 0, False), (5, -1, False), (6, 1, False)]
)
def test_a_push_token_that_names_nobody_is_superseded_by_a_newer_token_alone(
    sequence: int,
    received: int,
    is_older: bool,  # noqa: FBT001
) -> None:
    token = _event("push_token", sequence, customer_id=None)
    known: Row = {"token": number(5), "tokenReceived": number(token.received + received)}
    assert is_superseded(token, known) is is_older
    assert not is_superseded(_event("login", sequence), known)


def _linked(**people: str) -> Row:
    event = _event()
    known = {name: string(ORDER.digest(event, person)) for name, person in people.items()}
    return {
        "sequence": number(4),
        "type": string("login"),
        "last": string(event.unique_id),
        "version": number(7),
        **known,
    }


def test_whom_an_event_left_there_is_linked_again_in_the_row_as_it_was_read(written: list[ConditionalWrite]) -> None:
    event, known = _event(), _linked(before="bob", linked="ana")
    ORDER.keep_linked(event, known, None)
    row = {**key("emarsys", event), "version": number(8), "expires": number(99), "linked": known["before"]}
    assert written == [ConditionalWrite(row, '"version" = ?', [number(7)])]


@pytest.mark.parametrize("changed", [{"last": string("newer")}, {"version": None}])
def test_nobody_is_linked_again_where_a_newer_event_or_an_earlier_version_has_the_row(
    written: list[ConditionalWrite], changed: dict[str, Any]
) -> None:
    known = {name: value for name, value in {**_linked(before="bob"), **changed}.items() if value is not None}
    ORDER.keep_linked(_event(), known, None)
    assert written == []


ANA, BOB, EVA = (Contact(name, None, f"token-{name}") for name in ("ana", "bob", "eva"))
SEALING = ORDER._replace(keeps_contacts=True)


def _opened(row: Row) -> Any:
    text = KEYS.unseal(row["contacts"]["S"])
    assert text is not None
    return json.loads(text)


def test_contacts_are_sealed_with_their_device_and_those_of_a_failed_release_stay(
    written: list[ConditionalWrite],
) -> None:
    event = _event()
    SEALING.advance([SequenceUpdate(event, {}, contact=ANA)])
    assert _opened(written[0].row) == {"device": event.group, "before": [], "after": [list(ANA)]}
    known = written[0].row
    then = _event(event_id="evt_2", customer_id="bob", sequence=6)
    (turn,) = SEALING.advance([SequenceUpdate(then, known, contact=BOB)])
    assert turn == OrderResult(is_newest=True, must_release=True, foreign=[ANA])
    assert _opened(written[1].row) == {"device": event.group, "before": [list(ANA)], "after": [list(BOB)]}
    SEALING.keep_linked(then, written[1].row, BOB)
    assert written[2].row["version"] == number(3)
    assert _opened(written[2].row) == {"device": event.group, "before": [list(ANA)], "after": [list(ANA), list(BOB)]}


def test_a_push_token_that_names_nobody_keeps_the_contacts_before_and_after_the_newest_event(
    written: list[ConditionalWrite],
) -> None:
    SEALING.advance([SequenceUpdate(_event(), {}, contact=ANA)])
    then = _event(event_id="evt_2", customer_id="bob", sequence=6)
    SEALING.advance([SequenceUpdate(then, written[0].row, contact=BOB)])
    token = _event("push_token", 7, event_id="evt_3", customer_id=None)
    SEALING.advance([SequenceUpdate(token, {**written[1].row}, contact=EVA)])
    assert _opened(written[2].row) == {
        "device": token.group,
        "before": [list(ANA)],
        "after": [list(BOB), list(EVA)],
    }


def test_what_is_not_sent_makes_no_contact(written: list[ConditionalWrite]) -> None:
    SEALING.advance([SequenceUpdate(_event(), {}, is_sent=False, contact=ANA)])
    assert _opened(written[0].row)["after"] == []


@pytest.mark.parametrize("unreadable", [{}, {"contacts": string("not sealed by us")}])
def test_a_row_without_contacts_that_a_key_opens_releases_nobody(
    written: list[ConditionalWrite], unreadable: Row
) -> None:
    (turn,) = SEALING.advance([SequenceUpdate(_event(), {"version": number(1), **unreadable})])
    assert turn == OrderResult(is_newest=True, foreign=[])
    assert len(written) == 1


@pytest.mark.parametrize(
    ("person", "customer", "has_left"),
    [("ana", "ana", False), ("bob", "ana", True), ("", "ana", True), ("", None, False), ("bob", None, False)],
)
def test_a_person_has_left_where_the_newest_event_names_another_or_nobody(
    person: str,
    customer: str | None,
    has_left: bool,  # noqa: FBT001
) -> None:
    assert ORDER.has_new_owner(_event("logout", customer_id=customer), _linked(person=person)) is has_left
    assert ORDER.has_new_owner(_event("logout", customer_id=customer), {}) is (customer is not None)
    others = {"person": string(LedgerKeys(LedgerKeysRecord.model_validate({"keys": [make_key()]})).digest("x"))}
    assert not ORDER.has_new_owner(_event("logout", customer_id="ana"), others)


@pytest.mark.parametrize(
    ("linked", "event", "must_release"),
    [
        ("ana", {}, False),
        ("bob", {}, True),
        ("", {}, False),
        ("ana", {"event_type": "logout"}, True),
        ("ana", {"event_type": "open", "customer_id": None}, True),
        ("ana", {"device": Device.model_validate({"id": "phone", "pushToken": False})}, True),
        ("bob", {"event_type": "push_token", "customer_id": None}, False),
    ],
)
def test_a_device_is_released_from_a_person_whom_the_event_does_not_let_be_reached_there(
    written: list[ConditionalWrite],
    linked: str,
    event: dict[str, Any],
    must_release: bool,  # noqa: FBT001
) -> None:
    known = {**_linked(linked=linked, before="eva"), "last": string("other")}
    (turn,) = ORDER.advance([SequenceUpdate(_event(**event), known)])
    assert turn == OrderResult(is_newest=True, must_release=must_release)
    assert len(written) == 1


def test_until_an_event_is_through_it_is_judged_by_whom_the_agent_linked_before(
    written: list[ConditionalWrite],
) -> None:
    (turn,) = ORDER.advance([SequenceUpdate(_event(), _linked(before="bob", linked="ana"), is_sent=False)])
    assert turn == OrderResult(is_newest=True, must_release=True)
    assert (written[0].row["before"], written[0].row["linked"]) == (string(ORDER.digest(_event(), "bob")), string(""))


def test_an_event_that_is_not_sent_leaves_its_own_person_linked(written: list[ConditionalWrite]) -> None:
    known = {**_linked(linked="ana", before=""), "last": string("other")}
    ORDER.advance([SequenceUpdate(_event(), known, is_sent=False)])
    assert written[0].row["linked"] == written[0].row["before"] == string(ORDER.digest(_event(), "ana"))


def test_an_event_without_an_account_is_known_by_its_visitor(written: list[ConditionalWrite]) -> None:
    event = _event("open", customer_id=None, anonymous_id="visitor")
    ORDER.advance([SequenceUpdate(event, {})])
    row = written[0].row
    assert (row["person"], row["linked"]) == (string(ORDER.digest(event, "visitor")), string(""))
