"""The authorizer against SSM: which keys are let in, and to what."""

import json
from typing import Any

import boto3
import pytest

from functions.authorizer.app import handler
from relay.apps import new_key
from relay.hashing import sha256

ARN = "arn:aws:execute-api:us-east-1:123456789012:abc/v1/POST/login"


def _store(app_id: str, *keys: tuple[str, str], identity: str = "required") -> None:
    record = {"name": "Shop", "identity": identity, "keys": [{"kind": k, "sha256": sha256(key)} for k, key in keys]}
    boto3.client("ssm").put_parameter(
        Name=f"/session-relay/test/apps/{app_id}", Value=json.dumps(record), Type="SecureString", Overwrite=True
    )


def _ask(key: str | None, name: str = "Authorization", scheme: str = "Bearer") -> dict[str, Any]:
    headers = {} if key is None else {name: f"{scheme} {key}"}
    return handler({"methodArn": ARN, "headers": headers}, None)


def _resources(answer: dict[str, Any]) -> list[str]:
    resources: list[str] = answer["policyDocument"]["Statement"][0]["Resource"]
    return resources


def test_a_secret_key_may_call_everything() -> None:
    key = new_key("shop", "secret")
    _store("shop", ("secret", key))
    answer = _ask(key)
    assert _resources(answer) == ["arn:aws:execute-api:us-east-1:123456789012:abc/v1/*"]
    assert answer["context"] == {"appId": "shop", "kind": "secret", "identity": "required"}


def test_a_public_key_may_only_send_events() -> None:
    key = new_key("shop", "public")
    _store("shop", ("public", key), identity="optional")
    answer = _ask(key)
    assert "arn:aws:execute-api:us-east-1:123456789012:abc/v1/POST/login" in _resources(answer)
    assert not any(resource.endswith("*") for resource in _resources(answer))
    assert answer["context"] == {"appId": "shop", "kind": "public", "identity": "optional"}


@pytest.mark.parametrize(("name", "scheme"), [("authorization", "Bearer"), ("AUTHORIZATION", "bearer")])
def test_header_names_and_schemes_are_caseless(name: str, scheme: str) -> None:
    key = new_key("shop", "public")
    _store("shop", ("public", key))
    assert _ask(key, name, scheme)["principalId"] == "shop"


def test_an_old_and_a_new_key_are_both_valid_while_one_replaces_the_other() -> None:
    old, new = new_key("shop", "public"), new_key("shop", "public")
    _store("shop", ("public", old), ("public", new))
    assert _ask(old)["principalId"] == _ask(new)["principalId"] == "shop"


def test_a_key_is_stored_as_its_digest_alone() -> None:
    key = new_key("shop", "secret")
    _store("shop", ("secret", key))
    stored = boto3.client("ssm").get_parameter(Name="/session-relay/test/apps/shop", WithDecryption=True)
    assert key not in stored["Parameter"]["Value"]


def _wrong(key: str) -> dict[str, str | None]:
    return {
        "missing": None,
        "empty": "",
        "another secret": new_key("shop", "public"),
        "another kind": key.replace("pk_", "sk_"),
        "an app that is not there": new_key("nobody", "public"),
        "a path in the app's place": key.replace("shop", "../agents/facebook"),
        "a longer one": key + "A",
        "padded": f" {key} x",
    }


@pytest.mark.parametrize("case", sorted(_wrong("pk_shop_")))
def test_every_other_key_is_refused_alike(case: str) -> None:
    key = new_key("shop", "public")
    _store("shop", ("public", key))
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        _ask(_wrong(key)[case])
