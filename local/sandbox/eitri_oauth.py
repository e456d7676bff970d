"""Eitri Push Server's OAuth2 endpoint: client credentials in, tokens that live for minutes out."""

import secrets
from urllib.parse import parse_qsl

from local.sandbox.eitri_message import refusal
from local.sandbox.exchange import CheckResult, Findings, Json, Request, Settings, VendorResponse
from local.sandbox.formats import misfits, text

TOKEN_LIFE = 900


class TokenOffice:
    """Issues tokens to the holder of the store's credentials and knows which of them live."""

    def __init__(self) -> None:
        """Begin with no tokens."""
        self._tokens: dict[str, tuple[float, str]] = {}

    def check(self, request: Request, now: float, settings: Settings) -> CheckResult:
        """Check one request for a token."""
        findings = Findings()
        oauth = settings.get("oauth") or {}
        asked = _asked(request, oauth.get("style", "json_body"), findings)
        if asked.get("grant_type") != "client_credentials":
            wrong = "unsupported_grant_type" if asked.get("grant_type") else "invalid_request"
            findings.refuse("grant_type is not client_credentials", refusal(400, wrong))
        presented = f"{asked.get('client_id')}:{asked.get('client_secret')}"
        if settings and (not oauth or presented != _credentials(oauth)):
            findings.refuse("client_id and client_secret are not the store's", refusal(401, "invalid_client"))
        return findings.result(lambda: self._issue(oauth, now))

    def honours(self, token: str, now: float, settings: Settings) -> bool:
        """Tell whether a token lives: rotation kills the old credentials' tokens at once, as revocation does."""
        expires, credentials = self._tokens.get(token, (0.0, ""))
        return expires > now and credentials == _credentials(settings.get("oauth") or {})

    def reset(self) -> None:
        """Lose all tokens."""
        self._tokens.clear()

    def _issue(self, oauth: dict[str, Json], now: float) -> VendorResponse:
        life = oauth.get("expires_in", TOKEN_LIFE)
        self._tokens = {token: held for token, held in self._tokens.items() if held[0] > now}
        token = f"eyJ{secrets.token_urlsafe(24)}.{secrets.token_urlsafe(48)}.{secrets.token_urlsafe(32)}"
        self._tokens[token] = (now + life, _credentials(oauth))
        body = {"access_token": token, "token_type": "Bearer", "expires_in": life, "scope": "push:send"}
        return VendorResponse.json(200, body)


def _credentials(oauth: dict[str, Json]) -> str:
    return f"{oauth.get('client_id')}:{oauth.get('client_secret')}"


def _asked(request: Request, style: str, findings: Findings) -> dict[str, Json]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    expected = "application/x-www-form-urlencoded" if style == "form" else "application/json"
    if kind != expected:
        findings.refuse(f"content-type is {kind or 'missing'}, not {expected}", refusal(400, "invalid_request"))
    try:
        asked = dict(parse_qsl(request.body.decode())) if style == "form" else request.json()
    except ValueError as error:
        findings.refuse(f"body: cannot be read: {error}", refusal(400, "invalid_request"))
        return {}
    in_header = style == "basic_json"
    names = ("grant_type", "scope") if in_header else ("grant_type", "scope", "client_id", "client_secret")
    findings.refuse_each(misfits(asked, "", dict.fromkeys(names, text())), refusal(400, "invalid_request"))
    if not isinstance(asked, dict):
        return {}
    if in_header:
        return asked | dict(zip(("client_id", "client_secret"), request.basic(), strict=True))
    if "authorization" in request.headers:
        findings.note("authorization: the credentials belong into the body alone")
    return asked
