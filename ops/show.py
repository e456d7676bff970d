"""The output of a command: tables or records at a terminal, tab-separated text in a pipe, JSON if requested."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console

from ops.layout import COLOURS, Row, fitted, heading, text_of, wrapped

_INDENT = "    "


def _console() -> Console:
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


@dataclass(frozen=True)
class Show:
    """Where a command prints: its result to standard output, notes, questions and errors to standard error.

    Under `--json` standard output is JSON whatever happens: an error is `{"error": {code, message, commands}}`.
    """

    as_json: bool = False
    console: Console = field(default_factory=_console)
    stderr: Console = field(default_factory=lambda: Console(stderr=True, highlight=False, soft_wrap=True))

    def document(self, document: object) -> None:
        """Prints one JSON document."""
        self._write(json.dumps(document, indent=2, ensure_ascii=False, default=_to_json))

    def line(self, row: Row) -> None:
        """Prints one JSON document on a line of its own."""
        self._write(json.dumps(row, ensure_ascii=False, default=_to_json))

    def rows(self, rows: Sequence[Row], columns: Sequence[str], title: str = "") -> None:
        """Prints rows under columns, whose headings are their names in words; as JSON all that the rows hold.

        At a terminal columns without any value are left out, and rows become records where a table does not fit.
        """
        if self.as_json:
            self.document(list(rows))
        elif self.console.is_terminal:
            self.console.print(fitted(self.console, rows, columns, title))
        else:
            self._write("\t".join(map(heading, columns)))
            for row in rows:
                self._write("\t".join(text_of(row.get(name)) for name in columns))

    def findings(self, findings: Sequence[Row], title: str = "") -> None:
        """Prints what an examination found: `state`, `about`, `finding`; below each, unbroken, the command `fix`."""
        if not self.console.is_terminal:
            self.rows(findings, ("state", "about", "finding", "fix"))
            return
        self.console.print(title, style="bold")
        for one in findings:
            state = str(one["state"])
            text = f"{state:<5}  {one['about']}: {one['finding']}"
            self.console.print(wrapped(text, self.console.width, " " * 7), style=COLOURS.get(state, ""), markup=False)
            if one["fix"]:
                self.console.print(f"{' ' * 9}{one['fix']}", markup=False, soft_wrap=True)

    def done(self, document: Row, sentence: str, *commands: str) -> None:
        """Prints what was done: a sentence and the commands that may follow, or a JSON document."""
        if self.as_json:
            self.document(document)
            return
        width = self.console.width if self.console.is_terminal else None
        self.console.print(wrapped(sentence, width), markup=False, soft_wrap=True)
        self._commands(self.console, commands)

    def say(self, sentence: str, *commands: str, style: str = "") -> None:
        """Prints a note to standard error, and below it the commands that it recommends, each unbroken."""
        width = self.stderr.width if self.stderr.is_terminal else None
        self.stderr.print(wrapped(sentence, width), style=style, markup=False)
        self._commands(self.stderr, commands)

    def error(self, code: int, message: str, commands: Sequence[str] = ()) -> None:
        """Prints an error: a sentence on standard error, or a JSON document on standard output."""
        if self.as_json:
            self.document({"error": {"code": code, "message": message, "commands": list(commands)}})
        else:
            self.say(message, *commands, style="red")

    def _commands(self, console: Console, commands: Sequence[str]) -> None:
        for one in commands:
            console.print(f"{_INDENT}{one}", markup=False, soft_wrap=True)

    def _write(self, text: str) -> None:
        # Rich would expand tabs into blanks.
        self.console.file.write(f"{text}\n")
        self.console.file.flush()


def _to_json(value: object) -> object:
    return text_of(value) if isinstance(value, datetime) else str(value)


def ago(seconds: float) -> str:
    """Formats a length of time in the largest unit that is precise enough: `42 s`, `7 min`, `3 h`, `12 d`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"
