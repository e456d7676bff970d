"""`relay doctor`: checks all that deliveries need, and names the command that fixes what is wrong."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial

import typer

from ops import releases
from ops.agent_health import agent_findings
from ops.app_health import app_findings
from ops.errors import FAILED
from ops.findings import Finding, check_that
from ops.google_health import google_findings
from ops.metrics import Metric, totals
from ops.queues import Depth
from ops.show import Show
from ops.stage import Stage, client

MAX_SKEW_SECONDS = 60
"""AWS refuses signatures that are five minutes off."""

UNDELIVERED_PAGE = "docs/runbook.md, Parked messages"
PENDING = {"PendingConfirmation", "pending confirmation"}


def doctor(stage: Stage, show: Show) -> None:
    """Checks the deployment, apps and agents; names the command that fixes what is wrong, and then ends with 1."""
    findings = examine(stage)
    wrong = sum(one.state == "wrong" for one in findings)
    if show.as_json:
        show.document({"wrong": wrong, "findings": [one.row() for one in findings]})
    else:
        listed = sorted((one for one in findings if one.state != "ok"), key=lambda one: one.state, reverse=True)
        if listed:
            show.findings([one.row() for one in listed], f"session-relay at {stage.name}")
        show.say(f"{sum(one.state == 'ok' for one in findings)} checks passed, {wrong} failed.")
        show.say(releases.sentence(releases.of(stage)))
    if wrong:
        raise typer.Exit(FAILED)


def examine(stage: Stage) -> list[Finding]:
    """Returns all findings; the stack's come first, since without a stack nothing else can be checked."""
    found = list(_stack(stage))
    looks: list[Callable[[], Iterator[Finding]]] = [
        partial(_undelivered, stage),
        partial(_throttles, stage),
        partial(releases.findings, stage),
        partial(_alarms, stage),
        partial(app_findings, stage),
        partial(google_findings, stage),
        *(partial(agent_findings, stage, agent) for agent in stage.agents.values()),
    ]
    with ThreadPoolExecutor(max_workers=8) as pool:
        return found + [finding for part in pool.map(lambda look: list(look()), looks) for finding in part]


def _stack(stage: Stage) -> Iterator[Finding]:
    state = stage.stack["StackStatus"]
    good = state.endswith("_COMPLETE") and "ROLLBACK" not in state and not state.startswith("DELETE")
    is_state = f"{stage.stack_name} is {state}"
    yield check_that(good, "stack", is_state, is_state, stage.deploy)
    needed = {"ApiUrl", "ApiId", "UsagePlanId"}
    missing = sorted(needed - stage.outputs.keys())
    wrong = f"it has no output {', '.join(missing)}"
    yield check_that(not missing, "stack", "it has its outputs", wrong, stage.deploy)
    yield check_that(bool(stage.agents), "stack", "agents are deployed", "no agent is deployed", stage.deploy)
    answer = client("cloudformation").describe_stacks(StackName=stage.stack_name)
    there = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    skew = abs((datetime.now(UTC) - there).total_seconds())
    wrong = f"this machine's clock is {skew:.0f} s off AWS'"
    yield check_that(skew <= MAX_SKEW_SECONDS, "clock", "like AWS' own", wrong, "sudo timedatectl set-ntp true")


def _undelivered(stage: Stage) -> Iterator[Finding]:
    there = Depth.of(stage.resources["UndeliveredQueue"]).all
    wrong = f"{there} messages could not be delivered to an agent's queue"
    yield check_that(not there, "undelivered", "empty", wrong, UNDELIVERED_PAGE)


def _throttles(stage: Stage) -> Iterator[Finding]:
    functions = {
        name: physical.rsplit(":", 1)[-1] for name, physical in stage.resources.items() if name.endswith("Function")
    }
    metrics = {
        name: Metric("Throttles", (("FunctionName", physical),), "AWS/Lambda") for name, physical in functions.items()
    }
    sums = totals(metrics.values(), timedelta(hours=1))
    for name, metric in metrics.items():
        number = int(sums[metric] or 0)
        wrong = f"throttled {number} times in the last hour"
        yield check_that(not number, name, "not throttled", wrong, _quota(stage))


def _quota(stage: Stage) -> str:
    """The command that asks AWS for more concurrent executions: it names the quota, and the number to edit."""
    words = ("service-quotas", "request-service-quota-increase", "--service-code", "lambda")
    return stage.aws(*words, "--quota-code", "L-B99A9384", "--desired-value", "1000")


def _alarms(stage: Stage) -> Iterator[Finding]:
    """Checks that alarms have a confirmed address."""
    topics = [
        physical
        for name, physical in stage.resources.items()
        if physical.startswith("arn:") and ":sns:" in physical and name.endswith("Topic") and name != "EventTopic"
    ]
    for topic in topics:
        listed = client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        waiting = [one for one in listed if one["SubscriptionArn"] in PENDING]
        if not listed:
            yield Finding(
                "alarms",
                "they have no address: set AlarmEmail in samconfig.toml",
                "note",
                "" if stage.is_emulated else stage.deploy,
            )
        else:
            wrong, mail = "their address is not confirmed", "follow the link in the mail from AWS Notifications"
            yield check_that(not waiting, "alarms", "their address is confirmed", wrong, mail)
