"""At DEBUG, with the root logger as Lambda's runtime sets it up, no line holds what the person or an agent keeps."""

import json
import logging
import runpy
from collections.abc import Iterator
from io import StringIO
from typing import Any

import boto3
import pytest

import relay
from functions.ingest.app import handler
from relay.aws import clients, log

SECRETS = {"email": "zq.mail@example.com", "customer": "zq-customer-1", "device": "zq-device-1"}


@pytest.fixture
def runtime_log(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """What a function writes at DEBUG: Lambda's runtime gives the root logger a handler and the level, then imports it.

    Source: awslambdaric 3.1, bootstrap.py, `_setup_logging`.
    """
    stream, root = StringIO(), logging.getLogger()
    writer, before = logging.StreamHandler(stream), root.level
    # Powertools keeps a logger by its service's name, and with it the stream of the test that made it.
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", request.node.name)
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("AWS_LAMBDA_LOG_LEVEL", "DEBUG")
    root.setLevel("DEBUG")
    root.addHandler(writer)
    runpy.run_path(str(relay.__file__))
    log.logger.cache_clear()
    yield stream
    log.logger.cache_clear()
    root.removeHandler(writer)
    root.setLevel(before)


@pytest.fixture
def _topic(monkeypatch: pytest.MonkeyPatch, table: str) -> None:  # noqa: ARG001 - ingest writes there as well
    topic = boto3.client("sns").create_topic(Name="events.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    monkeypatch.setenv("TOPIC_ARN", topic)


def _login() -> dict[str, Any]:
    return {
        "resource": "/login",
        "body": json.dumps(
            {"customerId": SECRETS["customer"], "email": SECRETS["email"], "device": {"id": SECRETS["device"]}}
        ),
        "isBase64Encoded": False,
        "requestContext": {
            "authorizer": {"appId": "shop", "kind": "secret", "identity": "optional"},
            "identity": {"sourceIp": "203.0.113.24", "userAgent": "Shop/4.12"},
        },
    }


@pytest.mark.usefixtures("_topic")
def test_an_event_on_its_way_in_leaves_no_personal_data_in_the_log_at_debug(
    runtime_log: StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    assert handler(_login(), None)["statusCode"] == 202
    written = runtime_log.getvalue() + capsys.readouterr().out
    assert "accepted" in written
    assert [name for name, secret in SECRETS.items() if secret in written] == []


def test_a_setting_that_is_read_leaves_no_secret_in_the_log_at_debug(runtime_log: StringIO) -> None:
    secret = "zq-api-secret-of-an-agent"
    boto3.client("ssm").put_parameter(Name="/session-relay/test/agents/google", Value=secret, Type="SecureString")
    clients.ssm().get_parameter(Name="/session-relay/test/agents/google", WithDecryption=True)
    assert secret not in runtime_log.getvalue()
    assert "DEBUG" not in runtime_log.getvalue()


def test_without_it_botocore_would_write_the_event(runtime_log: StringIO) -> None:
    # What this file guards against: the search finds it as soon as other libraries may write at DEBUG.
    logging.getLogger().setLevel("DEBUG")
    boto3.client("ssm").put_parameter(Name="/zq", Value=SECRETS["email"], Type="String")
    assert SECRETS["email"] in runtime_log.getvalue()
