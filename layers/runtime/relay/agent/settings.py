"""Parts of an agent's settings that several agents share, and the form of a time in their requests."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import PydanticCustomError

PRINTABLE = r"^[\x21-\x7e]+$"
"""A value of visible ASCII characters: not blank, not padded, without the line's end of the file it came from."""

BaseUrl = Annotated[str, Field(pattern=r"^https?://\S*[^\s/]$")]
"""Where an agent's API is, without a slash at its end; the sender itself refuses all but https to public addresses."""


def _printable(secret: SecretStr) -> SecretStr:
    # A secret that was read with its line's end is refused by the vendor in words that do not tell why.
    if not re.fullmatch(PRINTABLE, secret.get_secret_value()):
        raise PydanticCustomError("blank_or_padded_secret", "must be printable, without blanks or line ends")
    return secret


PrintableSecret = Annotated[SecretStr, AfterValidator(_printable)]


class SettingsModel(BaseModel):
    """A group of an agent's settings: no unknown names, and never changed after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def iso8601_z(moment: datetime) -> str:
    """A time in UTC with milliseconds, as in `2026-11-20T09:15:42.000Z`."""
    written = moment.isoformat("T", "milliseconds")
    if not written.endswith("+00:00"):
        written = moment.astimezone(UTC).isoformat("T", "milliseconds")
    return f"{written[:-6]}Z"
