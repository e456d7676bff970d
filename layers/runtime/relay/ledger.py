"""The ledger: what is known of every delivery, so that each is made once, in order, and can be asked about.

One DynamoDB table, no personal data. A row per event and agent (`<app>#<event id>`, agent), one for the event's own
acceptance (agent `*`), and a row per ordered agent and device that holds the last sequence applied there, and a
digest of whose it was.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from relay import aws
from relay.errors import LedgerUnavailable
from relay.event import Event
from relay.hashing import sha256

KEPT = timedelta(days=15)
"""Longer than a dead-letter queue keeps a message, so that a redrive always finds what became of it."""

FINAL = frozenset({"delivered", "unconfirmed", "skipped", "expired"})
"""States after which nothing more is sent. A parked delivery may be: a message of it can only come from a redrive."""

UNORDERED = frozenset({"track", "identify"})
"""Events that leave no state on a device, so that their order is nobody's concern."""

_ACCEPTED = "*"
_ROWS_PER_WRITE = 25
Row = dict[str, Any]

# No claim stands: nothing has been written yet, or what was begun is to be tried again.
_WAITS = "attribute_not_exists(#state) OR #state IN (:retrying, :held, :parked)"
_WAITING = {f":{state}": {"S": state} for state in ("retrying", "held", "parked")}


class Standing(StrEnum):
    """Where a delivery stands when somebody wants to make it."""

    OURS = "ours"
    SETTLED = "settled"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim: ours to make, settled before, or being made by another (for `wait` seconds at most).

    `attempts` were made before and `done` requests of this delivery are behind us; `in_doubt` when an earlier claim
    ended without a word, so that nobody knows whether its requests were sent; `lease` is 0 where nothing was claimed.
    """

    standing: Standing
    attempts: int = 0
    done: int = 0
    in_doubt: bool = False
    wait: int = 0
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """The table by its name, as one agent sees it (`agent` is "" for ingest and receipts).

    A claim holds for `lease` seconds: longer than a function may run, so that whoever claimed is then known to be gone.
    """

    table: str
    agent: str = ""
    lease: int = 60

    def accept(self, events: Iterable[Event]) -> None:
        """Notes that events were accepted."""
        rows = [
            {"PutRequest": {"Item": _row(_key(event.app_id, event.event_id, _ACCEPTED), event, state="accepted")}}
            for event in events
        ]
        for start in range(0, len(rows), _ROWS_PER_WRITE):
            wanted = {self.table: rows[start : start + _ROWS_PER_WRITE]}
            # DynamoDB may leave some undone; once more is enough for what is only a note.
            left = _ask("batch_write_item", RequestItems=wanted).get("UnprocessedItems")
            if left:
                _ask("batch_write_item", RequestItems=left)

    def look(self, event: Event) -> Claim:
        """Where a delivery stands that nobody else can have: an ordered agent's, whose queue sees to that.

        A FIFO queue hands out a device's messages one after the other, so there is nothing to claim.
        """
        found = _ask("get_item", TableName=self.table, Key=self._delivery(event), ConsistentRead=True).get("Item", {})
        if _text(found, "state") in FINAL:
            return Claim(Standing.SETTLED)
        return Claim(Standing.OURS, _number(found, "attempts"), _number(found, "done"))

    def claim(self, event: Event, now: datetime) -> Claim:
        """Takes a delivery for ourselves unless it is settled or somebody else has it."""
        lease = int(now.timestamp()) + self.lease
        row = self._take(event, lease, _WAITS, _WAITING)
        if row is not None:
            return _claimed(row, lease)
        found = _ask("get_item", TableName=self.table, Key=self._delivery(event), ConsistentRead=True).get("Item", {})
        state, held_until = _text(found, "state"), _number(found, "lease")
        if state in FINAL:
            return Claim(Standing.SETTLED)
        if held_until > now.timestamp():
            return Claim(Standing.BUSY, wait=held_until - int(now.timestamp()) + 1)
        row = self._take(event, lease, "#state = :sending AND lease = :old", {":old": _n(held_until)})
        return _claimed(row, lease, in_doubt=True) if row else Claim(Standing.BUSY, wait=1)

    def _take(self, event: Event, lease: int, condition: str, more: Row) -> Row | None:
        return self._update(
            Key=self._delivery(event),
            UpdateExpression="SET #state = :sending, lease = :lease, #type = :type, expires = :expires",
            ConditionExpression=condition,
            ExpressionAttributeNames={"#state": "state", "#type": "type"},
            ExpressionAttributeValues={
                ":sending": _s("sending"),
                ":lease": _n(lease),
                ":type": _s(event.type),
                ":expires": _expires(event),
                **more,
            },
        )

    def settle(self, event: Event, claim: Claim, state: str, notes: Mapping[str, str | int]) -> bool:
        """Writes what became of a delivery; False, and nothing written, if it is another's by now, or settled."""
        told = {"state": state, "type": event.type, **notes}
        condition, values = ("lease = :ours", {":ours": _n(claim.lease)}) if claim.lease else (_WAITS, _WAITING)
        written = self._update(
            Key=self._delivery(event),
            UpdateExpression="SET expires = :expires, "
            + ", ".join(f"#{name} = :{name}" for name in told)
            + " REMOVE lease",
            ConditionExpression=condition,
            ExpressionAttributeNames={f"#{name}": name for name in told},
            ExpressionAttributeValues={
                ":expires": _expires(event),
                **{f":{name}": _n(value) if isinstance(value, int) else _s(value) for name, value in told.items()},
                **values,
            },
        )
        return written is not None

    def in_order(self, event: Event) -> bool:
        """Applies the event's sequence to its device; False if a newer one was applied there before.

        On a tie logout wins, else the later to arrive; an event is never older than itself.
        """
        if event.type in UNORDERED:
            return True
        tie = "#sequence = :sequence" if event.type == "logout" else "(#sequence = :sequence AND #type <> :logout)"
        logout = {} if event.type == "logout" else {":logout": _s("logout")}
        return (
            self._update(
                Key=self._order(event),
                UpdateExpression="SET #sequence = :sequence, #last = :event, #type = :type, person = :person, "
                "expires = :expires",
                ConditionExpression=f"attribute_not_exists(#last) OR #sequence < :sequence OR #last = :event OR {tie}",
                ExpressionAttributeNames={"#sequence": "sequence", "#last": "last", "#type": "type"},
                ExpressionAttributeValues={
                    ":sequence": _n(event.sequence),
                    ":event": _s(event.event_id),
                    ":type": _s(event.type),
                    ":person": _s(_person(event)),
                    ":expires": _expires(event),
                    **logout,
                },
            )
            is not None
        )

    def moved_on(self, event: Event) -> bool:
        """Whether the newest event of the device is another person's than this one, or nobody's."""
        return self._newest_person(event) != _person(event)

    def is_anothers(self, event: Event) -> bool:
        """Whether the newest event of the device is another person's than this one."""
        nobody = event.model_copy(update={"customer_id": None, "anonymous_id": None})
        return self._newest_person(event) not in {"", _person(event), _person(nobody)}

    def _newest_person(self, event: Event) -> str:
        row = _ask("get_item", TableName=self.table, Key=self._order(event), ConsistentRead=True).get("Item", {})
        return _text(row, "person")

    def receipts(self, app_id: str, event_id: str) -> dict[str, Row]:
        """Every row of an event by agent, `*` for its acceptance, as plain values; empty if there is no such event."""
        key = _key(app_id, event_id, _ACCEPTED)["event"]
        answer = _ask(
            "query",
            TableName=self.table,
            KeyConditionExpression="event = :event",
            ExpressionAttributeValues={":event": key},
            ConsistentRead=True,
        )
        return {_text(row, "agent"): {name: _plain(value) for name, value in row.items()} for row in answer["Items"]}

    def _delivery(self, event: Event) -> Row:
        return _key(event.app_id, event.event_id, self.agent)

    def _order(self, event: Event) -> Row:
        return {"event": _s(f"{self.agent}#{event.group}"), "agent": _s("order")}

    def _update(self, **update: Any) -> Row | None:  # noqa: ANN401 - boto3's own arguments
        try:
            row: Row = _ask("update_item", TableName=self.table, ReturnValues="ALL_NEW", **update)["Attributes"]
        except _ConditionFailedError:
            return None
        return row


class _ConditionFailedError(Exception):
    """The row is not as the condition wants it."""


def _ask(operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - boto3's own arguments and answers
    try:
        return getattr(aws.dynamodb(), operation)(**arguments)
    except ClientError as fault:
        if fault.response["Error"]["Code"] == "ConditionalCheckFailedException":
            raise _ConditionFailedError from None
        raise LedgerUnavailable(fault.response["Error"]["Code"]) from None
    except BotoCoreError as fault:
        raise LedgerUnavailable(type(fault).__name__) from None


def _claimed(row: Row, lease: int, *, in_doubt: bool = False) -> Claim:
    return Claim(Standing.OURS, _number(row, "attempts"), _number(row, "done"), in_doubt, lease=lease)


def _key(app_id: str, event_id: str, agent: str) -> Row:
    return {"event": _s(f"{app_id}#{event_id}"), "agent": _s(agent)}


def _row(key: Row, event: Event, state: str) -> Row:
    accepted = _n(int(event.received_at.timestamp() * 1000))
    return {**key, "state": _s(state), "type": _s(event.type), "accepted": accepted, "expires": _expires(event)}


def _expires(event: Event) -> Row:
    return _n(int((event.received_at + KEPT).timestamp()))


def _person(event: Event) -> str:
    """Who the event says is on the device, as a digest that is of use for this device alone."""
    return sha256(f"{event.group}\0{event.customer_id or event.anonymous_id or ''}")


def _s(text: str) -> Row:
    return {"S": text}


def _n(number: int) -> Row:
    return {"N": str(number)}


def _text(row: Row, name: str) -> str:
    return str(row.get(name, {}).get("S", ""))


def _number(row: Row, name: str) -> int:
    return int(row.get(name, {}).get("N", 0))


def _plain(value: Row) -> str | int:
    return int(value["N"]) if "N" in value else str(value["S"])
