"""Credentials that an agent has just refused: a backlog does not ask SSM and the agent again for every message."""

from time import monotonic

MAX_SECONDS = 60
"""How long a refusal is remembered at most: then one delivery tries again, and finds new settings if there are some."""

_refused: dict[str, tuple[object, str, float]] = {}


def remember(scope: str, settings: object, reason: str, hold_seconds: float) -> None:
    """Notes that an agent refused these settings' credentials, for a fifteenth of a hold, 60 s at most."""
    _refused[scope] = (settings, reason, monotonic() + min(MAX_SECONDS, hold_seconds / 15))


def reason(scope: str, settings: object) -> str | None:
    """Why these settings need not be tried now; None if they may be."""
    known = _refused.get(scope)
    if known is None or known[0] != settings or known[2] <= monotonic():
        return None
    return known[1]


def forget() -> None:
    """Forgets every refusal, as a new function instance does."""
    _refused.clear()
