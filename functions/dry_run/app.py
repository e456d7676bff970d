"""dry_run: shows what every agent would be sent for an event, by the agents' own functions, and sends nothing."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from relay.api.batch import parse_typed_event
from relay.api.body import Body
from relay.api.body import read as read_body
from relay.api.event_tokens import split_tokens
from relay.api.preferences import Handling, applied, handling
from relay.api.registry import DeployedAgent, deployed_agents
from relay.api.responses import (
    HANDLED_ERRORS,
    ProxyResponse,
    count_text,
    error_response,
    json_response,
    problem_response,
    with_headers,
)
from relay.aws import clients
from relay.errors import InvalidEvent
from relay.event.model import Event
from relay.event.reading import Terms, read_event

MAX_BODY_BYTES = 32 * 1024


def handler(request: Mapping[str, Any], _context: object) -> ProxyResponse:
    """Answers `POST /dry-run` of an event with its `type`: per agent the exact requests, or why there would be none.

    Beside them stand the warnings that ingest would answer.
    """
    response = _answer(request)
    return with_headers(response, applied(handling(request)))


def _answer(request: Mapping[str, Any]) -> ProxyResponse:
    caller = request["requestContext"]["authorizer"]
    if caller["kind"] != "secret":
        return problem_response(HTTPStatus.FORBIDDEN, "This call needs a secret key (sk_...).")
    try:
        event, agents = _event(read_body(request, MAX_BODY_BYTES), caller, handling(request)), deployed_agents()
    except InvalidEvent as invalid:
        return error_response(invalid, f"The event has {count_text(invalid)}. {invalid}")
    except HANDLED_ERRORS as error:
        return error_response(error, str(error))
    with ThreadPoolExecutor(max_workers=len(agents) or 1) as side_by_side:
        masked = side_by_side.map(partial(_shown, event=event), agents.values())
        document: dict[str, Any] = {"type": event.type, "agents": dict(zip(agents, masked, strict=True))}
    if event.warnings:
        document["warnings"] = [{"pointer": one.pointer, "detail": one.detail} for one in event.warnings]
    return json_response(HTTPStatus.OK, document)


def _event(body: Body, caller: Mapping[str, Any], preferred: Handling | None) -> Event:
    body.valid_text()
    event_type, document, text = parse_typed_event(body.document)
    own = split_tokens(document, text)
    reading = read_event(own.text, event_type, Terms(preferred == "strict", caller.get("region")))
    return reading.mark(Event.stamp(reading.call, event_type, caller["appId"], "dry-run", datetime.now(UTC)))


def _shown(agent: DeployedAgent, event: Event) -> dict[str, Any]:
    if not agent.accepts(event.type):
        return {"skipped": f"no use for {event.type}"}
    try:
        response = clients.functions().invoke(FunctionName=agent.function, Payload=json.dumps({"dryRun": event.dump()}))
    except clients.AwsError as fault:
        return {"unavailable": type(fault).__name__}
    document = json.loads(response["Payload"].read())
    if "FunctionError" in response:
        return {"unavailable": str(document.get("errorType"))}
    return dict(document)
