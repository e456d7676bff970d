"""Access tokens of a Google service account: by the function's own AWS role without any key, or by a key file."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import PydanticCustomError

from relay.agent.auth import Attempt, cached_token, form_request, granted
from relay.agent.http import Response, json_request
from relay.agent.settings import BaseUrl, SettingsModel
from relay.agent.verdict import VerdictKind, by_status
from relay.encoding import sha256
from relay.errors import CredentialsRefused, Unreachable

EXCHANGE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
LIFETIME = timedelta(hours=1)
"""How long Google lets a token of a service account last at most (IAM, short-lived credentials, 2026)."""

ServiceAccount = Annotated[str, Field(pattern=r"^[a-z0-9-]+@[a-z0-9.-]+\.gserviceaccount\.com$")]


class WorkloadIdentity(SettingsModel):
    """The provider of a workload identity pool that trusts the function's AWS role, and the account it may act as."""

    provider: str = Field(
        pattern=r"^//iam\.googleapis\.com/projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]+"
        r"/providers/[a-z0-9-]+$"
    )
    service_account: ServiceAccount
    sts_url: BaseUrl = "https://sts.googleapis.com"
    iam_url: BaseUrl = "https://iamcredentials.googleapis.com"


def _is_private_key(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().startswith("-----BEGIN PRIVATE KEY-----"):
        raise PydanticCustomError("no_private_key", "must be the private_key of a service account's key file, PEM")
    return secret


class ServiceAccountKey(BaseModel):
    """A service account's key file, as Google's console gives it; its other members are not needed."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    client_email: ServiceAccount
    private_key: Annotated[SecretStr, AfterValidator(_is_private_key)]
    private_key_id: str = Field(pattern=r"^[0-9a-f]+$")
    token_uri: BaseUrl = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address


def access_token(identity: WorkloadIdentity | ServiceAccountKey, scope: str, attempt: Attempt) -> SecretStr:
    """The service account's access token for a scope: the one at hand, or a new one.

    Raises:
        CredentialsRefused: Google does not accept the role or the key, or does not let the role act as the account.
        Unreachable: Google's token endpoints do not answer, or answer that they are busy or broken.
    """
    if isinstance(identity, WorkloadIdentity):
        key = sha256(identity.model_dump_json() + scope)
        return cached_token(key, attempt, lambda: _by_role(identity, scope, attempt))
    key = sha256(identity.model_dump_json() + identity.private_key.get_secret_value() + scope)
    return cached_token(key, attempt, lambda: _by_key(identity, scope, attempt))


def _by_role(identity: WorkloadIdentity, scope: str, attempt: Attempt) -> tuple[SecretStr, timedelta]:
    """A token without a key: the role's proof is exchanged at Google's STS, and the result acts as the account.

    Source: RFC 8693; google-auth 2.63.0, google/oauth2/sts.py and google/auth/impersonated_credentials.py.
    """
    # Only an agent that signs in so needs botocore's signer.
    from relay.aws.caller_identity import subject_token  # noqa: PLC0415

    exchange = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": identity.provider,
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "scope": EXCHANGE_SCOPE,
        "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
        "subject_token": subject_token(identity.provider),
    }
    federated, _ = granted(attempt.send(form_request(f"{identity.sts_url}/v1/token", exchange)))
    bearer = SecretStr(f"Bearer {federated.get_secret_value()}")
    url = f"{identity.iam_url}/v1/projects/-/serviceAccounts/{identity.service_account}:generateAccessToken"
    wanted = {"scope": [scope], "lifetime": f"{LIFETIME.seconds}s"}
    return _impersonated(attempt.send(json_request(url, wanted, {"authorization": bearer})), attempt.now)


def _impersonated(response: Response, now: datetime) -> tuple[SecretStr, timedelta]:
    if by_status(response).kind is VerdictKind.RETRY:
        raise Unreachable(f"IAM credentials: HTTP {response.status}")
    document = response.json() if response.ok else None
    grant = document if isinstance(document, dict) else {}
    token, ends = grant.get("accessToken"), grant.get("expireTime")
    if not isinstance(token, str) or not token:
        raise CredentialsRefused(f"IAM credentials: HTTP {response.status} without a token")
    return SecretStr(token), _until(ends, now)


def _until(ends: object, now: datetime) -> timedelta:
    """How long a token lasts by its RFC 3339 end, an hour at most; no time at all where the end cannot be read."""
    try:
        moment = datetime.fromisoformat(str(ends))
    except ValueError:
        return timedelta()
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(timedelta(), min(aware - now, LIFETIME))


def _by_key(key: ServiceAccountKey, scope: str, attempt: Attempt) -> tuple[SecretStr, timedelta]:
    """A token for an assertion that the account's key has signed (RFC 7523)."""
    # Its import takes 30 ms, and an agent without a key file never needs it.
    import jwt  # noqa: PLC0415

    claims = {
        "iss": key.client_email,
        "scope": scope,
        "aud": key.token_uri,
        "iat": attempt.now,
        "exp": attempt.now + LIFETIME,
    }
    try:
        assertion = jwt.encode(claims, key.private_key.get_secret_value(), "RS256", {"kid": key.private_key_id})
    except (jwt.PyJWTError, ValueError, TypeError):
        # The exception's own text may quote the key.
        raise CredentialsRefused("the service account's private_key cannot sign") from None
    grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    fields = {"grant_type": grant_type, "assertion": assertion}
    return granted(attempt.send(form_request(key.token_uri, fields)))
