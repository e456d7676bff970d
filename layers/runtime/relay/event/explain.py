"""What is wrong with a caller's JSON, in sentences that say what to do; loaded once something is."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from relay.errors import MAX_ERRORS, Fault
from relay.event.faults import NOT_AN_OBJECT, NOT_JSON, TOO_DEEP, pointer


def faults_of(invalid: ValidationError, text: str | bytes = b"") -> list[Fault]:
    """Each fault once, at the place in the caller's JSON text that it is about; the first few, if there are many."""
    document = _document(text)
    faults: dict[str, list[str]] = {}
    for error in invalid.errors(include_url=False, include_context=False, include_input=False):
        place = pointer(_steps(error["loc"], document))
        said = faults.setdefault(place, [])
        sentence = _sentence(error["type"], error["msg"])
        if sentence not in said:
            said.append(sentence)
    return [Fault(place, ", or ".join(sentences)) for place, sentences in list(faults.items())[:MAX_ERRORS]]


def without_name(fault: Fault) -> Fault:
    """A fault without the name of a property, which may be anything: it is told to an operator, not to the caller."""
    return Fault("#/properties", fault.detail) if fault.pointer.startswith("#/properties/") else fault


def _document(text: str | bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _sentence(kind: str, message: str) -> str:
    if kind == "json_invalid" and "recursion" in message:
        return TOO_DEEP
    return _SENTENCES.get(kind) or _SUBJECT.sub("must", message)


_SUBJECT = re.compile(r"^(Input|String|Value|List|Dictionary) should")
_BRANCH = re.compile(r"^(constrained-|function-|literal\[|str$|bool$|int$|float$|nullable|\[key\])")
_SENTENCES = {
    "string_pattern_mismatch": "must be text that is not blank and has no control characters",
    "json_invalid": NOT_JSON,
    "model_type": NOT_AN_OBJECT,
    "missing": "is required",
    "extra_forbidden": "is not a known field here; remove it, or send it as a property",
}


def _steps(place: tuple[int | str, ...], document: Any) -> Iterator[str | int]:  # noqa: ANN401 - JSON
    """The steps of pydantic's place that are the caller's, without the branches that pydantic tried."""
    for step in place:
        inside = isinstance(document, dict) and step in document
        if inside or not (isinstance(step, str) and _BRANCH.match(step)):
            yield step
            document = document[step] if inside else None
