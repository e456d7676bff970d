"""`relay doctor`: everything that must be so for deliveries to be made, and the command that mends what is not."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial

import typer

from ops.agent_health import agent_findings
from ops.app_health import app_findings
from ops.errors import WRONG
from ops.findings import Finding, judged
from ops.metrics import Metric, totals
from ops.queues import Depth
from ops.show import Show
from ops.stage import Stage, client

MOST_SKEW_SECONDS = 60
"""AWS refuses signatures that are five minutes off."""

PENDING = {"PendingConfirmation", "pending confirmation"}


def doctor(stage: Stage, show: Show) -> None:
    """Looks at all that was deployed and stored: what is wrong, and the command that mends it; 1 if anything is."""
    findings = examined(stage)
    wrong = sum(one.state == "wrong" for one in findings)
    if show.as_json:
        show.document({"wrong": wrong, "findings": [one.row() for one in findings]})
    else:
        columns = {"state": "is", "about": "about", "what": "what", "mend": "mend it with"}
        told = sorted((one for one in findings if one.state != "ok"), key=lambda one: one.state, reverse=True)
        if told:
            show.rows([one.row() for one in told], columns, f"session-relay at {stage.name}")
        show.say(f"{sum(one.state == 'ok' for one in findings)} things are as they must be, {wrong} are wrong.")
    if wrong:
        raise typer.Exit(WRONG)


def examined(stage: Stage) -> list[Finding]:
    """All findings; the stack's first, without which there is nothing else to look at."""
    found = list(_stack(stage))
    looks: list[Callable[[], Iterator[Finding]]] = [
        partial(_undelivered, stage),
        partial(_throttles, stage),
        partial(_watched, stage),
        partial(app_findings, stage),
        *(partial(agent_findings, stage, agent) for agent in stage.agents.values()),
    ]
    with ThreadPoolExecutor(max_workers=8) as pool:
        return found + [finding for part in pool.map(lambda look: list(look()), looks) for finding in part]


def _stack(stage: Stage) -> Iterator[Finding]:
    state = stage.stack["StackStatus"]
    good = state.endswith("_COMPLETE") and "ROLLBACK" not in state and not state.startswith("DELETE")
    deploy = f"make deploy STAGE={stage.name}"
    yield judged("stack", good, f"{stage.stack_name} is {state}", f"{stage.stack_name} is {state}", deploy)
    needed = {"ApiUrl", "ApiId", "UsagePlanId"}
    missing = sorted(needed - stage.outputs.keys())
    yield judged("stack", not missing, "its outputs are there", f"it has no output {', '.join(missing)}", deploy)
    yield judged("stack", bool(stage.agents), "agents are deployed", "no agent is deployed", deploy)
    answer = client("cloudformation").describe_stacks(StackName=stage.stack_name)
    there = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    skew = abs((datetime.now(UTC) - there).total_seconds())
    wrong = f"this machine's clock is {skew:.0f} s off AWS'"
    yield judged("clock", skew <= MOST_SKEW_SECONDS, "as AWS' own", wrong, "sudo timedatectl set-ntp true")


def _undelivered(stage: Stage) -> Iterator[Finding]:
    there = Depth.of(stage.resources["UndeliveredQueue"]).all
    wrong = f"{there} messages could not be handed to an agent's queue"
    yield judged("undelivered", not there, "empty", wrong, "docs/operations.md, Parked messages")


def _throttles(stage: Stage) -> Iterator[Finding]:
    functions = {
        name: physical.rsplit(":", 1)[-1] for name, physical in stage.resources.items() if name.endswith("Function")
    }
    asked = {
        name: Metric("Throttles", (("FunctionName", physical),), "AWS/Lambda") for name, physical in functions.items()
    }
    sums = totals(asked.values(), timedelta(hours=1))
    for name, metric in asked.items():
        number = int(sums[metric] or 0)
        mend = "aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384"
        yield judged(name, not number, "not throttled", f"throttled {number} times in the last hour", mend)


def _watched(stage: Stage) -> Iterator[Finding]:
    """Whether somebody hears of alarms."""
    topics = [
        physical
        for name, physical in stage.resources.items()
        if physical.startswith("arn:") and ":sns:" in physical and name.endswith("Topic") and name != "EventTopic"
    ]
    for topic in topics:
        listed = client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        waiting = [one for one in listed if one["SubscriptionArn"] in PENDING]
        if not listed:
            mend = f"make deploy STAGE={stage.name}, with AlarmEmail"
            yield Finding("alarms", "nobody is told of them", "note", mend)
        else:
            mend = "follow the link in the mail from AWS Notifications"
            yield judged("alarms", not waiting, "their address is confirmed", "their address is not confirmed", mend)
