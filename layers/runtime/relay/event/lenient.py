"""Reads an event liberally: what has one meaning is normalised, what has none is left out, and both are named."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from relay.errors import FieldError, InvalidEvent
from relay.event import checks
from relay.event.consents import Consents
from relay.event.contacts import is_sha256
from relay.event.details import normalise
from relay.event.faults import NOT_AN_OBJECT, to_pointer
from relay.event.model import EventInput, EventType, Traits
from relay.event.names import Path, fields, parts, paths
from relay.event.open_fields import EMPTY, OpenFields
from relay.event.reading import Reading, Terms
from relay.event.soundness import examine
from relay.event.stand_ins import fold
from relay.event.warning_list import WarningList

Sent = list[tuple[Path, Any]]
"""What was sent for one field, and where: more than one where it was spelt in several ways."""

UNKNOWN = "is not a known field here; send it as a property"
CONFLICT = "is given twice with different values; send one"
DIGEST = "must be an e-mail address; send a digest of it as emailSha256"


def read(text: str | bytes, event_type: EventType, terms: Terms) -> Reading:
    """The event that a JSON text is, and what of it was normalised or left out.

    Raises:
        InvalidEvent: it is no object, or does not name what its type requires.
    """
    document = json.loads(text)
    if not isinstance(document, dict):
        raise InvalidEvent([FieldError("#", NOT_AN_OBJECT)])
    reader = _Reader(terms)
    call = reader.event(document)
    reasons = reader.warnings.reasons
    missing = checks.missing(call, event_type)
    if missing:
        raise InvalidEvent(_reasons(missing, event_type, reasons))
    return Reading(call, reader.warnings.first(), not reasons.keys().isdisjoint({"#/device", "#/device/id"}))


def _reasons(missing: list[FieldError], event_type: EventType, reasons: Mapping[str, FieldError]) -> list[FieldError]:
    """Why what is required is missing: it was sent, and left out."""
    named = [f"#/{name}" for names in checks.REQUIRED.get(event_type, []) for name in names] + ["#/device/pushToken"]
    return [reasons[pointer] for pointer in named if pointer in reasons] or missing


class _Reader:
    """One event on its way from what was sent to what is kept."""

    def __init__(self, terms: Terms) -> None:
        self.warnings = WarningList()
        self._region = terms.region
        self._sent: dict[Path, Sent] = {}
        self._loose: dict[str, Any] = {}
        self._traits: dict[str, Any] = {}
        self._consents, self._open = Consents(self.warnings), OpenFields(self.warnings)

    def event(self, document: Mapping[str, Any]) -> EventInput:
        """The event, each field in its place and in its form."""
        known = paths(EventInput)
        for name, value in document.items():
            path = known.get(fold(name))
            if path is None:
                self._loose[name] = value
            elif value is not None:
                self._sort((name,), path, value)
        kept: dict[str, Any] = {}
        for path in _leaves(EventInput):
            _put(kept, path, self._field(path, self._sent.get(path, [])))
        _put(kept, ("consent",), self._consents.read())
        if _is_zeros(self._sent.get(("device", "advertisingId"), [])):
            # What a device gives in place of its advertising id while tracking is off.
            kept.setdefault("device", {})["adTracking"] = False
        if self._traits:
            kept["traits"] = self._traits | kept.get("traits", {})
        _put(kept, ("properties",), self._open.properties(self._sent.get(("properties",), []), self._loose) or None)
        return EventInput.model_validate(kept)

    def _sort(self, sent: Path, path: Path, value: Any) -> None:  # noqa: ANN401 - JSON
        """Puts what was sent with the field that it belongs to, and so each part of an object."""
        if sent != path and (len(sent) != len(path) or sent[-1] != path[-1]):
            self.warnings.normalised(sent, path, checks.spelling(to_pointer(path)))
        part = _part(path)
        if path[0] == "consent":
            self._consents.add(sent, path, value)
        elif part is None:
            self._sent.setdefault(path, []).append((sent, value))
        elif isinstance(value, dict):
            self._sort_members(part, sent, path, value)
        elif value == "":
            self.warnings.add(sent, path, EMPTY_PART)
        else:
            self.warnings.left_out(sent, path, NOT_AN_OBJECT)

    def _sort_members(self, part: type[BaseModel], sent: Path, path: Path, members: Mapping[str, Any]) -> None:
        others: dict[str, Any] = {}
        for name, value in members.items():
            known = fields(part).get(fold(name))
            if known is not None:
                if value is not None:
                    self._sort((*sent, name), (*path, known), value)
            elif part is Traits:
                others[name] = value
            else:
                self.warnings.left_out((*sent, name), (*path, name), UNKNOWN)
        self._traits |= self._open.members(others, sent, path)

    def _field(self, path: Path, values: Sent) -> Any:  # noqa: ANN401 - JSON
        """The one value of what was sent for a field; None where there is none."""
        found = []
        for sent, value in values:
            if value == "":
                self.warnings.add(sent, path, EMPTY_PART)
            else:
                found.append((sent, self._value(sent, path, value)))
        if len({repr(value) for _, value in found}) > 1:
            for sent, _ in found:
                self.warnings.left_out(sent, path, CONFLICT)
            return None
        return found[0][1] if found else None

    def _value(self, sent: Path, path: Path, value: Any) -> Any:  # noqa: ANN401 - JSON
        strictly = examine(path, value)
        if strictly.fault is None:
            return strictly.value
        if path == ("email",) and isinstance(value, str) and is_sha256(value.strip()):
            self.warnings.normalised(sent, path, DIGEST)
            self._sent.setdefault(("emailSha256",), []).append((sent, value.strip().lower()))
            return None
        found = normalise(path, value, self._region)
        kept = examine(path, found) if found is not None else strictly
        if kept.fault is not None:
            self.warnings.left_out(sent, path, strictly.fault)
            return None
        self.warnings.normalised(sent, path, strictly.fault)
        return kept.value


EMPTY_PART = f"was left out: {EMPTY}"


def _is_zeros(values: Sent) -> bool:
    return any(isinstance(value, str) and value != "" and not value.strip("0-") for _, value in values)


def _part(path: Path) -> type[BaseModel] | None:
    """The model of a part of an event; None for a field."""
    model: type[BaseModel] | None = EventInput
    for step in path:
        model = parts(model).get(str(step)) if model else None
    return model


@cache
def _leaves(model: type[BaseModel], before: Path = ()) -> tuple[Path, ...]:
    """The fields that hold one value, in the order of the model; not those with names of the app's own, nor consent."""

    def found() -> Iterator[Path]:
        for name in fields(model).values():
            part = parts(model).get(name)
            if part is not None and name != "consent":
                yield from _leaves(part, (*before, name))
            elif part is None and name != "properties":
                yield (*before, name)

    return tuple(found())


def _put(kept: dict[str, Any], path: Path, value: Any) -> None:  # noqa: ANN401 - JSON
    if value is not None:
        for step in path[:-1]:
            kept = kept.setdefault(str(step), {})
        kept[str(path[-1])] = value
