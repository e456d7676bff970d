"""dry_run: shows what every agent would be sent for an event, by the agents' own functions, and sends nothing."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, get_args

from botocore.exceptions import BotoCoreError, ClientError

from relay import aws
from relay.body import read as read_body
from relay.catalogue import Entry, deployed
from relay.errors import Fault, InvalidEvent, SettingsUnavailable, TooLarge
from relay.event import Call, Event, EventType
from relay.problem import Answer, answer, problem

MAX_BODY_BYTES = 32 * 1024


def handler(request: Mapping[str, Any], _context: object) -> Answer:
    """Answers `POST /dry-run` of an event with its `type`: per agent the exact requests, or why there would be none."""
    caller = request["requestContext"]["authorizer"]
    if caller["kind"] != "secret":
        return problem(HTTPStatus.FORBIDDEN, "This call needs a secret key (sk_...).")
    try:
        event, agents = _event(read_body(request, MAX_BODY_BYTES), caller["appId"]), deployed()
    except InvalidEvent as invalid:
        return problem(HTTPStatus.BAD_REQUEST, f"The event has faults. {invalid}", invalid.faults)
    except TooLarge as fault:
        return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(fault))
    except SettingsUnavailable as fault:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(fault), headers={"Retry-After": "2"})
    with ThreadPoolExecutor(max_workers=len(agents) or 1) as side_by_side:
        shown = side_by_side.map(partial(_shown, event=event), agents.values())
        return answer(HTTPStatus.OK, {"type": event.type, "agents": dict(zip(agents, shown, strict=True))})


def _event(body: bytes, app_id: str) -> Event:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidEvent([Fault("#", "the body is not valid JSON in UTF-8")]) from None
    event_type: Any = document.pop("type", None) if isinstance(document, dict) else None
    if event_type not in get_args(EventType):
        raise InvalidEvent([Fault("#/type", f"must be one of {', '.join(get_args(EventType))}")])
    return Event.stamp(Call.read(json.dumps(document), event_type), event_type, app_id, "dry-run", datetime.now(UTC))


def _shown(agent: Entry, event: Event) -> dict[str, Any]:
    if not agent.hears(event.type):
        return {"skipped": f"no use for {event.type}"}
    try:
        told = aws.functions().invoke(FunctionName=agent.function, Payload=json.dumps({"dryRun": event.dump()}))
    except (BotoCoreError, ClientError) as fault:
        return {"unavailable": type(fault).__name__}
    document = json.loads(told["Payload"].read())
    if "FunctionError" in told:
        return {"unavailable": str(document.get("errorType"))}
    return dict(document)
