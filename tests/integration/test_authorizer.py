"""The authorizer against SSM: which keys are let in, and to what."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from functions.authorizer.app import handler
from relay.api.keys import NEGATIVE_CACHE_SIZE, AppLookupLimiter, authenticate, new_key, usage_key
from relay.aws import clients
from relay.encoding import sha256
from relay.errors import SettingsUnavailable

ARN = "arn:aws:execute-api:us-east-1:123456789012:abc/v1/POST/login"


def _store(app_id: str, *keys: tuple[str, str], identity: str = "required", region: str = "", **more: str) -> None:
    stored = [{"kind": kind, "sha256": sha256(key), **more} for kind, key in keys]
    record = {"name": "Shop", "identity": identity, "keys": stored} | ({"region": region} if region else {})
    boto3.client("ssm").put_parameter(
        Name=f"/session-relay/test/apps/{app_id}", Value=json.dumps(record), Type="SecureString", Overwrite=True
    )


def _ask(key: str | None, name: str = "Authorization", scheme: str = "Bearer") -> dict[str, Any]:
    headers = {} if key is None else {name: f"{scheme} {key}"}
    return handler({"methodArn": ARN, "headers": headers}, None)


def _resources(answer: dict[str, Any]) -> list[str]:
    resources: list[str] = answer["policyDocument"]["Statement"][0]["Resource"]
    return resources


def test_the_functions_are_handed_the_apps_region() -> None:
    key = new_key("shop", "secret")
    _store("shop", ("secret", key), region="BR")
    assert _ask(key)["context"] == {"appId": "shop", "kind": "secret", "identity": "required", "region": "BR"}


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


@pytest.mark.parametrize(
    "headers",
    [
        {"headers": {"Authorization": "Bearer {0}", "authorization": "Bearer {1}"}},
        {
            "headers": {"Authorization": "Bearer {0}"},
            "multiValueHeaders": {"Authorization": ["Bearer {1}", "Bearer {0}"]},
        },
    ],
)
def test_two_different_keys_are_none(headers: dict[str, Any]) -> None:
    public, secret = new_key("shop", "public"), new_key("shop", "secret")
    _store("shop", ("public", public), ("secret", secret))
    sent = json.loads(json.dumps(headers).replace("{0}", public).replace("{1}", secret))
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        handler({"methodArn": ARN, **sent}, None)


def test_a_key_is_good_until_it_expires() -> None:
    ended, ends = new_key("shop", "secret"), new_key("tall", "secret")
    _store("shop", ("secret", ended), created="2026-01-01T00:00:00Z", expires="2026-01-02T00:00:00Z")
    _store("tall", ("secret", ends), created="2026-01-01T00:00:00+01:00", expires="2999-01-01T00:00:00Z")
    assert _ask(ends)["principalId"] == "tall"
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        _ask(ended)


def test_a_secret_keys_digest_opens_nothing_as_a_public_key() -> None:
    key = new_key("shop", "public")
    _store("shop", ("secret", key))
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        _ask(key)


def test_all_keys_of_an_app_are_counted_together_and_apart_from_other_stages() -> None:
    public, secret = new_key("shop", "public"), new_key("shop", "secret")
    _store("shop", ("public", public), ("secret", secret))
    assert _ask(public)["usageIdentifierKey"] == _ask(secret)["usageIdentifierKey"] == usage_key("test", "shop")
    # SHA-256 of "session-relay/prod/shop".
    assert usage_key("prod", "shop") == "5ab6f03f8b4b665a33f4110507031cdf1c5b7989c489a348982857cae689a26b"
    assert len({usage_key(stage, app) for stage in ("prod", "dev") for app in ("shop", "tall")}) == 4


class Ssm:
    """SSM as a counter of reads: it has the shop, and no other app."""

    def __init__(self, record: str) -> None:
        self.record, self.asked = record, list[str]()

    def get_parameter(self, *, Name: str, WithDecryption: bool) -> dict[str, Any]:  # noqa: N803 - boto3's names
        assert WithDecryption
        self.asked.append(Name.rpartition("/")[2])
        if Name.endswith("/shop"):
            return {"Parameter": {"Value": self.record}}
        raise ClientError({"Error": {"Code": "ParameterNotFound", "Message": ""}}, "GetParameter")


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> tuple[str, Ssm]:
    """A key of the one app that there is, and the SSM that is asked for it."""
    key = new_key("shop", "public")
    ssm = Ssm(json.dumps({"keys": [{"kind": "public", "sha256": sha256(key)}]}))
    monkeypatch.setattr(clients, "ssm", lambda: ssm)
    return key, ssm


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def _known(key: str, seconds: float) -> bool:
    return authenticate(key, "/session-relay/test/apps", NOW + timedelta(seconds=seconds)) is not None


def test_unknown_apps_cannot_use_up_ssm_and_known_apps_go_on(shop: tuple[str, Ssm]) -> None:
    key, ssm = shop
    assert _known(key, 0)
    refused = 0
    for number in range(1000):
        try:
            assert not _known(new_key(f"made-up-{number}", "secret"), number / 1000)
        except SettingsUnavailable:
            refused += 1
        assert _known(key, number / 1000)
    assert refused >= 992
    # Four at once, and four in the second that this took; the first of them is the shop.
    assert ssm.asked[0] == "shop"
    assert len(ssm.asked) <= 8


def test_a_key_that_cannot_be_looked_up_now_is_not_refused(shop: tuple[str, Ssm]) -> None:
    key, ssm = shop
    for number in range(4):
        assert not _known(new_key(f"made-up-{number}", "secret"), 0)
    with pytest.raises(SettingsUnavailable, match="too many look-ups"):
        _known(key, 0)
    assert "shop" not in ssm.asked
    assert _known(key, 1)


def test_an_app_that_was_not_there_is_looked_for_again_after_a_minute(shop: tuple[str, Ssm]) -> None:
    _, ssm = shop
    unknown = new_key("nobody", "public")
    assert not any(_known(unknown, seconds) for seconds in (0, 1, 30, 59))
    assert ssm.asked == ["nobody"]
    assert not _known(unknown, 61)
    assert ssm.asked == ["nobody", "nobody"]


def test_the_memory_of_unknown_apps_is_bounded() -> None:
    met = AppLookupLimiter()
    for number in range(NEGATIVE_CACHE_SIZE * 3):
        met.not_found(f"a{number}", 0)
    assert len(met.missing_apps) == NEGATIVE_CACHE_SIZE


def test_a_malformed_key_asks_nothing(shop: tuple[str, Ssm]) -> None:
    key, ssm = shop
    for malformed in (
        "",
        "x",
        f"{key}!",
        key.replace("shop", "Shop"),
        key.replace("_", "-"),
        f"pk_{'a' * 33}_{'x' * 32}",
    ):
        assert not _known(malformed, 0)
    assert ssm.asked == []
