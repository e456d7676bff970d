"""Identity tokens that an event carries itself: credentials in any spelling of their name, never part of the event."""

import json
import unicodedata
from typing import NamedTuple

_NAMES = {"identitytoken", "xidentitytoken"}


class OwnTokens(NamedTuple):
    """An event's text without the identity tokens that it carried, and these tokens."""

    text: str
    tokens: tuple[str, ...] = ()


def split_tokens(document: object, text: str) -> OwnTokens:
    """Takes the identity tokens out of an event, given as JSON and as its text; its properties lose theirs as well.

    A value that is no text counts as a token that proves nothing; null and blank text are no token.
    """
    if not isinstance(document, dict):
        return OwnTokens(text)
    properties = document.get("properties")
    inner = properties if isinstance(properties, dict) else {}
    if not any(map(is_token_name, (*document, *inner))):
        return OwnTokens(text)
    tokens = tuple(_token(value) for name, value in document.items() if is_token_name(name) and _is_sent(value))
    kept = {name: value for name, value in document.items() if not is_token_name(name)}
    if inner:
        kept["properties"] = {name: value for name, value in inner.items() if not is_token_name(name)}
    return OwnTokens(json.dumps(kept, ensure_ascii=False, separators=(",", ":")), tokens)


def carries_token(document: object) -> bool:
    """Whether an event carries a token of its own, which outranks the header's."""
    return isinstance(document, dict) and any(
        is_token_name(name) and _is_sent(value) for name, value in document.items()
    )


def is_token_name(name: str) -> bool:
    """Whether a name is a spelling of `identityToken`, as in identity_token."""
    if name.isascii() and "token" not in name.lower():
        return False
    letters = filter(str.isalnum, unicodedata.normalize("NFKC", name).casefold())
    return "".join(letters) in _NAMES


def _token(value: object) -> str:
    return value if isinstance(value, str) else ""


def _is_sent(value: object) -> bool:
    return value is not None and not (isinstance(value, str) and not value.strip())
