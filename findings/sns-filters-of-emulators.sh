#!/usr/bin/env bash
# moto 5.2.5 and ministack 1.5.33 (2026-11) take filter policies of SNS and deliver other messages than SNS does, each in
# its own way. moto: equals-ignore-case never matches, though the policy is accepted. ministack: {"exists": false} does
# not match a message without any attribute. Each passes the case that the other fails. Expected of both, and of SNS
# (developer guide, string value matching, key matching): delivered. A subscription that gets nothing looks like a fault.
# What the product does: it names the types of events one by one, with the plain operator that both know (template.yaml,
# FilterPolicy; tests/unit/test_template.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for emulator in moto ministack; do python3 -m venv "$emulator"; done
moto/bin/python -m pip install --quiet --disable-pip-version-check "moto[sns,sqs]==5.2.5" boto3==1.44.5 2>/dev/null
ministack/bin/python -m pip install --quiet --disable-pip-version-check ministack==1.5.33 boto3==1.43.106 2>/dev/null
cat > filters.py <<'PY'
import json

import boto3

TYPE = {"type": {"DataType": "String", "StringValue": "login"}}
CASES = {
    "equals": ({"type": ["login"]}, TYPE),
    "equals-ignore-case": ({"type": [{"equals-ignore-case": "LOGIN"}]}, TYPE),
    "absent, no attribute at all": ({"test": [{"exists": False}]}, {}),
    "absent, another attribute": ({"test": [{"exists": False}]}, TYPE),
}


def delivered(**endpoint):
    sns, sqs = (boto3.client(name, **endpoint) for name in ("sns", "sqs"))
    found = {}
    for number, (case, (policy, attributes)) in enumerate(CASES.items()):
        topic = sns.create_topic(Name=f"topic-{number}")["TopicArn"]
        url = sqs.create_queue(QueueName=f"queue-{number}")["QueueUrl"]
        queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"FilterPolicy": json.dumps(policy)})
        sns.publish(TopicArn=topic, Message="a login", MessageAttributes=attributes)
        found[case] = len(sqs.receive_message(QueueUrl=url).get("Messages", []))
    return found
PY
cat > with_moto.py <<'PY'
from filters import delivered
from moto import mock_aws

with mock_aws():
    found = delivered(region_name="us-east-1")
wanted = {"equals": 1, "equals-ignore-case": 0, "absent, no attribute at all": 1, "absent, another attribute": 1}
assert found == wanted, f"changed: {found}"
print("moto:", found)
PY
cat > with_ministack.py <<'PY'
import os
import socket
import subprocess
import sys
import time

from filters import delivered

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
    found = delivered(endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1")
finally:
    server.terminate()
    server.wait(20)
wanted = {"equals": 1, "equals-ignore-case": 1, "absent, no attribute at all": 0, "absent, another attribute": 1}
assert found == wanted, f"changed: {found}"
print("ministack:", found)
PY
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test TMPDIR="$folder"
moto/bin/python with_moto.py
ministack/bin/python with_ministack.py
