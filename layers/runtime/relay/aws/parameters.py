"""Settings and secrets from SSM: cached, read again on demand, and the last good value when SSM does not answer."""

from collections.abc import Callable
from functools import lru_cache
from time import monotonic
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from relay.aws import clients
from relay.errors import SettingsUnavailable

MAX_AGE_SECONDS = 300
STALE_SECONDS = 5
"""While SSM does not answer, the last good value serves for this long before SSM is asked again."""

MAX_VALIDATED = 256
"""Records that an instance keeps validated: an agent's settings, and each app's record and own settings."""

S = TypeVar("S", bound=BaseModel)
T = TypeVar("T")

_last_good: dict[str, tuple[Any, float]] = {}
"""By name or path: what was found there, and until when it serves."""

_NEVER: tuple[Any, float] = (None, 0.0)


def load(model: type[S], name: str, *, force_refresh: bool = False) -> S:
    """The settings of the model's kind that the SSM parameter of this name holds as JSON.

    Raises:
        SettingsUnavailable: the parameter cannot be read or does not validate; never quotes its value.
    """
    settings: S = _validated(model, name, read(name, force_refresh=force_refresh))
    return settings


def read(name: str, *, force_refresh: bool = False) -> str:
    """The decrypted text of a parameter, at most five minutes old; the last good one if SSM does not answer.

    Raises:
        SettingsUnavailable: the parameter has never been read and cannot be read now.
    """
    return _cached(name, _value, force_refresh=force_refresh)


def _value(name: str) -> str:
    return clients.ssm().get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]


def create(name: str, value: str) -> None:
    """Stores a SecureString where there is none of that name; one that is there already is left as it is.

    Raises:
        SettingsUnavailable: it cannot be stored.
    """
    try:
        clients.ssm().put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=False)
    except clients.AwsError as fault:
        if clients.error_code(fault) == "ParameterAlreadyExists":
            return
        raise SettingsUnavailable(f"{name} cannot be stored") from None


def load_path(path: str) -> dict[str, str]:
    """The texts of the parameters right under a path by the rest of their names, as old as `read` lets them be.

    Raises:
        SettingsUnavailable: they have never been read and cannot be read now.
    """
    return _cached(path, _values)


def _values(path: str) -> dict[str, str]:
    pages = clients.ssm().get_paginator("get_parameters_by_path").paginate(Path=path)
    texts = (found for page in pages for found in page["Parameters"])
    return {found["Name"].removeprefix(f"{path}/"): found["Value"] for found in texts}


def _cached(name: str, ask: Callable[[str], T], *, force_refresh: bool = False) -> T:
    kept: T
    kept, until = _last_good.get(name, _NEVER)
    if monotonic() < until and not force_refresh:
        return kept
    try:
        found, lasts = ask(name), MAX_AGE_SECONDS
    except clients.AwsError as fault:
        # That there is no such parameter is an answer: a deleted key must not go on working.
        missing = clients.error_code(fault) == "ParameterNotFound"
        if kept is None or missing:
            _last_good.pop(name, None)
            reason = "does not exist" if missing else "cannot be read"
            raise SettingsUnavailable(f"{name} {reason}", missing=missing) from None
        found, lasts = kept, STALE_SECONDS
    _last_good[name] = (found, monotonic() + lasts)
    return found


@lru_cache(maxsize=MAX_VALIDATED)
def _validated(model: type[BaseModel], name: str, text: str) -> Any:  # noqa: ANN401 - the model's kind
    try:
        return model.model_validate_json(text)
    except ValidationError as invalid:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in invalid.errors())
        raise SettingsUnavailable(f"{name} does not validate: {faults}") from None
