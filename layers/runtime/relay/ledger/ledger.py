"""The ledger: what is known of every delivery, so that each is made once, in order, and can be asked about.

One DynamoDB table. A row per event and agent (`<app>#<event id>`, `<agent>#<scope>`), one for the event's own
acceptance (agent `*`), and a row per ordered agent and device (`device_order`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from relay.encoding import encode
from relay.errors import LedgerUnavailable
from relay.event.contact import Contact
from relay.event.model import Event, to_milliseconds
from relay.ledger import device_order, rows
from relay.ledger.device_order import DeviceOrder, OrderResult, SequenceUpdate
from relay.ledger.keys import LedgerKeys, load_keys
from relay.ledger.rows import Row, number, string
from relay.ledger.states import NOT_REDRIVABLE, TERMINAL, DeliveryState
from relay.uuid7 import uuid7

RETENTION = timedelta(days=25)
"""How long a row lives after it was last written.

Longer than an event can come back: nine days held, then fourteen in the dead-letter queue.
"""

MAX_ORDERED_AGE = timedelta(days=24)
"""An event that is older is not sent to an ordered agent: the row that would supersede it may have ended."""

_ACCEPTED = "*"

# No claim stands: nothing has been written yet, or what was begun is to be tried again.
_WAITS = "attribute_not_exists(#state) OR #state IN (:retrying, :held, :parked)"
_WAITING = {f":{state}": string(state) for state in (DeliveryState.RETRYING, DeliveryState.HELD, DeliveryState.PARKED)}

# As above, or the claim is the writer's own.
_IS_OPEN = _WAITS.replace("(:retrying", "(:sending, :retrying")
_OPEN = {**_WAITING, ":sending": string(DeliveryState.SENDING)}


def _now() -> datetime:
    return datetime.now(UTC)


class ClaimStatus(StrEnum):
    """Where a delivery stands when a worker wants to make it."""

    ACQUIRED = "acquired"
    ALREADY_SETTLED = "already_settled"
    IN_PROGRESS = "in_progress"


class Claim(NamedTuple):
    """The answer to a claim: ours to make, settled before, or being made by another (for `wait` seconds at most).

    `attempts` were made before, and `done` requests of this delivery need not be sent again; `in_doubt` when an earlier
    claim ended without an outcome, so that it is not known whether its requests were sent. `device` is the row of its
    device, where that was asked for. `failing_since` (epoch seconds) is the first of the failures in a row, 0 if the
    delivery is not failing; `held` is the reason that the row gives for holding it, where the row was read. `by`
    names the claim.
    """

    status: ClaimStatus
    attempts: int = 0
    done: int = 0
    in_doubt: bool = False
    wait: int = 0
    device: Row | None = None
    failing_since: int = 0
    held: str = ""
    by: str = ""


class ReceiptUpdate(NamedTuple):
    """What became of an event's delivery, and what the ledger keeps of it."""

    event: Event
    state: DeliveryState
    attributes: Mapping[str, str | int]


class Ledger:
    """The table by its name, as one agent sees it (`agent` is "" for ingest and receipts).

    A claim holds for `lease` seconds: longer than a function may run, so that the worker that claimed is then known to
    be gone. With `keeps_contacts` the rows of devices hold the agent's contacts, sealed. `keys` loads the ledger's
    keys, from the cache or not.
    """

    def __init__(  # noqa: PLR0913 - the last two are the world, which tests replace
        self,
        table: str,
        agent: str = "",
        lease: int = 60,
        *,
        keeps_contacts: bool = False,
        keys: Callable[[bool], LedgerKeys] = load_keys,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self.table, self.agent, self.lease = table, agent, lease
        self.keeps_contacts, self.keys, self.now = keeps_contacts, keys, now

    def accept(self, events: Iterable[Event]) -> None:
        """Notes that events were accepted.

        Raises:
            LedgerUnavailable: some may not have been noted.
        """
        rows.write(self.table, [{**_accepted(event), "expires": self._expires()} for event in events])

    def read_claims(self, events: Sequence[Event], *, devices: bool = False) -> list[Claim | LedgerUnavailable]:
        """Where deliveries stand that may be made without a claim, because making one twice would do no harm.

        With `devices` the rows of their devices are read as well.
        """
        keys = [self._delivery(event) for event in events]
        moved = [at for at, event in enumerate(events) if devices and event.type not in device_order.UNORDERED]
        try:
            found = rows.read(self.table, keys + [device_order.key(self.agent, events[at]) for at in moved])
        except LedgerUnavailable as fault:
            return [fault] * len(events)
        known = dict(zip(moved, found[len(events) :], strict=True))
        return [_as_seen(row)._replace(device=known.get(at)) for at, row in enumerate(found[: len(events)])]

    def claim(
        self, events: Sequence[Event], now: datetime, unsent: Sequence[str] = ()
    ) -> list[Claim | LedgerUnavailable]:
        """Takes deliveries for this worker, but not those that are settled or that another worker has.

        Of one event's deliveries only the first is ours. `unsent` names for each event the earlier claims that
        certainly sent nothing, with commas between them, or "": such a claim is taken over without doubt.
        """
        # A claim has a name, so that a worker knows its own claim whose answer was lost.
        taking = {
            "state": string(DeliveryState.SENDING),
            "lease": number(int(now.timestamp()) + self.lease),
            "by": string(str(uuid7(now))),
        }
        try:
            taken = self._insert(events, taking)
        except LedgerUnavailable as fault:
            return [LedgerUnavailable(str(fault), claim=taking["by"]["S"])] * len(events)
        ours = {(event.app_id, event.unique_id) for event, taken_now in zip(events, taken, strict=True) if taken_now}
        claims: list[Claim | LedgerUnavailable] = []
        known = unsent or [""] * len(events)
        for event, taken_now, unsent_claim in zip(events, taken, known, strict=True):
            if taken_now:
                claims.append(Claim(ClaimStatus.ACQUIRED, by=taking["by"]["S"]))
            elif (event.app_id, event.unique_id) in ours:
                claims.append(Claim(ClaimStatus.IN_PROGRESS, wait=1))
            else:
                claims.append(self._claim_known(event, now, taking, unsent_claim))
                ours.add((event.app_id, event.unique_id))
        return claims

    def _insert(self, events: Sequence[Event], taking: Row) -> list[bool]:
        """Whether there is a row of each delivery that this claim has made; also where the answer to it was lost."""
        try:
            return rows.insert(self.table, [{**self._own(event), **taking} for event in events])
        except LedgerUnavailable:
            found = rows.read(self.table, [self._delivery(event) for event in events])
            made = [row.get("by") == taking["by"] for row in found]
            if not any(made) and not all(found):
                raise
            return made

    def _own(self, event: Event) -> Row:
        """What every row of a delivery has."""
        return {**self._delivery(event), "type": string(event.type), "expires": self._expires()}

    def _claim_known(self, event: Event, now: datetime, taking: Row, unsent: str) -> Claim | LedgerUnavailable:
        """Claims a delivery of which there is a row."""
        in_doubt = False
        try:
            row = self._take(event, taking, _WAITS, _WAITING)
            if row is None and unsent:
                names = {f":unsent{at}": string(name) for at, name in enumerate(unsent.split(","))}
                row = self._take(event, taking, f"#by IN ({', '.join(names)}) AND #state = :state", names)
            if row is not None:
                return _ours(row)
            found = rows.get(self.table, self._delivery(event))
            if _text(found, "state") in NOT_REDRIVABLE:
                return Claim(ClaimStatus.ALREADY_SETTLED)
            if _text(found, "by") == taking["by"]["S"]:
                return _ours(found)
            held_until = _number(found, "lease")
            if held_until > now.timestamp():
                return Claim(ClaimStatus.IN_PROGRESS, wait=held_until - int(now.timestamp()) + 1)
            in_doubt = True
            row = self._take(event, taking, "#state = :state AND #lease = :old", {":old": number(held_until)})
        except LedgerUnavailable as fault:
            return self._read_back(event, taking, fault, in_doubt=in_doubt)
        return _ours(row, in_doubt=True) if row is not None else Claim(ClaimStatus.IN_PROGRESS, wait=1)

    def _read_back(
        self, event: Event, taking: Row, fault: LedgerUnavailable, *, in_doubt: bool
    ) -> Claim | LedgerUnavailable:
        """This worker's own claim whose answer was lost; else the fault.

        The fault names no claim that takes over one in doubt: whom it is handed on to would take it for one unsent.
        """
        try:
            found = rows.get(self.table, self._delivery(event))
        except LedgerUnavailable:
            found = {}
        if _text(found, "by") == taking["by"]["S"]:
            return _ours(found, in_doubt=in_doubt)
        return LedgerUnavailable(str(fault), claim="" if in_doubt else taking["by"]["S"])

    def _take(self, event: Event, taking: Row, condition: str, more: Row) -> Row | None:
        return self._change(event, taking, condition, more, ReturnValues="ALL_NEW")

    def _change(self, event: Event, values: Row, condition: str, more: Row, **wanted: str) -> Row | None:
        """Sets attributes of a delivery's row under a condition; None if that does not hold."""
        return rows.update(
            self.table,
            Key=self._delivery(event),
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
            ConditionExpression=condition,
            ExpressionAttributeNames={f"#{name}": name for name in values},
            ExpressionAttributeValues={**{f":{name}": value for name, value in values.items()}, **more},
            **wanted,
        )

    def settle(self, settlements: Sequence[ReceiptUpdate]) -> list[bool]:
        """Writes what became of deliveries that are ours; whether each was written.

        What waits is written only where the delivery has not ended: SQS may have handed it to another worker as well.

        Raises:
            LedgerUnavailable: none of them may have been.
        """
        ended = iter(rows.write(self.table, [self._settled(one) for one in settlements if one.state in TERMINAL]))
        return [next(ended) if one.state in TERMINAL else self._wait(one) for one in settlements]

    def _wait(self, settlement: ReceiptUpdate) -> bool:
        """Writes what waits; it counts as written where the delivery has ended."""
        rows.replace(self.table, self._settled(settlement), _IS_OPEN, {"#state": "state"}, _OPEN)
        return True

    def settle_unclaimed(self, settlements: Sequence[ReceiptUpdate]) -> list[bool]:
        """Writes what became of deliveries that were not claimed; False where another worker has one, or it is settled.

        Raises:
            LedgerUnavailable: some of them may not have been written.
        """
        written = rows.insert(self.table, [self._settled(one) for one in settlements])
        return [is_new or self._settle_known(one) for one, is_new in zip(settlements, written, strict=True)]

    def _settle_known(self, settlement: ReceiptUpdate) -> bool:
        row = self._settled(settlement)
        values = {name: value for name, value in row.items() if name not in self._delivery(settlement.event)}
        return self._change(settlement.event, values, _WAITS, _WAITING) is not None

    def _settled(self, settlement: ReceiptUpdate) -> Row:
        known = {"state": settlement.state, **settlement.attributes}
        values = {name: number(value) if isinstance(value, int) else string(value) for name, value in known.items()}
        return {**self._own(settlement.event), **values}

    def advance_sequences(self, updates: Sequence[SequenceUpdate]) -> list[OrderResult | LedgerUnavailable]:
        """Applies the sequences of events, each of a device of its own, and says whose turn it is.

        Raises:
            SettingsUnavailable: the ledger's keys can be neither read nor made.
        """
        if all(update.event.type in device_order.UNORDERED for update in updates):
            return [OrderResult(is_newest=True)] * len(updates)
        return self._order([update.known for update in updates]).advance(updates)

    def has_new_owner(self, event: Event) -> bool:
        """Whether the newest event of the device is another person's than this one, or nobody's.

        False where no key of the ledger opens the row.

        Raises:
            SettingsUnavailable: as above.
        """
        known = rows.get(self.table, device_order.key(self.agent, event))
        return self._order([known]).has_new_owner(event, known)

    def keep_linked(self, event: Event, own: Contact | None) -> None:
        """Keeps whom the agent linked to the device before an event that ends unsent and without a release.

        Raises:
            LedgerUnavailable: the row may not have been written.
            SettingsUnavailable: as above.
        """
        known = rows.get(self.table, device_order.key(self.agent, event))
        self._order([known]).keep_linked(event, known, own)

    def _order(self, known: Sequence[Row]) -> DeviceOrder:
        keys = self.keys(False)  # noqa: FBT003 - from the cache
        if not all(keys.knows(digest) for row in known for digest in device_order.key_names(row)):
            # They may have been rotated since they were read.
            keys = self.keys(True)  # noqa: FBT003 - from SSM
        oldest = to_milliseconds(self.now() - MAX_ORDERED_AGE)
        return DeviceOrder(self.table, self.agent, keys, self.keeps_contacts, self._expires(), oldest)

    def receipts(self, app_id: str, event_id: str) -> dict[str, dict[str, dict[str, Any]]]:
        """The rows of the events of this id as plain values: by scope, then by agent, `*` for the acceptance.

        A row without a state is none of an event's: an app may bear an agent's name, and ask for a device's row.
        """
        found = rows.query(
            self.table,
            KeyConditionExpression="event = :event",
            ExpressionAttributeValues={":event": string(f"{app_id}#{event_id}")},
        )
        events: dict[str, dict[str, dict[str, Any]]] = {}
        for row in (row for row in found if _text(row, "state")):
            agent, _, scope = _text(row, "agent").partition("#")
            events.setdefault(scope, {})[agent] = {name: rows.to_python(value) for name, value in row.items()}
        return events

    def _delivery(self, event: Event) -> Row:
        return _key(event, self.agent)

    def _expires(self) -> Row:
        return number(int((self.now() + RETENTION).timestamp()))


def _as_seen(row: Row) -> Claim:
    state = _text(row, "state")
    if state in NOT_REDRIVABLE:
        return Claim(ClaimStatus.ALREADY_SETTLED)
    if state == DeliveryState.SENDING:
        return Claim(ClaimStatus.IN_PROGRESS)
    return _ours(row)._replace(held=_text(row, "reason") if state == DeliveryState.HELD else "")


def _ours(row: Row, *, in_doubt: bool = False) -> Claim:
    claim = Claim(ClaimStatus.ACQUIRED, _number(row, "attempts"), _number(row, "done"), in_doubt)
    is_failing = _text(row, "state") in {DeliveryState.RETRYING, DeliveryState.SENDING}
    return claim._replace(failing_since=_number(row, "failing") if is_failing else 0, by=_text(row, "by"))


def _key(event: Event, agent: str) -> Row:
    # The partition is the caller's own id, so that one query finds every event that bears it.
    scoped = f"{agent}#{event.scope}" if event.scope else agent
    return {"event": string(f"{event.app_id}#{event.event_id}"), "agent": string(scoped)}


def _accepted(event: Event) -> Row:
    return {
        **_key(event, _ACCEPTED),
        "state": string("accepted"),
        "type": string(event.type),
        "accepted": number(to_milliseconds(event.received_at)),
        "orderedBy": string(event.ordered_by),
        **_warnings(event),
    }


def _warnings(event: Event) -> Row:
    """What was normalised or left out, by the schema's own names: what a caller made up is not kept."""
    if not event.warnings:
        return {}
    named = dict.fromkeys((warned.known, warned.kept_detail) for warned in event.warnings)
    return {"warnings": string(encode([{"pointer": pointer, "detail": detail} for pointer, detail in named]).decode())}


def _text(row: Row, name: str) -> str:
    return str(row.get(name, {}).get("S", ""))


def _number(row: Row, name: str) -> int:
    return int(row.get(name, {}).get("N", 0))
