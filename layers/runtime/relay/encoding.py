"""JSON bytes and SHA-256 digests."""

import hashlib

from pydantic_core import to_json


def encode(document: object) -> bytes:
    """A JSON document as compact UTF-8."""
    # A fifth of json's time, and the same bytes but for how the smallest floats are written.
    return to_json(document)


def sha256(normalised: str) -> str:
    """The SHA-256 of a text in UTF-8, as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(normalised.encode()).hexdigest()
