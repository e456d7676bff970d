"""AWS as moto plays it, in this process: nothing leaves it."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.loaders import Loader, create_loader
from moto import mock_aws
from moto.dynamodb.exceptions import ConditionalCheckFailed
from moto.dynamodb.models import DynamoDBBackend

from relay.agent import auth
from relay.api import keys
from relay.aws import clients, environment, parameters
from relay.delivery import aftermath, refused
from relay.ledger import keys as ledger_keys
from tests.integration import partiql


@pytest.fixture(scope="session", autouse=True)
def _one_loader() -> Iterator[None]:
    """Reads botocore's descriptions of AWS once: each session would parse them again, most of a test's time."""
    loader: Loader = create_loader()

    def shared(_data_path: str | None = None) -> Loader:
        # boto3 adds the folder of its own descriptions for each of its sessions.
        loader.search_paths[:] = dict.fromkeys(loader.search_paths)
        return loader

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", shared)
        yield


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "session-relay")
    monkeypatch.setenv("STAGE", "test")
    monkeypatch.setenv("APPS_PATH", "/session-relay/test/apps")
    monkeypatch.setenv("IDENTITY_PATH", "/session-relay/test/identity")
    monkeypatch.setenv("LEDGER_KEYS_PARAMETER", "/session-relay/test/ledger-keys")
    monkeypatch.setattr(DynamoDBBackend, "batch_execute_statement", _executed)
    with mock_aws():
        forget()
        yield
    forget()


def _executed(backend: DynamoDBBackend, statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """PartiQL's INSERT and UPDATE, of which moto knows neither parameters nor what they refuse, by moto's own calls."""
    answers: list[dict[str, Any]] = []
    for statement in statements:
        wanted = partiql.read(statement)
        try:
            if isinstance(wanted, partiql.Insert):
                backend.put_item(wanted.table, wanted.row, condition_expression="attribute_not_exists(event)")
            else:
                named = {xform_name(name): value for name, value in wanted.arguments.items()}
                backend.update_item(wanted.table, **named)
        except ConditionalCheckFailed:
            code = "DuplicateItem" if isinstance(wanted, partiql.Insert) else "ConditionalCheckFailed"
            answers.append({"Error": {"Code": code, "Message": "as DynamoDB says"}})
        else:
            answers.append({"TableName": wanted.table})
    return answers


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> str:
    """The ledger's table, as the template makes it."""
    boto3.client("dynamodb").create_table(
        TableName="receipts",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "event", "KeyType": "HASH"}, {"AttributeName": "agent", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("event", "agent")],
    )
    monkeypatch.setenv("TABLE", "receipts")
    return "receipts"


def forget() -> None:
    """Makes the functions' caches as cold as at their first start."""
    for module in (keys, clients, environment, parameters):
        for cached in vars(module).values():
            if hasattr(cached, "cache_clear"):
                cached.cache_clear()
    environment.AgentEnvironment.read.__func__.cache_clear()  # type: ignore[attr-defined]
    parameters._last_good.clear()  # noqa: SLF001
    refused.forget()
    aftermath.forget()
    auth.forget()
    ledger_keys._refreshed.clear()  # noqa: SLF001
