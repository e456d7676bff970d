"""The places and fixed sentences of errors in a caller's JSON; places are JSON Pointers (RFC 6901) as URI fragments."""

from collections.abc import Iterable
from urllib.parse import quote

NOT_AN_OBJECT = "must be a JSON object"
NOT_JSON = "the body is not valid JSON in UTF-8"
TOO_DEEP = "is nested too deeply"

ROOT = "#"
MAX_STEP = 64
MAX_LENGTH = 512
"""A pointer that would be longer is its ancestor's: an answer never grows with what was sent."""


def child(to_pointer: str, step: str | int) -> str:
    """The pointer to a member or an item of what this one points to."""
    name = str(step)[:MAX_STEP].replace("~", "~0").replace("/", "~1")
    further = f"{to_pointer}/{quote(name, safe='~!$&()*+,;=:@?', errors='replace')}"
    return further if len(further) <= MAX_LENGTH else to_pointer


def to_pointer(path: Iterable[str | int]) -> str:
    """The pointer that these steps lead to, from the whole body on."""
    pointer = ROOT
    for step in path:
        pointer = child(pointer, step)
    return pointer
