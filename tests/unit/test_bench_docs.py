"""The tables of docs/performance.md, from the figures of a run."""

from typing import Any

from bench import docs


def _row(name: str, value: float, ratio: float | None, unit: str = "ms") -> dict[str, Any]:
    return {"name": name, "value": value, "ratio": ratio, "unit": unit}


PARTS = {
    "mapping against": [
        _row("appsflyer, in tens", 40, 0.58),
        _row("google, in tens", 40, 0.72),
        _row("dashx, in tens", 50, 0.912),
        _row("emarsys, in tens", 50, 0.9),
    ],
    "delivery against": [_row("google (unordered), alone", 2, 0.7), _row("emarsys (ordered), alone", 3, 0.97)],
    "memory against": [_row("google, resident", 44.5, 0.9, "MB"), _row("dashx, resident", 54.25, 0.9, "MB")],
    "cost": [_row("Logs", 1, None, "USD/M"), _row("total", 24, None, "USD/M")],
    "cost if": [_row("ten events a call, from a phone's queue", 12, None, "USD/M")],
}


def test_each_target_of_the_second_step_is_held_against_the_rows_that_it_is_of() -> None:
    page = "<!-- bench: second step -->\nold\n<!-- end -->"
    _, _, *lines = docs.filled(page, {"parts": PARTS}, {"second step"}).splitlines()[2:-2]
    assert lines == [
        "| AppsFlyer's mapping, in tens | ≤ 0.6 | 0.58 | met |",
        "| the other mappings, in tens | ≤ 0.9 | 0.72 to 0.91 | missed by dashx |",
        "| a single delivery, unordered | ≤ 0.75 | 0.70 | met |",
        "| a single delivery, ordered | ≤ 0.75 | 0.97 | missed |",
        "| resident memory of an agent | ≤ 45 MB | 44.50 to 54.25 MB | missed by dashx |",
        "| a million events | ≤ 20 USD/M | 24.00 USD/M | missed |",
        "| a million events, ten a call, of single ones | ≤ 0.7 | 0.50 | met |",
    ]
