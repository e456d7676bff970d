"""`relay status`: how each agent is, and whether everything that was accepted is being settled."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ops import logs
from ops.metrics import Metric, ours, totals
from ops.queues import Depth
from ops.show import Row, Show, ago, picture, table
from ops.stage import AgentStack, Stage, client

HOUR, MINUTES = timedelta(hours=1), timedelta(minutes=5)
RETRIED, DELIVERED, UNCONFIRMED = "Retrying", "Delivered", "Unconfirmed"
COLUMNS = {
    "agent": "agent",
    "queued": "queued",
    "oldest": "oldest",
    "waiting": "in flight",
    "delivered": "delivered 1 h",
    "retried": "retries 1 h",
    "held": "holds 1 h",
    "parked": "parked",
    "circuit": "circuit",
    "why": "why held",
}


def status(
    stage: Stage,
    show: Show,
    *,
    svg: Annotated[Path | None, typer.Option(help="Save what is shown as a picture, too.")] = None,
) -> None:
    """Shows each agent's queue, circuit and last hour, and the level of what is settled."""
    found = of(stage)
    rows, title = [{**row, "oldest": _age(row["oldest"])} for row in found["agents"]], f"Agents of {stage.name}"
    if svg:
        svg.write_text(picture(table(rows, COLUMNS, title), _sentence(found), "relay status"), encoding="utf-8")
    if show.as_json:
        show.document(found)
        return
    show.rows(rows, COLUMNS, title)
    show.say(_sentence(found))


def of(stage: Stage) -> dict[str, Any]:
    """The stage's status as a document; times in seconds."""
    sums = totals(_metrics(stage), HOUR) | totals(map(_oldest, stage.agents.values()), MINUTES)
    with ThreadPoolExecutor(max_workers=8) as pool:
        agents = list(pool.map(partial(_agent, stage, sums), stage.agents.values()))
    accepted, settled = (int(sums[ours(name, stage.name)] or 0) for name in ("Accepted", "Settled"))
    under_way = sum(row["queued"] + row["waiting"] for row in agents)
    level = round(settled / (settled + under_way), 4) if settled + under_way else 1.0
    return {
        "stage": stage.name,
        "lastHour": {"accepted": accepted, "settled": settled},
        "underWay": under_way,
        "level": level,
        "agents": agents,
    }


def _metrics(stage: Stage) -> Iterator[Metric]:
    yield from (ours(name, stage.name) for name in ("Accepted", "Settled"))
    for agent in stage.agents.values():
        yield from (ours(name, stage.name, agent.name) for name in (DELIVERED, UNCONFIRMED, RETRIED, "Held"))


def _oldest(agent: AgentStack) -> Metric:
    name = agent.part("Queue").rsplit("/", 1)[1]
    return Metric("ApproximateAgeOfOldestMessage", (("QueueName", name),), "AWS/SQS", "Maximum")


def _agent(stage: Stage, sums: dict[Metric, float | None], agent: AgentStack) -> Row:
    depth = Depth.of(agent.part("Queue"))
    hour = {
        name: int(sums[ours(name, stage.name, agent.name)] or 0) for name in (DELIVERED, UNCONFIRMED, RETRIED, "Held")
    }
    waits = depth.queued + depth.hidden
    return {
        "agent": agent.name,
        "queued": depth.queued,
        "oldest": sums[_oldest(agent)] if waits else None,
        "waiting": depth.hidden,
        "delivered": hour[DELIVERED] + hour[UNCONFIRMED],
        "retried": hour[RETRIED],
        "held": hour["Held"],
        "parked": Depth.of(agent.part("DeadLetterQueue")).all,
        "circuit": circuit(stage, agent.name),
        # Nothing is held that is not in the queue.
        "why": why_held(stage, agent) if waits else None,
    }


def circuit(stage: Stage, agent: str) -> str:
    """The state of an agent's circuit, as Powertools keeps it in the ledger's table."""
    row = client("dynamodb").get_item(
        TableName=stage.resources["Receipts"], Key={"event": {"S": "circuit"}, "agent": {"S": agent}}
    )
    return str(row.get("Item", {}).get("state", {}).get("S", "closed")).lower()


def why_held(stage: Stage, agent: AgentStack) -> str | None:
    """The reason that the last held delivery had, if it was within the time for which one is held at a time."""
    hold = int(stage.parameters.get("HoldSeconds", "900"))
    pattern = '{ $.message = "held" }'
    found = logs.lines(agent.part("LogGroup"), time.time() - hold - 300, pattern)
    reasons = [str(line.get("reason", "")) for line in found if line["message"] == "held"]
    return reasons[-1] if reasons else None


def _age(seconds: float | None) -> str | None:
    return None if seconds is None else ago(seconds)


def _sentence(found: dict[str, Any]) -> str:
    hour = found["lastHour"]
    return (
        f"Last hour: {hour['accepted']} events accepted, {hour['settled']} deliveries settled; "
        f"{found['underWay']} under way now. Settled: {found['level']:.1%}."
    )
