"""`relay tail`: what happens to events, as it happens, from the functions' log groups."""

import time
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from ops.logs import Line, Tail
from ops.show import COLOURS, Show
from ops.stage import Stage

LOOK_SECONDS = 2.0
"""CloudWatch answers some ten such questions a second; there is one for each log group."""


def tail(
    stage: Stage,
    show: Show,
    *,
    agent: Annotated[str | None, typer.Option(help="Only what this agent does.")] = None,
    app: Annotated[str | None, typer.Option(help="Only this app's events.")] = None,
    event: Annotated[str | None, typer.Option(help="Only the event of this id.")] = None,
    since: Annotated[float, typer.Option(min=0, help="Seconds to look back to begin with.")] = 0,
    seconds: Annotated[float | None, typer.Option("--for", min=0, help="End after so many seconds.")] = None,
) -> None:
    """Follows the life of events, a line each; Ctrl-C ends it."""
    groups = [part.part("LogGroup") for part in stage.chosen(agent)]
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
    """CloudWatch's own filter: lines on events, and only those that are asked for."""
    asked = [f'$.{name} = "{value}"' for name, value in wanted.items() if value]
    return "{ " + " && ".join(asked or ["$.event_id = *"]) + " }"


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
    said = [str(line["reason"])] if line.get("reason") else []
    said += [f"attempt {line['attempt']}"] if line.get("attempt") else []
    said += [f"again in {line['wait']} s"] if line.get("wait") is not None else []
    said += [f"{line['ms']} ms"] if "ms" in line else []
    said += [f"normalised or left out: {', '.join(line['warned'])}"] if line.get("warned") else []
    return ", ".join(said)
