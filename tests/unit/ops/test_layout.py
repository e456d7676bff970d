"""The layout of answers at terminals of any width: nothing that can be copied is broken, nothing empty is shown."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from ops.layout import fitted, heading, wrapped
from ops.show import Show
from ops.status import COLUMNS, share

EVENT = "01a1ffe3-2e72-7069-80d8-b8e9693c68e2"
AGENTS = [
    {
        "agent": name,
        "queued": 12,
        "oldest": "23 s",
        "inFlight": 6,
        "delivered": 100_000,
        "retries": 34,
        "holds": 103,
        "parked": parked,
        "circuit": "half_open",
        "whyHeld": why,
    }
    for name, parked, why in (("eitri_push", 0, None), ("appsflyer", 50, "circuit open: appsflyer does not answer"))
]
RECEIPTS = [
    {
        "at": "2026-11-28T00:33:27.523Z",
        "agent": "eitri_push",
        "state": "unconfirmed",
        "reason": "HTTP 202",
        "attempts": 7,
    },
    {"at": "2026-11-28T00:33:28.523Z", "agent": "dashx", "state": "retrying", "event": EVENT, "attempts": 7},
]


def _shown(rows: list[Any], columns: tuple[str, ...], width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False)
    console.print(fitted(console, rows, columns, "A title that is longer than the narrowest of all the terminals here"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 100, 140])
@pytest.mark.parametrize(
    ("rows", "columns"),
    [(AGENTS, COLUMNS), (RECEIPTS, ("at", "agent", "state", "reason", "attempts", "nextAttempt", "event"))],
)
def test_no_name_is_broken_and_no_line_is_too_long(rows: list[Any], columns: tuple[str, ...], width: int) -> None:
    lines = _shown(rows, columns, width)
    assert max(map(len, lines)) <= width
    names = [str(value) for row in rows for value in row.values() if value is not None and " " not in str(value)]
    assert [name for name in names if not any(name in line for line in lines)] == []


def test_a_wide_terminal_shows_a_table_and_a_narrow_one_records() -> None:
    assert any("queued" in line and "parked" in line for line in _shown(AGENTS, COLUMNS, 140))
    narrow = _shown(AGENTS, COLUMNS, 60)
    assert "eitri_push" in [line.strip() for line in narrow]
    assert any("parked 50" in line for line in narrow)


@pytest.mark.parametrize("width", [60, 140])
def test_columns_without_any_value_are_left_out_at_a_terminal(width: int) -> None:
    rows = [{"agent": "dashx", "oldest": None, "whyHeld": "", "parked": 0}]
    text = "\n".join(_shown(rows, ("agent", "oldest", "whyHeld", "parked"), width))
    assert ("oldest" in text, "why" in text, "parked" in text) == (False, False, True)


def test_a_command_in_a_finding_is_not_broken_however_narrow_the_terminal_is() -> None:
    fix = "relay parked redrive eitri_push --reason 'still failing after the horizon' --stage prod"
    console = Console(file=io.StringIO(), width=60, force_terminal=True, color_system=None, highlight=False)
    Show(console=console).findings([{"state": "wrong", "about": "dashx", "finding": "50 parked " * 9, "fix": fix}], "t")
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert fix in [line.strip() for line in lines]
    assert max(len(line) for line in lines if fix not in line) <= 60


def test_headings_are_the_json_names_in_words() -> None:
    assert [heading(name) for name in ("nextAttempt", "inFlight", "usagePlan", "agent")] == [
        "next attempt",
        "in flight",
        "usage plan",
        "agent",
    ]


def test_a_pipe_gets_every_column_under_its_heading_and_json_the_same_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{"agent": "dashx", "nextAttempt": None}]
    Show().rows(rows, ("agent", "nextAttempt"))
    assert capsys.readouterr().out == "agent\tnext attempt\ndashx\t\n"
    Show(as_json=True).rows(rows, ("agent", "nextAttempt"))
    assert json.loads(capsys.readouterr().out) == rows


def test_a_text_is_wrapped_at_blanks_alone() -> None:
    assert wrapped(f"the event {EVENT} of a-long-name", 30) == f"the event\n{EVENT}\nof a-long-name"
    assert wrapped("one line", None) == "one line"


@pytest.mark.parametrize(
    ("settled", "left", "expected"), [(0, 0, 1.0), (99_999, 1, 0.9999), (10, 0, 1.0), (50, 50, 0.5)]
)
def test_all_is_settled_only_if_nothing_is_open(settled: int, left: int, expected: float) -> None:
    assert share(settled, left) == expected
