"""The order of each device's events at an agent: a row says which is the newest there, and whom the agent links.

A row holds the position of the newest event that says who is on the device (`sequence`, `source`, `received`, `type`,
`last`) and that of the newest push token that names nobody (`token`, `tokenReceived`). `person` is whom the newest
event names. `linked` is whom the agent links to the device once that event is through, and `before` whom it links until
then. All three are keyed digests of use for this device alone; "" is nobody. `contacts` are sealed.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

from relay.encoding import encode
from relay.errors import LedgerUnavailable
from relay.event.contact import Contact, foreign_contacts, remaining_contacts, with_own
from relay.event.model import Event
from relay.ledger import rows
from relay.ledger.keys import LedgerKeys
from relay.ledger.rows import ConditionalWrite, Row, number, string

UNORDERED = frozenset({"track", "identify"})
"""Events that leave no state on a device, so that their order does not matter."""

ATTEMPTS = 3
"""How often a row is read and written again that another worker has changed in between."""

_EPOCH_MILLISECONDS = 10**12
"""A sequence below this (the year 2001) counts something else than milliseconds, and has no age."""

UNKNOWN = "?"
"""A person of whom the row says nothing."""


class SequenceUpdate(NamedTuple):
    """An event whose turn it is on its device, and the row that is there.

    `is_sent` where the agent is sent the event itself, and not only that nobody is on the device; `contact` is what it
    makes at an agent whose contacts are kept.
    """

    event: Event
    known: Row
    is_sent: bool = True
    contact: Contact | None = None


class OrderResult(NamedTuple):
    """Whether an event is the newest of its device, and what it changes there.

    `must_release` where the agent may still link the device to another person than the event says; `foreign` are that
    person's contacts. `late_by` is how many milliseconds older than the newest a superseded event is.
    `is_unknown` where there is no row, and the event is so old that its device's row may have ended.
    """

    is_newest: bool
    must_release: bool = False
    foreign: Sequence[Contact] = ()
    late_by: int = 0
    is_unknown: bool = False


class DeviceOrder(NamedTuple):
    """The rows of one agent's devices; `keeps_contacts` where they hold sealed contacts; `expires` is their end.

    `oldest` is the time (epoch milliseconds) before which an event may belong to a row that has ended.
    """

    table: str
    agent: str
    keys: LedgerKeys
    keeps_contacts: bool
    expires: Row
    oldest: int

    def advance(self, updates: Sequence[SequenceUpdate]) -> list[OrderResult | LedgerUnavailable]:
        """Applies the sequences of events, each of a device of its own."""
        found: dict[int, OrderResult | LedgerUnavailable] = {}
        waiting = dict(enumerate(updates))
        try:
            for _ in range(ATTEMPTS):
                waiting = self._apply(waiting, found)
                if not waiting:
                    break
                known = rows.read(self.table, [key(self.agent, update.event) for update in waiting.values()])
                again = zip(waiting.items(), known, strict=True)
                waiting = {at: update._replace(known=row) for (at, update), row in again}
            fault = LedgerUnavailable("the device's row keeps changing")
        except LedgerUnavailable as unavailable:
            fault = unavailable
        return [found.get(at, fault) for at in range(len(updates))]

    def _apply(
        self, waiting: dict[int, SequenceUpdate], found: dict[int, OrderResult | LedgerUnavailable]
    ) -> dict[int, SequenceUpdate]:
        """Writes these by one call; those whose row another worker has changed are left."""
        turns = {at: self._turn(update) for at, update in waiting.items()}
        moving = [at for at, turn in turns.items() if turn.is_newest and waiting[at].event.type not in UNORDERED]
        written = rows.change(self.table, [self._write(waiting[at], turns[at]) for at in moving])
        left = {at for at, is_written in zip(moving, written, strict=True) if not is_written}
        found |= {at: turn for at, turn in turns.items() if at not in left}
        return {at: waiting[at] for at in left}

    def _turn(self, update: SequenceUpdate) -> OrderResult:
        event, known = update.event, update.known
        if event.type in UNORDERED:
            return OrderResult(is_newest=True)
        if is_superseded(event, known):
            return OrderResult(is_newest=False, late_by=max(0, _newest_sequence(known) - event.sequence))
        if "sequence" not in known and _EPOCH_MILLISECONDS <= event.sequence < self.oldest:
            return OrderResult(is_newest=False, is_unknown=True)
        if not event.names_owner:
            return OrderResult(is_newest=True)
        if self.keeps_contacts:
            foreign = foreign_contacts(self._contacts(update), event)
            return OrderResult(is_newest=True, must_release=bool(foreign), foreign=foreign)
        return OrderResult(is_newest=True, must_release=self._must_leave(_linked_before(update), event))

    def _must_leave(self, linked: str, event: Event) -> bool:
        """Whether a digest is known to be of a person whom the event does not let be reached on the device.

        That is another person than it says, and anybody where it says that push is declined. Not where no key opens it.
        """
        if not linked or not self.keys.knows(linked):
            return False
        if event.device.push_token is False:
            return True
        return event.owner is None or not self.keys.is_of(linked, text_in_group(event.group, event.owner))

    def _write(self, update: SequenceUpdate, turn: OrderResult) -> ConditionalWrite:
        event, known = update.event, update.known
        row = {**key(self.agent, event), "version": number(int(known.get("version", {"N": "0"})["N"]) + 1)}
        row |= self._newest(update, turn) if event.names_owner else _token_position(event)
        if self.keeps_contacts:
            row["contacts"] = string(self._sealed(update))
        row["expires"] = self.expires
        if not known:
            return ConditionalWrite(row)
        if "version" in known:
            return ConditionalWrite(row, '"version" = ?', [known["version"]])
        return ConditionalWrite(row, '"sequence" = ? AND "last" = ?', [known["sequence"], known["last"]])

    def _newest(self, update: SequenceUpdate, turn: OrderResult) -> Row:
        event, before = update.event, _linked_before(update)
        unsent = "" if turn.must_release else before
        linked = self.digest(event, event.owner) if update.is_sent else unsent
        return {
            "sequence": number(event.sequence),
            "source": string(event.ordered_by),
            "received": number(event.received),
            "last": string(event.unique_id),
            "type": string(event.type),
            "person": string(self.digest(event, event.customer_id or event.anonymous_id)),
            "before": string(before),
            "linked": string(linked),
        }

    def digest(self, event: Event, person: str | None) -> str:
        """A person's digest on the event's device; "" for nobody."""
        return self.keys.digest(text_in_group(event.group, person)) if person else ""

    def has_new_owner(self, event: Event, known: Row) -> bool:
        """Whether the newest event of the device names another person than this one, or nobody."""
        person = str(known.get("person", {}).get("S", ""))
        if not person or event.customer_id is None:
            return event.customer_id is not None
        return self.keys.knows(person) and not self.keys.is_of(person, text_in_group(event.group, event.customer_id))

    def _contacts(self, update: SequenceUpdate) -> list[Contact]:
        """The contacts that the agent keeps until the event is through; none where no key opens them."""
        stored = self._unsealed(update)
        return stored["before" if _is_last(update) else "after"]

    def _sealed(self, update: SequenceUpdate) -> str:
        event, before = update.event, self._contacts(update)
        own = update.contact if update.is_sent else None
        if event.names_owner:
            after = remaining_contacts(before, event, own)
        else:
            stored = self._unsealed(update)
            before, after = stored["before"], remaining_contacts(stored["after"], event, own)
        return self._seal(event, before, after)

    def _seal(self, event: Event, before: Sequence[Contact], after: Sequence[Contact]) -> str:
        return self.keys.seal(encode({"device": event.group, "before": before, "after": after}).decode())

    def keep_linked(self, event: Event, known: Row, own: Contact | None) -> None:
        """Keeps in the device's row whom the agent linked before an event that ended unsent and without a release.

        `own` is the contact that an attempt of the event may have made. Nothing where a newer event has moved the row.
        """
        if not _is_last(SequenceUpdate(event, known)) or "version" not in known:
            return
        row = {**key(self.agent, event), "version": number(int(known["version"]["N"]) + 1), "expires": self.expires}
        row["linked"] = known["before"]
        if self.keeps_contacts:
            before = self._unsealed(SequenceUpdate(event, known))["before"]
            row["contacts"] = string(self._seal(event, before, with_own(before, own)))
        rows.change(self.table, [ConditionalWrite(row, '"version" = ?', [known["version"]])])

    def _unsealed(self, update: SequenceUpdate) -> dict[str, list[Contact]]:
        sealed = update.known.get("contacts", {}).get("S")
        text = self.keys.unseal(sealed) if sealed else None
        document = json.loads(text) if text else {}
        # A sealed text counts in its own device's row alone.
        if document.get("device") != update.event.group:
            document = {}
        return {name: [Contact(*contact) for contact in document.get(name, [])] for name in ("before", "after")}


def key(agent: str, event: Event) -> Row:
    """The key of the row of an event's device."""
    return {"event": string(f"{agent}#{event.group}"), "agent": string("order")}


def key_names(known: Row) -> set[str]:
    """The digests in a row, by which its keys are known."""
    return {known[name]["S"] for name in ("person", "linked", "before") if known.get(name, {}).get("S")} - {UNKNOWN}


def is_superseded(event: Event, known: Row) -> bool:
    """Whether a row holds a newer event of the device than this one; an event is never older than itself.

    Of equal times the later received counts; of equal explicit sequences a logout does.
    """
    if event.type in UNORDERED or known.get("last", {}).get("S") == event.unique_id:
        return False
    if "sequence" in known and _is_older(event, known):
        return True
    if event.names_owner or "token" not in known:
        return False
    return (event.sequence, event.received) < (int(known["token"]["N"]), int(known["tokenReceived"]["N"]))


def _is_older(event: Event, known: Row) -> bool:
    sequence = int(known["sequence"]["N"])
    if event.sequence != sequence:
        return event.sequence < sequence
    if "occurredAt" not in {event.ordered_by, known.get("source", {}).get("S")}:
        if event.type == "logout":
            return False
        if known["type"]["S"] == "logout":
            return True
    return event.received < int(known.get("received", {"N": "0"})["N"])


def _newest_sequence(known: Row) -> int:
    return max(int(known[name]["N"]) for name in ("sequence", "token") if name in known)


def _is_last(update: SequenceUpdate) -> bool:
    return bool(update.known.get("last", {}).get("S") == update.event.unique_id)


def _linked_before(update: SequenceUpdate) -> str:
    """Whom the agent links to the device until the event is through."""
    known = update.known
    if "sequence" not in known:
        return ""
    return str(known.get("before" if _is_last(update) else "linked", {"S": UNKNOWN})["S"])


def _token_position(event: Event) -> Row:
    return {"token": number(event.sequence), "tokenReceived": number(event.received)}


def text_in_group(group: str, person: str) -> str:
    """What a person's digest is made of: it is of use for this device alone."""
    return f"{group}\0{person}"
