"""Details as devices send them, at every agent: whatever a detail held, what leaves is what the contract allows."""

import importlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.sandbox.exchange import Request as Received
from local.sandbox.server import AGENTS as SANDBOXES
from local.settings import agents
from relay.agent.auth import Attempt
from relay.agent.definition import Agent
from relay.agent.http import Request, Response, unmasked
from relay.errors import InvalidEvent, Skip, Unreachable
from relay.event.model import Event, EventType
from relay.event.reading import Terms, read_event

ROWS = json.loads((Path(__file__).parent.parent / "event/details.json").read_text())
NOW = datetime(2026, 11, 21, tzinfo=UTC)
SETTINGS = agents("https://agents.example")
WHOLE: dict[str, Any] = {
    "eventId": "019ab3c2-9d2e-7a10-8d27-5f0c1b2a3d4e",
    "occurredAt": "2026-11-20T09:15:42Z",
    "anonymousId": "95c9bd22-4a4c-41c8-9548-ed07c5c8c145",
    "name": "checkout",
    "device": {
        "id": "d1", "platform": "android", "osVersion": "15", "appVersion": "4.12.0", "model": "Pixel 9",
        "language": "pt-BR", "timezone": "America/Sao_Paulo", "pushToken": "fcm-example",
    },
    "ids": {
        "appsflyerId": "1731923741208-4410928837465120934", "gaAppInstanceId": "c2f0a6d1b94e4c7a8d3b5e6f70819a2b",
        "gaClientId": "1872054418.1795100000",
    },
    "context": {"ip": "203.0.113.7", "userAgent": "example/1.0", "url": "https://shop.example.com/account"},
}  # fmt: skip


@cache
def _agent(name: str) -> tuple[Agent[Any], Any]:
    agent: Agent[Any] = importlib.import_module(f"functions.agents.{name}.app").AGENT
    return agent, agent.settings.model_validate(SETTINGS[name])


def _unsent(_request: Request) -> Response:
    raise Unreachable("nothing is sent here")


def _received(name: str, request: Request) -> Received:
    agent, own = _agent(name)
    if agent.authorize is not None:
        request = agent.authorize(request, own, Attempt(NOW, _unsent, force_refresh=False))
    given = {"user-agent": "session-relay/0.1.0", **unmasked(request.headers)}
    headers = {header.lower(): value for header, value in given.items()}
    path = urlsplit(request.url).path.removeprefix(f"/{name}")
    return Received(request.method, path, unmasked(request.query), headers, request.body)


def _violations(event: Event) -> dict[str, list[str]]:
    """What the sandboxed vendors would have against the requests that an event makes."""
    found: dict[str, list[str]] = {}
    for sandbox in SANDBOXES:
        agent, own = _agent(sandbox.name)
        try:
            requests = agent.build_requests(event, own)
        except Skip:
            continue
        received = (_received(sandbox.name, request) for request in requests)
        vendor = sandbox(SETTINGS[sandbox.name])
        wrong = [text for one in received for text in vendor.check(one, NOW.timestamp()).violations]
        if wrong:
            found[sandbox.name] = wrong
    return found


def _merged(whole: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    both = {name: _merged(whole[name], part[name]) for name in whole.keys() & part.keys()
            if isinstance(whole[name], dict) and isinstance(part[name], dict)}  # fmt: skip
    return {**whole, **part, **both}


def _event(sent: Mapping[str, Any], event_type: EventType, region: str | None = None) -> Event | None:
    try:
        reading = read_event(json.dumps(sent), event_type, Terms(region=region))
    except InvalidEvent:
        return None
    event = reading.mark(Event.stamp(reading.call, event_type, "shop", "made-id", NOW, trusted=True))
    return Event.load(event.dump())


@pytest.mark.parametrize("row", ROWS, ids=[f"{at} {json.dumps(row['sent'])[:60]}" for at, row in enumerate(ROWS)])
def test_no_agent_is_sent_what_its_contract_forbids(row: dict[str, Any]) -> None:
    for event_type in (row["type"], "track"):
        event = _event(_merged(WHOLE, row["sent"]), event_type, row.get("region"))
        assert event is None or _violations(event) == {}


SCALARS = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=30)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner))
PLACES = [
    *("email", "phone", "emailSha256", "phoneSha256", "method", "occurredAt", "sequence", "eventId", "anonymousId"),
    *("traits.firstName", "traits.city", "properties.items", "properties", "consent", "consent.tcf", "context.url"),
    *(f"device.{name}" for name in ("id", "platform", "language", "timezone", "pushToken", "osVersion", "screen")),
    *(f"device.{name}" for name in ("advertisingId", "attStatus", "adTracking", "model", "appVersion")),
    *(f"ids.{name}" for name in ("appsflyerId", "gaAppInstanceId", "gaClientId", "gaSessionId", "fbp", "fbc")),
    *("loose", "device_id", "Email", "customer-Id2", "context.ip", "context.userAgent"),
]


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(places=st.dictionaries(st.sampled_from(PLACES), JSON, min_size=1, max_size=4), event_type=st.sampled_from(
    ["login", "signup", "open", "logout"]))  # fmt: skip
def test_whatever_a_detail_holds_an_event_with_a_sound_customer_is_taken_and_agents_get_what_they_take(
    places: dict[str, Any], event_type: EventType
) -> None:
    sent: dict[str, Any] = json.loads(json.dumps({"customerId": "12345", **WHOLE}))
    for path, value in places.items():
        *parts, last = path.split(".")
        place = sent
        for part in parts:
            place = place.setdefault(part, {}) if isinstance(place.get(part), dict | None) else {}
        place[last] = value
    event = _event(sent, event_type)
    assert event is not None
    assert event.customer_id == "12345"
    assert _violations(event) == {}
