"""The push contacts of a device: for which accounts an agent sends pushes to which tokens, and which an event ends."""

from collections.abc import Iterable
from typing import NamedTuple

from relay.event.model import Event

MAX_CONTACTS = 8
"""Contacts that are kept of one device, the newest ones."""


class Contact(NamedTuple):
    """An account or a visitor for whom an agent sends pushes to a token."""

    uid: str | None
    anonymous_uid: str | None
    token: str

    def __repr__(self) -> str:
        """Nothing of the person whom it names."""
        return "Contact()"


def foreign_contacts(contacts: Iterable[Contact], event: Event) -> list[Contact]:
    """The contacts that must end because the event says that another person, or nobody, may be reached there."""
    if not event.names_owner:
        return []
    if event.type == "logout" or event.device.push_token is False:
        return list(contacts)
    return [contact for contact in contacts if not _is_of(event, contact)]


def without_own(contacts: Iterable[Contact], event: Event) -> list[Contact]:
    """The contacts without those that the event's own requests end."""
    tokens = {event.device.push_token, event.device.previous_push_token}
    if event.type not in {"logout", "push_token"}:
        return list(contacts)
    return [contact for contact in contacts if not (contact.token in tokens and _is_of(event, contact))]


def remaining_contacts(contacts: Iterable[Contact], event: Event, own: Contact | None) -> list[Contact]:
    """The contacts after an event: without those that end, and with `own`, which the event itself makes."""
    known = list(contacts)
    ended = foreign_contacts(known, event)
    replaced = event.device.previous_push_token if own else None
    return with_own([one for one in known if one not in ended and one.token != replaced], own)


def with_own(contacts: Iterable[Contact], own: Contact | None) -> list[Contact]:
    """The contacts with the one that an event makes as the newest of them."""
    return [*(one for one in contacts if one != own), *([own] if own else [])][-MAX_CONTACTS:]


def _is_of(event: Event, contact: Contact) -> bool:
    if contact.uid is None:
        return contact.anonymous_uid == event.anonymous_id
    return contact.uid == event.customer_id
