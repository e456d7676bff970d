"""The body of a caller's HTTP request: JSON in UTF-8 in which every name means one thing, or a fault with its place."""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from relay.api import headers
from relay.errors import FieldError, InvalidEvent, TooLarge, UnsupportedMedia
from relay.event.faults import NOT_JSON, ROOT, TOO_DEEP, child

MAX_DIGITS = 4300
"""Of one whole number: Python reads no longer ones."""

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_MEDIA_TYPE = re.compile(r"application/([\w.-]+\+)?json")


class Body(NamedTuple):
    """A body's text, what it says, and the faults that JSON itself lets pass."""

    text: str
    document: Any
    faults: tuple[FieldError, ...] = ()

    def valid_text(self) -> str:
        """The text of a body without such faults.

        Raises:
            InvalidEvent: there are some.
        """
        if self.faults:
            raise InvalidEvent(list(self.faults))
        return self.text


class _DuplicateKeyError(ValueError):
    """An object has a name twice."""


class _DuplicateKeys(dict[str, Any]):
    """An object that has names twice; `names` are they."""

    names: list[str]


class _HugeInteger:
    """Where a number stands that has too many digits."""


def read(request: Mapping[str, Any], limit: int) -> Body:
    """The body of a proxy request; its text is empty if there is none.

    Raises:
        UnsupportedMedia: it is sent as something other than JSON, or compressed.
        TooLarge: it has more bytes than the limit.
        InvalidEvent: it is not JSON in UTF-8.
    """
    text = _text(request, limit)
    if not text:
        return Body("", None)
    _check_media(request)
    try:
        document = _CLEAR.decode(text)
    except (ValueError, RecursionError):
        return _locate_errors(text)
    # JSON can write half a surrogate pair, which no UTF-8 can carry on.
    return _locate_errors(text) if _HALF.search(text) else Body(text, document)


def too_large(limit: int) -> str:
    """What to do about a body that is too large."""
    return f"At most {limit} bytes are taken; leave out what no agent needs."


def _text(request: Mapping[str, Any], limit: int) -> str:
    body = request.get("body") or ""
    try:
        raw = base64.b64decode(body, validate=True) if request.get("isBase64Encoded") else body.encode()
        if len(raw) > limit:
            raise TooLarge(too_large(limit))
        return body if isinstance(body, str) and not request.get("isBase64Encoded") else raw.decode()
    except ValueError:
        raise InvalidEvent([FieldError(ROOT, NOT_JSON)]) from None


def _check_media(request: Mapping[str, Any]) -> None:
    if any(value.strip().lower() not in {"", "identity"} for value in headers.values(request, "content-encoding")):
        raise UnsupportedMedia("Send the body as it is, without Content-Encoding: compressed bodies are not taken.")
    for value in headers.values(request, "content-type"):
        instead = _instead_of(value)
        if instead:
            raise UnsupportedMedia(instead)


@lru_cache(maxsize=32)
def _instead_of(media_type: str) -> str | None:
    """What to send instead of this Content-Type, if it is not JSON in UTF-8."""
    kind, *parameters = (part.strip().lower() for part in media_type.split(";"))
    if kind == "application/x-www-form-urlencoded":
        # curl -d says so of whatever it sends.
        return "Send the header Content-Type: application/json; a form was announced, as curl -d does by itself."
    charsets = {part.partition("=")[2].strip('"') for part in parameters if part.startswith("charset")}
    if (kind and not _MEDIA_TYPE.fullmatch(kind)) or not charsets <= {"utf-8", "utf8", "us-ascii"}:
        return "Send JSON in UTF-8, with the header Content-Type: application/json."
    return None


def _locate_errors(text: str) -> Body:
    """The same again, slower: with marks in place of what is wrong, so that each fault has its place."""
    try:
        document = _MARKING.decode(text)
    except RecursionError:
        raise InvalidEvent([FieldError(ROOT, TOO_DEEP)]) from None
    except ValueError:
        raise InvalidEvent([FieldError(ROOT, NOT_JSON)]) from None
    return Body(text, document, tuple(_faults(document)))


def _faults(document: object) -> Iterator[FieldError]:
    # By a list of our own rather than by recursion: what could be parsed may be deeper than what can be called.
    left: list[tuple[str, object]] = [(ROOT, document)]
    while left:
        place, value = left.pop()
        if isinstance(value, dict):
            if isinstance(value, _DuplicateKeys):
                yield from (FieldError(child(place, name), "is given twice; send it once") for name in value.names)
            if any(_has_lone_surrogate(name) for name in value):
                yield FieldError(place, "has a name with half a surrogate pair in it")
            left += [(child(place, name), part) for name, part in reversed(value.items())]
        elif isinstance(value, list):
            left += [(child(place, position), part) for position, part in reversed(list(enumerate(value)))]
        elif isinstance(value, str) and _has_lone_surrogate(value):
            yield FieldError(place, "has half a surrogate pair in it; a character beyond U+FFFF is written with both")
        elif isinstance(value, _HugeInteger):
            yield FieldError(place, f"must be a number of at most {MAX_DIGITS} digits")


def _has_lone_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _strict_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _DuplicateKeyError
    return members


def _mark_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = _DuplicateKeys(pairs)
    if len(members) == len(pairs):
        return dict(members)
    members.names = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
    return members


def _whole(digits: str) -> int | _HugeInteger:
    return _HugeInteger() if len(digits) > MAX_DIGITS else int(digits)


_CLEAR = json.JSONDecoder(object_pairs_hook=_strict_pairs)
_MARKING = json.JSONDecoder(object_pairs_hook=_mark_pairs, parse_int=_whole)
