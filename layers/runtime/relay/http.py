"""Requests to agents as values, and the one function that sends them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from pydantic import SecretStr
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from relay import __version__
from relay.errors import Unreachable

CONNECT_SECONDS = 2.0
READ_SECONDS = 5.0
MAX_ANSWER_BYTES = 64 * 1024
MAX_SENDERS = 32
"""Connections kept open to one host."""

Value = str | SecretStr


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request to an agent; secrets are SecretStr, so that printing or logging it shows none."""

    url: str
    body: bytes = field(repr=False)
    headers: Mapping[str, Value] = field(default_factory=dict)
    query: Mapping[str, Value] = field(default_factory=dict)
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Response:
    """An agent's answer: header names in lower case, the body cut at 64 KiB."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

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
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def encode(document: object) -> bytes:
    """A JSON document as compact UTF-8, as agents are sent it."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def json_request(
    url: str, document: object, headers: Mapping[str, Value] | None = None, query: Mapping[str, Value] | None = None
) -> Request:
    """A POST of a JSON document."""
    return Request(url, encode(document), {"content-type": "application/json", **(headers or {})}, query or {})


def shown(request: Request) -> dict[str, Any]:
    """A request as a person may see it: secrets masked, the body as JSON."""
    query = {"query": {name: str(value) for name, value in request.query.items()}} if request.query else {}
    return {
        "method": request.method,
        "url": request.url,
        **query,
        "headers": {name: str(value) for name, value in request.headers.items()},
        "body": json.loads(request.body),
    }


def send(request: Request) -> Response:
    """Sends one request: pooled, no redirects, no cookies, no proxy or netrc from the environment.

    Raises:
        Unreachable: no answer within the time-outs (2 s to connect, 5 s of silence).
    """
    try:
        answer = _session().request(
            request.method,
            request.url,
            params=_revealed(request.query),
            data=request.body,
            headers=_revealed(request.headers),
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            allow_redirects=False,
            stream=True,
        )
        with answer:
            body = answer.raw.read(MAX_ANSWER_BYTES, decode_content=True)
    except (requests.RequestException, OSError, ValueError) as fault:
        # The exception's own text holds the URL, and Google's URL holds a secret.
        raise Unreachable(type(fault).__name__, sent=not _never_sent(fault)) from None
    return Response(answer.status_code, body, {name.lower(): value for name, value in answer.headers.items()})


def _never_sent(fault: Exception) -> bool:
    """Whether no connection was made, so that the agent cannot know of the request."""
    reason = getattr(fault.args[0], "reason", None) if fault.args else None
    return isinstance(fault, requests.ConnectTimeout) or isinstance(reason, NewConnectionError | ConnectTimeoutError)


@cache
def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers.clear()
    session.headers["user-agent"] = f"session-relay/{__version__}"
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=MAX_SENDERS))
    return session


def _revealed(values: Mapping[str, Value]) -> dict[str, str]:
    return {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in values.items()}
