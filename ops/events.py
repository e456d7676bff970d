"""`relay events`: the receipts of an event as a timeline."""

import json
import os
from importlib import import_module
from typing import Annotated, Any

import typer

from ops.command import command, group
from ops.errors import CommandError
from ops.show import Show
from ops.stage import Stage

commands = group("Receipts of events.")

COLUMNS = ("at", "agent", "state", "reason", "attempts", "nextAttempt", "withheld", "remarks")


@command(commands, "show")
def show_(
    stage: Stage,
    show: Show,
    event: Annotated[str, typer.Argument(metavar="ID", help="The event's id.")],
    *,
    app: Annotated[str, typer.Option("--app", envvar="RELAY_APP", help="The app that sent it.")],
) -> None:
    """Shows an event's receipts in the order in which they were written."""
    found = receipts(stage, app, event)
    if show.as_json:
        show.document(found)
        return
    show.rows(timeline(found), COLUMNS, f"{found['type']} {event} of {app}")
    say_warnings(show, found)


def receipts(stage: Stage, app: str, event: str) -> dict[str, Any]:
    """Returns what `GET /v1/events/{eventId}` answers to the app, by the function's code on the deployment's table.

    Raises:
        CommandError: the app has no event of that id.
    """
    os.environ.update(
        STAGE=stage.name,
        TABLE=stage.resources["Receipts"],
        CATALOGUE_PATH=stage.path("catalogue"),
        POWERTOOLS_LOG_LEVEL="CRITICAL",
    )
    answer = import_module("functions.receipts.app").handler(
        {
            "requestContext": {"authorizer": {"kind": "secret", "appId": app}},
            "pathParameters": {"eventId": event},
            "headers": {},
        },
        None,
    )
    document: dict[str, Any] = json.loads(answer["body"])
    if answer["statusCode"] != 200:  # noqa: PLR2004
        raise CommandError(f"{document.get('detail', 'The receipts cannot be read.')} Check --app and --stage, too.")
    return document


def say_warnings(show: Show, found: dict[str, Any]) -> None:
    """Names, beside the answer, which details of an event were normalised or left out."""
    for warning in found.get("warnings", []):
        show.say(f"{warning['pointer']} {warning['detail']}", style="yellow")


def timeline(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns an event's acceptance and receipts, oldest first; agents without a receipt come last."""
    rows = [{"agent": agent, **receipt} for agent, receipt in found["agents"].items()]
    accepted = {"at": found.get("acceptedAt"), "agent": "", "state": "accepted"}
    return [accepted, *sorted(rows, key=lambda row: (row.get("at") is None, row.get("at", ""), row["agent"]))]
