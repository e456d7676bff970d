"""What an examination found: a thing that is as it must be, one to note, or one that is wrong and how to mend it."""

from dataclasses import asdict, dataclass
from typing import Literal

from ops.show import Row


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `mend` is the command that mends it, where it is wrong."""

    about: str
    what: str
    state: Literal["ok", "note", "wrong"] = "ok"
    mend: str = ""

    def row(self) -> Row:
        """It as a row of a table."""
        return asdict(self)


def judged(about: str, good: bool, so: str, not_so: str, mend: str) -> Finding:  # noqa: FBT001 - the judgement itself
    """A finding by whether a thing is so."""
    return Finding(about, so) if good else Finding(about, not_so, "wrong", mend)
