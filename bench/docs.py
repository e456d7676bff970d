"""`python -m bench.docs`: puts the last run's figures (`.local/bench.json`) into the tables of docs/performance.md."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bench import delivery, mapping, samples
from bench.cost import IDLE_AT_LIST_PRICE, IDLE_TARGET
from bench.report import figure

PAGE = samples.ROOT / "docs/performance.md"
MAPPING, DELIVERY = mapping.TARGET, delivery.TARGET
_MARKED = re.compile(r"(<!-- bench: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)

Found = Mapping[str, Any]
Line = Sequence[str]


def filled(page: str, results: Found, marks: Collection[str]) -> str:
    """The page with the tables between these marks written anew."""

    def table(mark: re.Match[str]) -> str:
        if mark[2] not in marks:
            return mark[0]
        lines = "\n".join(_TABLES[mark[2]](results))
        return f"{mark[1]}\n{lines}\n\n{mark[3]}"

    return _MARKED.sub(table, page)


def _table(head: Line, lines: Sequence[Line]) -> Iterator[str]:
    for line in (head, ["---"] * len(head), *lines):
        yield f"| {' | '.join(line)} |"


def _machine(results: Found) -> Iterator[str]:
    machine = results["machine"]
    yield (
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}, "
        f"{results['at'][:10]}."
    )


def _targets(results: Found) -> Iterator[str]:
    parts = results["parts"]
    lines = []
    for part in ("mapping", "ingest", "cold start", "delivery", "end to end", "cost", "idle"):
        judged = [row for row in parts.get(part, []) if row["met"] is not None]
        missed = [row["name"].split(" (")[0] for row in judged if not row["met"]]
        if judged:
            lines.append([part, _target(judged[0]), _verdict(missed, judged)])
    return _table(["part", "target", "in this run"], [*lines, *_other_ways(parts)])


def _verdict(missed: Sequence[str], judged: Sequence[Found]) -> str:
    return f"missed by {len(missed)} of {len(judged)}: {'; '.join(missed)}" if missed else "met"


def _other_ways(parts: Mapping[str, Sequence[Found]]) -> Iterator[Line]:
    """The verdicts that depend on how it is measured, by the other way of each."""
    mapped, delivered = parts.get("mapping", []), parts.get("delivery", [])
    missed = [row["name"] for row in mapped if row["more"]["one_by_one_ratio"] > MAPPING]
    yield ["mapping, one by one", f"≤ {MAPPING:g} of json", _verdict(missed, mapped)]
    missed = [row["name"] for row in delivered if row["more"]["share_of_nominal"] < DELIVERY]
    yield ["delivery, by nominal waits of 50 and 5 ms", f"≥ {DELIVERY:g} of ideal", _verdict(missed, delivered)]
    for row in parts.get("cost if", []):
        if row["name"] == IDLE_AT_LIST_PRICE:
            missed = ["total"] if row["value"] > IDLE_TARGET else []
            yield ["idle, at list price", f"≤ {IDLE_TARGET:g} USD/month", _verdict(missed, [row])]


def _target(row: Found) -> str:
    of = f" of {row['reference']}" if row["ratio"] is not None and not row["target"].startswith("p99") else ""
    unit = f" {row['unit']}" if row["ratio"] is None else ""
    return f"{row['target']}{unit}{of}"


def _mapping(results: Found) -> Iterator[str]:
    lines = [
        [
            row["name"],
            f"{row['value']:.0f} µs",
            f"{row['more']['json_us']:.0f} µs",
            *_judged(row),
            f"{row['more']['one_by_one_ratio']:.2f}",
            f"{row['more']['naive_ratio']:.0f}",
        ]
        for row in results["parts"]["mapping"]
    ]
    return _table(["agent", "ours", "json", "ratio (≤ 4)", "", "one by one, ratio", "naive, ratio"], lines)


def _ingest(results: Found) -> Iterator[str]:
    lines = [
        [
            row["name"],
            f"{row['value']:,.0f} µs",
            f"{row['more']['reference_us']:,.0f} µs",
            *_judged(row),
            f"{row['more']['events_a_second']:.0f} calls/s",
            f"{row['more']['log_bytes']} bytes",
        ]
        for row in results["parts"]["ingest"]
    ]
    return _table(["call", "ours", "parse and publish", "ratio (≤ 3)", "", "one processor", "log"], lines)


def _cold(results: Found) -> Iterator[str]:
    lines = [
        [
            row["name"],
            f"{row['value']:.0f} ms",
            f"{row['more']['floor_ms']:.0f} ms",
            *_judged(row),
            f"{row['more']['floor_of_our_layer_ms']:.0f} ms",
            _dearest(row),
        ]
        for row in results["parts"]["cold start"]
    ]
    head = ["function", "start", "floor", "ratio (≤ 1.3)", "", "floor of our layer", "dearest imports beyond it, ms"]
    return _table(head, lines)


def _restored(results: Found) -> Iterator[str]:
    lines = [
        [row["name"], f"{row['value']:.0f} ms", f"{row['ratio']:.2f}"] for row in results["parts"].get("restored", [])
    ]
    return _table(["function", "first invocation", "of a start"], lines)


def _dearest(row: Found) -> str:
    return ", ".join(f"{name} {ms:.0f}" for name, ms in [*row["more"]["dearest"].items()][:4])


def _delivery(results: Found) -> Iterator[str]:
    lines = [
        [
            row["name"],
            f"{row['value']:.0f}/s",
            f"{row['more']['ideal_a_second']:.0f}/s",
            *_judged(row),
            f"{row['more']['share_of_nominal']:.2f}",
            f"{row['more']['one_at_a_time_a_second']:.0f}/s",
            f"{row['more']['cpu_ms']:.1f} ms",
            f"{row['more']['cpu_ms_alone_least']:.1f}, {row['more']['cpu_ms_calls_least']:.1f} ms",
            f"{row['more']['log_bytes']:.0f}, {row['more']['log_bytes_alone']:.0f}",
        ]
        for row in results["parts"]["delivery"]
    ]
    of_processor = ["processor each", "alone, and its calls (least)"]
    own = ["of 50 and 5 ms", "one at a time", *of_processor, "log bytes each, alone"]
    head = ["agent", "ours", "ideal", "share (≥ 0.85)", "", *own]
    return _table(head, lines)


def _end(results: Found) -> Iterator[str]:
    lines = [
        [row["name"].split(", p50")[0], f"{row['value']:.0f} ms"]
        + ([f"{row['more']['p95_ms']:.0f} ms", f"{row['more']['p99_ms']:.0f} ms"] if row["more"] else ["", ""])
        + ([f"{row['ratio']:.2f}"] if row["ratio"] is not None else [""])
        for row in results["parts"]["end to end"]
    ]
    return _table(["from the call to", "p50", "p95", "p99", "p50 to the reference"], lines)


def _memory(results: Found) -> Iterator[str]:
    lines = [
        [
            row["more"]["function"],
            f"{row['more']['memory_mb']} MB",
            f"{row['value']:.0f} ms",
            f"{row['ratio']:.2f}",
            f"{row['more']['cold_ms']:,.0f} ms",
            f"{row['more']['resident_mb']:.0f} MB",
            f"{row['more']['usd']:.2f}",
        ]
        for row in results["parts"].get("memory", [])
    ]
    return _table(["function", "memory", "warm", "of 1769 MB", "cold", "resident", "USD a million"], lines)


def _usd(*parts: str) -> Callable[[Found], Iterator[str]]:
    def table(results: Found) -> Iterator[str]:
        rows = [row for part in parts for row in results["parts"][part]]
        if not any(map(_elsewhere, rows)):
            return _table(["", "USD", "of", ""], [_price(row) for row in rows])
        return _table(["", "USD", "of", "", "in sa-east-1"], [[*_price(row), _elsewhere(row)] for row in rows])

    return table


def _price(row: Found) -> Line:
    unit = "a million events" if row["unit"] == "USD/M" else "a month"
    what = f"**{row['name']}**" if row["target"] else row["name"]
    return [what, f"{row['value']:.2f}", unit, _judged(row)[1] and f"{_judged(row)[1]} ({row['target']})"]


def _elsewhere(row: Found) -> str:
    there = row["more"].get("sa_east_1")
    return "" if there is None else f"{there:.2f}"


def _against(results: Found) -> Iterator[str]:
    rows = [row for part, of_part in results["parts"].items() if part.endswith(" against") for row in of_part]
    lines = [
        [
            row["part"].removesuffix(" against"),
            row["name"],
            f"{figure(row['value'])} {row['unit']}",
            f"{figure(row['more']['theirs'])} {row['unit']}",
            f"{row['ratio']:.2f}",
            f"{row['more']['median_ratio']:.2f}",
        ]
        for row in rows
    ]
    revision = rows[0]["more"]["revision"] if rows else "the other commit"
    return _table(["part", "of", "this tree", revision, "ratio", "median ratio"], lines)


class Step(NamedTuple):
    """A target of the second step (issue 20): of the rows of a part whose names match, each must be so much at most.

    It is held against the ratio to the other commit, or against the value itself.
    """

    name: str
    target: float
    part: str
    rows: str
    is_value: bool = False


_UNLESS_APPSFLYER = "(?!appsflyer)"
STEPS = (
    Step("AppsFlyer's mapping, in tens", 0.6, "mapping against", "appsflyer, in tens"),
    Step("AppsFlyer's mapping, alone", 0.6, "mapping against", "appsflyer, alone"),
    Step("the other mappings, in tens", 0.9, "mapping against", f"{_UNLESS_APPSFLYER}.*, in tens"),
    Step("the other mappings, alone", 0.9, "mapping against", f"{_UNLESS_APPSFLYER}.*, alone"),
    Step("a single delivery, unordered", 0.75, "delivery against", r".*\(unordered\), alone"),
    Step("a single delivery, ordered", 0.75, "delivery against", r".*\(ordered\), alone"),
    Step("ingest, one event", 0.8, "ingest against", "one event"),
    Step("the first delivery from cold", 0.5, "memory against", "first delivery from cold"),
    Step("resident memory of an agent", 45, "memory against", ".*, resident", is_value=True),
    Step("a million events", 20, "cost", "total", is_value=True),
    Step("a million events, ten a call, of single ones", 0.7, "cost if", "ten events a call.*"),
)


def _steps(results: Found) -> Iterator[str]:
    lines = [line for step in STEPS for line in _step(step, results["parts"])]
    return _table(["part", "target", "measured", ""], lines)


def _step(step: Step, parts: Mapping[str, Sequence[Found]]) -> Iterator[Line]:
    rows = [row for row in parts.get(step.part, []) if re.fullmatch(step.rows, row["name"])]
    if rows:
        unit = f" {rows[0]['unit']}" if step.is_value else ""
        found = {row["name"].split(",")[0].split(" (")[0]: _held(step, row, parts) for row in rows}
        missed = [name for name, value in found.items() if value > step.target]
        least, most = (figure(bound) if step.is_value else f"{bound:.2f}" for bound in _bounds(found.values()))
        measured = least if least == most else f"{least} to {most}"
        verdict = f"missed by {', '.join(missed)}" if missed and len(rows) > 1 else "missed" if missed else "met"
        yield [step.name, f"≤ {step.target:g}{unit}", measured + unit, verdict]


def _held(step: Step, row: Found, parts: Mapping[str, Sequence[Found]]) -> float:
    if step.part == "cost if":
        (total,) = [one for one in parts["cost"] if one["name"] == "total"]
        return float(row["value"] / total["value"])
    return float(row["value"] if step.is_value else row["ratio"])


def _bounds(values: Collection[float]) -> tuple[float, float]:
    return min(values), max(values)


def _judged(row: Found) -> list[str]:
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
    return [ratio, {None: "", True: "met", False: "missed"}[row["met"]]]


def _outage(results: Found) -> Iterator[str]:
    lines = [
        [
            row["name"],
            _short(row["more"]["before"]),
            f"{_short(row['value'])} {row['unit']}",
            row["target"],
            _judged(row)[1],
        ]
        for row in results["parts"].get("outage", [])
    ]
    return _table(["", "before", "now", "target", ""], lines)


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"  # noqa: PLR2004 - to three digits


_TABLES: dict[str, Callable[[Found], Iterator[str]]] = {
    "targets": _targets,
    "machine": _machine,
    "mapping": _mapping,
    "ingest": _ingest,
    "cold start": _cold,
    "restored": _restored,
    "delivery": _delivery,
    "end to end": _end,
    "memory": _memory,
    "cost": _usd("cost", "idle"),
    "changes": _usd("cost if"),
    "against": _against,
    "second step": _steps,
    "outage": _outage,
}


def _last(name: str) -> Found:
    """The last run's document, or nothing where there was none."""
    path = samples.ROOT / ".local" / name
    found: Found = json.loads(path.read_text()) if path.is_file() else {"parts": {}}
    return found


def main() -> None:
    """Fills the tables that the last runs have figures for, alone and against another commit."""
    alone, against = _last("bench.json"), _last("bench-against.json")
    page = PAGE.read_text()
    if against["parts"]:
        page = filled(page, against, {"against"})
        page = filled(page, {"parts": {**alone["parts"], **against["parts"]}}, {"second step"})
    PAGE.write_text(filled(page, alone, _TABLES.keys() - {"against", "second step"}) if alone["parts"] else page)


if __name__ == "__main__":
    main()
