"""The dry run: the requests that an event would make of an agent, secrets masked, or why it would make none."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel

from relay.agent import http
from relay.agent.auth import Attempt
from relay.agent.definition import Agent
from relay.agent.http import Request, Response
from relay.delivery.app_settings import ScopedSettings
from relay.delivery.outcome import Outcome
from relay.delivery.plan import make_plan
from relay.errors import SettingsUnavailable, Unreachable
from relay.event.model import Event

S = TypeVar("S", bound=BaseModel)


def dry_run(
    agent: Agent[S], event: Event, load: Callable[[], ScopedSettings[S]], *, default_consent: bool
) -> dict[str, Any]:
    """`{"requests": [...]}`, with `withheld` and `remarks` if there are any, or `{state: reason}`; sends nothing."""
    now = datetime.now(UTC)
    try:
        plan = make_plan(agent, event, load, now, default_consent=default_consent)
    except SettingsUnavailable as fault:
        return {"held": str(fault)}
    if isinstance(plan, Outcome):
        return {plan.state: plan.reason}
    requests = [http.masked(_authorize(agent, request, plan.settings, now)) for request in plan.requests]
    shown: dict[str, Any] = {"requests": requests}
    if plan.withheld:
        shown["withheld"] = plan.withheld
    if plan.remarks:
        shown["remarks"] = list(plan.remarks)
    return shown


def _authorize(agent: Agent[S], request: Request, settings: S, now: datetime) -> Request:
    if agent.authorize is None:
        return request
    try:
        return agent.authorize(request, settings, Attempt(now, _send_nothing, force_refresh=False))
    except Unreachable:
        # The agent's token would be fetched when the request is sent.
        return request


def _send_nothing(_request: Request) -> Response:
    raise Unreachable("a dry run")
