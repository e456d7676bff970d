"""Clients of AWS services, made on first use and kept for the life of the function."""

from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

# A caller waits for ingest: two quick tries rather than botocore's minute.
_PROMPT = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})


@cache
def dynamodb() -> "DynamoDBClient":
    """The DynamoDB client."""
    return boto3.client("dynamodb", config=_PROMPT)


@cache
def functions() -> "LambdaClient":
    """The Lambda client; a function may need its time to start."""
    return boto3.client("lambda", config=Config(connect_timeout=1, read_timeout=20, retries={"total_max_attempts": 1}))


@cache
def sns() -> "SNSClient":
    """The SNS client."""
    return boto3.client("sns", config=_PROMPT)


@cache
def sqs() -> "SQSClient":
    """The SQS client."""
    return boto3.client("sqs", config=_PROMPT)


@cache
def ssm() -> "SSMClient":
    """The SSM client."""
    return boto3.client("ssm", config=_PROMPT)
