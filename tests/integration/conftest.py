"""AWS as moto plays it, in this process: nothing leaves it."""

import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.dynamodb.exceptions import ConditionalCheckFailed
from moto.dynamodb.models import DynamoDBBackend

from relay import apps, aws, environment, settings


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
    monkeypatch.setattr(DynamoDBBackend, "batch_execute_statement", _inserted)
    with mock_aws():
        forget()
        yield
    forget()


def _inserted(backend: DynamoDBBackend, statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """PartiQL's INSERT, of which moto knows neither parameters nor that it writes over nothing."""
    answers: list[dict[str, Any]] = []
    for one in statements:
        inserted = re.fullmatch(r"INSERT INTO \"(\w+)\" VALUE \{(.*)\}", one["Statement"])
        assert inserted, one["Statement"]
        row = dict(zip(re.findall(r"'(\w+)': \?", inserted[2]), one["Parameters"], strict=True))
        try:
            backend.put_item(inserted[1], row, condition_expression="attribute_not_exists(event)")
        except ConditionalCheckFailed:
            answers.append({"Error": {"Code": "DuplicateItem", "Message": "Duplicate primary key exists in table"}})
        else:
            answers.append({"TableName": inserted[1]})
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
    for module in (apps, aws, environment, settings):
        for cached in vars(module).values():
            if hasattr(cached, "cache_clear"):
                cached.cache_clear()
    environment.AgentEnvironment.read.__func__.cache_clear()  # type: ignore[attr-defined]
    settings._last_good.clear()  # noqa: SLF001
