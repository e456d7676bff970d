"""Settings against SSM: cached, read again on demand, the last good value when SSM does not answer."""

import boto3
import pytest
from botocore.exceptions import ClientError
from pydantic import BaseModel, SecretStr

from relay.aws import clients, parameters
from relay.errors import SettingsUnavailable

NAME = "/session-relay/test/agents/example"


class Settings(BaseModel):
    """An agent's settings."""

    key: SecretStr


def _store(text: str) -> None:
    boto3.client("ssm").put_parameter(Name=NAME, Value=text, Type="SecureString", Overwrite=True)


def _key(*, force_refresh: bool = False) -> str:
    return parameters.load(Settings, NAME, force_refresh=force_refresh).key.get_secret_value()


def test_a_value_is_kept_until_a_refresh_is_forced() -> None:
    _store('{"key":"first"}')
    assert _key() == "first"
    _store('{"key":"second"}')
    assert _key() == "first"
    assert _key(force_refresh=True) == "second"
    assert _key() == "second"


def test_the_last_good_value_serves_while_ssm_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    _store('{"key":"first"}')
    assert _key() == "first"

    def throttled(**_: object) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "GetParameter")

    monkeypatch.setattr(clients.ssm(), "get_parameter", throttled)
    assert _key(force_refresh=True) == "first"


def test_what_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(SettingsUnavailable, match=f"^{NAME} does not exist$") as unavailable:
        _key()
    assert unavailable.value.missing


@pytest.mark.parametrize("text", ['{"kay":"s3cret-value"}', '{"key":["s3cret-value"]}', "s3cret-value"])
def test_what_does_not_validate_is_named_without_its_value(text: str) -> None:
    _store(text)
    with pytest.raises(SettingsUnavailable, match="does not validate") as unavailable:
        _key()
    assert "s3cret-value" not in str(unavailable.value)
    assert not unavailable.value.missing
