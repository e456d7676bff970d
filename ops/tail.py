"""`relay tail`: follows the functions' log groups, one line for each thing that happens to an event."""

import time
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from ops.layout import COLOURS
from ops.logs import Line, Tail
from ops.show import Show
from ops.stage import Stage

LOOK_SECONDS = 2.0
"""CloudWatch allows about ten FilterLogEvents calls a second; each look makes one for each log group."""


def tail(
    stage: Stage,
    show: Show,
    *,
    agent: Annotated[str | None, typer.Option(help="Only this agent's lines.")] = None,
    app: Annotated[str | None, typer.Option(help="Only this app's events.")] = None,
    event: Annotated[str | None, typer.Option(help="Only the event of this id.")] = None,
    since: Annotated[float, typer.Option(min=0, help="Seconds to look back to begin with.")] = 0,
    seconds: Annotated[float | None, typer.Option("--for", min=0, help="End after so many seconds.")] = None,
) -> None:
    """Follows events from acceptance to each agent, line by line; Ctrl-C ends it."""
    groups = [part.resource("LogGroup") for part in stage.chosen(agent)]
    if agent is None:
        groups.insert(0, stage.resources["IngestLogGroup"])
    wanted = {"app": app, "event_id": event}
    began, ends = time.time(), time.monotonic() + (seconds if seconds is not None else float("inf"))
    following = Tail(groups, began - since, _pattern(wanted))
    try:
        while True:
            for line in following.look(time.time()):
                if all(value is None or line.get(name) == value for name, value in wanted.items()):
                    _print(line, show)
            if time.monotonic() >= ends:
                return
            time.sleep(min(LOOK_SECONDS, max(0.0, ends - time.monotonic())))
    except KeyboardInterrupt:
        return


def _pattern(wanted: dict[str, str | None]) -> str:
    """Builds CloudWatch's filter pattern: lines about events, or about those that the options name."""
    terms = [f'$.{name} = "{value}"' for name, value in wanted.items() if value]
    return "{ " + " && ".join(terms or ["$.event_id = *"]) + " }"


def _print(line: Line, show: Show) -> None:
    if "event_id" not in line:
        return
    if show.as_json:
        show.line({name: value for name, value in line.items() if name not in {"_aws", "id"}})
        return
    at = datetime.fromtimestamp(line["at"] / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
    state, more = str(line["message"]), _more(line)
    where = str(line.get("agent", "ingest"))
    show.console.print(
        Text.assemble(
            (at, "dim"),
            f" {line['event_id']} {line.get('type', '')} {line.get('app', '')} ",
            (where, "bold"),
            " ",
            (state, COLOURS.get(state, "")),
            f" {more}" if more else "",
        )
    )


def _more(line: Line) -> str:
    parts = [str(line["reason"])] if line.get("reason") else []
    parts += [f"attempt {line['attempt']}"] if line.get("attempt") else []
    parts += [f"next attempt in {line['wait']} s"] if line.get("wait") is not None else []
    parts += [f"{line['ms']} ms"] if "ms" in line else []
    parts += [f"normalised or left out: {', '.join(line['warned'])}"] if line.get("warned") else []
    return ", ".join(parts)
