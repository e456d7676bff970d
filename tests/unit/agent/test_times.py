"""Times in agents' requests: in UTC, with milliseconds."""

from datetime import datetime

import pytest

from relay.agent.settings import iso8601_z


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        ("2026-11-20T09:15:42.318999+00:00", "2026-11-20T09:15:42.318Z"),
        ("2026-11-20T09:15:42Z", "2026-11-20T09:15:42.000Z"),
        ("2026-11-20T23:15:42.318-03:00", "2026-11-21T02:15:42.318Z"),
        ("2026-11-20T00:00:00+05:45", "2026-11-19T18:15:00.000Z"),
        ("2026-11-20T00:00:00+00:00:30", "2026-11-19T23:59:30.000Z"),
    ],
)
def test_a_time_of_any_offset_is_written_in_utc(moment: str, written: str) -> None:
    assert iso8601_z(datetime.fromisoformat(moment)) == written


def test_a_time_of_no_year_that_utc_has_is_refused() -> None:
    with pytest.raises(OverflowError):
        iso8601_z(datetime.fromisoformat("0001-01-01T00:00:00+01:00"))
