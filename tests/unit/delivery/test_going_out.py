"""What leaves for the agents: only to where the settings say, and to advertisers no contact in clear."""

import importlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from local.settings import agents, optional_agents
from relay.agent.definition import Agent
from relay.agent.http import Request, unmasked
from relay.errors import Skip
from relay.event.model import Event

AGENTS = sorted(folder.parent.name for folder in Path("functions/agents").glob("*/contract.json"))
SENT_IN_CLEAR = ["appsflyer", "facebook", "google"]
SETTINGS = agents("https://agents.example") | optional_agents("https://agents.example")
TYPES = ["login", "logout", "open", "signup", "identify", "track", "push_token"]
HOSTILE = st.sampled_from(
    ["../../admin", "//evil.example/x", "@evil.example", "https://evil.example/", "\\\\evil.example", "?x=1", "#x",
     "..", ".", "%2e%2e%2f", "a/b", ":80@evil.example", "x\u2028y", "\u202e", "evil.example/\u3002", "a;b", "../..;/"],
) | st.text(min_size=1, max_size=30)  # fmt: skip


def _agent(name: str) -> Agent[Any]:
    agent: Agent[Any] = importlib.import_module(f"functions.agents.{name}.app").AGENT
    return agent


def _document(event_type: str, platform: str = "android", **details: Any) -> dict[str, Any]:
    """An event that every agent has a use for, with these fields instead, by their paths: `device.id`."""
    document: dict[str, Any] = {
        "type": event_type, "appId": "shop", "eventId": "e1", "sequence": 1795166142000, "name": "checkout",
        "occurredAt": "2026-11-24T09:15:42Z", "receivedAt": "2026-11-24T09:15:42Z", "customerId": "12345",
        "anonymousId": "3f0c2a58-6f1b-4f0e-9a7d-51c8a2b4e901", "method": "password",
        "device": {
            "id": "d1", "platform": platform, "osVersion": "14", "appVersion": "4.12.0", "model": "SM-S911B",
            "language": "pt-BR", "timezone": "America/Sao_Paulo", "pushToken": "fcm-example",
            "advertisingId": "9c9a82fb-d5de-4cd1-90c3-527441c11828", "adTracking": True,
        },
        "ids": {
            "appsflyerId": "1731923741208-4410928837465120934", "gaAppInstanceId": "c2f0a6d1b94e4c7a8d3b5e6f70819a2b",
            "gaClientId": "1872054418.1795100000", "gaSessionId": "1795166098",
        },
        "context": {"ip": "203.0.113.7", "userAgent": "example/1.0", "url": "https://shop.example.com/account"},
        "properties": {"items": 3},
    }  # fmt: skip
    for path, value in details.items():
        *parts, last = path.split(".")
        place = document
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = value
    return document


def _requests(agent: str, document: dict[str, Any]) -> list[Request]:
    it = _agent(agent)
    try:
        return it.build_requests(Event.load(json.dumps(document)), it.settings.model_validate(SETTINGS[agent]))
    except Skip:
        return []


@pytest.mark.parametrize("agent", AGENTS)
@given(st.sampled_from(TYPES), HOSTILE, HOSTILE, HOSTILE)
def test_an_event_never_says_where_its_request_goes(
    agent: str, event_type: str, name: str, text: str, url: str
) -> None:
    paths = ("method", "device.id", "device.appId", "device.model", "ids.fbp", "ids.gaClientId", "context.userAgent")
    document = _document(event_type, name=name, **dict.fromkeys(paths, text), **{"context.url": url})
    try:
        made = _requests(agent, document)
    except Exception as invalid:
        if type(invalid).__name__ == "InvalidEvent":
            return
        raise
    usual = {url.path.rsplit("/", 1)[0] for url in map(_sent_to, _requests(agent, _document(event_type)))}
    for request in made:
        where = _sent_to(request)
        assert (where.scheme, where.netloc, where.fragment) == ("https", "agents.example", "")
        assert where.path.rsplit("/", 1)[0] in usual
        assert request.method == "POST"


def _sent_to(request: Request) -> Any:
    """The URL as the library that sends it understands it."""
    return urlsplit(requests.Request("POST", request.url, params=unmasked(request.query)).prepare().url or "")


FREE_TEXT = [
    "name", "method", "customerId", "anonymousId", "device.id", "device.model", "device.manufacturer",
    "device.osVersion",
    "device.appId", "device.appVersion", "device.appBuild", "device.advertisingId", "device.vendorId", "device.carrier",
    "device.timezone", "device.pushToken", "ids.appsflyerId", "ids.gaAppInstanceId", "ids.gaClientId",
    "ids.gaSessionId",
    "ids.fbp", "ids.fbc", "ids.fbAnonId", "context.ip", "context.userAgent", "properties.note",
    "traits.firstName", "traits.lastName", "traits.name",
]  # fmt: skip


@pytest.mark.parametrize("path", FREE_TEXT)
@pytest.mark.parametrize("platform", ["android", "ios", "web"])
@pytest.mark.parametrize("agent", SENT_IN_CLEAR)
def test_an_address_never_reaches_an_advertiser_in_clear_whatever_field_it_is_written_into(
    agent: str, platform: str, path: str
) -> None:
    for address in ("ana.souza@example.com", "ana.souza%40example.com", "fb.1.1795100000000.ana.souza@example.com"):
        for event_type in TYPES:
            for request in _requests(agent, _document(event_type, platform, **{path: address})):
                said = unquote(unquote(request.url + str(unmasked(request.query)) + request.body.decode()))
                assert "souza@example" not in said, f"{path} of {event_type}"


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example.com/u/ana.souza@example.com",
        "https://shop.example.com/ana.souza%40example.com/x",
        "https://ana.souza@example.com/x",
        "https://shop.example.com/?e=ana.souza@example.com",
    ],
)
@pytest.mark.parametrize("agent", SENT_IN_CLEAR)
def test_an_address_in_the_address_of_a_page_stays_here(agent: str, url: str) -> None:
    for request in _requests(agent, _document("login", "web", **{"context.url": url})):
        assert "souza" not in request.body.decode()


@pytest.mark.parametrize(
    "name", ["call_5511999887766", "ana_souza_5511999887766", "t 11 99988-7766", "ana@example.com"]
)
@pytest.mark.parametrize("agent", SENT_IN_CLEAR)
def test_a_contact_as_the_name_of_an_event_is_not_sent(agent: str, name: str) -> None:
    assert _requests(agent, _document("track", name=name)) == []


@pytest.mark.parametrize("agent", SENT_IN_CLEAR)
@pytest.mark.parametrize("name", ["call_5511999887766", "ana@example.com"])
def test_an_event_cannot_be_named_after_a_contact_by_the_settings(agent: str, name: str) -> None:
    with pytest.raises(ValidationError, match="event_names"):
        _agent(agent).settings.model_validate({**SETTINGS[agent], "event_names": {"login": name}})
