"""The person's address, birthday and gender from traits, in the spellings that apps use, and digests of them."""

import re

from relay.encoding import sha256
from relay.event.model import Traits

_SPELLINGS = {
    "street": ("street", "streetAddress"),
    "city": ("city",),
    "state": ("state", "region", "province"),
    "zip": ("zip", "postalCode", "zipCode", "postcode", "postal_code", "zip_code"),
    "country": ("country", "countryCode", "country_code"),
    "birthday": ("birthday", "birthDate", "dateOfBirth", "birth_date", "date_of_birth"),
    "gender": ("gender",),
}


def fact(traits: Traits, name: str) -> str:
    """A fact of the profile as text, of the traits themselves or of their object `address`; "" where there is none.

    A whole number is its text: a postal code is often a number in JSON.
    """
    address = traits.others.get("address")
    for place in (traits.others, address if isinstance(address, dict) else {}):
        for spelling in _SPELLINGS[name]:
            value = place.get(spelling)
            if isinstance(value, str) and value.strip():
                return value.strip()
            if type(value) is int:
                return str(value)
    return ""


_DIGEST = re.compile(r"\s*([0-9a-fA-F]{64})\s*")
_DIGEST_LENGTH = 64


def digest(text: str, normal: str) -> str:
    """The SHA-256 of a text's normal form; the text itself where it is a SHA-256 already, and "" for nothing."""
    found = _DIGEST.fullmatch(text) if len(text) >= _DIGEST_LENGTH else None
    if found:
        return found[1].lower()
    return sha256(normal) if normal else ""
