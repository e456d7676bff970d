"""Settings and secrets from SSM: cached, read afresh on demand, and the last good value when SSM does not answer."""

from functools import cache, lru_cache
from typing import TypeVar, cast

from aws_lambda_powertools.utilities.parameters import SSMProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from pydantic import BaseModel, ValidationError

from relay import aws
from relay.errors import SettingsUnavailable

MAX_AGE_SECONDS = 300

S = TypeVar("S", bound=BaseModel)

_last_good: dict[str, str] = {}


def load(model: type[S], name: str, *, fresh: bool = False) -> S:
    """The settings of the model's kind that the SSM parameter of this name holds as JSON.

    Raises:
        SettingsUnavailable: the parameter cannot be read or does not validate; never quotes its value.
    """
    return cast("S", _validated(model, name, read(name, fresh=fresh)))


def read(name: str, *, fresh: bool = False) -> str:
    """The decrypted text of a parameter, at most five minutes old; afresh if asked; else the last good one.

    Raises:
        SettingsUnavailable: the parameter has never been read and cannot be read now.
    """
    try:
        text = provider().get(name, decrypt=True, max_age=MAX_AGE_SECONDS, force_fetch=fresh)
    except GetParameterError as fault:
        # That there is no such parameter is an answer: whoever deletes a key means it.
        missing = "ParameterNotFound" in str(fault)
        if name in _last_good and not missing:
            return _last_good[name]
        raise SettingsUnavailable(
            f"{name} {'does not exist' if missing else 'cannot be read'}", missing=missing
        ) from None
    _last_good[name] = str(text)
    return _last_good[name]


@cache
def provider() -> SSMProvider:
    """The cache in front of SSM."""
    return SSMProvider(boto3_client=aws.ssm())


@lru_cache(maxsize=32)
def _validated(model: type[BaseModel], name: str, text: str) -> BaseModel:
    try:
        return model.model_validate_json(text)
    except ValidationError as invalid:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in invalid.errors())
        raise SettingsUnavailable(f"{name} does not validate: {faults}") from None
