"""The little of GraphQL that DashX's documented operations need: one mutation, one input, a selection of fields."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from local.sandbox.exchange import Json

Selection: TypeAlias = dict[str, "Selection"]
Types: TypeAlias = Mapping[str, Mapping[str, str]]

_TOKEN = re.compile(r"\s*(?:([_A-Za-z][_0-9A-Za-z]*)|([!${}():,]))")
_DEEPEST = 8


@dataclass
class Operation:
    """One parsed mutation: its root field, the variable handed to it with its type, and the fields asked for."""

    root: str
    argument: str
    variable: str
    declared: dict[str, str] = field(default_factory=dict)
    selection: Selection = field(default_factory=dict)


class _Reader:
    def __init__(self, source: str) -> None:
        self.tokens = list(_tokens(source))
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else "<EOF>"

    def take(self, *expected: str) -> str:
        found = self.peek()
        fits = found in expected if expected else found[0].isalpha() or found[0] == "_"
        if not fits:
            message = f'Syntax Error: Expected {" or ".join(expected) or "Name"}, found "{found}".'
            raise ValueError(message)
        self.at += 1
        return found

    def selection(self, depth: int = 0) -> Selection:
        self.take("{")
        fields: Selection = {}
        while not fields or self.peek() != "}":
            name = self.take()
            fields[name] = self.selection(depth + 1) if self.peek() == "{" and depth < _DEEPEST else {}
            if self.peek() == ",":
                self.take(",")
        self.take("}")
        return fields


def parse(source: str) -> Operation:
    """Parse `mutation Name($input: Type!) { field(input: $input) { a b } }`; raises ValueError for anything else."""
    reader = _Reader(source)
    reader.take("mutation")
    if reader.peek() != "(":
        reader.take()
    declared: dict[str, str] = {}
    reader.take("(")
    while not declared or reader.peek() != ")":
        reader.take("$")
        name = reader.take()
        reader.take(":")
        declared[name] = reader.take() + (reader.take("!") if reader.peek() == "!" else "")
        if reader.peek() == ",":
            reader.take(",")
    reader.take(")")
    reader.take("{")
    root = reader.take()
    reader.take("(")
    argument = reader.take()
    reader.take(":")
    reader.take("$")
    operation = Operation(root, argument, reader.take(), declared)
    reader.take(")")
    operation.selection = reader.selection() if reader.peek() == "{" else {}
    reader.take("}")
    reader.take("<EOF>")
    return operation


@dataclass(frozen=True)
class Schema:
    """The types that a vendor publishes, and the validation errors against them, in the words of graphql-js."""

    inputs: Types
    outputs: Types
    enums: Mapping[str, set[str]]

    def selection_faults(self, selection: Selection, kind: str) -> Iterator[str]:
        """Yield the errors of a selection set on an output type."""
        for name, inner in selection.items():
            known = self.outputs[kind].get(name, "String" if name == "__typename" else "")
            if not known:
                yield f'Cannot query field "{name}" on type "{kind}".'
            elif known in self.outputs:
                yield from self.selection_faults(inner, known)
                if not inner:
                    yield f'Field "{name}" of type "{known}" must have a selection of subfields.'
            elif inner:
                yield f'Field "{name}" must not have a selection since type "{known}" has no subfields.'

    def input_faults(self, value: Json, kind: str, where: str) -> Iterator[str]:
        """Yield the errors of a variable, or of a part of one, as a value of an input type."""
        intro = f'Variable "${where.partition(".")[0]}" got invalid value {_shown(value)}'
        intro += f' at "{where}"; ' if "." in where else "; "
        bare = kind.removesuffix("!")
        if value is None:
            if bare != kind:
                yield f'{intro}Expected non-nullable type "{kind}" not to be null.'
        elif bare.startswith("["):
            for at, item in enumerate(value if isinstance(value, list) else [value]):
                yield from self.input_faults(item, bare[1:-1], f"{where}.{at}")
        elif bare in self.enums:
            if not isinstance(value, str) or value not in self.enums[bare]:
                yield f'{intro}Value {_shown(value)} does not exist in "{bare}" enum.'
        elif bare in self.inputs:
            yield from self._member_faults(value, bare, where, intro)
        elif not _is_scalar(value, bare):
            yield f"{intro}{bare} cannot represent the value: {_shown(value)}"

    def _member_faults(self, value: Json, kind: str, where: str, intro: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f'{intro}Expected type "{kind}" to be an object.'
            return
        for name, member_kind in self.inputs[kind].items():
            if name in value:
                yield from self.input_faults(value[name], member_kind, f"{where}.{name}")
            elif member_kind.endswith("!"):
                yield f'{intro}Field "{name}" of required type "{member_kind}" was not provided.'
        for name in value:
            if name not in self.inputs[kind]:
                yield f'{intro}Field "{name}" is not defined by type "{kind}".'


def _is_scalar(value: Json, kind: str) -> bool:
    if kind == "JSON":
        return True
    if kind == "Boolean":
        return isinstance(value, bool)
    if kind == "Int":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, str)


def _shown(value: Json) -> str:
    shown = json.dumps(value)
    return textwrap.shorten(shown, 120, placeholder="...")


def _tokens(source: str) -> Iterator[str]:
    at = 0
    source = source.rstrip()
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            message = f"Syntax Error: Cannot parse the character {source[at : at + 1]!r}."
            raise ValueError(message)
        at = match.end()
        yield match[1] or match[2]
