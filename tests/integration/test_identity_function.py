"""The identity function against SSM: over HTTP, invoked inside AWS, and every way to get no token."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from functions.identity.app import handler
from relay.aws import clients

KEY = "prv_example_0123456789abcdefghij"
NAME = "/session-relay/test/identity/shop"


def _store(record: Any) -> None:
    text = record if isinstance(record, str) else json.dumps(record)
    boto3.client("ssm").put_parameter(Name=NAME, Value=text, Type="SecureString", Overwrite=True)


@pytest.fixture
def _key() -> None:
    """The app has an identity key."""
    _store({"keys": [KEY]})


def _call(body: Any, kind: str = "secret", **request: Any) -> dict[str, Any]:
    return handler(
        {
            "resource": "/identity-tokens",
            "body": body if body is None or isinstance(body, str) else json.dumps(body),
            "isBase64Encoded": False,
            "requestContext": {"authorizer": {"appId": "shop", "kind": kind, "identity": "required"}},
            **request,
        },
        None,
    )


def _problem(answer: dict[str, Any], status: int) -> dict[str, Any]:
    assert answer["statusCode"] == status
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert answer["headers"]["Cache-Control"] == "no-store"
    problem: dict[str, Any] = json.loads(answer["body"])
    assert problem["status"] == status
    return problem


def _claims(token: str, key: str = KEY) -> dict[str, Any]:
    """The claims of a token, its signature checked without PyJWT."""
    signed, _, signature = token.rpartition(".")
    digest = hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == signature
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(signed.split(".")[1] + "=="))
    return claims


def _ends_in(document: dict[str, Any], seconds: int) -> bool:
    ends = datetime.strptime(document["expiresAt"], "%Y-%m-%dT%H:%M:%S%z")
    assert ends.timestamp() == _claims(document["token"])["exp"]
    return timedelta(0) <= datetime.now(UTC) + timedelta(seconds=seconds) - ends < timedelta(seconds=10)


@pytest.mark.usefixtures("_key")
def test_a_token_is_minted_over_http() -> None:
    answer = _call({"uid": "123", "expiresIn": 3600})
    assert answer["statusCode"] == 200
    assert answer["headers"] == {"Content-Type": "application/json", "Cache-Control": "no-store"}
    document = json.loads(answer["body"])
    assert document.keys() == {"token", "uid", "kind", "expiresAt"}
    assert (document["uid"], document["kind"]) == ("123", "USER")
    assert _claims(document["token"]) | {"exp": 0} == {"kind": "USER", "uid": "123", "exp": 0}
    assert document["expiresAt"].endswith("Z")
    assert _ends_in(document, 3600)


@pytest.mark.usefixtures("_key")
def test_a_token_is_minted_for_an_invocation_inside_aws() -> None:
    document = handler({"appId": "shop", "uid": "123", "expiresIn": 3600}, None)
    assert document.keys() == {"token", "uid", "kind", "expiresAt"}
    assert _claims(document["token"])["uid"] == "123"
    assert _ends_in(document, 3600)


@pytest.mark.parametrize("body", [{"uid": "123"}, {"uid": "123", "expiresIn": None}])
def test_a_token_lives_as_long_as_its_app_says_where_the_call_says_nothing(body: dict[str, Any]) -> None:
    _store({"keys": [KEY], "expires_in": 7200})
    assert _ends_in(json.loads(_call(body)["body"]), 7200)
    assert _ends_in(handler({"appId": "shop", **body}, None), 7200)


@pytest.mark.usefixtures("_key")
def test_a_token_lives_seven_days_where_nobody_says_anything() -> None:
    assert _ends_in(json.loads(_call({"uid": "123"})["body"]), 604800)


@pytest.mark.usefixtures("_key")
def test_a_body_in_base64_is_read() -> None:
    assert _call(base64.b64encode(b'{"uid":"123"}').decode(), isBase64Encoded=True)["statusCode"] == 200


def test_the_current_key_signs_and_not_the_previous_one() -> None:
    current = "prv_current_0123456789abcdefghij"
    _store({"keys": [current, KEY]})
    assert _claims(handler({"appId": "shop", "uid": "123"}, None)["token"], current)["uid"] == "123"


@pytest.mark.usefixtures("_key")
def test_a_public_key_gets_no_token() -> None:
    assert "secret key" in _problem(_call({"uid": "123"}, kind="public"), 403)["detail"]


BAD: dict[str, tuple[Any, str, str]] = {
    "no body": (None, "#", "the body is not valid JSON in UTF-8"),
    "not JSON": ("uid=123", "#", "the body is not valid JSON in UTF-8"),
    "half a character": ('{"uid":"\ud800"}', "#", "the body is not valid JSON in UTF-8"),
    "a list": ([{"uid": "123"}], "#", "must be a JSON object"),
    "no uid": ({}, "#/uid", "is required"),
    "uid empty": ({"uid": ""}, "#/uid", "must have at least 1 character"),
    "uid blank": ({"uid": "  "}, "#/uid", "must be "),
    "uid nobody's": ({"uid": "undefined"}, "#/uid", "must be an id of its own"),
    "uid a number": ({"uid": 123}, "#/uid", "must be a valid string"),
    "uid null": ({"uid": None}, "#/uid", "must be a valid string"),
    "uid too long": ({"uid": "x" * 129}, "#/uid", "must have at most 128 characters"),
    "no time": ({"uid": "123", "expiresIn": 0}, "#/expiresIn", "must be greater than or equal to 1"),
    "negative": ({"uid": "123", "expiresIn": -3600}, "#/expiresIn", "must be greater than or equal to 1"),
    "over 7 days": ({"uid": "123", "expiresIn": 604801}, "#/expiresIn", "must be less than or equal to 604800"),
    "text": ({"uid": "123", "expiresIn": "3600"}, "#/expiresIn", "must be a valid integer"),
    "a float": ({"uid": "123", "expiresIn": 3600.5}, "#/expiresIn", "must be a valid integer"),
    "a boolean": ({"uid": "123", "expiresIn": True}, "#/expiresIn", "must be a valid integer"),
    "an unknown field": ({"uid": "123", "ttl": 60}, "#/ttl", "is not a known field here"),
    "a name that is not the API's": ({"uid": "123", "expires_in": 60}, "#/expires_in", "is not a known field here"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.usefixtures("_key")
def test_bad_input_is_reported_with_its_place(case: str) -> None:
    body, pointer, detail = BAD[case]
    problem = _problem(_call(body), 400)
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]
    assert problem["errors"][0]["detail"].startswith(detail)
    assert problem["detail"].startswith(f"No token was minted. {pointer}: {detail}")


@pytest.mark.parametrize("case", [case for case in BAD if isinstance(BAD[case][0], dict)])
@pytest.mark.usefixtures("_key")
def test_an_invocation_inside_aws_gets_the_same_errors(case: str) -> None:
    body, pointer, detail = BAD[case]
    problem = handler({"appId": "shop", **body}, None)
    assert (problem["title"], problem["status"]) == ("Bad Request", 400)
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]
    assert problem["errors"][0]["detail"].startswith(detail)


@pytest.mark.parametrize("app_id", [None, 7, "", "Shop", "../agents/dashx", "shop/x", "shop\n", "s" * 33])
@pytest.mark.usefixtures("_key")
def test_an_invocation_inside_aws_names_its_app(app_id: Any) -> None:
    problem = handler({"appId": app_id, "uid": "123"}, None)
    assert problem["status"] == 400
    (fault,) = problem["errors"]
    assert fault["pointer"] == "#/appId"
    assert fault["detail"].startswith("must be an app's id" if isinstance(app_id, str) else "must be a valid string")


@pytest.mark.usefixtures("_key")
def test_a_caller_over_http_cannot_name_another_app() -> None:
    assert _problem(_call({"appId": "another", "uid": "123"}), 400)["errors"][0]["pointer"] == "#/appId"


@pytest.mark.usefixtures("_key")
def test_a_body_that_is_too_large_is_413() -> None:
    assert "4096 bytes" in _problem(_call({"uid": "x" * 5000}), 413)["detail"]


def test_an_app_without_a_key_gets_an_error_that_says_where_to_store_one() -> None:
    detail = (
        "This app has no identity key; store one at /session-relay/test/identity/shop (docs/api.md, Identity tokens)."
    )
    assert _problem(_call({"uid": "123"}), 409)["detail"] == detail
    assert handler({"appId": "shop", "uid": "123"}, None)["detail"] == detail


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({"keys": ["s3cret-value"]}, "keys.0: must have 32 bytes or more (RFC 7518, section 3.2)"),
        ({"keys": [KEY, "s3cret-value"]}, "keys.1: must have 32 bytes or more (RFC 7518, section 3.2)"),
        ({"keys": [KEY + "\n"]}, "keys.0: must not begin or end with a blank or a newline"),
        ({"keys": "s3cret-value"}, "keys: "),
        ({"key": KEY}, "keys: Field required"),
        (KEY, "Invalid JSON"),
    ],
    ids=str,
)
def test_a_key_that_cannot_sign_is_reported_without_being_quoted(
    record: Any, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    _store(record)
    detail = _problem(_call({"uid": "123"}), 409)["detail"]
    assert detail.startswith(f"This app's identity key is not usable: {NAME} does not validate: ")
    assert sentence in detail
    logged = str([vars(entry) for entry in caplog.records])
    assert not any(secret in detail + logged for secret in ("s3cret-value", KEY))


def test_a_key_counts_as_soon_as_it_is_stored_or_corrected() -> None:
    assert _call({"uid": "123"})["statusCode"] == 409
    _store({"keys": ["too short"]})
    assert _call({"uid": "123"})["statusCode"] == 409
    _store({"keys": [KEY]})
    assert _call({"uid": "123"})["statusCode"] == 200


def test_an_ssm_that_does_not_answer_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    def throttled(**_: object) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "GetParameter")

    monkeypatch.setattr(clients.ssm(), "get_parameter", throttled)
    answer = _call({"uid": "123"})
    _problem(answer, 503)
    assert answer["headers"]["Retry-After"] == "2"
    assert handler({"appId": "shop", "uid": "123"}, None)["status"] == 503


@pytest.mark.usefixtures("_key")
def test_one_line_and_one_metric_tell_of_a_token_without_the_person(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(_call({"uid": "cust-77", "expiresIn": 3600})["body"])
    _call({"uid": "cust-77", "expiresIn": 0})
    handler({"appId": "shop", "uid": " cust-77"}, None)
    printed = capsys.readouterr().out + str([vars(record) for record in caplog.records])
    assert "cust-77" not in printed
    assert not any(part in printed for part in document["token"].split("."))
    assert KEY not in printed
    assert printed.count('"Minted":1') == 1
    lines = [vars(record) for record in caplog.records]
    assert [(line["message"], line["app"], line["expires_in"]) for line in lines] == [("minted", "shop", 3600)]
