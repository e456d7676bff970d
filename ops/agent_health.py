"""What must be so for one agent to be told of events."""

import json
from collections.abc import Iterator

from ops import agent_modules
from ops.fields import field_errors
from ops.findings import Finding, judged
from ops.queues import Depth
from ops.stage import AgentStack, Stage, client


def agent_findings(stage: Stage, agent: AgentStack) -> Iterator[Finding]:
    """Everything about an agent: its settings, its way in, its function, and what is parked."""
    deploy = f"make deploy STAGE={stage.name}"
    yield _settings(stage, agent)
    yield from _queue(stage, agent, deploy)
    yield from _subscription(stage, agent, deploy)
    yield from _function(agent, deploy)
    parked = Depth.of(agent.part("DeadLetterQueue")).all
    yield judged(agent.name, not parked, "nothing is parked", f"{parked} parked", f"relay parked list {agent.name}")


def _settings(stage: Stage, agent: AgentStack) -> Finding:
    text = stage.read("agents", agent.name)
    mend = f"relay agents set {agent.name} --stage {stage.name}"
    if text is None:
        return Finding(agent.name, "no settings are stored, so its deliveries are held", "wrong", mend)
    try:
        faults = field_errors(agent_modules.agent(agent.name).settings, json.loads(text))
    except ValueError:
        faults = ["not JSON"]
    return judged(agent.name, not faults, "its settings validate", f"settings: {'; '.join(faults)}", mend)


def _queue(stage: Stage, agent: AgentStack, deploy: str) -> Iterator[Finding]:
    names = ["Policy", "RedrivePolicy", "QueueArn"]
    queue = client("sqs").get_queue_attributes(QueueUrl=agent.part("Queue"), AttributeNames=names)["Attributes"]
    topic = stage.resources["EventTopic"]
    statements = json.loads(queue.get("Policy", "{}")).get("Statement", [])
    lets_in = any(one["Effect"] == "Allow" and topic in json.dumps(one) for one in statements)
    yield judged(
        agent.name, lets_in, "its queue takes the topic's messages", "its queue does not admit the topic", deploy
    )
    dead = agent.part("DeadLetterQueue").rsplit("/", 1)[1]
    target = json.loads(queue.get("RedrivePolicy", "{}")).get("deadLetterTargetArn", "")
    yield judged(
        agent.name,
        target.endswith(f":{dead}"),
        "its queue has its dead-letter queue",
        "its queue has none",
        deploy,
    )


def _subscription(stage: Stage, agent: AgentStack, deploy: str) -> Iterator[Finding]:
    arn = agent.part("Subscription")
    topic = stage.resources["EventTopic"]
    pages = client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    if arn not in {one["SubscriptionArn"] for page in pages for one in page["Subscriptions"]}:
        yield Finding(agent.name, "its queue is not subscribed to the topic", "wrong", deploy)
        return
    told = client("sns").get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    events = set(json.loads(told.get("FilterPolicy", "{}")).get("type", []))
    good = events == set(agent.events)
    wrong = "its subscription lets other events through than the catalogue says"
    yield judged(agent.name, good, "it is told of its events", wrong, deploy)
    undelivered = stage.resources["UndeliveredQueue"].rsplit("/", 1)[1]
    kept = undelivered in told.get("RedrivePolicy", "") and told.get("RawMessageDelivery") == "true"
    wrong = "what its queue does not take is lost"
    yield judged(agent.name, kept, "what its queue does not take is kept", wrong, deploy)


def _function(agent: AgentStack, deploy: str) -> Iterator[Finding]:
    mapping = client("lambda").get_event_source_mapping(UUID=agent.part("FunctionDeliveries"))
    enable = f"aws lambda update-event-source-mapping --enabled --uuid {mapping['UUID']}"
    reads = mapping["State"] in {"Enabled", "Enabling", "Updating"}
    yield judged(agent.name, reads, "its function reads its queue", f"reading its queue is {mapping['State']}", enable)
    whole = "ReportBatchItemFailures" in mapping.get("FunctionResponseTypes", [])
    yield judged(agent.name, whole, "it answers for each message", "it answers for whole batches only", deploy)
    name = agent.part("Function")
    reserved = client("lambda").get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
    wrong = "its function may not run at all (reserved concurrency 0)"
    free = f"aws lambda delete-function-concurrency --function-name {name}"
    yield judged(agent.name, reserved != 0, "its function may run", wrong, free)
