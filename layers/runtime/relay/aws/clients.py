"""Clients of AWS services, made on first use and kept for the life of the function."""

from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.handlers import BUILTIN_HANDLERS
from botocore.session import Session

from relay import __version__
from relay.aws.trust import share_context_with_aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

AwsError = (BotoCoreError, ClientError)
"""What a call to AWS raises: no answer or an unusable one, or an error that the service answers."""


def error_code(fault: Exception) -> str:
    """The service's error code (`ParameterNotFound`), or the kind of fault where the service did not answer."""
    return str(fault.response["Error"]["Code"]) if isinstance(fault, ClientError) else type(fault).__name__


_SERVICES = {"", "dynamodb", "lambda", "sns", "sqs", "ssm", "sts"}
"""The services that we call, and the one that botocore may ask for credentials."""

# A name of our own: botocore's, which it puts together again for each request, is a fifth of what a call costs.
_NAME = f"session-relay/{__version__}"
# A caller waits for ingest: two quick tries rather than botocore's minute. As many connections as a batch has workers.
_PROMPT = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 2},
    max_pool_connections=32,
    user_agent=_NAME,
    # Types are checked before: doing it at each call is a twentieth of what it costs.
    parameter_validation=False,
)
# A function may need its time to start.
_PATIENT = Config(connect_timeout=1, read_timeout=20, retries={"total_max_attempts": 1}, user_agent=_NAME)


@cache
def dynamodb() -> "DynamoDBClient":
    """The DynamoDB client."""
    client: DynamoDBClient = _client("dynamodb", _PROMPT)
    return client


@cache
def functions() -> "LambdaClient":
    """The Lambda client."""
    client: LambdaClient = _client("lambda", _PATIENT)
    return client


@cache
def sns() -> "SNSClient":
    """The SNS client."""
    client: SNSClient = _client("sns", _PROMPT)
    client.meta.events.register("before-call.sns", _encode_form)
    return client


def _encode_form(params: dict[str, Any], **_: object) -> None:
    # botocore encodes a form twice, to sign it and to send it: an eighth of what a publish costs.
    params["body"] = urlencode(params["body"]).encode()


@cache
def sqs() -> "SQSClient":
    """The SQS client."""
    client: SQSClient = _client("sqs", _PROMPT)
    return client


@cache
def ssm() -> "SSMClient":
    """The SSM client."""
    client: SSMClient = _client("ssm", _PROMPT)
    return client


@cache
def session() -> Session:
    """The botocore session: the function's region and credentials."""
    # botocore's own: boto3 adds resources and transfers, which nothing here uses, and 20 ms to every cold start.
    share_context_with_aws()
    known = Session(include_builtin_handlers=False)
    for event, handler in (spec for spec in BUILTIN_HANDLERS if is_for_us(spec[0])):
        known.register(event, handler)
    return known


def is_for_us(event: str) -> bool:
    """Whether a handler of botocore's own events is for any service, or for one that we call.

    Four in five are for another service or for its documentation; to register and copy them is 3 ms of a start.
    """
    kind, service = (*event.split("."), "")[:2]
    return kind != "docs" and service in _SERVICES


# A session is not made for several threads, and a batch's first deliveries are.
_making = Lock()


def _client(service: str, config: Config) -> Any:  # noqa: ANN401 - botocore makes clients as it reads their description
    with _making:
        return session().create_client(service, config=config)
