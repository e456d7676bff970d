"""`relay parked`: lists parked deliveries, moves them back to the queue, or drops them."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from ops import redrive
from ops.command import command, group
from ops.dead_letters import AGAIN, DeadLetter, dead_letters, forecast, forecasts
from ops.errors import CommandError
from ops.layout import Row
from ops.prompts import confirm
from ops.queues import Depth, put_back
from ops.show import Show, ago
from ops.stage import AgentStack, Stage

commands = group("Parked deliveries: list, redrive, drop.")

AgentName = Annotated[str, typer.Argument(metavar="AGENT", help="The agent at which they are parked.")]
OneEvent = Annotated[str | None, typer.Option("--event", help="Only the event of this id.")]
Reason = Annotated[str | None, typer.Option(help="Only those whose reason contains this text.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

COLUMNS = ("agent", "event", "type", "app", "reason", "status", "attempts", "firstSeen", "bytes")


@command(commands, "list")
def list_(
    stage: Stage,
    show: Show,
    agent: Annotated[str | None, typer.Argument(metavar="[AGENT]", help="Only this agent's.")] = None,
    *,
    reason: Reason = None,
    each: Annotated[bool, typer.Option("--each", help="Each message, not the numbers of messages.")] = False,
) -> None:
    """Lists what is parked, by agent and reason; ages are in seconds under `--json`."""
    parts = stage.chosen(agent)
    found = [one for part in parts for one in _chosen(part, None, reason, keep=False)]
    there = sum(Depth.of(part.resource("DeadLetterQueue")).all for part in parts)
    if reason is None and there > len(found) and not show.as_json:
        show.say(f"{len(found)} of about {there} messages were read.")
    if each:
        show.rows([one.display() for one in found], COLUMNS, "Parked")
        return
    rows = _grouped(found)
    if not show.as_json:
        rows = [{**row, "oldest": ago(row["oldest"]), "newest": ago(row["newest"])} for row in rows]
    show.rows(rows, ("agent", "reason", "messages", "oldest", "newest"), "Parked")
    if not rows and not show.as_json:
        show.say("Nothing is parked.")


def _grouped(messages: list[DeadLetter]) -> list[Row]:
    """Counts messages by agent and reason, with the ages of the oldest and the newest in seconds."""
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    now = datetime.now(UTC)
    for one in messages:
        groups[one.agent.name, one.reason].append(round((now - one.first_seen).total_seconds()))
    return [
        {"agent": agent, "reason": reason, "messages": len(ages), "oldest": max(ages), "newest": min(ages)}
        for (agent, reason), ages in sorted(groups.items())
    ]


@command(commands, "show")
def show_(
    stage: Stage, show: Show, event: Annotated[str, typer.Argument(metavar="EVENT", help="The event's id.")]
) -> None:
    """Shows an event's parked messages, without the person's data, and what a redrive would do with each."""
    rows: list[Row] = [
        {**one.display(), "forecast": forecast(stage, one)}
        for part in stage.chosen(None)
        for one in _chosen(part, event, None, keep=False)
    ]
    if not rows:
        raise CommandError(
            f"{event} is parked at no agent. Its receipts, with the app's id for APP:",
            f"{stage.relay('events', 'show', event)} --app APP",
        )
    show.rows(rows, (*COLUMNS, "forecast"), f"Parked of {event}; forecast: what a redrive would do now")


@command(commands, "redrive")
def redrive_(
    stage: Stage,
    show: Show,
    agent: AgentName,
    *,
    event: OneEvent = None,
    reason: Reason = None,
    yes: Yes = False,
) -> None:
    """Moves parked messages back to the agent's queue; first says what the agent will do with them."""
    part = stage.agent(agent)
    found, whole = _chosen(part, event, reason, keep=True), event is None and reason is None
    handles = [one.message["ReceiptHandle"] for one in found]
    try:
        if not found:
            raise _nothing_there(stage, agent)
        expected = forecasts(stage, found)
        show.say(
            _forecast_sentence(
                expected, len(found), Depth.of(part.resource("DeadLetterQueue")).all if whole else len(found)
            )
        )
        confirm(f"Move {len(found)} back to {agent}?", yes=yes)
    finally:
        put_back(part.resource("DeadLetterQueue"), handles)
    moved = redrive.all_of(part, show) if whole else redrive.some(part, event, reason, show)
    show.done(
        {"agent": agent, "moved": moved, "forecast": dict(expected)},
        f"{moved} moved back to {agent}. To follow them:",
        stage.relay("tail", "--agent", agent),
    )


@command(commands, "drop")
def drop(
    stage: Stage,
    show: Show,
    agent: AgentName,
    *,
    event: OneEvent = None,
    reason: Reason = None,
    yes: Yes = False,
) -> None:
    """Deletes parked messages for good; their receipts stay parked."""
    part = stage.agent(agent)
    found = _chosen(part, event, reason, keep=False)
    if not found:
        raise _nothing_there(stage, agent)
    confirm(f"Drop {len(found)} parked at {agent} for good? The agent will never receive them.", yes=yes)
    dropped = redrive.without(part, event, reason, show)
    show.done({"agent": agent, "dropped": dropped}, f"{dropped} dropped at {agent}; their receipts stay parked.")


def _nothing_there(stage: Stage, agent: str) -> CommandError:
    return CommandError(f"No such message is parked at {agent}.", stage.relay("parked", "list", agent))


def _chosen(part: AgentStack, event: str | None, reason: str | None, *, keep: bool) -> list[DeadLetter]:
    """Returns the selected messages; with `keep` they stay hidden until the caller puts them back."""
    found = dead_letters(part)
    chosen = [one for one in found if one.matches(event, reason)]
    back = [one for one in found if not (keep and one in chosen)]
    put_back(part.resource("DeadLetterQueue"), [one.message["ReceiptHandle"] for one in back])
    return chosen


def _forecast_sentence(expected: Counter[str], looked_at: int, there: int) -> str:
    others = ", ".join(f"{number} {what}" for what, number in expected.most_common() if what != AGAIN)
    seen = f" (of about {there}; the others were not read)" if there > looked_at else ""
    return f"{looked_at} parked{seen}: {expected[AGAIN]} will be sent again{f', {others}' if others else ''}."
