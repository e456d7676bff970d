"""The clients of AWS services."""

from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.compat import HTTPHeaders

from relay.aws import clients

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

TOPIC = "arn:aws:sns:us-east-1:123456789012:events.fifo"
TEXT = '{"city":"São Paulo","note":"a+b&c=d %41"}'
PUBLISHED = b"<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>"


class _Raw(BytesIO):
    def stream(self) -> Iterator[bytes]:
        yield self.getvalue()


@pytest.fixture
def sns(monkeypatch: pytest.MonkeyPatch) -> Iterator["SNSClient"]:
    for name, value in {
        "ACCESS_KEY_ID": "example",
        "SECRET_ACCESS_KEY": "example",
        "DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    _forget_clients()
    yield clients.sns()
    _forget_clients()


def _forget_clients() -> None:
    clients.session.cache_clear()
    clients.sns.cache_clear()


def test_a_publish_is_encoded_before_it_is_signed(sns: "SNSClient") -> None:
    """Once: botocore would encode the form to sign it, and again to send it."""
    signed: list[object] = []
    sent: list[Any] = []

    def sign(request: AWSRequest, **_: object) -> None:
        signed.append(request.data)

    def answer(request: AWSPreparedRequest, **_: object) -> Any:
        sent.append(request)
        return AWSResponse(request.url, 200, HTTPHeaders(), _Raw(PUBLISHED))

    sns.meta.events.register("before-sign.sns", sign)
    sns.meta.events.register("before-send.sns", answer)
    sns.publish(TopicArn=TOPIC, Message=TEXT, MessageGroupId="g", MessageDeduplicationId="d")
    (request,) = sent
    assert signed == [request.body]
    assert isinstance(request.body, bytes)
    assert parse_qs(request.body.decode(), strict_parsing=True) == {
        "Action": ["Publish"],
        "Version": ["2010-03-31"],
        "TopicArn": [TOPIC],
        "Message": [TEXT],
        "MessageGroupId": ["g"],
        "MessageDeduplicationId": ["d"],
    }
    assert request.headers["Content-Type"] == b"application/x-www-form-urlencoded; charset=utf-8"
