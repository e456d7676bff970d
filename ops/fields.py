"""An agent's settings field by field: names, defaults, secrets, and the value that a typed text stands for."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ops.errors import CommandError

Document = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """One field that holds a value: `path` is `applications.android.code`."""

    path: str
    info: FieldInfo
    required: bool

    @property
    def secret(self) -> bool:
        """Whether its value must not be shown."""
        return _holds_secret(self.info.annotation)

    @property
    def default(self) -> Any:  # noqa: ANN401 - any value
        """Its default; None if it has none."""
        default = None if self.info.is_required() else self.info.get_default(call_default_factory=True)
        return None if default == [] else default

    @property
    def optional(self) -> bool:
        """Whether it has a default, so that nobody is asked for it."""
        return self.default is not None

    @property
    def label(self) -> str:
        """Its name, and its default."""
        if self.required:
            return self.path
        return f"{self.path} (default {self.default})" if self.default is not None else f"{self.path} (optional)"

    def value(self, text: str) -> Any:  # noqa: ANN401 - any JSON value
        """Reads a typed text as itself, as JSON or as a list with commas, whichever the field accepts first.

        Raises:
            CommandError: the field accepts none of these; the sentence says why, and never quotes the text.
        """
        kind: Any = Annotated[self.info.annotation, *self.info.metadata] if self.info.metadata else self.info.annotation
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        kept = ("_type", "")
        for candidate in _readings(text):
            try:
                taken = adapter.validate_python(candidate)
            except ValidationError as invalid:
                fault = invalid.errors(include_input=False, include_url=False)[0]
                # "Not a list" does not help who typed a list: an error of another kind says more.
                kept = (fault["type"], fault["msg"]) if kept[0].endswith("_type") else kept
                continue
            return taken if isinstance(taken, bool | int | float) else candidate
        raise CommandError(f"{self.path}: {kept[1]}.")


def fields_of(model: type[BaseModel], before: str = "", *, required: bool = True) -> Iterator[Field]:
    """Yields the fields of a settings model, those of its parts included, in their order."""
    for name, info in model.model_fields.items():
        part, here = _part(info.annotation), required and info.is_required()
        if part:
            yield from fields_of(part, f"{before}{name}.", required=here)
        else:
            yield Field(f"{before}{name}", info, here)


def held(document: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - any JSON value
    """Returns the value at a path of a document; None if there is none."""
    found: Any = document
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def put(document: Document, path: str, value: Any) -> Document:  # noqa: ANN401 - any JSON value
    """Returns the document with a value at a path; None removes the value, and the part that is then empty."""
    first, _, rest = path.partition(".")
    inner = put(document.get(first) or {}, rest, value) if rest else value
    left = {name: other for name, other in document.items() if name != first}
    return left if inner is None or inner == {} else {**document, first: inner}


def field_errors(model: type[BaseModel], document: Document) -> list[str]:
    """Returns the errors of settings, field by field, without their values."""
    try:
        model.model_validate_json(json.dumps(document))
    except ValidationError as invalid:
        return [
            f"{'.'.join(map(str, fault['loc'])) or 'settings'}: {fault['msg']}"
            for fault in invalid.errors(include_input=False, include_url=False)
        ]
    return []


def _readings(text: str) -> Iterator[Any]:
    yield text
    try:
        yield json.loads(text)
    except ValueError:
        yield [piece.strip() for piece in text.split(",") if piece.strip()]


def _part(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type
    """The model that a field is, or may be."""
    choices = get_args(annotation) if get_origin(annotation) in {Union, UnionType} else (annotation,)
    models = [one for one in choices if isinstance(one, type) and issubclass(one, BaseModel)]
    return models[0] if models and all(one is NoneType or one in models for one in choices) else None


def _holds_secret(annotation: Any) -> bool:  # noqa: ANN401 - any type
    return annotation is SecretStr or any(_holds_secret(inner) for inner in get_args(annotation))
