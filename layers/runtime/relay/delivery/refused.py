"""Credentials that an agent has just refused: a backlog does not ask SSM and the agent again for every message."""

from time import monotonic

REMEMBERED_SECONDS = 60
"""After it one delivery tries again, and finds new settings where there are some."""

_refused: dict[str, tuple[object, str, float]] = {}


def remember(scope: str, settings: object, reason: str) -> None:
    """Notes that an agent refused these settings' credentials, though they had just been read again."""
    _refused[scope] = (settings, reason, monotonic() + REMEMBERED_SECONDS)


def reason(scope: str, settings: object) -> str | None:
    """Why these settings need not be tried now; None if they may be."""
    known = _refused.get(scope)
    if known is None or known[0] != settings or known[2] <= monotonic():
        return None
    return known[1]


def forget() -> None:
    """Forgets every refusal, as a new function instance does."""
    _refused.clear()
