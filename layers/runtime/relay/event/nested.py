"""Lists and objects as values of properties and traits: shops send the items of a purchase as a list of objects."""

import math
import re
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from relay.event.types import MAX_LONG_TEXT, MAX_NAME, MAX_SEQUENCE, PRINTABLE, WITHOUT_NUL

MAX_DEPTH = 4
"""Lists and objects of one value that may stand within each other."""

_NAME = re.compile(PRINTABLE)
_TEXT = re.compile(WITHOUT_NUL)


class JsonParts:
    """A list or an object of texts, booleans, numbers, lists and objects, at most `MAX_DEPTH` deep."""

    def __get_pydantic_core_schema__(self, _source: type, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Checks the parts by their own rules: a schema for each depth would cost every start of a function."""
        either = core_schema.union_schema([core_schema.list_schema(), core_schema.dict_schema()])
        return core_schema.no_info_after_validator_function(_checked, either)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Says each depth; the deepest lists and objects hold no others."""
        return _json_schema(MAX_DEPTH)


Nested = Annotated[list[Any] | dict[str, Any], JsonParts()]


def name_fault(name: str) -> str | None:
    """What is wrong with the name of a property, or of a member of an object in it."""
    fits = len(name) <= MAX_NAME and _NAME.fullmatch(name)
    return None if fits else f"must have a name of 1 to {MAX_NAME} printable characters"


def scalar_fault(value: object) -> str | None:
    """What is wrong with a text, a boolean or a number."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        fits = len(value) <= MAX_LONG_TEXT and _TEXT.fullmatch(value)
        return None if fits else f"must be text of 1 to {MAX_LONG_TEXT} characters without control characters"
    if isinstance(value, int | float) and math.isfinite(value) and abs(value) <= MAX_SEQUENCE:
        return None
    return f"must be a number between {-MAX_SEQUENCE} and {MAX_SEQUENCE}"


def _fits(value: object, depth: int = 1) -> bool:
    if isinstance(value, list):
        return depth <= MAX_DEPTH and all(_fits(item, depth + 1) for item in value)
    if isinstance(value, dict):
        named = (name_fault(name) is None and _fits(item, depth + 1) for name, item in value.items())
        return depth <= MAX_DEPTH and all(named)
    return scalar_fault(value) is None


def _checked(value: Any) -> Any:  # noqa: ANN401 - JSON
    if not _fits(value):
        raise PydanticCustomError("parts", "must be JSON that agents take")
    return without_nulls(value)


def without_nulls(value: Any) -> Any:  # noqa: ANN401 - JSON
    """The value without the parts that are null, which means absent."""
    if isinstance(value, list):
        return [without_nulls(item) for item in value if item is not None]
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return value


def _json_schema(depth: int) -> dict[str, Any]:
    """A list or an object of this depth at most; each word of JSON Schema holds for its own kind of value alone."""
    part = part_schema(depth - 1)
    names = {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": PRINTABLE}
    return {"type": ["array", "object"], "items": part, "additionalProperties": part, "propertyNames": names}


def part_schema(depth: int) -> dict[str, Any]:
    """A part of a list or an object, within which so many lists or objects may stand in each other."""
    scalar: dict[str, Any] = {
        "type": ["string", "boolean", "number", "null"],
        "minLength": 1,
        "maxLength": MAX_LONG_TEXT,
        "pattern": WITHOUT_NUL,
        "minimum": -MAX_SEQUENCE,
        "maximum": MAX_SEQUENCE,
    }
    return {"anyOf": [scalar, _json_schema(depth)]} if depth else scalar
