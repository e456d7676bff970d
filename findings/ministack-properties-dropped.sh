#!/usr/bin/env bash
# ministack 1.5.33 (2026-11): a stack is CREATE_COMPLETE although properties of its resources were left out. A table's
# TimeToLiveSpecification and PointInTimeRecoverySpecification are not applied, a topic with FifoTopic is none (a message
# published without a group is accepted), and deleting the stack deletes a table with DeletionProtectionEnabled, where
# CloudFormation answers DELETE_FAILED. Expected: applied, or an error. What is set by the service's own call works.
# What the product does: local/deploy.py makes the topic FIFO by SNS' own call. That the ledger forgets is shown on the
# template (test_the_ledger_forgets_by_what_its_rows_call_their_end in tests/unit/test_template.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check ministack==1.5.33 boto3==1.43.106 2>/dev/null
TMPDIR="$folder" env/bin/python - <<'PY'
import json
import os
import socket
import subprocess
import sys
import time

import boto3

TABLE = {
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [{"AttributeName": "event", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "event", "AttributeType": "S"}],
    "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
    "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    "DeletionProtectionEnabled": True,
}
RESOURCES = {
    "Ledger": {"Type": "AWS::DynamoDB::Table", "Properties": TABLE},
    "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "events.fifo", "FifoTopic": True}},
}


def finished(stacks, wanted):
    for _ in range(100):
        state = stacks.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        if not state.endswith("IN_PROGRESS"):
            assert state == wanted, f"changed: {state}"
            return
        time.sleep(0.1)
    raise SystemExit("no end of the stack's operation")


with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
server = subprocess.Popen(
    [sys.executable, "-m", "ministack"], env={**os.environ, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)},
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
try:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.2)
    local = {
        "endpoint_url": f"http://127.0.0.1:{port}", "region_name": "us-east-1",
        "aws_access_key_id": "test", "aws_secret_access_key": "test",
    }
    stacks, tables, topics = (boto3.client(name, **local) for name in ("cloudformation", "dynamodb", "sns"))
    stack = stacks.create_stack(StackName="example", TemplateBody=json.dumps({"Resources": RESOURCES}))["StackId"]
    finished(stacks, "CREATE_COMPLETE")
    (table,) = tables.list_tables()["TableNames"]
    (topic,) = [one["TopicArn"] for one in topics.list_topics()["Topics"]]
    backups = tables.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    seen = {
        "time to live": tables.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"],
        "recovery": backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"],
        "FIFO": topics.get_topic_attributes(TopicArn=topic)["Attributes"].get("FifoTopic", "no"),
        "published without a group": "MessageId" in topics.publish(TopicArn=topic, Message="a login"),
        "protected": tables.describe_table(TableName=table)["Table"]["DeletionProtectionEnabled"],
    }
    stacks.delete_stack(StackName=stack)
    finished(stacks, "DELETE_COMPLETE")
    seen["tables left"] = len(tables.list_tables()["TableNames"])
finally:
    server.terminate()
    server.wait(20)
expected = {
    "time to live": "DISABLED", "recovery": "DISABLED", "FIFO": "no", "published without a group": True,
    "protected": True, "tables left": 0,
}
if seen != expected:
    raise SystemExit(f"changed: {seen}")
print("CREATE_COMPLETE, but:", seen)
PY
