"""Whether one value is in its field's form, by the field's own type: the sentence that a strict caller would get."""

from functools import cache
from typing import Annotated, Any, NamedTuple

from pydantic import ConfigDict, TypeAdapter, ValidationError

from relay.event import checks
from relay.event.details import is_id
from relay.event.explain import sentences
from relay.event.model import EventInput
from relay.event.names import Path, parts
from relay.event.stand_ins import SENTENCE, is_stand_in


class Examined(NamedTuple):
    """A value as its field keeps it, or why it cannot."""

    value: Any
    fault: str | None = None


def examine(path: Path, value: Any) -> Examined:  # noqa: ANN401 - JSON
    """A value, checked as if its field were the whole of a strict call."""
    try:
        kept = _adapter(path).validate_python(value)
    except ValidationError as invalid:
        return Examined(None, sentences(invalid))
    if type(kept) is str:
        if is_id(path) and is_stand_in(kept):
            return Examined(None, SENTENCE)
        if path == ("email",) and not checks.is_email(kept):
            return Examined(None, checks.EMAIL)
        if path[-1] in {"emailSha256", "phoneSha256"} and checks.is_digest_of_nothing(kept):
            return Examined(None, checks.OF_NOTHING)
    return Examined(kept)


_STRICT = ConfigDict(strict=True, allow_inf_nan=False, hide_input_in_errors=True)


@cache
def _adapter(path: Path) -> TypeAdapter[Any]:
    model: Any = EventInput
    for step in path[:-1]:
        model = parts(model)[str(step)]
    field = next(field for name, field in model.model_fields.items() if (field.alias or name) == path[-1])
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(kind, config=_STRICT)
    return adapter
