"""`relay agents`: which there are, and their settings in SSM, typed field by field or taken from a file."""

import json
import sys
from collections.abc import Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any

import typer

from ops import agent_modules, prompts
from ops.command import command, group
from ops.errors import CommandError, UsageError
from ops.fields import Document, Field, field_errors, fields_of, held, put
from ops.show import Show
from ops.stage import Stage

commands = group("Agents and their settings.")

AgentName = Annotated[str, typer.Argument(metavar="AGENT", help="The agent, as relay agents list names it.")]

NOTHING = "-"
"""What to type to leave a field empty that has a value."""


@command(commands, "list")
def list_(stage: Stage, show: Show) -> None:
    """Lists the agents: deployed or not, and how their settings stand."""
    rows = []
    for name in agent_modules.agent_names():
        deployed, text = name in stage.agents, stage.read("agents", name)
        faults = field_errors(agent_modules.agent(name).settings, _document(text)) if text else []
        state = "missing" if text is None else "invalid" if faults else "valid"
        rows.append(
            {
                "agent": name,
                "deployed": deployed,
                "settings": state,
                "purpose": agent_modules.agent(name).purpose,
                "events": list(stage.agents[name].events) if deployed else [],
                "faults": faults,
            }
        )
    show.rows(rows, {name: name for name in ("agent", "deployed", "settings", "purpose", "events", "faults")}, "Agents")


@command(commands, "set")
def set_(
    stage: Stage,
    show: Show,
    agent: AgentName,
    *,
    file: Annotated[str | None, typer.Option(help="A JSON file of all settings; - is standard input.")] = None,
    values: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="One field; - empties it.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Ask for fields with a usual default as well.")] = False,
) -> None:
    """Stores an agent's settings: asked for field by field, or from --file and --set; what is there is kept."""
    model = agent_modules.agent(agent).settings
    document = read_file(file) if file else _document(stage.read("agents", agent))
    for pair in values or []:
        document = _with(model, document, pair)
    if not (file or values):
        document = _asked(agent, document, show, every=every)
    if faults := field_errors(model, document):
        raise CommandError("The settings do not validate, so nothing was stored. " + "; ".join(faults) + ".")
    name = stage.store(document, "agents", agent)
    known = sorted(field.path for field in fields_of(model) if held(document, field.path) is not None)
    show.done(
        {"agent": agent, "parameter": name, "fields": known},
        f"Stored as {name}: {', '.join(known)}. "
        f"The agent reads it within five minutes; relay agents check {agent} tries it.",
    )


def _document(text: str | None) -> Document:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def read_file(file: str) -> Document:
    """The JSON object in a file, or in standard input where it is `-`."""
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


def _asked(agent: str, document: Document, show: Show, *, every: bool) -> Document:
    """The document with what a person types; asked again until all of it validates."""
    model, told = agent_modules.agent(agent).settings, agent_modules.facts(agent)
    show.say(f"{cleandoc(model.__doc__ or agent)}\n", style="dim")
    show.say(f"Enter keeps what is shown in brackets; {NOTHING} leaves a field empty.\n")
    fields = [one for one in fields_of(model) if every or not one.optional or held(document, one.path) is not None]
    while True:
        for field in fields:
            show.say(_about(field.path, told), style="dim")
            document = _typed(field, document, show)
        faults = field_errors(model, document)
        if not faults:
            return document
        for fault in faults:
            show.say(fault, style="red")
        if not typer.confirm("Go through the fields once more?", default=True, err=True):
            raise CommandError("Nothing was stored.")


def _about(path: str, told: Mapping[str, str]) -> str:
    """What the README says of a field, or of the part that it belongs to."""
    while path and path not in told:
        path = path.rpartition(".")[0]
    return told.get(path, "")


def _typed(field: Field, document: Document, show: Show) -> Document:
    """The document with what is typed for one field."""
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
        return prompts.hidden(f"{field.label} [as it is]" if known is not None else field.label)
    shown = "" if known is None else known if isinstance(known, str) else json.dumps(known)
    text = prompts.typed(field.label, shown)
    return "" if text == shown else text
