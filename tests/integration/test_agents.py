"""An agent's handler against SQS and SSM: postponed, parked, reported."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from pydantic import SecretStr

from functions.agents.eitri_push import app as eitri_push
from relay.agent.http import Request, Response
from relay.delivery.handler import lambda_handler

SETTINGS = {
    "url": "https://push.example.com/hooks/session",
    "signing_secrets": ["whsec_ZWl0cmktZXhhbXBsZS1zaWduaW5nLWtleS0zMmJ5dGU="],
    "store": {"account": "examplestore", "environment": "production"},
}
EVENT = {
    "type": "login",
    "appId": "shop",
    "eventId": "evt_1",
    "occurredAt": datetime.now(UTC).isoformat(),
    "receivedAt": datetime.now(UTC).isoformat(),
    "sequence": 1,
    "customerId": "12345",
    "device": {"id": "d1", "platform": "android"},
}


@dataclass
class Time:
    """A Lambda context with plenty of time."""

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


@dataclass
class Queues:
    """The agent's two queues in moto."""

    url: str
    dead: str

    def receive(self) -> dict[str, Any]:
        """The next message as Lambda's event source would hand it over."""
        (message,) = boto3.client("sqs").receive_message(QueueUrl=self.url, AttributeNames=["All"])["Messages"]
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:agent.fifo",
        }

    def parked(self) -> list[dict[str, Any]]:
        """What stands in the dead-letter queue."""
        messages: list[Any] = (
            boto3.client("sqs")
            .receive_message(QueueUrl=self.dead, MessageAttributeNames=["All"], AttributeNames=["All"])
            .get("Messages", [])
        )
        return messages


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch, table: str) -> Queues:
    """The agent's queues, its settings in SSM and the function's environment."""
    sqs = boto3.client("sqs")
    made = Queues(
        *(sqs.create_queue(QueueName=f"{n}.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"] for n in ("q", "dead"))
    )
    name = "/session-relay/test/agents/eitri_push"
    for parameter, settings in ((name, SETTINGS), ("/session-relay/test/apps/shop", {})):
        boto3.client("ssm").put_parameter(Name=parameter, Value=json.dumps(settings), Type="SecureString")
    for variable, value in {
        "SETTINGS_PARAMETER": name,
        "APPS_PATH": "/session-relay/test/apps",
        "TABLE": table,
        "QUEUE_URL": made.url,
        "DEAD_LETTER_QUEUE_URL": made.dead,
        "RETRY_SCHEDULE": "5,30",
        "RETRY_HORIZON_SECONDS": "86400",
        "HOLD_SECONDS": "900",
        "CIRCUIT_SECONDS": "30",
        "CLAIM_SECONDS": "60",
        "DEFAULT_CONSENT": "granted",
        "ALLOW_INSECURE_AGENTS": "false",
    }.items():
        monkeypatch.setenv(variable, value)
    return made


def _sent(queues: Queues) -> dict[str, Any]:
    """An event that was sent to the agent's queue, as its function is handed it."""
    boto3.client("sqs").send_message(
        QueueUrl=queues.url, MessageBody=json.dumps(EVENT), MessageGroupId="device", MessageDeduplicationId="1"
    )
    return queues.receive()


def _deliver(queues: Queues, answer: Response, body: str | None = None) -> Any:
    boto3.client("sqs").send_message(
        QueueUrl=queues.url,
        MessageBody=body if body is not None else json.dumps(EVENT),
        MessageGroupId="device",
        MessageDeduplicationId=str(datetime.now(UTC)),
    )
    record = queues.receive()
    sent: list[Request] = []

    def send(request: Request) -> Response:
        sent.append(request)
        return answer

    answered = lambda_handler(eitri_push.AGENT, send=send)({"Records": [record]}, Time())
    return record["messageId"], answered["batchItemFailures"], sent


def test_a_delivered_message_is_acknowledged(queues: Queues) -> None:
    _, failures, sent = _deliver(queues, Response(202))
    assert failures == []
    assert sent[0].headers["webhook-id"] == "evt_1"
    signature = sent[0].headers["webhook-signature"]
    assert isinstance(signature, SecretStr)
    assert signature.get_secret_value().startswith("v1,")


def test_a_message_to_retry_is_reported_and_hidden(queues: Queues) -> None:
    message_id, failures, _ = _deliver(queues, Response(503))
    assert failures == [{"itemIdentifier": message_id}]
    counts = boto3.client("sqs").get_queue_attributes(QueueUrl=queues.url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessagesNotVisible"] == "1"


def test_a_message_that_sqs_will_not_hide_is_reported_all_the_same(queues: Queues) -> None:
    stale = {**_sent(queues), "receiptHandle": "not-a-handle"}
    answered = lambda_handler(eitri_push.AGENT, send=lambda _request: Response(503))({"Records": [stale]}, Time())
    assert answered["batchItemFailures"] == [{"itemIdentifier": stale["messageId"]}]


def test_a_rejected_message_is_parked_with_its_reason(queues: Queues) -> None:
    _, failures, _ = _deliver(queues, Response(422))
    assert failures == []
    (message,) = queues.parked()
    notes = {name: attribute["StringValue"] for name, attribute in message["MessageAttributes"].items()}
    assert json.loads(message["Body"]) == EVENT
    assert (notes["agent"], notes["reason"], notes["attempts"]) == ("eitri_push", "HTTP 422", "1")
    assert notes["firstSeen"] == EVENT["receivedAt"]
    assert message["Attributes"]["MessageGroupId"] == "device"


def test_a_message_that_is_no_event_is_parked_as_it_came(queues: Queues) -> None:
    _, failures, sent = _deliver(queues, Response(202), body="not an event")
    assert failures == []
    assert sent == []
    (message,) = queues.parked()
    assert message["Body"] == "not an event"
    assert "unreadable" in message["MessageAttributes"]["reason"]["StringValue"]
