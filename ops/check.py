"""`relay agents check`: tries an agent's settings at the agent itself, and says what that proves."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ops import agent_modules
from ops.app_agents import mode_of, settings_path
from ops.errors import FAILED
from ops.layout import Row
from ops.probes import TRIALS, Probe
from ops.show import Show
from ops.stage import Stage
from relay.agent.auth import Attempt, Send
from relay.agent.definition import Agent
from relay.agent.http import Response
from relay.agent.verdict import VerdictKind
from relay.delivery.transport import send, send_unrestricted
from relay.errors import CredentialsRefused, SettingsUnavailable, Unreachable

PROBE = {"x-session-relay-probe": "agents-check"}
"""The header that marks a probe, so that a receiver's own checks, as the sandbox's, need not count it."""

COLUMNS = ("agent", "check", "result", "answer", "meaning")


def check(
    stage: Stage,
    show: Show,
    agents: Annotated[
        list[str] | None, typer.Argument(metavar="[AGENT]...", help="Which; all deployed if none.")
    ] = None,
    *,
    app: Annotated[str | None, typer.Option("--app", help="The settings by which the agents serve this app.")] = None,
    test_event_code: Annotated[
        str | None, typer.Option(help="Facebook: send a real test event under this code of Events Manager.")
    ] = None,
) -> None:
    """Tries agents' settings at the agents, without a trace there, and says what that proves and what it cannot."""
    sender = send_unrestricted if stage.insecure else send
    rows = [row for name in agents or stage.agents for row in checked(stage, name, sender, test_event_code, app)]
    show.rows(rows, COLUMNS, "Agents as they respond now")
    failed = list(dict.fromkeys(str(row["agent"]) for row in rows if row["result"] == "failed"))
    if failed and not show.as_json:
        own = {name: ["--app", app] if app and mode_of(stage, app, name) == "own" else [] for name in failed}
        show.say("To change settings:", *(stage.relay("agents", "set", name, *own[name]) for name in failed))
    if failed:
        raise typer.Exit(FAILED)


def checked(stage: Stage, name: str, sender: Send, code: str | None = None, app: str | None = None) -> Iterator[Row]:
    """Yields what each probe of an agent showed, by the settings of all apps or of one, and what no probe can show."""
    agent, path = agent_modules.deployed(stage, name), settings_path(stage, name, app)
    if path is None:
        yield _row(name, "settings", "note", "", f"{app} does not use this agent")
        return
    text = stage.read(*path)
    if text is None:
        yield _row(name, "settings", "failed", "missing", "nothing is stored")
        return
    try:
        current = agent.settings.model_validate_json(text)
    except ValueError:
        yield _row(name, "settings", "failed", "invalid", "the stored settings do not validate")
        return
    yield _row(name, "settings", "passed", "valid", "every field has the required form")
    trial = TRIALS.get(agent_modules.code_of(stage, name))
    if trial is None:
        yield _row(name, "the agent", "not tried", "", "no probe is known that leaves no trace: send a test event")
        return
    for probe in trial.probes(current, code or getattr(current, "test_event_code", None)):
        yield _row(name, probe.what, *_tried(agent, probe, current, sender))
    yield _row(name, "not provable", "note", "", trial.unproven)


def _row(agent: str, checked: str, result: str, answer: str, meaning: str) -> Row:
    return dict(zip(COLUMNS, (agent, checked, result, answer, meaning), strict=True))


def _tried(agent: Agent[Any], probe: Probe, current: Any, sender: Send) -> tuple[str, str, str]:  # noqa: ANN401
    """Sends a probe; returns the result, the answer and its meaning."""
    request, now = probe.request, datetime.now(UTC)
    try:
        if agent.authorize:
            request = agent.authorize(request, current, Attempt(now, sender, force_refresh=True))
        answer = sender(request._replace(headers={**request.headers, **PROBE}))
    except Unreachable as error:
        return "failed", f"none: {error}", "the agent does not respond: see its status page, and base_url or url"
    except SettingsUnavailable as error:
        return "failed", "nothing sent", str(error)
    except CredentialsRefused as error:
        return "failed", str(error), "the agent refuses the credentials"
    return _read(agent, probe, answer)


def _read(agent: Agent[Any], probe: Probe, answer: Response) -> tuple[str, str, str]:
    verdict = agent.classify(answer)
    if probe.expected(answer):
        # What is only validated is not taken, which its verdict would say.
        said = "" if verdict.kind is VerdictKind.RETRY else verdict.reason
        return "passed", said or f"HTTP {answer.status}", probe.proves
    match verdict.kind:
        case VerdictKind.UNAUTHORIZED:
            return "failed", verdict.reason, "the agent refuses the credentials"
        case VerdictKind.RETRY:
            return "failed", verdict.reason, "the agent is failing now: try again later"
        case _:
            return "failed", verdict.reason, "not the answer to a right request: look at base_url or url"
