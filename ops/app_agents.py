"""`relay apps use`: by whose settings each agent serves an app."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from ops import agent_modules
from ops.errors import CommandError
from ops.fields import field_errors
from ops.findings import Finding, check_that
from ops.show import Show
from ops.stage import Stage
from relay.api.keys import App
from relay.aws.app_agents import SettingsMode

UsedAgent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name, as in the list of agents.")]
UsingApp = Annotated[str, typer.Argument(metavar="APP", help="The app's id.")]
Mode = Annotated[
    SettingsMode,
    typer.Argument(help="shared: the settings of all apps; own: the app's own; none: the agent gets no event of it."),
]


def use(stage: Stage, show: Show, app: UsingApp, agent: UsedAgent, mode: Mode) -> None:
    """Chooses by whose settings an agent serves an app: those of all apps, the app's own, or not at all."""
    if mode == "own" and stage.read("agents", agent, app) is None:
        set_own = stage.relay("agents", "set", agent, "--app", app)
        raise CommandError(f"{app} has no settings of its own for {agent}: store them first.", set_own)
    set_mode(stage, app, agent, mode)
    show.done({"app": app, "agent": agent, "settings": mode}, f"{agent} serves {app} so within five minutes: {mode}.")


def set_mode(stage: Stage, app: str, agent: str, mode: SettingsMode) -> None:
    """Writes the settings' mode of an agent into an app's record.

    Raises:
        UsageError: there is no such agent.
        CommandError: there is no such app.
    """
    agent_modules.deployed(stage, agent)
    record = app_record(stage, app)
    changed = {**record, "agents": {**record.get("agents", {}), agent: mode}}
    App.model_validate_json(json.dumps(changed))
    stage.store(changed, "apps", app)


def app_record(stage: Stage, app: str) -> dict[str, Any]:
    """Reads an app's record.

    Raises:
        CommandError: there is no such app.
    """
    text = stage.read("apps", app)
    if text is None:
        lines = (stage.relay("apps", "list"), stage.relay("apps", "create", app))
        raise CommandError(f"There is no app {app} at {stage.name}.", *lines)
    record: dict[str, Any] = json.loads(text)
    return record


def mode_of(stage: Stage, app: str, agent: str) -> SettingsMode:
    """Returns by whose settings an agent serves an app."""
    return App.model_validate_json(json.dumps(app_record(stage, app))).agents.get(agent, "shared")


def settings_path(stage: Stage, agent: str, app: str | None) -> tuple[str, ...] | None:
    """Returns the steps to the settings by which an agent serves an app, or all apps; None if it does not serve it."""
    mode = mode_of(stage, app, agent) if app else "shared"
    if mode == "none":
        return None
    return ("agents", agent, str(app)) if mode == "own" else ("agents", agent)


def own_settings_findings(stage: Stage, app: str, record: App) -> Iterator[Finding]:
    """Checks that an app's own settings are stored and validate, and that its record names agents that are deployed."""
    for agent, mode in sorted(record.agents.items()):
        about = f"app {app}"
        if agent not in stage.agents:
            shared = stage.relay("apps", "use", app, agent, "shared")
            yield Finding(about, f"its record names {agent}, which is not deployed", "note", shared)
        elif mode == "own":
            yield _own(stage, app, agent)


def _own(stage: Stage, app: str, agent: str) -> Finding:
    about, store = f"app {app}", stage.relay("agents", "set", agent, "--app", app)
    text = stage.read("agents", agent, app)
    if text is None:
        what = f"its own settings for {agent} are not stored, so its deliveries there are held"
        return Finding(about, what, "wrong", store)
    try:
        errors = field_errors(agent_modules.deployed(stage, agent).settings, json.loads(text))
    except ValueError:
        errors = ["not JSON"]
    wrong = f"its own settings for {agent}: {'; '.join(errors)}"
    return check_that(not errors, about, f"its own settings for {agent} validate", wrong, store)
