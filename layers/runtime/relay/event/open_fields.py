"""Properties and traits, whose names are the app's own: parts that no agent takes are left out one by one."""

from collections.abc import Mapping
from typing import Any

from relay.event.checks import TWICE
from relay.event.faults import NOT_AN_OBJECT
from relay.event.model import MAX_PROPERTIES
from relay.event.names import Path
from relay.event.nested import MAX_DEPTH, name_fault, scalar_fault
from relay.event.types import MAX_SEQUENCE
from relay.event.warning_list import WarningList

EMPTY = "is empty"
TOO_DEEP = f"must not be deeper than {MAX_DEPTH} lists or objects within each other"
TOO_MANY = f"must have at most {MAX_PROPERTIES} names"
NOT_TEXT = "must be text at the top level; send it in properties"

_GONE = object()


class OpenFields:
    """Reads what is under the app's own names."""

    def __init__(self, warnings: WarningList) -> None:
        self._warnings = warnings

    def members(self, given: Mapping[str, Any], sent: Path, kept: Path) -> dict[str, Any]:
        """The members of properties or traits, without what no agent takes."""
        found: dict[str, Any] = {}
        for name, value in given.items():
            place, known = (*sent, name), (*kept, name)
            if len(found) == MAX_PROPERTIES and value is not None:
                self._warnings.left_out(place, known, TOO_MANY)
                break
            part = self._member(name, value, place, known)
            if part is not _GONE:
                found[name] = part
        return found

    def properties(self, given: list[tuple[Path, Any]], loose: Mapping[str, Any]) -> dict[str, Any]:
        """The properties, and what was sent under names of the app's own at the top level."""
        found: dict[str, Any] = {}
        for sent, value in given:
            if isinstance(value, dict):
                found |= self.members(value, sent, ("properties",))
            else:
                self._warnings.left_out(sent, ("properties",), EMPTY if value == "" else NOT_AN_OBJECT)
        for name, value in loose.items():
            part = self._member(name, value, (name,), (name,))
            if part is _GONE:
                continue
            if not isinstance(value, str):
                self._warnings.normalised((name,), (name,), NOT_TEXT)
            if name not in found:
                found[name] = part
            elif _same(found[name], part):
                self._warnings.normalised((name,), (name,), TWICE)
            else:
                del found[name]
                self._warnings.left_out((name,), (name,), TWICE)
        return found

    def _member(self, name: str, value: Any, sent: Path, kept: Path) -> Any:  # noqa: ANN401 - JSON
        fault = name_fault(name)
        if fault:
            self._warnings.left_out(sent, kept, fault)
            return _GONE
        # Of a name that could be one, null says nothing.
        return _GONE if value is None else self._part(value, sent, kept, 1)

    def _part(self, value: Any, sent: Path, kept: Path, depth: int) -> Any:  # noqa: ANN401 - JSON
        if isinstance(value, list | dict):
            if depth > MAX_DEPTH:
                self._warnings.left_out(sent, kept, TOO_DEEP)
                return _GONE
            return (
                self._list(value, sent, kept, depth)
                if isinstance(value, list)
                else self._object(value, sent, kept, depth)
            )
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_SEQUENCE:
            self._warnings.normalised(sent, kept, str(scalar_fault(value)))
            return str(value)
        fault = EMPTY if value == "" else scalar_fault(value)
        if fault:
            self._warnings.left_out(sent, kept, fault)
            return _GONE
        return value

    def _list(self, value: list[Any], sent: Path, kept: Path, depth: int) -> list[Any]:
        given = ((position, item) for position, item in enumerate(value) if item is not None)
        parts = [self._part(item, (*sent, position), kept, depth + 1) for position, item in given]
        return [part for part in parts if part is not _GONE]

    def _object(self, value: dict[str, Any], sent: Path, kept: Path, depth: int) -> dict[str, Any]:
        found = {}
        for name, item in value.items():
            fault = name_fault(name)
            if fault:
                self._warnings.left_out((*sent, name), kept, fault)
            elif item is not None:
                found[name] = self._part(item, (*sent, name), kept, depth + 1)
        return {name: part for name, part in found.items() if part is not _GONE}


def _same(one: object, other: object) -> bool:
    # To Python 1 and true are the same.
    return type(one) is type(other) and one == other
