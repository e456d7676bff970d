"""What a request needs that the event alone cannot give: signatures over the time of sending, bearer tokens."""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, SecretStr
from standardwebhooks import Webhook

from relay.agent.http import Request, Response, Value, bounded, json_request
from relay.agent.verdict import VerdictKind, by_status
from relay.encoding import sha256
from relay.errors import CredentialsRefused, Unreachable

Send = Callable[[Request], Response]

MAX_TOKEN_SECONDS = 86_400
TOKEN_MARGIN = timedelta(seconds=60)
"""A token is renewed this long before it ends."""


class Attempt(NamedTuple):
    """What the authorization of a request may depend on; `force_refresh` after the agent refused the credentials."""

    now: datetime
    send: Send
    force_refresh: bool


def with_headers(request: Request, headers: Mapping[str, Value]) -> Request:
    """The request with further headers."""
    return Request(request.url, request.body, {**request.headers, **headers}, request.query, request.method)


def signed(request: Request, message_id: str, secrets: list[SecretStr], now: datetime) -> Request:
    """The request signed as Standard Webhooks says, once per secret: two while one replaces the other.

    Source: standardwebhooks.com, specification 1.0; the signature covers id, attempt time and the body as sent.
    """
    body = request.body.decode()
    signatures = [_signer(secret.get_secret_value()).sign(message_id, now, body) for secret in secrets]
    return with_headers(
        request,
        {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": SecretStr(" ".join(signatures)),
        },
    )


@lru_cache(maxsize=4)
def _signer(secret: str) -> Webhook:
    return Webhook(secret)


@lru_cache(maxsize=4)
def basic(user: str, password: str) -> SecretStr:
    """The Authorization header's value for HTTP Basic (RFC 7617, UTF-8)."""
    return SecretStr("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())


class ClientCredentials(BaseModel):
    """An OAuth2 client; `style` is how its credentials reach the token endpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token_url: str
    client_id: str
    client_secret: SecretStr
    scope: str | None = None
    style: Literal["json_body", "basic_json", "form"] = "json_body"


_tokens: dict[str, tuple[SecretStr, datetime]] = {}


def bearer(client: ClientCredentials, attempt: Attempt) -> SecretStr:
    """A bearer token for the client: the one at hand, or a new one if it ends soon or has just been refused.

    Raises:
        CredentialsRefused: the token endpoint does not accept the client.
        Unreachable: the token endpoint does not answer, or answers that it is busy or broken.
    """
    key = sha256(client.model_dump_json() + client.client_secret.get_secret_value())
    return cached_token(key, attempt, lambda: granted(attempt.send(_token_request(client))))


def cached_token(key: str, attempt: Attempt, fetch: Callable[[], tuple[SecretStr, timedelta]]) -> SecretStr:
    """The token under a key, if it is at hand; fetched if there is none, if it ends soon or has just been refused."""
    token, ends = _tokens.get(key, (None, datetime.min.replace(tzinfo=UTC)))
    if token is None or attempt.force_refresh or ends - TOKEN_MARGIN <= attempt.now:
        token, lasts = fetch()
        _tokens[key] = (token, attempt.now + lasts)
    return token


def forget() -> None:
    """Forgets every token, as a new function instance does."""
    _tokens.clear()


def _token_request(client: ClientCredentials) -> Request:
    secret = client.client_secret.get_secret_value()
    asked = {"grant_type": "client_credentials"} | ({"scope": client.scope} if client.scope else {})
    identity = {"client_id": client.client_id, "client_secret": secret}
    match client.style:
        case "json_body":
            return json_request(client.token_url, asked | identity)
        case "basic_json":
            return json_request(client.token_url, asked, {"authorization": basic(client.client_id, secret)})
        case "form":
            return form_request(client.token_url, asked | identity)


def form_request(url: str, fields: Mapping[str, str]) -> Request:
    """A POST of a form, as OAuth2's token endpoints take it."""
    return Request(url, urlencode(fields).encode(), {"content-type": "application/x-www-form-urlencoded"})


def granted(response: Response) -> tuple[SecretStr, timedelta]:
    """The token of a token endpoint's response, and how long it lasts (RFC 6749, section 5.1).

    Raises:
        CredentialsRefused: the endpoint grants none.
        Unreachable: it answers that it is busy or broken.
    """
    kind = by_status(response).kind
    if kind is VerdictKind.RETRY:
        raise Unreachable(f"token endpoint: HTTP {response.status}")
    document = response.json() if response.ok else None
    grant = document if isinstance(document, dict) else {}
    token = grant.get("access_token")
    if not isinstance(token, str) or not token:
        raise CredentialsRefused(f"token endpoint: HTTP {response.status} without a token")
    return SecretStr(token), timedelta(seconds=bounded(grant.get("expires_in"), MAX_TOKEN_SECONDS) or 0)
