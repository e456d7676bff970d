"""receipts: reports what became of the events of one id at every agent."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from relay.api.registry import DeployedAgent, deployed_agents
from relay.api.responses import ProxyResponse, json_response, problem_response
from relay.aws.environment import table
from relay.errors import LedgerUnavailable, SettingsUnavailable
from relay.event.types import EVENT_ID
from relay.ledger.ledger import Ledger

_ACCEPTED = "*"
_LAST_MOMENT = 253_402_300_800_000
"""Milliseconds until the year 10,000, which no date can name."""

_UNKNOWN = "No event of this app has that id, or it is older than 25 days."


def handler(request: Mapping[str, Any], _context: object) -> ProxyResponse:
    """Answers `GET /events/{eventId}` with the caller's own event, its acceptance and a receipt per agent."""
    caller = request["requestContext"]["authorizer"]
    if caller["kind"] != "secret":
        return problem_response(HTTPStatus.FORBIDDEN, "This call needs a secret key (sk_...).")
    event_id = request["pathParameters"]["eventId"]
    if not EVENT_ID.fullmatch(event_id):
        return problem_response(HTTPStatus.NOT_FOUND, _UNKNOWN)
    try:
        found, agents = Ledger(table()).receipts(caller["appId"], event_id), deployed_agents()
    except (LedgerUnavailable, SettingsUnavailable):
        return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, "The receipts cannot be read now.")
    if not found:
        return problem_response(HTTPStatus.NOT_FOUND, _UNKNOWN)
    events = sorted((_event(rows, agents) for rows in found.values()), key=lambda one: one.get("acceptedAt", ""))
    others = {"events": events} if len(events) > 1 else {}
    return json_response(HTTPStatus.OK, {"eventId": event_id, **events[0], **others})


def _event(rows: Mapping[str, Mapping[str, Any]], agents: Mapping[str, DeployedAgent]) -> dict[str, Any]:
    """One event of the id: its type, its acceptance, what it is ordered by, and a receipt per agent."""
    event_type = next((str(row["type"]) for row in rows.values() if row.get("type")), "")
    expected = {agent for agent, entry in agents.items() if entry.accepts(event_type)}
    accepted = rows.get(_ACCEPTED, {})
    warnings = json.loads(accepted["warnings"]) if "warnings" in accepted else None
    known = {
        "acceptedAt": _moment(_number(accepted, "accepted")),
        "orderedBy": accepted.get("orderedBy"),
        "warnings": warnings,
    }
    return {
        "type": event_type,
        **{name: value for name, value in known.items() if value is not None},
        "agents": {agent: _receipt(rows.get(agent, {})) for agent in sorted((expected | rows.keys()) - {_ACCEPTED})},
    }


def _receipt(row: Mapping[str, Any]) -> dict[str, Any]:
    """One agent's receipt; `lateMs` is how much older than the newest a superseded event is."""
    if not row:
        return {"state": "queued", "attempts": 0}
    at, wait = _number(row, "at"), _number(row, "wait")
    # A held delivery's row may keep the wait of the attempt before.
    due = at + wait * 1000 if row["state"] == "retrying" and at is not None and wait is not None else None
    receipt = {
        "state": row["state"],
        "reason": row.get("reason"),
        "attempts": row.get("attempts", 0),
        "lastStatus": row.get("status"),
        "withheld": row.get("withheld"),
        "remarks": row["remarks"].split("\n") if "remarks" in row else None,
        "released": True if row.get("released") else None,
        "lateMs": row.get("late"),
        "at": _moment(at),
        "nextAttempt": _moment(due),
    }
    return {name: value for name, value in receipt.items() if value is not None}


def _number(row: Mapping[str, Any], name: str) -> int | None:
    value = row.get(name)
    return value if isinstance(value, int) else None


def _moment(milliseconds: int | None) -> str | None:
    if milliseconds is None or not 0 <= milliseconds < _LAST_MOMENT:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
