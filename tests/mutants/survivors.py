"""The mutants that may survive, each with its reason, found again by module, line, operator and what it makes of it."""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

LIST = Path(__file__).with_name("survivors.toml")


class Mutant(NamedTuple):
    """One change of one module: its operator, the line as it is, and the line as the operator makes it."""

    module: str
    operator: str
    line: str
    becomes: str

    @classmethod
    def of(cls, known: str, mutant: Mapping[str, str]) -> Self:
        """A mutant as `made` prints it, beside the module's own source."""
        changes = difflib.ndiff(known.splitlines(), mutant["source"].splitlines())
        changed = [change for change in changes if change[:2] in {"- ", "+ "}]
        first = {sign: next((line[2:].strip() for line in changed if line[0] == sign), "") for sign in "-+"}
        return cls(mutant["path"].partition("/relay/")[2], mutant["operator"], first["-"], first["+"])


def read_listed(text: str) -> dict[Mutant, str]:
    """The reasons of the mutants that may survive.

    Raises:
        ValueError: a mutant is listed without a reason.
    """
    listed: dict[Mutant, str] = {}
    for entry in tomllib.loads(text).get("survivor", []):
        if not entry.get("reason"):
            raise ValueError(f"no reason for {entry}")
        listed[Mutant(*(entry[name] for name in Mutant._fields))] = entry["reason"]
    return listed


def diff(known: str, mutated: str, path: str) -> str:
    """What a mutant changes, for a person to read."""
    lines = difflib.unified_diff(known.splitlines(), mutated.splitlines(), path, "mutant", "", "", 2, "")
    return "\n".join(lines)
