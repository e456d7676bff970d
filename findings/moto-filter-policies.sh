#!/usr/bin/env bash
# moto 5.2.5 (2026-11) accepts filter policies of SNS and delivers other messages than SNS does. equals-ignore-case matches
# nothing, whatever the attribute: the subscription is silent. {"exists": false} matches a message without any attribute,
# which SNS does not deliver (developer guide, string value matching and key matching: one attribute at least must be
# there). A publisher that lost its attributes passes such a test, and its messages are lost in production.
# What the product does: it names the types of events one by one, with the plain operator (tests/unit/test_template.py),
# and publishes every event with its type (tests/integration/test_ingest.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check "moto[sns,sqs]==5.2.5" boto3==1.44.5 2>/dev/null
AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test env/bin/python - <<'PY'
import json

import boto3
from moto import mock_aws

LOGIN = {"type": {"DataType": "String", "StringValue": "login"}}
CASES = [  # rules for the attribute type, the message's attributes, what SNS delivers, what moto does
    (["login"], LOGIN, 1, 1),
    ([{"equals-ignore-case": "LOGIN"}], LOGIN, 1, 0),
    ([{"exists": False}], {}, 0, 1),
]

with mock_aws():
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    for number, (rules, attributes, by_sns, expected) in enumerate(CASES):
        topic = sns.create_topic(Name=f"topic-{number}")["TopicArn"]
        url = sqs.create_queue(QueueName=f"queue-{number}")["QueueUrl"]
        queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = json.dumps({"type": rules})
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"FilterPolicy": policy})
        sns.publish(TopicArn=topic, Message="a login", MessageAttributes=attributes)
        found = len(sqs.receive_message(QueueUrl=url).get("Messages", []))
        if found != expected:
            raise SystemExit(f"changed: {policy}: {found}")
        print(f"{policy}, {len(attributes)} attributes: SNS delivers {by_sns}, moto {found}")
PY
