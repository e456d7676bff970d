"""The order of each device's events at an agent: a row says which is the newest that was applied there, and whose.

Whose is kept as a digest that is of use for this device alone: no personal data.
"""

from collections.abc import Sequence
from typing import NamedTuple

from relay.encoding import sha256
from relay.errors import LedgerUnavailable
from relay.event.model import Event
from relay.ledger import rows
from relay.ledger.rows import ConditionalWrite, Row, number, string

UNORDERED = frozenset({"track", "identify"})
"""Events that leave no state on a device, so that their order is nobody's concern."""


class SequenceUpdate(NamedTuple):
    """An event whose turn it is on its device, when its row expires, and the row that is there; None if not read."""

    event: Event
    expires: Row
    known: Row | None


def advance(table: str, agent: str, turns: Sequence[SequenceUpdate]) -> list[bool | LedgerUnavailable]:
    """Applies the sequences of events, each of a device of its own; False where a newer one was applied there before.

    On a tie logout wins, else the later to arrive; an event is never older than itself.
    """
    found: list[bool | LedgerUnavailable] = [_comes_after(turn) for turn in turns]
    moving = [at for at, turn in enumerate(turns) if found[at] and turn.event.type not in UNORDERED]
    try:
        # Rows that were read are changed together, unless somebody has come between.
        read = [at for at in moving if turns[at].known is not None]
        changed = rows.change(table, [_change(agent, turns[at]) for at in read])
        done = {at for at, is_changed in zip(read, changed, strict=True) if is_changed}
        for at in moving:
            found[at] = at in done or _applied_alone(table, turns[at].event, _newest(agent, turns[at]))
    except LedgerUnavailable as fault:
        for at in moving:
            found[at] = fault
    return found


def key(agent: str, event: Event) -> Row:
    """The key of the row of an event's device."""
    return {"event": string(f"{agent}#{event.group}"), "agent": string("order")}


def owner_digest(table: str, agent: str, event: Event) -> str:
    """The digest of who was on the event's device with the newest event there; "" where there was none."""
    return str(rows.get(table, key(agent, event)).get("person", {}).get("S", ""))


def digest_owner(event: Event) -> str:
    """Who the event says is on the device, as a digest that is of use for this device alone."""
    return sha256(f"{event.group}\0{event.customer_id or event.anonymous_id or ''}")


def _comes_after(turn: SequenceUpdate) -> bool:
    """Whether an event comes after the newest of its device, or is that, as far as was read: no newer one goes away."""
    event, known = turn.event, turn.known
    if not known or event.type in UNORDERED or known["last"]["S"] == event.event_id:
        return True
    sequence = int(known["sequence"]["N"])
    tie_won = event.type == "logout" or known["type"]["S"] != "logout"
    return sequence < event.sequence or (sequence == event.sequence and tie_won)


def _change(agent: str, turn: SequenceUpdate) -> ConditionalWrite:
    newest = _newest(agent, turn)
    if not turn.known:
        return ConditionalWrite(newest)
    return ConditionalWrite(newest, '"sequence" = ? AND "last" = ?', [turn.known["sequence"], turn.known["last"]])


def _applied_alone(table: str, event: Event, newest: Row) -> bool:
    tie = "#sequence = :sequence" if event.type == "logout" else "(#sequence = :sequence AND #type <> :logout)"
    logout = {} if event.type == "logout" else {":logout": string("logout")}
    own, values = rows.split_key(newest)
    advance = rows.update(
        table,
        Key=own,
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
        ConditionExpression=f"attribute_not_exists(#last) OR #sequence < :sequence OR #last = :last OR {tie}",
        ExpressionAttributeNames={f"#{name}": name for name in values},
        ExpressionAttributeValues={**{f":{name}": value for name, value in values.items()}, **logout},
    )
    return advance is not None


def _newest(agent: str, turn: SequenceUpdate) -> Row:
    """The row of a device whose newest event this is."""
    event = turn.event
    return {
        **key(agent, event),
        "sequence": number(event.sequence),
        "last": string(event.event_id),
        "type": string(event.type),
        "person": string(digest_owner(event)),
        "expires": turn.expires,
    }
