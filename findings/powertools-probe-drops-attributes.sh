#!/usr/bin/env bash
# aws-lambda-powertools 3.37.0 (2026-11): the circuit breaker's DynamoDB row is changed by UpdateItem when a circuit
# opens again or closes, which keeps attributes that somebody else wrote into the row; but the election of a probe
# (half-open) replaces the whole row by PutItem, and they are gone.
# What the product does: what it knows of an outage (since when) stands in a row of its own, beside the circuit's
# (`<scope>#down`; tests/unit/delivery and tests/integration).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check "aws-lambda-powertools==3.37.0" "moto[dynamodb]==5.2.5" boto3==1.44.5 2>/dev/null
AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test env/bin/python - <<'PY'
import time

import boto3
from aws_lambda_powertools.utilities.circuit_breaker import CircuitBreakerConfig
from aws_lambda_powertools.utilities.circuit_breaker.persistence.dynamodb import CircuitBreakerDynamoDBPersistence
from moto import mock_aws


def note(client):
    client.update_item(
        TableName="circuits", Key={"id": {"S": "shop"}}, UpdateExpression="SET note = :text",
        ExpressionAttributeValues={":text": {"S": "down since noon"}},
    )


def noted(client):
    return "note" in client.get_item(TableName="circuits", Key={"id": {"S": "shop"}})["Item"]


with mock_aws():
    client = boto3.client("dynamodb")
    client.create_table(
        TableName="circuits", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    store = CircuitBreakerDynamoDBPersistence("circuits")
    store.configure(CircuitBreakerConfig(), "shop")
    at = int(time.time())
    store.save_open("shop", 5, at)
    note(client)
    store.save_reopen("shop", at)
    after_update = noted(client)
    store.try_acquire_half_open("shop", "me", at)
    after_probe = noted(client)
    if (after_update, after_probe) != (True, False):
        raise SystemExit(f"changed: {after_update}, {after_probe}")
    print("another attribute of the row: kept when the circuit opens again, gone when a probe is elected")
PY
