"""The default table from an answer to its meaning."""

import pytest

from relay.agent.http import Response
from relay.agent.verdict import by_status


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, "delivered"),
        (202, "delivered"),
        (204, "delivered"),
        (301, "rejected"),
        (302, "rejected"),
        (400, "rejected"),
        (401, "credentials"),
        (403, "credentials"),
        (404, "rejected"),
        (408, "retry"),
        (409, "rejected"),
        (425, "retry"),
        (429, "retry"),
        (500, "retry"),
        (503, "retry"),
        (599, "retry"),
    ],
)
def test_a_status_has_a_verdict(status: int, kind: str) -> None:
    verdict = by_status(Response(status))
    assert (verdict.kind, verdict.reason) == (kind, f"HTTP {status}")


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "120"}, 120),
        ({"retry-after": " 0 "}, 0),
        ({"retry-after": "Fri, 20 Nov 2026 09:02:00 GMT", "date": "Fri, 20 Nov 2026 09:00:00 GMT"}, 120),
        ({"retry-after": "Fri, 20 Nov 2026 08:00:00 GMT", "date": "Fri, 20 Nov 2026 09:00:00 GMT"}, 0),
        ({"retry-after": "Fri, 20 Nov 2026 09:02:00 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "²"}, None),
        ({}, None),
    ],
)
def test_how_long_a_busy_agent_asks_to_wait(headers: dict[str, str], wait: int | None) -> None:
    assert by_status(Response(429, headers=headers)).wait == wait
