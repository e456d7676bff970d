"""Digests of personal data; what is digested is each agent's own rule and stands in that agent's module."""

import hashlib


def sha256(normalised: str) -> str:
    """The SHA-256 of a text in UTF-8, as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(normalised.encode()).hexdigest()
