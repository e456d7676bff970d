"""What is wrong with a caller's JSON, in sentences that say what to do; loaded once something is."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from relay.errors import MAX_ERRORS, FieldError
from relay.event.faults import NOT_AN_OBJECT, NOT_JSON, TOO_DEEP, to_pointer


def field_errors(invalid: ValidationError, text: str | bytes = b"") -> list[FieldError]:
    """Each fault once, at the place in the caller's JSON text that it is about; the first few, if there are many."""
    document = _document(text)
    faults: dict[str, list[str]] = {}
    for error in invalid.errors(include_url=False, include_context=False, include_input=False):
        pointer = to_pointer(_path(error["loc"], document))
        said = faults.setdefault(pointer, [])
        sentence = _message(error["type"], error["msg"])
        if sentence not in said:
            said.append(sentence)
    return [FieldError(pointer, ", or ".join(messages)) for pointer, messages in list(faults.items())[:MAX_ERRORS]]


def sentences(invalid: ValidationError) -> str:
    """What is wrong with one value, in one line."""
    found = [_message(error["type"], error["msg"]) for error in invalid.errors(include_url=False, include_input=False)]
    return ", or ".join(dict.fromkeys(found))


def redact_property(fault: FieldError) -> FieldError:
    """A fault without the name of a property, which may be anything: an operator reads it, not the caller."""
    return FieldError("#/properties", fault.detail) if fault.pointer.startswith("#/properties/") else fault


def _document(text: str | bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _message(kind: str, message: str) -> str:
    if kind == "json_invalid" and "recursion" in message:
        return TOO_DEEP
    return _MESSAGES.get(kind) or _SUBJECT.sub("must", message)


_SUBJECT = re.compile(r"^(Input|String|Value|List|Dictionary) should")
_BRANCH = re.compile(r"^(constrained-|function-|literal\[|str$|bool$|int$|float$|nullable|\[key\]|$)")
_MESSAGES = {
    "string_pattern_mismatch": "must be text that is not blank and has no control characters",
    "json_invalid": NOT_JSON,
    "model_type": NOT_AN_OBJECT,
    "missing": "is required",
    "extra_forbidden": "is not a known field here; remove it, or send it as a property",
}


def _path(pointer: tuple[int | str, ...], document: Any) -> Iterator[str | int]:  # noqa: ANN401 - JSON
    """The steps of pydantic's place that are the caller's, without the branches that pydantic tried."""
    for step in pointer:
        inside = isinstance(document, dict) and step in document
        if inside or not (isinstance(step, str) and _BRANCH.match(step)):
            yield step
            document = document[step] if inside else None
