"""Which properties of an event an agent is told: those its settings name, and none with personal data in clear."""

import re
from collections.abc import Mapping
from typing import Literal

from relay.event import PropertyValue

Allowed = Literal["all", "none"] | list[str]
"""An agent's setting: all properties, none, or those of these names."""

_EMAIL = re.compile(r"[^\s@]+(?:@|%40)[^\s@]+\.[^\s@]+")
_PHONE = re.compile(r"(?<![\w.-])\+?\(?\d[\d\s().-]{7,}\d(?![\w.-])")
_SHORTEST_PHONE = 9
_NAMES = {
    *("email", "mail", "phone", "phonenumber", "mobile", "cpf", "cnpj", "ssn", "passport", "password", "token"),
    *("name", "firstname", "lastname", "fullname", "address", "street", "birthday", "birthdate", "dateofbirth"),
}


def shared(properties: Mapping[str, PropertyValue], allowed: Allowed) -> dict[str, PropertyValue]:
    """The properties that may leave in clear to an advertising or analytics agent."""
    if allowed == "none":
        return {}
    return {
        name: value
        for name, value in properties.items()
        if (allowed == "all" or name in allowed) and _plain(name, value)
    }


def _plain(name: str, value: PropertyValue) -> bool:
    if re.sub(r"[\W_]", "", name.lower()) in _NAMES:
        return False
    return not _is_contact(name) and not (isinstance(value, str) and _is_contact(value))


def _is_contact(text: str) -> bool:
    phone = _PHONE.search(text)
    return bool(_EMAIL.search(text) or (phone and sum(map(str.isdigit, phone[0])) >= _SHORTEST_PHONE))
