"""Checks that one agent receives its events."""

import json
from collections.abc import Iterator

from ops import agent_modules
from ops.fields import field_errors
from ops.findings import Finding, check_that
from ops.queues import Depth
from ops.stage import AgentStack, Stage, client


def agent_findings(stage: Stage, agent: AgentStack) -> Iterator[Finding]:
    """Checks an agent: its settings, its queue and subscription, its function, and what is parked."""
    yield _settings(stage, agent)
    yield from _queue(stage, agent)
    yield from _subscription(stage, agent)
    yield from _function(stage, agent)
    parked = Depth.of(agent.resource("DeadLetterQueue")).all
    listing = stage.relay("parked", "list", agent.name)
    yield check_that(not parked, agent.name, "nothing is parked", f"{parked} parked", listing)


def _settings(stage: Stage, agent: AgentStack) -> Finding:
    text, store = stage.read("agents", agent.name), stage.relay("agents", "set", agent.name)
    if text is None:
        return Finding(agent.name, "no settings are stored, so its deliveries are held", "wrong", store)
    try:
        errors = field_errors(agent_modules.deployed(stage, agent.name).settings, json.loads(text))
    except ValueError:
        errors = ["not JSON"]
    return check_that(not errors, agent.name, "its settings validate", f"settings: {'; '.join(errors)}", store)


def _queue(stage: Stage, agent: AgentStack) -> Iterator[Finding]:
    names = ["Policy", "RedrivePolicy", "QueueArn"]
    queue = client("sqs").get_queue_attributes(QueueUrl=agent.resource("Queue"), AttributeNames=names)["Attributes"]
    topic = stage.resources["EventTopic"]
    statements = json.loads(queue.get("Policy", "{}")).get("Statement", [])
    admits = any(one["Effect"] == "Allow" and topic in json.dumps(one) for one in statements)
    wrong = "its queue does not accept the topic's messages"
    yield check_that(admits, agent.name, "its queue accepts the topic's messages", wrong, stage.deploy)
    dead = agent.resource("DeadLetterQueue").rsplit("/", 1)[1]
    target = json.loads(queue.get("RedrivePolicy", "{}")).get("deadLetterTargetArn", "")
    ok, wrong = "its queue has its dead-letter queue", "its queue has no dead-letter queue"
    yield check_that(target.endswith(f":{dead}"), agent.name, ok, wrong, stage.deploy)


def _subscription(stage: Stage, agent: AgentStack) -> Iterator[Finding]:
    arn, topic = agent.resource("Subscription"), stage.resources["EventTopic"]
    pages = client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    if arn not in {one["SubscriptionArn"] for page in pages for one in page["Subscriptions"]}:
        yield Finding(agent.name, "its queue is not subscribed to the topic", "wrong", stage.deploy)
        return
    attributes = client("sns").get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    events = set(json.loads(attributes.get("FilterPolicy", "{}")).get("type", []))
    wrong = "its subscription passes other events than the registry lists"
    yield check_that(events == set(agent.events), agent.name, "it receives its events", wrong, stage.deploy)
    undelivered = stage.resources["UndeliveredQueue"].rsplit("/", 1)[1]
    keeps = undelivered in attributes.get("RedrivePolicy", "") and attributes.get("RawMessageDelivery") == "true"
    ok, wrong = "messages that its queue refuses are kept", "messages that its queue refuses are lost"
    yield check_that(keeps, agent.name, ok, wrong, stage.deploy)


def _function(stage: Stage, agent: AgentStack) -> Iterator[Finding]:
    mapping = client("lambda").get_event_source_mapping(UUID=agent.resource("FunctionDeliveries"))
    enable = stage.aws("lambda", "update-event-source-mapping", "--enabled", "--uuid", mapping["UUID"])
    reads, state = mapping["State"] in {"Enabled", "Enabling", "Updating"}, mapping["State"]
    yield check_that(reads, agent.name, "its function polls its queue", f"polling its queue is {state}", enable)
    partial = "ReportBatchItemFailures" in mapping.get("FunctionResponseTypes", [])
    ok, wrong = "it reports each message", "it reports whole batches only"
    yield check_that(partial, agent.name, ok, wrong, stage.deploy)
    name = agent.resource("Function")
    reserved = client("lambda").get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
    ok, wrong = "its function may run", "its function may not run at all (reserved concurrency 0)"
    free = stage.aws("lambda", "delete-function-concurrency", "--function-name", name)
    yield check_that(reserved != 0, agent.name, ok, wrong, free)
