"""The functions' environment variables; no other module reads `os.environ`."""

import os
from functools import cache
from typing import NamedTuple, Self


class AgentEnvironment(NamedTuple):
    """What the template sets for an agent's function; times in seconds.

    `settings_parameter` holds the settings of all apps, and is the path of each app's own; `apps_path` is that of the
    apps' records.
    """

    settings_parameter: str
    apps_path: str
    table: str
    queue_url: str
    dead_letter_queue_url: str
    retry_schedule: tuple[int, ...]
    retry_horizon: int
    hold: int
    circuit: int
    claim: int
    default_consent: bool
    allow_insecure: bool

    @classmethod
    @cache
    def read(cls) -> Self:
        """The function's own environment, read once."""
        return cls(
            settings_parameter=os.environ["SETTINGS_PARAMETER"],
            apps_path=os.environ["APPS_PATH"],
            table=os.environ["TABLE"],
            queue_url=os.environ["QUEUE_URL"],
            dead_letter_queue_url=os.environ["DEAD_LETTER_QUEUE_URL"],
            retry_schedule=tuple(int(seconds) for seconds in os.environ["RETRY_SCHEDULE"].split(",")),
            retry_horizon=int(os.environ["RETRY_HORIZON_SECONDS"]),
            hold=int(os.environ["HOLD_SECONDS"]),
            circuit=int(os.environ["CIRCUIT_SECONDS"]),
            claim=int(os.environ["CLAIM_SECONDS"]),
            default_consent=os.environ["DEFAULT_CONSENT"] == "granted",
            allow_insecure=os.environ["ALLOW_INSECURE_AGENTS"] == "true",
        )


@cache
def stage() -> str:
    """The deployment's name within its account."""
    return os.environ["STAGE"]


@cache
def catalogue_path() -> str:
    """The SSM path under which each deployed agent has its entry."""
    return os.environ["CATALOGUE_PATH"]


@cache
def table() -> str:
    """The ledger's table."""
    return os.environ["TABLE"]


@cache
def topic_arn() -> str:
    """The topic that ingest publishes to."""
    return os.environ["TOPIC_ARN"]


@cache
def apps_path() -> str:
    """The SSM path under which each app has its record."""
    return os.environ["APPS_PATH"]


@cache
def identity_path() -> str:
    """The SSM path under which each app has its identity keys."""
    return os.environ["IDENTITY_PATH"]


@cache
def ledger_keys_parameter() -> str:
    """The SSM parameter that holds the ledger's keys."""
    return os.environ["LEDGER_KEYS_PARAMETER"]


@cache
def allowed_origins() -> frozenset[str]:
    """The web origins whose pages may call the API; none unless the template names some, and never all."""
    named = (origin.strip() for origin in os.environ.get("ALLOWED_ORIGINS", "").split(","))
    return frozenset(origin for origin in named if origin.startswith(("https://", "http://")))


@cache
def is_snapstart() -> bool:
    """Whether instances start from a snapshot of this one (Lambda SnapStart): what is made now need not be made then.

    Source: Lambda developer guide, defined runtime environment variables.
    """
    return os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"


@cache
def tracing() -> bool:
    """Whether the deployment has switched X-Ray on."""
    return os.environ.get("TRACING") == "Active"
