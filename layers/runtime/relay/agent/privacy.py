"""What an agent may receive in clear: the properties that its settings name, without personal data."""

import re
from collections.abc import Collection, Mapping
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from relay.agent.once import once
from relay.event.model import Event, PropertyValue
from relay.event.pii import contains_email, is_personal_data, might_contain_email
from relay.event.types import PropertyName

P = TypeVar("P", bound=BaseModel)

Allowed = Literal["all", "none"] | list[str]
"""An agent's setting: all properties, none, or those of these names."""


NotPhones = list[PropertyName]
"""An agent's setting: names of properties, at any depth, whose long numbers are order ids and no phone numbers."""


def shareable_properties(
    properties: Mapping[str, PropertyValue], allowed: Allowed, not_phones: Collection[str] = ()
) -> dict[str, PropertyValue]:
    """The properties that may leave in clear to an advertising or analytics agent, without personal data at any depth.

    A list or an object stays without its personal parts; one of which nothing is left goes as a whole.
    """
    return _shared(properties, allowed, not_phones)[0]


def count_withheld(properties: Mapping[str, PropertyValue], allowed: Allowed, not_phones: Collection[str] = ()) -> int:
    """How many values `shareable_properties` keeps back as personal data, among the properties that the settings name.

    A list or an object under a name on the deny list counts once.
    """
    return _shared(properties, allowed, not_phones)[1]


@once
def _shared(
    properties: Mapping[str, PropertyValue], allowed: Allowed, not_phones: Collection[str]
) -> tuple[dict[str, PropertyValue], int]:
    return _without_personal_data(selected_properties(properties, allowed), not_phones)


def _without_personal_data(
    members: Mapping[str, PropertyValue], not_phones: Collection[str]
) -> tuple[dict[str, PropertyValue], int]:
    """The members of an object without personal data, and how many values went."""
    kept: dict[str, PropertyValue] = {}
    withheld = 0
    for name, value in members.items():
        if is_personal_data(name, value, may_be_number=name in not_phones):
            withheld += 1
        elif isinstance(value, list | dict):
            part, inside = _pruned(value, name, not_phones)
            withheld += inside
            if part or not inside:
                kept[name] = part
        else:
            kept[name] = value
    return kept, withheld


def _pruned(
    value: list[Any] | dict[str, Any], name: str, not_phones: Collection[str]
) -> tuple[list[Any] | dict[str, Any], int]:
    """A list or an object without personal data; what holds for a list's name holds for its items, which have none."""
    if isinstance(value, dict):
        return _without_personal_data(value, not_phones)
    items = {str(position): item for position, item in enumerate(value)}
    kept, withheld = _without_personal_data(items, {*not_phones, *items} if name in not_phones else not_phones)
    return list(kept.values()), withheld


_SCALARS = {str, bool, int, float}


def are_flat(properties: Mapping[str, PropertyValue]) -> bool:
    """Whether no property is a list or an object."""
    return _SCALARS.issuperset(map(type, properties.values()))


def selected_properties(properties: Mapping[str, PropertyValue], allowed: Allowed) -> Mapping[str, PropertyValue]:
    """The properties that an agent's settings name, whatever they hold: for agents that may know the person."""
    if allowed == "all":
        return properties
    return {} if allowed == "none" else {name: value for name, value in properties.items() if name in allowed}


def scrub_emails(event: Event) -> Event:
    """The event for an advertising or analytics agent: no e-mail address where something else should stand.

    Of a page's address that holds one, its site is left. Ids of the person stay: each agent digests them or asks.
    """
    # All at a glance first: hardly any event holds what could be an address.
    given = *event.device.__dict__.values(), *event.ids.__dict__.values(), *event.context.__dict__.values()
    texts = [text for text in given if type(text) is str]
    if not might_contain_email("\n".join(texts)):
        return event
    parts: dict[str, BaseModel] = {"device": event.device, "ids": event.ids, "context": event.context}
    cleaned = {name: _clean(part) for name, part in parts.items()}
    return event.model_copy(update={name: part for name, part in cleaned.items() if part is not parts[name]})


def _clean(part: P) -> P:
    wrong = {name: text for name, text in part.__dict__.items() if isinstance(text, str) and contains_email(text)}
    if not wrong:
        return part
    return part.model_copy(update={name: _site(text) if name == "url" else None for name, text in wrong.items()})


def _site(url: str) -> str | None:
    found = re.match(r"(https?://)(?:[^/?#]*@)?([^/?#@%]+)(?:[/?#]|$)", url)
    return f"{found[1]}{found[2]}/" if found else None


_UNSPECIFIED = {"0.0.0.0", "::"}  # noqa: S104 - not to listen on


def client_ip(value: str | None) -> str | None:
    """The address that a text is, version 6 in its usual form; None for what is none, and for what is nobody's."""
    if not value:
        return None
    is_version_6 = ":" in value
    try:
        # A fifteenth of what the module ipaddress takes.
        packed = inet_pton(AF_INET6 if is_version_6 else AF_INET, value)
    except (OSError, ValueError):
        return None
    # There is one way to write version 4.
    address = inet_ntop(AF_INET6, packed) if is_version_6 else value
    return None if address in _UNSPECIFIED else address
