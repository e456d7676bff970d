"""The body of a caller's HTTP request, as API Gateway hands it over."""

import base64
from collections.abc import Mapping
from typing import Any

from relay.errors import TooLarge


def read(request: Mapping[str, Any], limit: int) -> bytes:
    """The bytes of a proxy request's body, none if it has none.

    Raises:
        TooLarge: it has more bytes than the limit.
    """
    body = request.get("body") or ""
    raw = base64.b64decode(body) if request.get("isBase64Encoded") else body.encode("utf-8", "surrogatepass")
    if len(raw) > limit:
        raise TooLarge(too_large(limit))
    return bytes(raw)


def too_large(limit: int) -> str:
    """What to do about a body that is too large."""
    return f"At most {limit} bytes are taken; leave out what no agent needs."
