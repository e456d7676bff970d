"""What all that is read from the wire is made of: models of one kind, and numbers as JSON knows them."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Part(BaseModel):
    """A piece of an event on the wire: camelCase names, no guessing of types, nothing unknown."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        serialize_by_alias=True,
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )


def whole(value: object) -> object:
    """A number as JSON knows it: 5.0 is the whole number 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
