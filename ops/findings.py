"""The result of a check: something is ok, worth a note, or wrong, and then there is a command that fixes it."""

from dataclasses import asdict, dataclass
from typing import Literal

from ops.layout import Row


@dataclass(frozen=True)
class Finding:
    """One result; `fix` is the command to paste, or the page to read, where something is wrong."""

    about: str
    finding: str
    state: Literal["ok", "note", "wrong"] = "ok"
    fix: str = ""

    def row(self) -> Row:
        """Returns the finding as a row of a table."""
        return asdict(self)


def check_that(condition: bool, about: str, ok: str, wrong: str, fix: str) -> Finding:  # noqa: FBT001 - what is checked
    """Makes a finding of a condition: with the sentence `ok` if it holds, else with `wrong` and `fix`."""
    return Finding(about, ok) if condition else Finding(about, wrong, "wrong", fix)
