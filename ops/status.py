"""`relay status`: what is wrong, how each agent is, and how much of what was accepted is settled."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from math import floor
from pathlib import Path
from typing import Annotated, Any

import typer

from ops import logs, releases
from ops.app_agents import mode_of
from ops.errors import FAILED
from ops.findings import Finding
from ops.layout import Row, picture
from ops.metrics import Metric, ours, totals
from ops.queues import Depth
from ops.show import Show, ago
from ops.stage import AgentStack, Stage, client

HOUR, MINUTES = timedelta(hours=1), timedelta(minutes=5)
RETRIED, DELIVERED, UNCONFIRMED = "Retrying", "Delivered", "Unconfirmed"
COLUMNS = (
    "agent",
    "queued",
    "oldest",
    "inFlight",
    "delivered",
    "retries",
    "holds",
    "parked",
    "circuit",
    "whyHeld",
)


def status(
    stage: Stage,
    show: Show,
    *,
    svg: Annotated[Path | None, typer.Option(help="Save what a terminal would show as a picture, too.")] = None,
    columns: Annotated[int, typer.Option(min=40, help="The picture's columns.")] = 104,
) -> None:
    """Shows what is wrong, then each agent's queue, circuit and last hour; ends with 1 if anything is wrong."""
    document = status_of(stage)
    if svg:
        svg.write_text(
            picture(
                lambda console: _print(Show(console=console, stderr=console), stage, document), "relay status", columns
            ),
            encoding="utf-8",
        )
    if show.as_json:
        show.document({**document, "releases": [one.document() for one in releases.of(stage)]})
    else:
        _print(show, stage, document)
    if document["wrong"]:
        raise typer.Exit(FAILED)


def _print(show: Show, stage: Stage, document: dict[str, Any]) -> None:
    """Prints the findings first, so that nothing green stands above what is wrong."""
    if document["findings"] and show.console.is_terminal:
        show.findings(document["findings"], f"Wrong at {stage.name}")
        show.console.print()
    rows = [{**row, "oldest": _age(row["oldest"])} for row in document["agents"]]
    show.rows(rows, COLUMNS, f"Agents of {stage.name}: the queue now, the last hour, what is parked")
    if document["findings"] and not show.console.is_terminal:
        for one in document["findings"]:
            show.say(f"wrong: {one['about']}: {one['finding']}", one["fix"])
    show.say(_sentence(document))
    show.say(releases.sentence(releases.of(stage)))


def status_of(stage: Stage) -> dict[str, Any]:
    """Collects the stage's status as a document; lengths of time are in seconds."""
    sums = totals(_metrics(stage), HOUR) | totals(map(_oldest, stage.agents.values()), MINUTES)
    with ThreadPoolExecutor(max_workers=8) as pool:
        agents = list(pool.map(partial(_agent, stage, sums), stage.agents.values()))
    accepted, settled = (int(sums[ours(name, stage.name)] or 0) for name in ("Accepted", "Settled"))
    in_flight = sum(row["queued"] + row["inFlight"] for row in agents)
    parked = sum(row["parked"] for row in agents)
    findings = [one.row() for one in _findings(stage, agents)]
    return {
        "stage": stage.name,
        "wrong": len(findings),
        "findings": findings,
        "lastHour": {"accepted": accepted, "settled": settled},
        "unsettled": in_flight,
        "parked": parked,
        "settledShare": share(settled, in_flight + parked),
        "agents": agents,
    }


def share(settled: int, open_: int) -> float:
    """Returns the share of settled deliveries, rounded down: 1 only if nothing is open."""
    return floor(settled / (settled + open_) * 10_000) / 10_000 if settled + open_ else 1.0


def _findings(stage: Stage, agents: list[Row]) -> Iterator[Finding]:
    """Yields what an operator has to act on."""
    undelivered = Depth.of(stage.resources["UndeliveredQueue"]).all
    if undelivered:
        what = f"{undelivered} messages could not be delivered to an agent's queue"
        yield Finding("undelivered", what, "wrong", stage.relay("doctor"))
    for row in agents:
        yield from agent_findings(stage, row)


def agent_findings(stage: Stage, row: Row) -> Iterator[Finding]:
    """Yields what is wrong with an agent by its row of the status."""
    agent = str(row["agent"])
    if row["parked"]:
        yield Finding(agent, f"{row['parked']} parked", "wrong", stage.relay("parked", "list", agent))
    if row["circuit"] != "closed":
        what = f"circuit {row['circuit']}: the agent is failing"
        yield Finding(agent, what, "wrong", stage.relay("tail", "--agent", agent))
    elif row["whyHeld"]:
        app = row.get("heldApp")
        what = f"deliveries{f' of {app}' if app else ''} are held: {row['whyHeld']}"
        own = ["--app", str(app)] if app else []
        yield Finding(agent, what, "wrong", stage.relay("agents", "check", agent, *own))


def _metrics(stage: Stage) -> Iterator[Metric]:
    yield from (ours(name, stage.name) for name in ("Accepted", "Settled"))
    for agent in stage.agents.values():
        yield from (ours(name, stage.name, agent.name) for name in (DELIVERED, UNCONFIRMED, RETRIED, "Held"))


def _oldest(agent: AgentStack) -> Metric:
    name = agent.resource("Queue").rsplit("/", 1)[1]
    return Metric("ApproximateAgeOfOldestMessage", (("QueueName", name),), "AWS/SQS", "Maximum")


def _agent(stage: Stage, sums: dict[Metric, float | None], agent: AgentStack) -> Row:
    depth = Depth.of(agent.resource("Queue"))
    hour = {
        name: int(sums[ours(name, stage.name, agent.name)] or 0) for name in (DELIVERED, UNCONFIRMED, RETRIED, "Held")
    }
    waiting = depth.queued + depth.hidden
    # What is held is in the queue: with an empty queue the log need not be read.
    reason, app = last_held(stage, agent) if waiting else (None, None)
    return {
        "agent": agent.name,
        "queued": depth.queued,
        "oldest": sums[_oldest(agent)] if waiting else None,
        "inFlight": depth.hidden,
        "delivered": hour[DELIVERED] + hour[UNCONFIRMED],
        "retries": hour[RETRIED],
        "holds": hour["Held"],
        "parked": Depth.of(agent.resource("DeadLetterQueue")).all,
        "circuit": circuit(stage, agent.name),
        "whyHeld": reason,
        "heldApp": app,
    }


def circuit(stage: Stage, agent: str) -> str:
    """Reads the state of an agent's circuit, as Powertools keeps it in the ledger's table; or of an app's own circuit.

    The circuit of an app's own settings is named `<agent>#<app>`: if it alone is not closed, the state names the app.
    """
    rows = client("dynamodb").query(
        TableName=stage.resources["Receipts"],
        KeyConditionExpression="#event = :circuit AND begins_with(#agent, :agent)",
        ExpressionAttributeNames={"#event": "event", "#agent": "agent"},
        ExpressionAttributeValues={":circuit": {"S": "circuit"}, ":agent": {"S": agent}},
    )["Items"]
    return circuit_state(agent, {row["agent"]["S"]: row["state"]["S"] for row in rows if "state" in row})


def circuit_state(agent: str, states: Mapping[str, str]) -> str:
    """Returns the state of an agent's circuit by the states of circuits by name."""
    shared = states.get(agent, "CLOSED").lower()
    own = {name.partition("#")[2]: state.lower() for name, state in states.items() if name.startswith(f"{agent}#")}
    failing = sorted((state, app) for app, state in own.items() if state != "closed")
    return f"{failing[0][0]}: {failing[0][1]}" if shared == "closed" and failing else shared


def last_held(stage: Stage, agent: AgentStack) -> tuple[str | None, str | None]:
    """Returns the reason of the last held delivery, if it may still be held, and its app if that has own settings."""
    hold = int(stage.parameters.get("HoldSeconds", "900"))
    pattern = '{ $.message = "held" }'
    lines = logs.lines(agent.resource("LogGroup"), time.time() - hold - 300, pattern)
    held = [line for line in lines if line["message"] == "held"]
    if not held:
        return None, None
    app = str(held[-1].get("app", ""))
    has_own = stage.read("apps", app) is not None and mode_of(stage, app, agent.name) == "own"
    return str(held[-1].get("reason", "")), app if has_own else None


def _age(seconds: float | None) -> str | None:
    return None if seconds is None else ago(seconds)


def _sentence(document: dict[str, Any]) -> str:
    hour = document["lastHour"]
    return (
        f"Last hour: {hour['accepted']} events accepted, {hour['settled']} deliveries settled. "
        f"Now: {document['unsettled']} not settled, {document['parked']} parked. "
        f"Settled: {document['settledShare']:.1%}, {document['wrong'] or 'nothing'} wrong."
    )
