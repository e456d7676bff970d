"""The report of a run: a table for the eyes, and a JSON document of the same."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.measure import Row, machine

TITLES = {
    "mapping": "Mapping: queue's text to HTTP bodies, processor time an event",
    "ingest": "ingest in process, processor time a call",
    "cold start": "Cold start: import and first invocation, processor time; what costs most beyond the floor, ms",
    "restored": "First invocation from a snapshot (SnapStart), processor time",
    "delivery": "Delivery: agents answer after 50 ms, AWS after 5",
    "end to end": "End to end on the local cloud, from the call to the agent's request",
    "memory": "A warm invocation by memory: Lambda's share of a processor, AWS answering after 5 ms, agents after 50",
    "cost": "Cost of a million events to six agents, list price",
    "idle": "A month without events, list price",
    "outage": "Outages, simulated with the real runtime and a clock of its own",
    "cost if": "What would change the cost",
    "starts against": "Starts: import and first invocation, processor time",
    "mapping against": "Mapping: a dry run of one login by the agent's handler, processor time",
    "ingest against": "ingest: processor time a call",
    "delivery against": "Delivery: processor time each",
    "memory against": "Memory: resident after a start; first delivery from cold by the clock, at the templates' memory",
}


WIDTH = 110
"""Of a table that goes into a file or a log."""


def console() -> Console:
    """Standard output, as wide as the tables need where it is no terminal."""
    there = Console()
    return there if there.is_terminal else Console(width=WIDTH)


def show(rows: Sequence[Row], to: Console) -> None:
    """Prints a table for each part."""
    for part, found in groupby(rows, lambda row: row.part):
        table = Table(title=TITLES[part], title_justify="left", title_style="bold", min_width=80)
        for column, style in (
            ("", ""),
            ("value", "bold"),
            ("", ""),
            ("of", "dim"),
            ("ratio", ""),
            ("target", "dim"),
            ("", ""),
            ("", "dim"),
        ):
            table.add_column(column, style=style, justify="right" if column in {"value", "ratio"} else "left")
        for row in found:
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
            table.add_row(
                row.name, figure(row.value), row.unit, row.reference, ratio, row.target, _mark(row.met), row.note
            )
        to.print(table)


def figure(value: float) -> str:
    """A value as people read it: no decimals where they say nothing."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"  # noqa: PLR2004 - a hundred


def _mark(met: bool | None) -> str:  # noqa: FBT001 - a row's own word
    return {None: "", True: "[green]met[/]", False: "[red]missed[/]"}[met]


def document(rows: Sequence[Row]) -> dict[str, object]:
    """All that was measured, and on what and when."""
    parts = {part: [asdict(row) for row in found] for part, found in groupby(rows, lambda row: row.part)}
    return {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "parts": parts}


def write(rows: Sequence[Row], path: Path) -> None:
    """Writes the document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document(rows), indent=2, ensure_ascii=False) + "\n")
