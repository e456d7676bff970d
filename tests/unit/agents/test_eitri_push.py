"""eitri_push: what its contract says about trust, which requests built from the event alone cannot show."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from functions.agents.eitri_push.app import Settings, authorize
from relay.agent.auth import Attempt
from relay.agent.http import Request, Response
from relay.errors import CredentialsRefused, Unreachable

SECRET = "whsec_ZWl0cmktZXhhbXBsZS1zaWduaW5nLWtleS0zMmJ5dGU="
OTHER = "whsec_YW5vdGhlci1leGFtcGxlLXNpZ25pbmcta2V5LTMyYg=="
NOW = datetime(2025, 11, 21, 18, 0, 1, tzinfo=UTC)
STORE = {"account": "examplestore", "environment": "production"}
OAUTH = {"token_url": "https://auth.example.com/token", "client_id": "id-example", "client_secret": "secret-example"}
# The worked example of the contract, byte for byte as it is signed.
BODY = (
    '{"schema":"eitri-session/1","type":"session.login","id":"evt_01JD8Z5T3N","occurred_at":"2025-11-21T18:00:00.000Z",'
    '"sequence":1763748000000,"store":{"account":"examplestore","environment":"production"},'
    '"customer":{"id":"6f0c1f5e-1c4b-4f1a-8d61-2a3d7a3b9c55","email":"ana@example.com","phone":"+5511999887766"},'
    '"device":{"id":"6b1f0a52-7a1e-4d0c-9a35-0d1f6f2b7c11","platform":"android",'
    '"push":{"provider":"fcm","token":"fcm-example-token"}}}'
)
REQUEST = Request("https://push.example.com/hooks/session", BODY.encode(), {"webhook-id": "evt_01JD8Z5T3N"})


def _settings(**more: Any) -> Settings:
    return Settings.model_validate({"url": "https://push.example.com/hooks/session", "store": STORE, **more})


def _refuse(_request: Request) -> Response:
    pytest.fail("nothing is sent to sign a request")


def _clear(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


class TokenEndpoint:
    """Answers each token request in turn and remembers what it was asked."""

    def __init__(self, *answers: Response) -> None:
        self.answers = list(answers)
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        return self.answers.pop(0)


def _grant(token: str) -> Response:
    return Response(200, f'{{"access_token":"{token}","token_type":"Bearer","expires_in":900}}'.encode())


def test_the_signature_is_the_one_of_the_contracts_example() -> None:
    signed = authorize(REQUEST, _settings(signing_secrets=[SECRET]), Attempt(NOW, _refuse, force_refresh=False))
    assert signed.body == BODY.encode()
    assert signed.headers == {
        "webhook-id": "evt_01JD8Z5T3N",
        "webhook-timestamp": "1763748001",
        "webhook-signature": SecretStr("v1,q78F6M2MX0pfkKIP0ZSl9ZMRdhkUBIAO4w66NdmNW6A="),
    }


def test_both_secrets_sign_while_one_replaces_the_other() -> None:
    signed = authorize(REQUEST, _settings(signing_secrets=[OTHER, SECRET]), Attempt(NOW, _refuse, force_refresh=False))
    signatures = _clear(signed.headers["webhook-signature"]).split(" ")
    assert len(signatures) == 2
    assert signatures[1] == "v1,q78F6M2MX0pfkKIP0ZSl9ZMRdhkUBIAO4w66NdmNW6A="


def test_the_attempt_is_signed_with_its_own_time() -> None:
    later = authorize(
        REQUEST, _settings(signing_secrets=[SECRET]), Attempt(NOW + timedelta(seconds=5), _refuse, force_refresh=False)
    )
    assert later.headers["webhook-timestamp"] == "1763748006"
    assert _clear(later.headers["webhook-signature"]) != "v1,q78F6M2MX0pfkKIP0ZSl9ZMRdhkUBIAO4w66NdmNW6A="


def test_a_token_serves_until_shortly_before_its_end() -> None:
    settings = _settings(auth_mode="oauth2", oauth={**OAUTH, "client_id": "serves"})
    endpoint = TokenEndpoint(_grant("first"), _grant("second"))
    for seconds, token in [(0, "first"), (839, "first"), (841, "second")]:
        sent = authorize(REQUEST, settings, Attempt(NOW + timedelta(seconds=seconds), endpoint, force_refresh=False))
        assert sent.headers["authorization"] == SecretStr(f"Bearer {token}")
    assert len(endpoint.asked) == 2
    assert endpoint.asked[0].body == (
        b'{"grant_type":"client_credentials","client_id":"serves","client_secret":"secret-example"}'
    )


def test_a_refused_token_is_renewed_at_once() -> None:
    settings = _settings(auth_mode="oauth2", oauth={**OAUTH, "client_id": "renewed"})
    endpoint = TokenEndpoint(_grant("first"), _grant("second"))
    authorize(REQUEST, settings, Attempt(NOW, endpoint, force_refresh=False))
    again = authorize(REQUEST, settings, Attempt(NOW, endpoint, force_refresh=True))
    assert again.headers["authorization"] == SecretStr("Bearer second")


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (Response(401, b'{"name":"invalid_client"}'), CredentialsRefused),
        (Response(200, b"{}"), CredentialsRefused),
        (Response(503), Unreachable),
    ],
)
def test_a_token_that_is_not_granted(answer: Response, raised: type[Exception]) -> None:
    settings = _settings(auth_mode="oauth2", oauth={**OAUTH, "client_id": f"refused-{answer.status}"})
    with pytest.raises(raised):
        authorize(REQUEST, settings, Attempt(NOW, TokenEndpoint(answer), force_refresh=False))


def test_client_credentials_in_http_basic() -> None:
    settings = _settings(auth_mode="oauth2", oauth={**OAUTH, "client_id": "basic", "style": "basic_json"})
    endpoint = TokenEndpoint(_grant("first"))
    authorize(REQUEST, settings, Attempt(NOW, endpoint, force_refresh=False))
    assert endpoint.asked[0].body == b'{"grant_type":"client_credentials"}'
    assert endpoint.asked[0].headers["authorization"] == SecretStr("Basic YmFzaWM6c2VjcmV0LWV4YW1wbGU=")


def test_a_fixed_header() -> None:
    settings = _settings(auth_mode="static_header", static_header={"name": "x-api-key", "value": "k"})
    assert authorize(REQUEST, settings, Attempt(NOW, _refuse, force_refresh=False)).headers["x-api-key"] == SecretStr(
        "k"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"signing_secrets": ["whsec_c2hvcnQ="]},
        {"signing_secrets": ["ZWl0cmktZXhhbXBsZS1zaWduaW5nLWtleS0zMmJ5dGU="]},
        {"signing_secrets": [SECRET, OTHER, SECRET]},
        {"auth_mode": "oauth2"},
        {"auth_mode": "hmac+oauth2", "signing_secrets": [SECRET]},
        {"auth_mode": "static_header", "signing_secrets": [SECRET]},
    ],
)
def test_settings_that_could_not_authorize_are_refused_when_loaded(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _settings(**wrong)
