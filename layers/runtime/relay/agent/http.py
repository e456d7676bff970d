"""Requests to agents, and their answers, as values; relay/delivery/transport.py sends them."""

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import SecretStr
from pydantic_core import from_json

from relay.encoding import encode

Value = str | SecretStr


_NONE: Mapping[str, Any] = MappingProxyType({})


class Request(NamedTuple):
    """One HTTP request to an agent; secrets are SecretStr, so that printing or logging it shows none."""

    url: str
    body: bytes
    headers: Mapping[str, Value] = _NONE
    query: Mapping[str, Value] = _NONE
    method: str = "POST"

    def __repr__(self) -> str:
        """All but the body, which tells of a person."""
        return f"Request({self.method} {self.url}, headers={dict(self.headers)}, query={dict(self.query)})"


class Response(NamedTuple):
    """An agent's answer: header names in lower case, the body cut at 64 KiB."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = _NONE

    def __repr__(self) -> str:
        """All but the body, which may quote what it was sent."""
        return f"Response({self.status}, headers={dict(self.headers)})"

    @property
    def ok(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004

    @property
    def text(self) -> str:
        """The body as text, whatever it is."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:  # noqa: ANN401
        """The body as JSON, or None where it is not JSON."""
        return read_json(self.body)


def read_json(text: str | bytes) -> Any:  # noqa: ANN401
    """A vendor's JSON, or None where it is none, too deep to read, or has a number that is not finite."""
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        return None


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(digits)
    return number


def bounded(value: object, limit: int) -> int | None:
    """A vendor's number, or its digits, as a whole number from 0 to the limit; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        # Python reads no number of more than 4,300 digits.
        return min(int(value[:20]), limit) if len(value) <= 20 else limit  # noqa: PLR2004
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    is_finite = isinstance(value, int) or math.isfinite(value)
    return int(min(max(value, 0), limit)) if is_finite else None


def json_request(
    url: str, document: object, headers: Mapping[str, Value] | None = None, query: Mapping[str, Value] | None = None
) -> Request:
    """A POST of a JSON document."""
    return Request(url, encode(document), {"content-type": "application/json", **(headers or {})}, query or {})


def masked(request: Request) -> dict[str, Any]:
    """A request as a person may see it: secrets masked, the body as JSON."""
    query = {"query": {name: str(value) for name, value in request.query.items()}} if request.query else {}
    return {
        "method": request.method,
        "url": request.url,
        **query,
        "headers": {name: str(value) for name, value in request.headers.items()},
        # pydantic-core's cache of strings is for documents that repeat them.
        "body": from_json(request.body, cache_strings="none"),
    }


def unmasked(values: Mapping[str, Value]) -> dict[str, str]:
    """Headers or query with their secrets in clear, for the moment of sending."""
    return {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in values.items()}
