#!/usr/bin/env bash
# moto 5.2.5 (2026-11): PartiQL's INSERT of a key that is already in the table replaces the row and answers as if it were
# new. DynamoDB refuses it, with DuplicateItemException, or DuplicateItem for that statement alone in a batch; it is the
# difference between INSERT and PutItem. A test of "claimed once, by one of two" passes here, or fails, for no reason.
# What the product does: it claims deliveries by INSERT in one BatchExecuteStatement. Its tests put moto's own conditional
# PutItem behind that call (tests/integration/conftest.py), and a claim that is refused shows
# (test_a_claim_is_ours_alone_until_it_is_settled in tests/integration/test_ledger.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check "moto[dynamodb]==5.2.5" py-partiql-parser==0.6.3 boto3==1.44.5 2>/dev/null
AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test env/bin/python - <<'PY'
import boto3
from moto import mock_aws

CLAIM = "INSERT INTO deliveries VALUE {{'event': 'e-1', 'owner': '{}'}}"

with mock_aws():
    client = boto3.client("dynamodb")
    client.create_table(
        TableName="deliveries", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "event", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "event", "AttributeType": "S"}],
    )
    owners = []
    client.execute_statement(Statement=CLAIM.format("first"))
    for owner, claim in (
        ("second", lambda text: client.execute_statement(Statement=text)),
        ("third", lambda text: client.batch_execute_statement(Statements=[{"Statement": text}])),
    ):
        answer = claim(CLAIM.format(owner))
        row = client.get_item(TableName="deliveries", Key={"event": {"S": "e-1"}})["Item"]
        refused = [one["Error"]["Code"] for one in answer.get("Responses", []) if "Error" in one]
        owners.append((row["owner"]["S"], refused))
    if owners != [("second", []), ("third", [])]:
        raise SystemExit(f"changed: {owners}")
    print("three INSERTs of one key: none refused, the row belongs to the", owners[-1][0])
PY
