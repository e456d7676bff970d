"""The walk of a customerId in docs/architecture.md: a login runs the functions that the table names, in its order."""

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

import boto3
import pytest

from functions.agents.emarsys import app as emarsys
from functions.ingest import app as ingest
from relay.api.identity_tokens import IdentityKeys, mint

CUSTOMER = "12345"
CONTACT = "1de085c01d01cc7d11e05303ff858ee1c1ef60e8aac8c73cd176b142"
"""What the document says that Emarsys gets for this customer."""

IDENTITY_KEY = "an-identity-key-of-at-least-32-bytes"
LOGIN = {
    "eventId": "walk-1",
    "customerId": CUSTOMER,
    "device": {
        "id": "8E3FD635-7D9C-497E-AB84-1D61BED61F4B",
        "platform": "ios",
        "model": "iPhone7,1",
        "osVersion": "9.2",
        "appVersion": "10.1.2",
        "language": "en",
        "timezone": "Europe/Budapest",
        "pushToken": "f2411061b7",
    },
}
DOCUMENT = Path("docs/architecture.md").read_text()
WALK: list[str] = re.findall(r"^\| \d+ \| `([^`]+)` \|", DOCUMENT, re.MULTILINE)

ON_THIS_MACHINE = {"relay/delivery/transport.py:send": "relay/delivery/transport.py:send_unrestricted"}
"""The one step that differs on the local cloud, where agents are neither https nor public."""


class Emarsys(HTTPServer):
    """Emarsys on this machine: accepts every request, and keeps its path and body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Accepting)
        self.received: list[tuple[str, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class _Accepting(BaseHTTPRequestHandler):
    server: Emarsys

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append((self.path, json.loads(body)))
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[Emarsys]:
    with Emarsys() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(5)


@pytest.fixture
def queue_url(monkeypatch: pytest.MonkeyPatch, table: str, server: Emarsys) -> str:  # noqa: ARG001 - both write to it
    """Emarsys' queue behind the topic, with its function's environment, its settings and the app's identity key."""
    sns, sqs, ssm = boto3.client("sns"), boto3.client("sqs"), boto3.client("ssm")
    topic = sns.create_topic(Name="events.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    url, dead = (
        sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})["QueueUrl"]
        for name in ("emarsys.fifo", "dead.fifo")
    )
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    settings = {
        "applications": {"ios": {"code": "29820-CA1E9", "password": "example-only"}},
        "contact_field_id": 9127,
        "contact_key": "an example key of 32 characters.",
        "base_url": server.url,
    }
    stored = {"agents/emarsys": settings, "apps/shop": {}, "identity/shop": {"keys": [IDENTITY_KEY]}}
    for name, value in stored.items():
        ssm.put_parameter(Name=f"/session-relay/test/{name}", Value=json.dumps(value), Type="SecureString")
    environment = {
        "TOPIC_ARN": topic,
        "QUEUE_URL": url,
        "DEAD_LETTER_QUEUE_URL": dead,
        "SETTINGS_PARAMETER": "/session-relay/test/agents/emarsys",
        "APPS_PATH": "/session-relay/test/apps",
        "ALLOW_INSECURE_AGENTS": "true",
        "RETRY_SCHEDULE": "5,30",
        "RETRY_HORIZON_SECONDS": "86400",
        "HOLD_SECONDS": "900",
        "CIRCUIT_SECONDS": "30",
        "CLAIM_SECONDS": "60",
        "DEFAULT_CONSENT": "granted",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return url


class Time:
    """A Lambda context with plenty of time."""

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def _login() -> dict[str, Any]:
    """API Gateway's request of a login by a public key with the customer's identity token."""
    keys = IdentityKeys.model_validate({"keys": [IDENTITY_KEY]})
    token = mint(keys, CUSTOMER, 3600, datetime.now(UTC)).token
    return {
        "resource": "/login",
        "headers": {"Content-Type": "application/json", "X-Identity-Token": token},
        "multiValueHeaders": {"Content-Type": ["application/json"], "X-Identity-Token": [token]},
        "body": json.dumps(LOGIN),
        "isBase64Encoded": False,
        "requestContext": {
            "authorizer": {"appId": "shop", "kind": "public", "identity": "required"},
            "identity": {"sourceIp": "203.0.113.24", "userAgent": "Shop/4.12"},
        },
    }


def _batch(queue_url: str) -> dict[str, Any]:
    """The queue's message as Lambda's event source passes it on."""
    (message,) = boto3.client("sqs").receive_message(QueueUrl=queue_url, AttributeNames=["All"])["Messages"]
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:emarsys.fifo",
            }
        ]
    }


@cache
def _module(file: str) -> str:
    """A module of the product as the document names it; "" for every other."""
    path = Path(file)
    here = [Path.cwd() / folder for folder in ("functions", "layers")]
    inside = any(path.is_relative_to(folder) for folder in here)
    return str(path.relative_to(Path.cwd())).removeprefix("layers/runtime/") if inside else ""


@contextmanager
def _recorded(calls: list[str]) -> Iterator[None]:
    """Records the functions of the product that are called in this thread, as the document names them."""

    def record(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and (module := _module(frame.f_code.co_filename)):
            calls.append(f"{module}:{frame.f_code.co_qualname}")

    previous = sys.getprofile()
    sys.setprofile(record)
    try:
        yield
    finally:
        sys.setprofile(previous)


def test_a_login_goes_through_the_functions_that_the_document_names_in_its_order(
    queue_url: str, server: Emarsys
) -> None:
    calls: list[str] = []
    with _recorded(calls):
        answer = ingest.handler(_login(), None)
    request = _batch(queue_url)
    with _recorded(calls):
        delivered = emarsys.handler(request, Time())
    assert (answer["statusCode"], delivered) == (202, {"batchItemFailures": []})
    assert server.received
    steps = [ON_THIS_MACHINE.get(step, step) for step in WALK]
    assert [step for step in steps if step not in calls] == []
    rest = iter(calls)
    assert [step for step in steps if step not in rest] == []


def test_emarsys_then_has_what_the_document_shows(queue_url: str, server: Emarsys) -> None:
    ingest.handler(_login(), None)
    emarsys.handler(_batch(queue_url), Time())
    ((path, body),) = server.received
    shown = re.search(r"^```json\n(\{\"application_id.*?), …\}\n```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert shown
    assert path == "/api/mobileengage/v2/users/login"
    assert body["contact_field_value"] == CONTACT
    assert json.loads(f"{shown[1]}}}").items() <= body.items()


def test_the_walk_begins_at_the_call_and_ends_with_the_receipt() -> None:
    assert WALK[0] == "functions/ingest/app.py:handler"
    assert WALK[-1].startswith("relay/ledger/")
