"""`relay agents`: lists the agents and stores their settings in SSM, field by field or from a file."""

import json
import sys
from collections.abc import Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any

import typer

from ops import agent_modules, prompts
from ops.app_agents import app_record, mode_of, set_mode, settings_path
from ops.command import command, group
from ops.errors import CommandError, UsageError
from ops.fields import Document, Field, field_errors, fields_of, held, put
from ops.show import Show
from ops.stage import Stage

commands = group("Agents and their settings.")

ForApp = Annotated[str | None, typer.Option("--app", help="The settings of this app instead of those of all apps.")]
AgentName = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name, as in the list of agents.")]

NOTHING = "-"
"""Typed for a field, it removes the field's value."""


@command(commands, "list")
def list_(stage: Stage, show: Show, *, app: ForApp = None) -> None:
    """Lists the agents: whether each is deployed, and whether its settings (those that serve an app) validate."""
    rows = []
    for name in sorted({*agent_modules.agent_names(), *stage.agents}):
        path = settings_path(stage, name, app)
        deployed, text = name in stage.agents, stage.read(*path) if path else None
        errors = field_errors(agent_modules.deployed(stage, name).settings, _document(text)) if text else []
        state = "missing" if text is None else "invalid" if errors else "valid"
        rows.append(
            {
                "agent": name,
                "deployed": deployed,
                "settings": state if path else "not used",
                "app": mode_of(stage, app, name) if app else None,
                "purpose": agent_modules.deployed(stage, name).purpose or "by its settings",
                "events": list(stage.agents[name].events) if deployed else [],
                "errors": errors,
            }
        )
    columns = ("agent", "deployed", "settings", *(["app"] if app else []), "purpose", "events", "errors")
    show.rows(rows, columns, f"Agents as they serve {app}" if app else "Agents")


@command(commands, "set")
def set_(
    stage: Stage,
    show: Show,
    agent: AgentName,
    *,
    app: ForApp = None,
    file: Annotated[str | None, typer.Option(help="A JSON file of all settings; - is standard input.")] = None,
    values: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="One field; - removes its value.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Ask for fields with a default, too.")] = False,
) -> None:
    """Stores an agent's settings: asks field by field, or takes --file and --set; other fields keep their values."""
    model, path = agent_modules.deployed(stage, agent).settings, ("agents", agent, *([app] if app else []))
    if app:
        app_record(stage, app)
    document = read_file(file) if file else _document(stage.read(*path))
    for pair in values or []:
        document = _with(model, document, pair)
    if not (file or values):
        document = _ask_fields(agent_modules.code_of(stage, agent), document, show, every=every)
    if errors := field_errors(model, document):
        raise CommandError("The settings do not validate, so nothing was stored. " + "; ".join(errors) + ".")
    name = stage.store(document, *path)
    if app:
        # After the settings: an app that has none of its own yet is never held for it.
        set_mode(stage, app, agent, "own")
    known = sorted(field.path for field in fields_of(model) if held(document, field.path) is not None)
    show.done(
        {"agent": agent, "parameter": name, "fields": known},
        f"Stored as {name}: {', '.join(known)}. The agent reads it within five minutes. To try it:",
        stage.relay("agents", "check", agent, *(["--app", app] if app else [])),
    )


def _document(text: str | None) -> Document:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def read_file(file: str) -> Document:
    """Reads the JSON object in a file, or on standard input if the file is `-`."""
    try:
        found = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8"))
    except OSError as fault:
        raise UsageError(f"{file} cannot be read: {fault.strerror}.") from None
    except ValueError:
        raise UsageError(f"{file} is not JSON: it must hold one object with the agent's fields.") from None
    if not isinstance(found, dict):
        raise UsageError(f"{file} must hold one JSON object with the agent's fields.")
    return found


def _with(model: Any, document: Document, pair: str) -> Document:  # noqa: ANN401 - the agent's own model
    name, equals, text = pair.partition("=")
    known = {field.path: field for field in fields_of(model)}
    if not equals or name not in known:
        raise UsageError(f"{name} is not a field; --set NAME=VALUE takes {', '.join(known)}.")
    return put(document, name, None if text == NOTHING else known[name].value(text))


def _ask_fields(agent: str, document: Document, show: Show, *, every: bool) -> Document:
    """Returns the document with what the operator types; asks again until all of it validates."""
    model, facts = agent_modules.agent(agent).settings, agent_modules.facts(agent)
    show.say(f"{cleandoc(model.__doc__ or agent)}\n", style="dim")
    show.say(f"Enter keeps the value in brackets; {NOTHING} removes it.\n")
    fields = [one for one in fields_of(model) if every or not one.optional or held(document, one.path) is not None]
    while True:
        for field in fields:
            show.say(_about(field.path, facts), style="dim")
            document = _ask_field(field, document, show)
        errors = field_errors(model, document)
        if not errors:
            return document
        for error in errors:
            show.say(error, style="red")
        if not typer.confirm("Go through the fields once more?", default=True, err=True):
            raise CommandError("Nothing was stored.")


def _about(path: str, facts: Mapping[str, str]) -> str:
    """Returns what the README says about a field, or about the part that it belongs to."""
    while path and path not in facts:
        path = path.rpartition(".")[0]
    return facts.get(path, "")


def _ask_field(field: Field, document: Document, show: Show) -> Document:
    """Returns the document with what is typed for one field."""
    known = held(document, field.path)
    while True:
        text = _answer(field, known)
        if not text:
            return document
        if text == NOTHING:
            return put(document, field.path, None)
        try:
            return put(document, field.path, field.value(text))
        except CommandError as wrong:
            show.say(str(wrong), style="red")


def _answer(field: Field, known: object) -> str:
    if field.secret:
        return prompts.ask_secret(f"{field.label} [unchanged]" if known is not None else field.label)
    shown = "" if known is None else known if isinstance(known, str) else json.dumps(known)
    text = prompts.ask(field.label, shown)
    return "" if text == shown else text
