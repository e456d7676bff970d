"""`python -m bench`: measures what the README promises, prints a table and writes `.local/bench.json`."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench import against, cold, cost, delivery, end_to_end, ingest, mapping, memory, outage, report, samples
from bench.measure import Extent, Row, Say
from bench.revision import UnknownRevisionError
from bench.traffic import Measured

PARTS = ("mapping", "ingest", "cold", "delivery", "end-to-end", "memory", "cost", "outage")


def main() -> None:
    """Measures the named parts, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument(
        "--against", metavar="REV", help=f"this tree's ratios to a commit's, of {', '.join(against.PARTS)}"
    )
    parser.add_argument("--quick", action="store_true", help="as little as shows that it runs; no local cloud")
    parser.add_argument("--output", type=Path, help="by default .local/bench.json, or .local/bench-against.json")
    asked = parser.parse_args()
    known = against.PARTS if asked.against else PARTS
    unknown = set(asked.parts) - set(known)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    try:
        rows = _rows(set(asked.parts or known), Console(stderr=True), asked.against, quick=asked.quick)
    except UnknownRevisionError as unknown_revision:
        parser.error(str(unknown_revision))
    report.show(rows, report.console())
    name = "bench-against" if asked.against else "bench"
    report.write(rows, asked.output or samples.ROOT / f".local/{name}.json")


def _rows(parts: set[str], console: Console, revision: str | None, *, quick: bool) -> list[Row]:
    extent = Extent.quick() if quick else Extent()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)

        def say(what: str) -> None:
            progress.update(task, description=what)
            if not console.is_terminal:
                console.print(what)

        if revision:
            return list(against.measure(revision, parts, extent, say, from_sources=quick))
        return list(_measured(parts, extent, say, quick=quick))


def _measured(parts: set[str], extent: Extent, say: Say, *, quick: bool) -> Iterator[Row]:
    """The rows of the parts, those that cost is reckoned from before it."""
    needed = parts | ({"ingest", "delivery", "memory"} if "cost" in parts else set())
    rows: list[Row] = []
    measures: dict[str, Callable[[], Iterator[Row]]] = {
        "mapping": lambda: mapping.measure(extent, say),
        "ingest": lambda: ingest.measure(extent, say),
        "cold": lambda: cold.measure(extent, say, from_sources=quick),
        "delivery": lambda: delivery.measure(extent, say),
        "end-to-end": lambda: iter(()) if quick else end_to_end.measure(extent, say),
        "memory": lambda: memory.measure(extent, say, from_sources=quick),
        "cost": lambda: cost.rows(Measured.of(rows)),
        "outage": lambda: outage.measure(extent, say),
    }
    for part, measure in measures.items():
        if part in needed:
            rows.extend(measure())
    yield from rows


if __name__ == "__main__":
    main()
