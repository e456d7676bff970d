"""The texts that an event is made of: what each may hold, in one place for the check and for the API's own document."""

import re
import unicodedata
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from relay.event import stand_ins

MAX_SEQUENCE = 2**53 - 1
"""The largest integer that every JSON reader keeps exact."""

# Neither SNS nor SQS takes U+FFFE and U+FFFF, which are no characters.
PRINTABLE = r"^[^\x00-\x1f\x7f\uFFFE\uFFFF]*[^\x00-\x20\x7f\uFFFE\uFFFF][^\x00-\x1f\x7f\uFFFE\uFFFF]*$"
WITHOUT_NUL = r"^[^\x00\uFFFE\uFFFF]+$"
# Neither a control character nor one of Unicode's blanks.
_VISIBLE = r"[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\uFFFE\uFFFF]"

# Letters, marks and symbols that show nothing, beside the categories below: fillers, joiners, variation selectors.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_UNSEEN_CATEGORIES = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"}


class FullMatch:
    """A text of one pattern, matched as a whole, and the sentence for any other; ECMAScript reads the pattern alike."""

    def __init__(self, pattern: str, sentence: str) -> None:
        self.pattern, self.sentence = pattern, sentence

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Checks the pattern after whatever else the type asks."""
        matches = re.compile(self.pattern).fullmatch

        def check(value: str) -> str:
            if not matches(value):
                raise PydanticCustomError("form", "{sentence}", {"sentence": self.sentence})
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Says the pattern in JSON Schema."""
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$"}


class OneSentence:
    """One sentence for a value that is none of a union's kinds, instead of one for each kind."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Gives the union its own error."""
        return {**handler(source), "custom_error_type": "kind", "custom_error_message": self.sentence}


class NoStandIn:
    """An id that is not a stand-in; ingest checks it, so that a queue's older events are still read."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Says what is no id."""
        return {**handler(schema), "not": stand_ins.json_schema()}


class VisibleId(NoStandIn):
    """The id of one person or one device, which looks like no other.

    Two ids that look alike on a screen would be two people there, or one: so what cannot be seen is refused, and so are
    compatibility forms (a full-width 1, a ligature), which NFKC would turn into another id.
    """

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Checks the id after its length."""
        return core_schema.no_info_after_validator_function(_check_id, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Says what JSON Schema can say; `own-id` stands for the rest, which the description tells."""
        return {
            **super().__get_pydantic_json_schema__(schema, handler),
            "pattern": r"^[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$",
            "format": "own-id",
            "description": "Visible characters in Unicode normal form NFKC, with plain spaces inside at most; "
            "no format, private-use or unassigned characters.",
        }


def _check_id(value: str) -> str:
    if value != value.strip():
        raise PydanticCustomError("own_id", "must be an id without blanks around it")
    if value.isascii():
        return value
    if _UNSEEN.search(value) or any(c != " " and unicodedata.category(c) in _UNSEEN_CATEGORIES for c in value):
        raise PydanticCustomError(
            "unseen",
            "must have visible characters only; remove invisible and unassigned ones, or send a digest of the id",
        )
    if not unicodedata.is_normalized("NFKC", value):
        raise PydanticCustomError("nfkc", "must be in Unicode normal form NFKC; normalise it before it is sent")
    return value


def _refuse_stand_in(uid: str) -> str:
    if stand_ins.is_stand_in(uid):
        raise PydanticCustomError("stand_in", "{sentence}", {"sentence": stand_ins.SENTENCE})
    return uid


_RFC3339 = re.compile(
    r"[2-9][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
    r"(Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"
)


class Rfc3339:
    """A time as RFC 3339 writes it, with an offset, from the year 2000 on."""

    def __get_pydantic_core_schema__(self, _source: type, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Reads the text; a datetime is one already."""
        return core_schema.no_info_plain_validator_function(_timestamp)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Says the pattern, whose last part is not optional."""
        pattern = _RFC3339.pattern.removesuffix("?")
        return {"type": "string", "format": "date-time", "pattern": f"^{pattern}$"}


def _timestamp(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    written = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if not written:
        raise PydanticCustomError("moment", "must be a time of the year 2000 or later, as in 2026-11-20T09:15:42Z")
    if not written[1]:
        raise PydanticCustomError("offset", "must end with an offset, as in 2026-11-20T09:15:42Z")
    try:
        return datetime.fromisoformat(written[0])
    except ValueError:
        raise PydanticCustomError("moment", "must be a day that there was, as in 2026-11-20T09:15:42Z") from None


MAX_LONG_TEXT = 4096
MAX_NAME = 64
Text = Annotated[
    str,
    StringConstraints(
        min_length=1,
        max_length=256,
        pattern=rf"^[^\x00-\x1f\x7f\uFFFE\uFFFF]*{_VISIBLE}[^\x00-\x1f\x7f\uFFFE\uFFFF]*$",
    ),
]
ContextText = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=MAX_LONG_TEXT, pattern=rf"^[^\x00\uFFFE\uFFFF]*{_VISIBLE}[^\x00\uFFFE\uFFFF]*$"
    ),
]
LongText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_LONG_TEXT, pattern=WITHOUT_NUL)]
PropertyName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME, pattern=PRINTABLE)]
EVENT_ID = re.compile(r"(?!\.\.?$)[A-Za-z0-9_.:~-]{1,128}")
"""A path of a URL can hold it as it is; `.` and `..` would lead elsewhere."""

EventId = Annotated[
    str,
    FullMatch(EVENT_ID.pattern, "must be 1 to 128 letters, digits, '_', '.', ':', '~' or '-'"),
    NoStandIn(),
]
CustomerId = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=PRINTABLE), VisibleId()]
DeviceId = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=PRINTABLE), VisibleId()]
TokenUid = Annotated[CustomerId, AfterValidator(_refuse_stand_in)]
AgentId = Annotated[Text, NoStandIn()]
LongAgentId = Annotated[LongText, NoStandIn()]
Timestamp = Annotated[datetime, Rfc3339()]
_IN_ADDRESS = r"[^@\x00-\x20\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ufffe\uffff]+"


class AlsoTakes:
    """A text that a validator turns into another value before the type is looked at."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Adds it to what the type allows."""
        known = handler(schema)
        return {**known, "anyOf": [*known["anyOf"], {"const": self.text, "type": "string"}]}


class OwnFormat:
    """What JSON Schema has no word for: a format of our own, which ingest checks."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Names the format."""
        return {**handler(schema), "format": self.name}


Email = Annotated[
    str,
    StringConstraints(max_length=254),
    FullMatch(rf"{_IN_ADDRESS}@{_IN_ADDRESS}\.{_IN_ADDRESS}", "must be an e-mail address, as in ana@example.com"),
    OwnFormat("own-email"),
]
Phone = Annotated[
    str, FullMatch(r"\+[1-9][0-9]{6,14}", "must be in E.164: '+', country code and digits only, as in +5511999887766")
]
Sha256 = Annotated[str, FullMatch(r"[0-9a-f]{64}", "must be a SHA-256 in 64 lower-case hexadecimal digits")]
Language = Annotated[
    str, FullMatch(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}", "must be a language tag, as in pt or pt-BR")
]


class WireModel(BaseModel):
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


def integral(value: object) -> object:
    """A number as JSON knows it: 5.0 is the whole number 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
