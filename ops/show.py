"""What a command shows: tables in colour on a terminal, tab-separated text in a pipe, JSON when asked."""

import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.table import Table
from rich.text import Text

COLOURS = {
    **dict.fromkeys(("delivered", "passed", "ok", "closed", "valid", "yes", "accepted"), "green"),
    **dict.fromkeys(("retrying", "held", "half_open", "expiring", "note", "sending", "queued"), "yellow"),
    **dict.fromkeys(("parked", "failed", "wrong", "open", "expired key", "invalid", "missing", "rejected"), "bold red"),
    **dict.fromkeys(("skipped", "expired", "unconfirmed"), "cyan"),
}
"""The colour of a word, wherever a cell consists of it."""

Row = Mapping[str, Any]

_PICTURE_COLUMNS = 124


def _console() -> Console:
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


@dataclass(frozen=True)
class Show:
    """Where a command's answers go: standard output; what is said beside them goes to standard error."""

    as_json: bool = False
    console: Console = field(default_factory=_console)
    stderr: Console = field(default_factory=lambda: Console(stderr=True, highlight=False, soft_wrap=True))

    def document(self, document: object) -> None:
        """One JSON document."""
        self._write(json.dumps(document, indent=2, ensure_ascii=False, default=_plain))

    def line(self, row: Row) -> None:
        """One JSON document on a line of its own."""
        self._write(json.dumps(row, ensure_ascii=False, default=_plain))

    def rows(self, rows: Sequence[Row], columns: Mapping[str, str], title: str = "") -> None:
        """Rows under these columns (name in the row -> heading); as JSON all that the rows hold."""
        if self.as_json:
            self.document(list(rows))
        elif self.console.is_terminal:
            self.console.print(table(rows, columns, title))
        else:
            self._write("\t".join(columns.values()))
            for row in rows:
                self._write("\t".join(_text(row.get(name)) for name in columns))

    def done(self, document: Row, sentence: str) -> None:
        """What was done: a sentence, or a JSON document."""
        if self.as_json:
            self.document(document)
        else:
            self.console.print(sentence, markup=False)

    def say(self, sentence: str, style: str = "") -> None:
        """A sentence beside the answer."""
        self.stderr.print(sentence, style=style, markup=False)

    def _write(self, text: str) -> None:
        # Rich would make blanks of tabs.
        self.console.file.write(f"{text}\n")
        self.console.file.flush()


def table(rows: Sequence[Row], columns: Mapping[str, str], title: str = "") -> Table:
    """Rows as a table for a terminal."""
    made = Table(title=title or None, title_justify="left", title_style="bold", header_style="bold")
    for name, heading in columns.items():
        numbers = all(isinstance(row.get(name), int | float | None) for row in rows) and bool(rows)
        made.add_column(heading, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_cell(row.get(name)) for name in columns))
    return made


def picture(shown: Table, beside: str, title: str) -> str:
    """A table, and a sentence below it, as an SVG that fetches nothing."""
    console = Console(record=True, width=_PICTURE_COLUMNS, file=io.StringIO(), force_terminal=True, highlight=False)
    console.print(shown)
    console.print(beside, markup=False)
    # Rich's own format fetches its font from the network, and names its maker's site.
    own = re.sub(r"@font-face \{\{.*?\}\}|<!--.*?-->", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title=title, code_format=own, unique_id="relay")


def _cell(value: object) -> Text:
    text = _text(value)
    return Text(text, style=COLOURS.get(text.split(":")[0], ""))


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case list() | tuple():
            return ", ".join(map(str, value))
        case _:
            return str(value).replace("\t", " ").replace("\n", " ")


def _plain(value: object) -> object:
    return _text(value) if isinstance(value, datetime) else str(value)


def ago(seconds: float) -> str:
    """A length of time in the largest unit that says enough: `42 s`, `7 min`, `3 h`, `12 d`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"
