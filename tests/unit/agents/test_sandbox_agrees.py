"""The agents' requests as the sandbox reads them: no detail of an event makes a request that a contract forbids."""

import importlib
import json
import string
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from local.sandbox.exchange import Request
from local.sandbox.server import Sandbox
from local.settings import agents, optional_agents
from relay.agent.definition import Agent
from relay.agent.http import unmasked
from relay.delivery.app_settings import ScopedSettings
from relay.delivery.plan import Plan, make_plan
from relay.errors import InvalidEvent
from relay.event.model import Event, EventInput

ROOT = "https://agents.example"
SETTINGS = agents(ROOT) | optional_agents(ROOT)
RICH: dict[str, dict[str, Any]] = {
    **SETTINGS,
    "google": {**SETTINGS["google"], "send_address": True, "user_properties": ["plan", "city"]},
    "google_data_manager": {
        **SETTINGS["google_data_manager"],
        "send_address": True,
        "user_properties": ["plan", "city"],
    },
    "facebook": {**SETTINGS["facebook"], "external_id": "parameter_builder"},
}
VENDORS = ["appsflyer", "dashx", "emarsys", "facebook", "google", "google_data_manager"]
NOW = datetime(2026, 11, 24, 9, 15, 42, tzinfo=UTC)
SANDBOX = Sandbox(SETTINGS)


def _agent(name: str) -> Agent[Any]:
    agent: Agent[Any] = importlib.import_module(f"functions.agents.{name}.app").AGENT
    return agent


def _event(event_type: Any, said: dict[str, Any]) -> Event | None:
    try:
        call = EventInput.parse(json.dumps(said), event_type)
    except InvalidEvent:
        return None
    return Event.load(Event.stamp(call, event_type, "shop", "e1", NOW).dump())


def _violations(name: str, event: Event, settings: dict[str, Any]) -> list[str]:
    """What the sandbox finds in the requests of an event; nothing where there are none."""
    agent = _agent(name)
    scoped = ScopedSettings(agent.settings.model_validate(settings), name)
    plan = make_plan(agent, event, lambda: scoped, NOW, default_consent=True)
    found: list[str] = []
    for request in plan.requests if isinstance(plan, Plan) else []:
        headers = {**unmasked(request.headers), "user-agent": "session-relay"}
        path = request.url.removeprefix(ROOT).removeprefix(f"/{name}")
        result = SANDBOX.agents[name].check(
            Request(request.method, path, unmasked(request.query), headers, request.body), NOW.timestamp()
        )
        found += [one for one in result.violations if not one.endswith(NOT_OF_THE_FORM)]
    return found


NOT_OF_THE_FORM = ("fbc is older than 90 days", "the token is none of this account")
"""An old click id is the person's own, and Meta ignores it; a token is fetched when a request is sent."""

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=120)
SCALAR = TEXT | st.booleans() | st.integers(-(10**7), 10**7) | st.floats(-1e6, 1e6).map(lambda one: round(one, 2))
NAME = st.sampled_from(
    ["value", "currency", "items", "contents", "content_ids", "transaction_id", "page_location", "page_title", "plan",
     "af_currency", "af_revenue", "af_content_id", "engagementTimeMsec", "user_id", "debug_mode", "ga_x", "n" * 41],
) | st.text(string.ascii_letters + "_ ", min_size=1, max_size=12)  # fmt: skip
ITEM = st.dictionaries(st.sampled_from(["item_id", "item_name", "price", "quantity", "id", "x y"]), SCALAR, max_size=4)
VALUE = SCALAR | st.lists(SCALAR, max_size=3) | st.lists(ITEM, max_size=3) | ITEM | st.sampled_from(["9.99", "USD"])
LANGUAGE = st.from_regex(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,2}", fullmatch=True)
ZONE = st.sampled_from(sorted(available_timezones())) | st.from_regex(r"(GMT|UTC)?[+-][0-9]{1,2}(:?[0-9]{2})?") | TEXT
COOKIE = st.from_regex(r"fb\.[0-9]\.[0-9]{12,14}\.[0-9a-z]{1,9}(\.[A-Za-z0-9]{2,8})?", fullmatch=True)
SESSION = st.from_regex(r"(GS[12]\.1\.s?)?[0-9]{1,12}([.$][a-z0-9.$]{0,9})?", fullmatch=True)
PLACE = st.dictionaries(
    st.sampled_from(["city", "state", "zip", "country", "birthday", "gender", "street", "plan", "postalCode"]),
    SCALAR | st.sampled_from(["US", "br", "94025-1234", "1997-02-16", "1997-02-31", "female"]),
    max_size=6,
)


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


@st.composite
def _details(draw: st.DrawFn) -> dict[str, Any]:
    """A call with a sound customerId, whose other details are whatever ingest lets through."""

    def maybe(strategy: st.SearchStrategy[Any]) -> Any:
        return draw(st.none() | strategy)

    device = {
        "platform": draw(st.sampled_from(["android", "ios", "web"])), "model": maybe(TEXT), "osVersion": maybe(TEXT),
        "appVersion": maybe(TEXT), "language": maybe(LANGUAGE), "timezone": maybe(ZONE),
        "appSetId": maybe(st.uuids().map(str)), "appSetScope": maybe(st.sampled_from([1, 2])),
        "oaid": maybe(TEXT), "amazonAid": maybe(TEXT), "advertisingId": maybe(st.uuids().map(str)),
        "adTracking": maybe(st.booleans()), "pushToken": "fcm-example",
    }  # fmt: skip
    ids = {"fbp": maybe(COOKIE), "fbc": maybe(COOKIE), "gaSessionId": maybe(SESSION)}
    context = {"url": maybe(TEXT.map("https://shop.example.com/?utm_source=".__add__)), "title": maybe(TEXT)}
    return {
        "customerId": "usr_7f3a9c21",
        "anonymousId": "3f0c2a58-6f1b-4f0e-9a7d-51c8a2b4e901",
        "device": {"id": "d1", **_without_none(device)},
        "ids": {
            "appsflyerId": "1731923741208-4410928837465120934", "gaAppInstanceId": "c2f0a6d1b94e4c7a8d3b5e6f70819a2b",
            "gaClientId": "1872054418.1795100000", **_without_none(ids),
        },
        "context": {"userAgent": "example/1.0", **_without_none(context)},
        "traits": draw(PLACE),
        "properties": draw(st.dictionaries(NAME, VALUE, max_size=6)),
    }  # fmt: skip


ALLOWED = ("alue has no currency", "is not an ISO 4217 code")
"""What Google takes and does not add up: the event's own, and remarked in the receipt."""


@given(st.sampled_from(["login", "open", "logout", "track"]), _details())
@example("track", {"name": "purchase", "customerId": "c", "properties": {"items": [{"price": "1"}], "value": "x"}})
def test_no_detail_makes_a_request_that_a_contract_forbids(event_type: str, said: dict[str, Any]) -> None:
    event = _event(event_type, said | ({"name": "purchase"} if event_type == "track" else {}))
    if event:
        for name in VENDORS:
            found = _violations(name, event, RICH[name])
            assert [one for one in found if not one.endswith(ALLOWED) and ALLOWED[0] not in one] == [], name


@given(_details())
def test_no_description_of_the_device_costs_emarsys_the_login(said: dict[str, Any]) -> None:
    event = _event("login", said)
    if event and said["device"]["platform"] != "web":
        settings = _agent("emarsys").settings.model_validate(SETTINGS["emarsys"])
        assert len(_agent("emarsys").build_requests(event, settings)) == 1


def _remarked(name: str) -> list[Any]:
    cases = json.loads(Path(f"functions/agents/{name}/contract.json").read_text())["cases"]
    return [pytest.param(name, case, id=f"{name}: {case['name']}") for case in cases if case.get("remarks")]


@pytest.mark.parametrize(("name", "case"), [case for name in VENDORS for case in _remarked(name)])
def test_a_remark_is_a_sentence_without_a_value_of_the_event(name: str, case: dict[str, Any]) -> None:
    texts = [text for text in _texts(case["event"]) if len(text) > 8]
    assert not [text for text in texts for remark in case["remarks"] if text in remark], name


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for one in value.values() for text in _texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return [value] if isinstance(value, str) else []
