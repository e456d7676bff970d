"""The forms that values must have, as checks that say what is wrong with a value, or nothing."""

import ipaddress
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeAlias
from urllib.parse import unquote

from local.sandbox.exchange import Json

Check: TypeAlias = Callable[[Json], str]

DIGEST = re.compile(r"[0-9a-f]{64}")
DIGEST_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
E164 = r"\+[1-9]\d{6,14}"
ISO_UTC = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?Z"
VERSION = r"\d+(\.\d+)*"
PHONE_DIGITS = range(7, 16)

_EMAIL = re.compile(r"[\w.%+-]+@[\w-]+(\.[\w-]+)*\.[a-z]{2,}", re.IGNORECASE)
_PHONE = re.compile(r"(?<![\w+])\+[1-9][\d ().-]{6,20}\d")
_PHONE_KEY = re.compile(r"(^|_)(phone|phone_?number|mobile|mobile_?number|msisdn|tel|telephone)$", re.IGNORECASE)
_PLACEHOLDERS = {"null", "undefined", "none", "nan", "unknown"}


def text(pattern: str = "", *, longest: int = 0, form: str = "") -> Check:
    """Require a string that is not blank, no placeholder, not too long and of a form that `form` describes."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: Json) -> str:
        if not isinstance(value, str):
            return "is not a string"
        if not value.strip():
            return "is blank"
        if value.strip().lower() in _PLACEHOLDERS:
            return f"is the placeholder {value!r}"
        if longest and len(value) > longest:
            return f"has {len(value)} characters, more than {longest}"
        if pattern and not compiled.fullmatch(value):
            return f"is not {form or 'of the form ' + pattern}"
        return ""

    return check


def whole_number(lowest: int | None = None, highest: int | None = None) -> Check:
    """Require an integer, not a boolean and not text, within bounds."""

    def check(value: Json) -> str:
        if not isinstance(value, int) or isinstance(value, bool):
            return "is not an integer"
        if (lowest is not None and value < lowest) or (highest is not None and value > highest):
            return f"is {value}, out of bounds"
        return ""

    return check


def one_of(*allowed: str | int) -> Check:
    """Require one of a few values, of the very same type."""

    def check(value: Json) -> str:
        fits = any(type(value) is type(one) and value == one for one in allowed)
        return "" if fits else f"is {value!r}, not one of {', '.join(map(repr, allowed))}"

    return check


def true_or_false(value: Json) -> str:
    """Require a boolean."""
    return "" if isinstance(value, bool) else "is not a boolean"


def anything(_value: Json) -> str:
    """Require nothing."""
    return ""


def digest(value: Json) -> str:
    """Require a SHA-256 in 64 lower-case hex digits, and not the one of an empty string."""
    if not isinstance(value, str) or not DIGEST.fullmatch(value):
        return "is not a SHA-256 in 64 lower-case hex digits"
    return "is the digest of an empty string" if value == DIGEST_OF_NOTHING else ""


def identifier(value: Json) -> str:
    """Require a UUID that is not all zeros, as advertising ids are."""
    return text(UUID, form="a UUID")(value) or ("is all zeros" if not value.strip("0-") else "")


def ip_address(value: Json) -> str:
    """Require an IPv4 or IPv6 address that is not unspecified."""
    try:
        address = ipaddress.ip_address(value) if isinstance(value, str) else None
    except ValueError:
        address = None
    if address is None:
        return "is not an IP address"
    return "is the placeholder address" if address.is_unspecified else ""


def list_of(check: Check, *, longest: int = 0) -> Check:
    """Require a list, not empty, whose items pass a check."""

    def every(value: Json) -> str:
        if not isinstance(value, list):
            return "is not a list"
        if not value:
            return "is an empty list"
        if longest and len(value) > longest:
            return f"has {len(value)} items, more than {longest}"
        return next((f"[{at}] {wrong}" for at, item in enumerate(value) if (wrong := check(item))), "")

    return every


def misfits(
    value: Json, where: str, table: Mapping[str, Check], required: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Yield the place and the fault of every member of an object that a table of checks does not admit."""
    if not isinstance(value, dict):
        yield where or "body", "is not an object"
        return
    prefix = f"{where}." if where else ""
    for name in required:
        if name not in value:
            yield prefix + name, "is missing"
    for name, member in value.items():
        check = table.get(name)
        wrong = "is not a known field" if check is None else check(member)
        if wrong:
            yield prefix + name, wrong


def within(table: Mapping[str, Check], required: Collection[str] = ()) -> Check:
    """Require an object whose members a table of checks admits."""

    def check(value: Json) -> str:
        return next((f"{where} {wrong}" for where, wrong in misfits(value, "", table, required)), "")

    return check


def personal_data(value: Json, where: str) -> Iterator[str]:
    """Yield every place where an e-mail address or a telephone number stands in clear text."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from personal_data(name, f"{where}: a key")
            yield from personal_data(member, f"{where}.{name}")
            if _PHONE_KEY.search(name) and _is_number_in_clear(member):
                yield f"{where}.{name}: a telephone number in clear text"
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from personal_data(item, f"{where}[{at}]")
    elif isinstance(value, str):
        plain = unquote(value)
        if "@" in plain and _EMAIL.search(plain):
            yield f"{where}: an e-mail address in clear text"
        if "+" in plain and any(is_phone(found) for found in _PHONE.findall(plain)):
            yield f"{where}: a telephone number in clear text"


def is_phone(value: str) -> bool:
    """Tell whether a text with a leading plus has as many digits as a telephone number."""
    return sum(character.isdigit() for character in value) in PHONE_DIGITS


def is_email(value: str) -> bool:
    """Tell whether a text holds an e-mail address."""
    return _EMAIL.search(value) is not None


def _is_number_in_clear(value: Json) -> bool:
    shown = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    bare = re.sub(r"[\s().+-]", "", shown)
    return bare.isdigit() and len(bare) in PHONE_DIGITS
