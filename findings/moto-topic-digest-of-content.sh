#!/usr/bin/env bash
# moto 5.2.5 (2026-11): a FIFO topic with ContentBasedDeduplication gives its queues no deduplication id. Publishing to it
# ends with an error of the queue, which names a queue that the caller does not know, unless the queue digests by itself.
# SNS makes the id, the SHA-256 of the message, and the queue gets it. Second, a queue that is no FIFO queue gets a
# message of one deduplication id twice: moto leaves out the topic's own five minutes, and the queue has none.
# What the product does: it makes the id itself, of app and event, and its topic digests no content (template.yaml;
# tests/integration/test_ingest.py). A test of a correct template with a digesting topic would fail here for no fault.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check "moto[sns,sqs]==5.2.5" boto3==1.44.5 2>/dev/null
AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test env/bin/python - <<'PY'
import boto3
from botocore.exceptions import ClientError
from moto import mock_aws


def topic_and_queue(name, queue_name, digests, queue):
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    topic = sns.create_topic(
        Name=f"{name}.fifo", Attributes={"FifoTopic": "true", "ContentBasedDeduplication": digests})["TopicArn"]
    url = sqs.create_queue(QueueName=queue_name, Attributes=queue)["QueueUrl"]
    endpoint = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint, Attributes={"RawMessageDelivery": "true"})
    return topic, url


with mock_aws():
    topic, _ = topic_and_queue("digesting", "digesting.fifo", "true", {"FifoQueue": "true"})
    try:
        boto3.client("sns").publish(TopicArn=topic, Message="a login", MessageGroupId="device-1")
    except ClientError as refused:
        error = refused.response["Error"]
    else:
        raise SystemExit("changed: the topic makes the deduplication id")
    if error["Code"] != "InvalidParameterValue" or not error["Message"].startswith("The queue should"):
        raise SystemExit(f"changed: {error}")
    print("publish to a topic that digests the content:", error["Message"])

    topic, url = topic_and_queue("naming", "standard", "false", {})
    for _ in range(2):
        boto3.client("sns").publish(
            TopicArn=topic, Message="a login", MessageGroupId="device-1", MessageDeduplicationId="login-1")
    received = boto3.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    if len(received) != 2:
        raise SystemExit(f"changed: {len(received)} messages in the standard queue")
    print("one deduplication id, published twice:", len(received), "messages in a standard queue")
PY
