"""The names that an event's fields have on the wire, and the spellings that are read as them."""

from collections.abc import Mapping
from functools import cache
from typing import get_args

from pydantic import BaseModel

from relay.event.stand_ins import fold

Path = tuple[str | int, ...]
"""The steps from an event to one of its values: names and positions."""


@cache
def fields(model: type[BaseModel]) -> Mapping[str, str]:
    """The names of a model's fields on the wire, by their folded spelling."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    return {fold(name): name for name in names if name.isidentifier()}


@cache
def parts(model: type[BaseModel]) -> Mapping[str, type[BaseModel]]:
    """The parts of a model that are models themselves, by their names on the wire."""
    found: dict[str, type[BaseModel]] = {}
    for name, field in model.model_fields.items():
        for kind in get_args(field.annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found[field.alias or name] = kind
    return found


@cache
def paths(model: type[BaseModel]) -> Mapping[str, Path]:
    """Where a folded name at an event's top level belongs: `deviceid` is `("device", "id")`."""
    known: dict[str, Path] = {folded: (name,) for folded, name in fields(model).items()}
    for part, kind in parts(model).items():
        known |= {fold(part) + folded: (part, name) for folded, name in fields(kind).items()}
    return known


def known_part(model: type[BaseModel], path: Path) -> Path:
    """The steps of a path up to the last name that the schema knows: what may be stored and logged."""
    for position, step in enumerate(path):
        if step not in fields(model).values():
            return path[:position]
        kind = parts(model).get(str(step))
        if kind is None:
            return path[: position + 1]
        model = kind
    return path
