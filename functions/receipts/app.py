"""receipts: says what became of one event at every agent."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from relay.api.registry import deployed_agents
from relay.api.responses import ProxyResponse, json_response, problem_response
from relay.aws.environment import table
from relay.errors import LedgerUnavailable, SettingsUnavailable
from relay.event.types import EVENT_ID
from relay.ledger.ledger import Ledger

_UNKNOWN = "No event of this app has that id, or it is older than 15 days."


def handler(request: Mapping[str, Any], _context: object) -> ProxyResponse:
    """Answers `GET /events/{eventId}` with the caller's own event, its acceptance and a receipt per agent."""
    caller = request["requestContext"]["authorizer"]
    if caller["kind"] != "secret":
        return problem_response(HTTPStatus.FORBIDDEN, "This call needs a secret key (sk_...).")
    event_id = request["pathParameters"]["eventId"]
    if not EVENT_ID.fullmatch(event_id):
        return problem_response(HTTPStatus.NOT_FOUND, _UNKNOWN)
    try:
        rows, agents = Ledger(table()).receipts(caller["appId"], event_id), deployed_agents()
    except (LedgerUnavailable, SettingsUnavailable):
        return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, "The receipts cannot be read now.")
    if not rows:
        return problem_response(HTTPStatus.NOT_FOUND, _UNKNOWN)
    known = next(iter(rows.values()))
    expected = {agent for agent, entry in agents.items() if entry.accepts(str(known["type"]))}
    return json_response(
        HTTPStatus.OK,
        {
            "eventId": event_id,
            "type": known["type"],
            **_acceptance(rows.get("*")),
            "agents": {agent: _receipt(rows.get(agent, {})) for agent in sorted((expected | rows.keys()) - {"*"})},
        },
    )


def _acceptance(row: Mapping[str, Any] | None) -> dict[str, Any]:
    """When ingest accepted the event, and which of its details were normalised or left out."""
    if row is None:
        return {}
    accepted = {"acceptedAt": _moment(row["accepted"])}
    return accepted | {"warnings": json.loads(row["warnings"])} if "warnings" in row else accepted


def _receipt(row: Mapping[str, Any]) -> dict[str, Any]:
    """State, reason, attempts, last status, properties withheld, when that was, and when the next attempt is due."""
    if not row:
        return {"state": "queued", "attempts": 0}
    at, wait = row.get("at"), row.get("wait")
    due = at + wait * 1000 if row["state"] in {"retrying", "held"} and at is not None and wait is not None else None
    receipt = {
        "state": row["state"],
        "reason": row.get("reason"),
        "attempts": row.get("attempts", 0),
        "lastStatus": row.get("status"),
        "withheld": row.get("withheld"),
        "at": _moment(at),
        "nextAttempt": _moment(due),
    }
    return {name: value for name, value in receipt.items() if value is not None}


def _moment(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
