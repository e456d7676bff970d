"""Access tokens of a Google service account: what is asked of whom, by a role and by a key."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr, ValidationError

from local.sandbox.google_data_manager import GoogleDataManager
from relay.agent import auth
from relay.agent.auth import Attempt
from relay.agent.google_identity import ServiceAccountKey, WorkloadIdentity, access_token
from relay.agent.http import Request, Response, unmasked
from relay.aws import clients
from relay.errors import CredentialsRefused, Unreachable
from tests.sandboxed import Vendor

SCOPE = "https://www.googleapis.com/auth/datamanager"
URL = "https://google.example.com"
ACCOUNT = "session-relay@example-shop.iam.gserviceaccount.com"
PROVIDER = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/aws/providers/relay"
ROLE = {"provider": PROVIDER, "service_account": ACCOUNT, "sts_url": URL, "iam_url": URL}
NOW = datetime(2026, 11, 20, 9, 15, 42, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "example",
        "AWS_SESSION_TOKEN": "example-of-a-session",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    clients.session.cache_clear()
    auth.forget()
    yield
    clients.session.cache_clear()
    auth.forget()


@pytest.fixture(scope="module")
def key_file() -> dict[str, Any]:
    """A key file as Google's console gives it."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": "example-shop",
        "private_key_id": "0f1e2d3c",
        "private_key": private.decode(),
        "client_email": ACCOUNT,
        "client_id": "123456789012345678901",
        "token_uri": f"{URL}/token",
    }


def _vendor(**settings: Any) -> Vendor:
    # The signed request bears the true time.
    return Vendor(GoogleDataManager(settings), URL, lambda: datetime.now(UTC))


def _attempt(send: auth.Send, now: datetime = NOW, *, force_refresh: bool = False) -> Attempt:
    return Attempt(now, send, force_refresh)


def _by_role() -> WorkloadIdentity:
    return WorkloadIdentity.model_validate(ROLE)


def test_a_role_proves_itself_by_a_request_that_aws_would_answer_and_gets_the_accounts_token() -> None:
    vendor = _vendor(workload_identity=ROLE)
    token = access_token(_by_role(), SCOPE, _attempt(vendor, datetime.now(UTC)))
    assert vendor.violations == []
    assert vendor.paths() == ["/v1/token", f"/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"]
    assert token.get_secret_value().startswith("ya29.c.")
    asked = dict(parse_qsl(vendor.sent[0].body.decode()))
    signed = json.loads(unquote(asked["subject_token"]))
    headers = {one["key"].lower(): one["value"] for one in signed["headers"]}
    assert signed["url"] == "https://sts.eu-west-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
    assert headers["x-goog-cloud-target-resource"] == PROVIDER
    assert headers["x-amz-security-token"] == "example-of-a-session"
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token;x-goog-cloud-target-resource" in headers["authorization"]


def test_the_secrets_of_the_exchange_do_not_print() -> None:
    vendor = _vendor(workload_identity=ROLE)
    token = access_token(_by_role(), SCOPE, _attempt(vendor, datetime.now(UTC)))
    federated = unmasked(vendor.sent[1].headers)["authorization"]
    assert federated not in repr(vendor.sent)
    assert token.get_secret_value() not in repr(token)


def test_a_token_serves_until_a_minute_before_its_end() -> None:
    vendor, now = _vendor(workload_identity=ROLE), datetime.now(UTC)
    first = access_token(_by_role(), SCOPE, _attempt(vendor, now))
    assert access_token(_by_role(), SCOPE, _attempt(vendor, now + timedelta(minutes=58))) is first
    assert access_token(_by_role(), SCOPE, _attempt(vendor, now + timedelta(minutes=59, seconds=30))) is not first
    assert len(vendor.sent) == 4


def test_a_token_that_was_refused_is_fetched_again() -> None:
    vendor, now = _vendor(workload_identity=ROLE), datetime.now(UTC)
    first = access_token(_by_role(), SCOPE, _attempt(vendor, now))
    assert access_token(_by_role(), SCOPE, _attempt(vendor, now, force_refresh=True)) is not first


def test_another_provider_or_account_is_refused() -> None:
    vendor = _vendor(workload_identity=ROLE)
    for wrong in ({"provider": PROVIDER[:-1] + "x"}, {"service_account": "a@other.iam.gserviceaccount.com"}):
        with pytest.raises(CredentialsRefused, match="without a token"):
            access_token(WorkloadIdentity.model_validate(ROLE | wrong), SCOPE, _attempt(vendor, datetime.now(UTC)))


@pytest.mark.parametrize("path", ["/v1/token", ":generateAccessToken"])
def test_a_busy_token_endpoint_is_no_refusal(path: str) -> None:
    vendor = _vendor(workload_identity=ROLE)
    vendor.failing[path] = 503
    with pytest.raises(Unreachable, match="HTTP 503"):
        access_token(_by_role(), SCOPE, _attempt(vendor, datetime.now(UTC)))


@pytest.mark.parametrize("ends", [None, "soon", "2026-11-20T09:15:42"])
def test_a_token_whose_end_cannot_be_read_serves_once(ends: str | None) -> None:
    answers = [{"access_token": "t1", "expires_in": 3600}, {"accessToken": "t2", "expireTime": ends}] * 2

    def send(_request: Request) -> Response:
        return Response(200, json.dumps(answers.pop(0)).encode())

    access_token(_by_role(), SCOPE, _attempt(send))
    access_token(_by_role(), SCOPE, _attempt(send))
    assert answers == []


def test_without_a_region_nothing_can_be_proven(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    clients.session.cache_clear()
    with pytest.raises(CredentialsRefused, match="no region"):
        access_token(_by_role(), SCOPE, _attempt(_vendor()))


def test_a_key_signs_an_assertion_that_its_public_key_confirms(key_file: dict[str, Any]) -> None:
    vendor = _vendor(service_account_key=key_file)
    now = datetime.now(UTC)
    token = access_token(ServiceAccountKey.model_validate(key_file), SCOPE, _attempt(vendor, now))
    assert vendor.violations == []
    assert token.get_secret_value().startswith("ya29.c.")
    assertion = dict(parse_qsl(vendor.sent[0].body.decode()))["assertion"]
    claims = jwt.decode(assertion, options={"verify_signature": False})
    assert claims == {
        "iss": ACCOUNT,
        "scope": SCOPE,
        "aud": f"{URL}/token",
        "iat": int(now.timestamp()),
        "exp": int(now.timestamp()) + 3600,
    }
    assert jwt.get_unverified_header(assertion) == {"alg": "RS256", "typ": "JWT", "kid": "0f1e2d3c"}


def test_a_key_that_is_none_is_refused_without_a_word_of_it(key_file: dict[str, Any]) -> None:
    broken = {**key_file, "private_key": key_file["private_key"][:200]}
    with pytest.raises(CredentialsRefused) as refused:
        access_token(ServiceAccountKey.model_validate(broken), SCOPE, _attempt(_vendor()))
    assert str(refused.value) == "the service account's private_key cannot sign"


def test_a_key_file_prints_no_key_and_a_wrong_one_says_what_it_wants(key_file: dict[str, Any]) -> None:
    key = ServiceAccountKey.model_validate(key_file)
    assert isinstance(key.private_key, SecretStr)
    assert key_file["private_key"][40:80] not in repr(key)
    with pytest.raises(ValidationError) as wrong:
        ServiceAccountKey.model_validate({**key_file, "private_key": "not-a-key-but-secret"})
    assert "must be the private_key of a service account's key file" in str(wrong.value)
    assert "not-a-key-but-secret" not in str(wrong.value)
