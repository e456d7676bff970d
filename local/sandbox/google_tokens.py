"""Google's token endpoints as the sandbox plays them: AWS roles and keys in, a service account's tokens out."""

import json
import secrets
from datetime import UTC, datetime
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from local.sandbox.exchange import CheckResult, Findings, Json, Request, Settings, VendorResponse, transport_faults
from local.sandbox.formats import Check, misfits, one_of, text

LIFE = 3600
FRESH_SECONDS = 900
SCOPE = "https://www.googleapis.com/auth/datamanager"
EXCHANGE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TARGET = "x-goog-cloud-target-resource"
EXCHANGE: dict[str, Check] = {
    "grant_type": one_of("urn:ietf:params:oauth:grant-type:token-exchange"),
    "audience": text(),
    "requested_token_type": one_of("urn:ietf:params:oauth:token-type:access_token"),
    "scope": one_of(EXCHANGE_SCOPE),
    "subject_token_type": one_of("urn:ietf:params:aws:token-type:aws4_request"),
    "subject_token": text(),
}
ASSERTION: dict[str, Check] = {
    "grant_type": one_of("urn:ietf:params:oauth:grant-type:jwt-bearer"),
    "assertion": text(),
}


class TokenOffice:
    """Exchanges the proof of an AWS role, lets the result act as the account, and takes a key's assertions."""

    def __init__(self) -> None:
        """Begin with no tokens."""
        self._federated: dict[str, float] = {}
        self._access: dict[str, tuple[float, Json]] = {}

    def check(self, request: Request, now: float, settings: Settings) -> CheckResult | None:
        """Check a request for a token; None if it is for another endpoint."""
        identity, key = settings.get("workload_identity") or {}, settings.get("service_account_key") or {}
        account = identity.get("service_account")
        if (request.method, request.path) == ("POST", "/v1/token"):
            return self._exchange(request, now, identity)
        if request.method == "POST" and request.path.endswith(":generateAccessToken"):
            return self._impersonate(request, now, account, _identity(settings))
        if (request.method, request.path) == ("POST", "/token"):
            return self._assert(request, now, key, _identity(settings))
        return None

    def honours(self, token: str, now: float, settings: Settings) -> bool:
        """Tell whether an access token lives: one of another identity has ended with it."""
        ends, identity = self._access.get(token, (0.0, None))
        return ends > now and identity == _identity(settings)

    def reset(self) -> None:
        """Lose all tokens."""
        self._federated.clear()
        self._access.clear()

    def _exchange(self, request: Request, now: float, identity: Json) -> CheckResult:
        findings, refusal = Findings(), VendorResponse.json(400, {"error": "invalid_request"})
        asked = _form(request, findings, EXCHANGE)
        denied = VendorResponse.json(400, {"error": "invalid_grant", "error_description": "no permission"})
        if asked.get("audience") != identity.get("provider"):
            findings.refuse("audience is not the pool's provider", denied)
        for fault in _subject_faults(asked.get("subject_token", ""), asked.get("audience", ""), now):
            findings.refuse(f"subject_token: {fault}", refusal)
        return findings.result(lambda: self._federate(now))

    def _federate(self, now: float) -> VendorResponse:
        token = f"ya29.d.{secrets.token_urlsafe(48)}"
        self._federated[token] = now + LIFE
        issued = "urn:ietf:params:oauth:token-type:access_token"
        body = {"access_token": token, "issued_token_type": issued, "token_type": "Bearer", "expires_in": LIFE}
        return VendorResponse.json(200, body)

    def _impersonate(self, request: Request, now: float, account: Json, identity: Json) -> CheckResult:
        findings = Findings(transport_faults(request))
        if self._federated.get(request.bearer(), 0.0) <= now:
            findings.refuse("authorization: no token of the token exchange", _error(401, "UNAUTHENTICATED"))
        if request.path != f"/v1/projects/-/serviceAccounts/{account}:generateAccessToken":
            findings.refuse("the role may not act as this account", _error(403, "PERMISSION_DENIED"))
        invalid = _error(400, "INVALID_ARGUMENT")
        wanted = findings.read(request, invalid) or {}
        if wanted.get("scope") != [SCOPE]:
            findings.refuse(f"scope is not the list of {SCOPE}", invalid)
        if wanted.get("lifetime", "3600s") != f"{LIFE}s":
            findings.refuse(f"lifetime is not {LIFE}s", invalid)
        ends = datetime.fromtimestamp(now + LIFE, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return findings.result(
            lambda: VendorResponse.json(200, {"accessToken": self._grant(now, identity), "expireTime": ends})
        )

    def _assert(self, request: Request, now: float, key: Json, identity: Json) -> CheckResult:
        findings = Findings()
        asked = _form(request, findings, ASSERTION)
        for fault in _assertion_faults(asked.get("assertion", ""), key, now):
            findings.refuse(f"assertion: {fault}", VendorResponse.json(400, {"error": "invalid_grant"}))
        return findings.result(
            lambda: VendorResponse.json(
                200, {"access_token": self._grant(now, identity), "token_type": "Bearer", "expires_in": LIFE}
            )
        )

    def _grant(self, now: float, identity: Json) -> str:
        token = f"ya29.c.{secrets.token_urlsafe(48)}"
        self._access[token] = (now + LIFE, identity)
        return token


def _identity(settings: Settings) -> Json:
    return settings.get("workload_identity") or settings.get("service_account_key")


def _error(status: int, code: str) -> VendorResponse:
    return VendorResponse.json(status, {"error": {"code": status, "status": code, "message": "refused"}})


def _form(request: Request, findings: Findings, table: dict[str, Check]) -> dict[str, str]:
    refusal = VendorResponse.json(400, {"error": "invalid_request"})
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        findings.refuse(f"content-type is {kind or 'missing'}, not a form's", refusal)
    asked = dict(parse_qsl(request.body.decode(errors="replace")))
    findings.refuse_each(misfits(asked, "", table, table), refusal)
    return asked


def _subject_faults(token: str, provider: str, now: float) -> list[str]:
    """Say what is wrong with a signed GetCallerIdentity request; the signature itself only AWS can check."""
    try:
        signed = json.loads(unquote(token))
        headers = {one["key"].lower(): one["value"] for one in signed["headers"]}
        url, moment = urlsplit(signed["url"]), datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%S%z")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ["is no signed request"]
    action = parse_qs(url.query)
    authorization = headers.get("authorization", "")
    rules = {
        "method is not POST": signed.get("method") == "POST",
        "is not for AWS' STS": url.scheme == "https"
        and _is_sts(url.hostname or "")
        and headers.get("host") == url.hostname,
        "is not GetCallerIdentity": action == {"Action": ["GetCallerIdentity"], "Version": ["2011-06-15"]},
        "is not for this provider": headers.get(TARGET) == provider,
        "does not sign host, date and provider": {"host", "x-amz-date", TARGET} <= _signed_headers(authorization),
        "is not of the last fifteen minutes": abs(now - moment.timestamp()) <= FRESH_SECONDS,
    }
    return [fault for fault, holds in rules.items() if not holds]


def _is_sts(host: str) -> bool:
    return host.startswith("sts.") and host.endswith(".amazonaws.com")


def _signed_headers(authorization: str) -> set[str]:
    algorithm, _, rest = authorization.partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    is_whole = algorithm == "AWS4-HMAC-SHA256" and parts.get("Credential") and parts.get("Signature")
    return set(parts.get("SignedHeaders", "").split(";")) if is_whole else set()


def _assertion_faults(assertion: str, key: Json, now: float) -> list[str]:
    if not key:
        return ["there is no key"]
    public = load_pem_private_key(key["private_key"].encode(), None).public_key()
    try:
        header = jwt.get_unverified_header(assertion)
        options = {"verify_exp": False, "verify_iat": False, "require": ["iss", "scope", "aud", "iat", "exp"]}
        claims = jwt.decode(assertion, public, ["RS256"], options, audience=key["token_uri"])  # type: ignore[arg-type]
    except jwt.PyJWTError as fault:
        return [f"{type(fault).__name__}"]
    rules = {
        "kid is not the key's": header.get("kid") == key.get("private_key_id"),
        "iss is not the account": claims["iss"] == key.get("client_email"),
        "scope is another": claims["scope"] == SCOPE,
        "is not valid now, for an hour at most": claims["iat"] - 60 <= now < claims["exp"] <= claims["iat"] + LIFE,
    }
    return [fault for fault, holds in rules.items() if not holds]
