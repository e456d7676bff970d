"""`relay parked`: what agents have given up for now, and moving it back or dropping it."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from ops import redrive
from ops.command import command, group
from ops.dead_letters import AGAIN, DeadLetter, dead_letters, forecast, forecasts
from ops.errors import CommandError
from ops.prompts import confirmed
from ops.queues import Depth, put_back
from ops.show import Row, Show, ago
from ops.stage import AgentStack, Stage

commands = group("Parked deliveries: what they are, and what to do with them.")

AgentName = Annotated[str, typer.Argument(metavar="AGENT", help="The agent that has parked them.")]
OneEvent = Annotated[str | None, typer.Option("--event", help="Only the event of this id.")]
Reason = Annotated[str | None, typer.Option(help="Only what was parked for a reason that contains this.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

COLUMNS = {name: name for name in ("agent", "event", "type", "app", "reason", "status", "attempts")}
COLUMNS |= {"firstSeen": "first seen", "bytes": "bytes"}


@command(commands, "list")
def list_(
    stage: Stage,
    show: Show,
    agent: Annotated[str | None, typer.Argument(metavar="[AGENT]", help="Only this agent's.")] = None,
    *,
    reason: Reason = None,
    each: Annotated[bool, typer.Option("--each", help="Each message, not their numbers.")] = False,
) -> None:
    """Lists what is parked, by agent and reason, with its age."""
    parts = stage.chosen(agent)
    found = [one for part in parts for one in _chosen(part, None, reason, keep=False)]
    there = sum(Depth.of(part.part("DeadLetterQueue")).all for part in parts)
    if reason is None and there > len(found):
        show.say(f"{len(found)} of some {there} were looked at.")
    if show.as_json or each:
        show.rows([one.display() for one in found], COLUMNS, "Parked")
        return
    groups: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for one in found:
        groups[one.agent.name, one.reason].append(one.first_seen)
    now = datetime.now(UTC)
    rows = [
        {"agent": name, "reason": why, "messages": len(seen)}
        | {"oldest": ago((now - min(seen)).total_seconds()), "newest": ago((now - max(seen)).total_seconds())}
        for (name, why), seen in sorted(groups.items())
    ]
    show.rows(rows, {name: name for name in ("agent", "reason", "messages", "oldest", "newest")}, "Parked")
    if not rows:
        show.say("Nothing is parked.")


@command(commands, "show")
def show_(
    stage: Stage, show: Show, event: Annotated[str, typer.Argument(metavar="EVENT", help="The event's id.")]
) -> None:
    """Shows an event's parked messages, without the person's data, and what a redrive would make of them."""
    rows: list[Row] = [
        {**one.display(), "redriven": forecast(stage, one)}
        for part in stage.chosen(None)
        for one in _chosen(part, event, None, keep=False)
    ]
    if not rows:
        raise CommandError(f"No agent has {event} parked: relay events show {event} --app APP says what became of it.")
    show.rows(rows, {**COLUMNS, "redriven": "if redriven"}, f"Parked of {event}")


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
    """Moves parked messages back into the agent's queue, after saying what would become of them."""
    part = stage.agent(agent)
    found, whole = _chosen(part, event, reason, keep=True), event is None and reason is None
    handles = [one.message["ReceiptHandle"] for one in found]
    try:
        if not found:
            raise CommandError(f"Nothing of that kind is parked at {agent}: relay parked list {agent} shows what is.")
        expected = forecasts(stage, found)
        show.say(_foreseen(expected, len(found), Depth.of(part.part("DeadLetterQueue")).all if whole else len(found)))
        confirmed(f"Move {len(found)} back to {agent}?", yes=yes)
    finally:
        put_back(part.part("DeadLetterQueue"), handles)
    moved = redrive.all_of(part, show) if whole else redrive.some(part, event, reason, show)
    show.done(
        {"agent": agent, "moved": moved, "foreseen": dict(expected)},
        f"{moved} moved back to {agent}; relay tail --agent {agent} shows what becomes of them.",
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
    """Gives parked messages up for good; their receipts stay parked."""
    part = stage.agent(agent)
    found = _chosen(part, event, reason, keep=False)
    if not found:
        raise CommandError(f"Nothing of that kind is parked at {agent}: relay parked list {agent} shows what is.")
    confirmed(f"Drop {len(found)} parked at {agent} for good? The agent will never be told.", yes=yes)
    dropped = redrive.without(part, event, reason, show)
    show.done({"agent": agent, "dropped": dropped}, f"{dropped} dropped at {agent}; their receipts stay parked.")


def _chosen(part: AgentStack, event: str | None, reason: str | None, *, keep: bool) -> list[DeadLetter]:
    """The parked messages that are meant; `keep` leaves those hidden that are, for the caller to put back."""
    found = dead_letters(part)
    chosen = [one for one in found if one.matches(event, reason)]
    back = [one for one in found if not (keep and one in chosen)]
    put_back(part.part("DeadLetterQueue"), [one.message["ReceiptHandle"] for one in back])
    return chosen


def _foreseen(expected: Counter[str], looked_at: int, there: int) -> str:
    others = ", ".join(f"{number} {what}" for what, number in expected.most_common() if what != AGAIN)
    seen = f" (of some {there}; the others were not looked at)" if there > looked_at else ""
    return f"{looked_at} parked{seen}: {expected[AGAIN]} would be told again{f', {others}' if others else ''}."
