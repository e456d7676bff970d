"""The default table from an answer to its meaning."""

import pytest

from relay.agent.http import Response
from relay.agent.verdict import MAX_WAIT_SECONDS, Verdict, VerdictKind, by_status, is_outage


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
        (499, "rejected"),
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
        ({"retry-after": "43200"}, 43_200),
        ({"retry-after": "43201"}, 43_200),
        ({"retry-after": "9" * 30}, 43_200),
        ({"retry-after": "Fri, 20 Nov 2026 21:00:01 GMT", "date": "Fri, 20 Nov 2026 09:00:00 GMT"}, 43_200),
        ({"retry-after": "Fri, 20 Nov 2026 09:02:00 -0000", "date": "Fri, 20 Nov 2026 09:00:00 GMT"}, 120),
    ],
)
def test_how_long_a_busy_agent_asks_to_wait(headers: dict[str, str], wait: int | None) -> None:
    assert by_status(Response(429, headers=headers)).wait == wait


def test_no_wait_is_longer_than_sqs_hides_a_message() -> None:
    assert MAX_WAIT_SECONDS == 12 * 3600


@pytest.mark.parametrize(
    ("kind", "status", "outage"),
    [
        ("retry", 500, True),
        ("retry", 501, True),
        ("retry", 499, False),
        ("retry", 429, False),
        ("rejected", 500, False),
        ("unconfirmed", 500, False),
        ("unconfirmed", 200, False),
        ("retry", None, True),
        ("unconfirmed", None, True),
        ("credentials", None, False),
        ("rejected", None, False),
        ("delivered", None, False),
    ],
)
def test_a_status_of_500_or_silence_shows_that_the_agent_is_down(
    kind: str,
    status: int | None,
    outage: bool,  # noqa: FBT001
) -> None:
    assert is_outage(Verdict(VerdictKind(kind), status=status)) is outage


def test_an_outcome_that_the_agent_delays_says_for_how_long_and_only_that() -> None:
    busy = Response(503, headers={"retry-after": "7"})
    assert by_status(busy) == Verdict(VerdictKind.RETRY, "HTTP 503", 7)
    assert by_status(Response(400, headers={"retry-after": "7"})) == Verdict(VerdictKind.REJECTED, "HTTP 400")


def test_a_verdict_says_nothing_that_it_was_not_given() -> None:
    assert Verdict(VerdictKind.DELIVERED) == (VerdictKind.DELIVERED, "", None, None, (), "")
