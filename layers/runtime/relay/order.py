"""The order of each device's events at an agent: a row says which is the newest that was applied there, and whose.

Whose is kept as a digest that is of use for this device alone: no personal data.
"""

from collections.abc import Sequence

from relay import rows
from relay.errors import LedgerUnavailable
from relay.event import Event
from relay.hashing import sha256
from relay.rows import Change, Row, number, text

UNORDERED = frozenset({"track", "identify"})
"""Events that leave no state on a device, so that their order is nobody's concern."""


def applied(table: str, agent: str, events: Sequence[Event], expires: Sequence[Row]) -> list[bool | LedgerUnavailable]:
    """Applies the sequences of events, each of a device of its own; False where a newer one was applied there before.

    On a tie logout wins, else the later to arrive; an event is never older than itself. `expires`: when their rows do.
    """
    newest = [_newest(agent, event, ends) for event, ends in zip(events, expires, strict=True)]
    left = [at for at, event in enumerate(events) if event.type not in UNORDERED]
    found: list[bool | LedgerUnavailable] = [True] * len(events)
    try:
        if len(left) > 1:
            # Of several, one call for all devices that are known, and one for those that are new.
            advanced = rows.change(table, [_advance(events[at], newest[at]) for at in left])
            left = [at for at, done in zip(left, advanced, strict=True) if not done]
            entered = rows.insert(table, [newest[at] for at in left]) if left else []
            left = [at for at, done in zip(left, entered, strict=True) if not done]
        # What neither took is superseded, unless somebody came between the two calls; and what is alone needs one call.
        for at in left:
            found[at] = _applied_alone(table, events[at], newest[at])
    except LedgerUnavailable as fault:
        for at in left:
            found[at] = fault
    return found


def newest_person(table: str, agent: str, event: Event) -> str:
    """The digest of who was on the event's device with the newest event there; "" where there was none."""
    return str(rows.get(table, _key(agent, event)).get("person", {}).get("S", ""))


def person(event: Event) -> str:
    """Who the event says is on the device, as a digest that is of use for this device alone."""
    return sha256(f"{event.group}\0{event.customer_id or event.anonymous_id or ''}")


def _advance(event: Event, newest: Row) -> Change:
    tie = '"sequence" = ?' if event.type == "logout" else """("sequence" = ? AND "type" <> 'logout')"""
    asked = [newest["sequence"], newest["last"], newest["sequence"]]
    return Change(newest, f'"sequence" < ? OR "last" = ? OR {tie}', asked)


def _applied_alone(table: str, event: Event, newest: Row) -> bool:
    tie = "#sequence = :sequence" if event.type == "logout" else "(#sequence = :sequence AND #type <> :logout)"
    logout = {} if event.type == "logout" else {":logout": text("logout")}
    key, values = rows.parted(newest)
    applied = rows.update(
        table,
        Key=key,
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
        ConditionExpression=f"attribute_not_exists(#last) OR #sequence < :sequence OR #last = :last OR {tie}",
        ExpressionAttributeNames={f"#{name}": name for name in values},
        ExpressionAttributeValues={**{f":{name}": value for name, value in values.items()}, **logout},
    )
    return applied is not None


def _newest(agent: str, event: Event, expires: Row) -> Row:
    """The row of a device whose newest event this is."""
    return {
        **_key(agent, event),
        "sequence": number(event.sequence),
        "last": text(event.event_id),
        "type": text(event.type),
        "person": text(person(event)),
        "expires": expires,
    }


def _key(agent: str, event: Event) -> Row:
    return {"event": text(f"{agent}#{event.group}"), "agent": text("order")}
