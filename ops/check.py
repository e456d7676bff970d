"""`relay agents check`: tries an agent's settings at the agent itself, and says what that proves."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ops import agent_modules
from ops.errors import WRONG
from ops.probes import TRIALS, Probe
from ops.show import Row, Show
from ops.stage import Stage
from relay.agent.auth import Attempt, Send
from relay.agent.definition import Agent
from relay.agent.http import Response
from relay.delivery.transport import send, send_unrestricted
from relay.errors import CredentialsRefused, SettingsUnavailable, Unreachable


def check(
    stage: Stage,
    show: Show,
    agents: Annotated[
        list[str] | None, typer.Argument(metavar="[AGENT]...", help="Which; all deployed if none.")
    ] = None,
    *,
    test_event_code: Annotated[
        str | None, typer.Option(help="Facebook: send a real test event under this code of Events Manager.")
    ] = None,
) -> None:
    """Tries agents' settings at the agents, without a trace there, and says what that proves and what it cannot."""
    sender = send_unrestricted if stage.insecure else send
    rows = [row for name in agents or stage.agents for row in checked(stage, name, sender, test_event_code)]
    if show.as_json:
        show.document(rows)
    else:
        columns = {
            "agent": "agent",
            "tried": "tried",
            "result": "result",
            "answer": "answer",
            "means": "what that means",
        }
        show.rows(rows, columns, "Agents as they answer now")
    if any(row["result"] == "failed" for row in rows):
        raise typer.Exit(WRONG)


def checked(stage: Stage, name: str, sender: Send, code: str | None = None) -> Iterator[Row]:
    """What each probe of an agent showed, and what none can."""
    agent = agent_modules.agent(name)
    text = stage.read("agents", name)
    mend = f"mend them with relay agents set {name}"
    if text is None:
        yield _row(name, "its settings", "failed", "missing", f"nothing is stored: {mend}")
        return
    try:
        current = agent.settings.model_validate_json(text)
    except ValueError:
        yield _row(name, "its settings", "failed", "invalid", f"they do not validate: {mend}")
        return
    yield _row(name, "its settings", "passed", "valid", "every field has the form that it must have")
    trial = TRIALS.get(name)
    if trial is None:
        yield _row(name, "the agent", "not tried", "", "nothing is known that leaves no trace: send a test event")
        return
    for probe in trial.probes(current, code or getattr(current, "test_event_code", None)):
        yield _row(name, probe.what, *_tried(agent, probe, current, sender, mend))
    yield _row(name, "not provable", "note", "", trial.unproven)


def _row(agent: str, tried: str, result: str, answer: str, means: str) -> Row:
    return {"agent": agent, "tried": tried, "result": result, "answer": answer, "means": means}


def _tried(agent: Agent[Any], probe: Probe, current: Any, sender: Send, mend: str) -> tuple[str, str, str]:  # noqa: ANN401
    """Result, answer and what it means."""
    request, now = probe.request, datetime.now(UTC)
    try:
        if agent.authorize:
            request = agent.authorize(request, current, Attempt(now, sender, force_refresh=True))
        answer = sender(request)
    except Unreachable as fault:
        return "failed", f"none: {fault}", "the agent does not answer: see its status page, and base_url or url"
    except SettingsUnavailable as fault:
        return "failed", "nothing sent", f"{fault}: {mend}"
    except CredentialsRefused as fault:
        return "failed", str(fault), f"the credentials are refused: {mend}"
    return _read(agent, probe, answer, mend)


def _read(agent: Agent[Any], probe: Probe, answer: Response, mend: str) -> tuple[str, str, str]:
    verdict = agent.classify(answer)
    if probe.expected(answer):
        return "passed", verdict.reason or f"HTTP {answer.status}", probe.proves
    match verdict.kind:
        case "credentials":
            return "failed", verdict.reason, f"the credentials are refused: {mend}"
        case "retry":
            return "failed", verdict.reason, "the agent is ill just now: try again later"
        case _:
            return (
                "failed",
                verdict.reason,
                f"another answer than a right request gets: look at base_url or url, and {mend}",
            )
