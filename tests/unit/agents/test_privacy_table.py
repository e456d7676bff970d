"""docs/privacy.md says which field goes to which agent, and in which form; here it is compared with what they get."""

import hashlib
import hmac
import importlib
import itertools
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from local.settings import agents, optional_agents
from relay.agent.definition import Agent
from relay.agent.http import unmasked
from relay.errors import Skip
from relay.event.model import Event

DOCUMENT = Path("docs/privacy.md").read_text()
AGENTS = [name.strip() for name in re.findall(r"^\| field \|(.+)\|$", DOCUMENT, re.MULTILINE)[0].split("|")]
TYPES = ["login", "logout", "open", "signup", "identify", "track", "push_token"]
KEY = "an example key of 32 characters."
SETTINGS = agents("https://agents.example") | optional_agents("https://agents.example")
WIDEST: dict[str, dict[str, Any]] = {
    **SETTINGS,
    "eitri_push": {**SETTINGS["eitri_push"], "send_email": True, "send_phone": True},
    "webhook": {**SETTINGS["webhook"], "personal_data": "full"},
    "google": {**SETTINGS["google"], "user_properties": ["city"]},
    "google_data_manager": {**SETTINGS["google_data_manager"], "user_properties": ["city"]},
    "emarsys": {**SETTINGS["emarsys"], "contact_value": "customer_id", "anonymous_push_token": "token"},
}

# Each field with two values that agents can tell apart; the first is looked for in what they are sent.
FIELDS: dict[str, tuple[Any, Any]] = {
    "customerId": ("zq-customer-1", "zq-customer-2"),
    "anonymousId": ("3f0c2a58-6f1b-4f0e-9a7d-51c8a2b4e901", "a81d4e2f-0b7c-4c55-8f1e-2d3c4b5a6978"),
    "email": ("zq.one@example.com", "zq.two@example.com"),
    "phone": ("+5511999887766", "+5511999887755"),
    "emailSha256": ("ab" * 32, "cd" * 32),
    "phoneSha256": ("ef" * 32, "01" * 32),
    "traits.firstName": ("Zqana", "Zqeva"),
    "traits.lastName": ("Zqsouza", "Zqsilva"),
    "traits.name": ("Zqana Souza", "Zqeva Silva"),
    "traits.others": ({"city": "Zqoslo"}, {"city": "Zqlima"}),
    "method": ("zqpassword", "zqcode"),
    "name": ("zq_checkout", "zq_basket"),
    "properties": ({"zqitem": "zq-shoe"}, {"zqitem": "zq-hat"}),
    "eventId": ("zq-event-1", "zq-event-2"),
    "device.id": ("zq-device-1", "zq-device-2"),
    "device.model": ("zq-model-1", "zq-model-2"),
    "device.manufacturer": ("zq-maker-1", "zq-maker-2"),
    "device.osVersion": ("14.7.1", "15.8.2"),
    "device.appId": ("com.example.zq", "com.example.qz"),
    "device.appVersion": ("4.12.97", "4.13.98"),
    "device.appBuild": ("zq5120", "zq5121"),
    "device.language": ("pt-BR", "en-GB"),
    "device.timezone": ("America/Sao_Paulo", "Europe/Lisbon"),
    "device.pushToken": ("zq-token-1", "zq-token-2"),
    "device.previousPushToken": ("zq-old-1", "zq-old-2"),
    "device.advertisingId": ("9C9A82FB-D5DE-4CD1-90C3-527441C11828", "8C9A82FB-D5DE-4CD1-90C3-527441C11828"),
    "device.vendorId": ("7C9A82FB-D5DE-4CD1-90C3-527441C11828", "6C9A82FB-D5DE-4CD1-90C3-527441C11828"),
    "device.appSetId": ("4C9A82FB-D5DE-4CD1-90C3-527441C11828", "3C9A82FB-D5DE-4CD1-90C3-527441C11828"),
    "device.appSetScope": (1, 2),
    "device.oaid": ("2C9A82FB-D5DE-4CD1-90C3-527441C11828", "1C9A82FB-D5DE-4CD1-90C3-527441C11828"),
    "device.amazonAid": ("2C9A82FB-D5DE-4CD1-90C3-527441C11829", "1C9A82FB-D5DE-4CD1-90C3-527441C11829"),
    "device.adTracking": (True, False),
    "device.attStatus": ("authorized", "denied"),
    "device.carrier": ("zq-carrier-1", "zq-carrier-2"),
    "device.screen": ({"width": 1087, "height": 2347}, {"width": 1081, "height": 2341}),
    "device.cpuCores": (8117, 8118),
    "device.storageGb": (9117, 9118),
    "device.freeStorageGb": (7117, 7118),
    "ids.appsflyerId": ("1731923741208-4410928837465120934", "1731923741208-5510928837465120934"),
    "ids.gaAppInstanceId": ("c2f0a6d1b94e4c7a8d3b5e6f70819a2b", "d2f0a6d1b94e4c7a8d3b5e6f70819a2b"),
    "ids.gaClientId": ("1872054418.1795100000", "2872054418.1795100000"),
    "ids.gaSessionId": ("1795166098", "1795166099"),
    "ids.fbp": ("fb.1.1795100000000.1098115397", "fb.1.1795100000000.2098115397"),
    "ids.fbc": ("fb.1.1795100000000.zqclick1", "fb.1.1795100000000.zqclick2"),
    "ids.fbAnonId": ("2f8b4a1c-0d3e-4a55-9c7e-6f1b2a3c4d5e", "3f8b4a1c-0d3e-4a55-9c7e-6f1b2a3c4d5e"),
    "context.ip": ("203.0.113.71", "203.0.113.72"),
    "context.userAgent": ("zq-browser/1", "zq-browser/2"),
    "context.url": ("https://shop.example.com/zq1", "https://shop.example.com/zq2"),
    "context.referrer": ("https://search.example.com/zq1", "https://search.example.com/zq2"),
    "context.title": ("zq title 1", "zq title 2"),
    "consent.advertising": (True, False),
    "consent.adPersonalization": (True, False),
    "consent.saleOptOut": (True, False),
    "consent.gdprApplies": (True, False),
    "consent.tcf": (
        {"policyVersion": 4, "cmpSdkId": 5, "cmpSdkVersion": 6, "tcString": "CPzqOne"},
        {"policyVersion": 4, "cmpSdkId": 5, "cmpSdkVersion": 6, "tcString": "CPzqTwo"},
    ),
}
NOT_SENT_AS_SUCH = {"occurredAt", "sequence", "consent.analytics", "consent.messaging"}


def _agent(name: str) -> Agent[Any]:
    agent: Agent[Any] = importlib.import_module(f"functions.agents.{name}.app").AGENT
    return agent


def _document(event_type: str, platform: str, details: dict[str, Any]) -> str:
    document: dict[str, Any] = {
        "type": event_type, "appId": "shop", "sequence": 1795166142000,
        "occurredAt": "2026-11-24T09:15:42Z", "receivedAt": "2026-11-24T09:15:42Z",
        "device": {"platform": platform},
    }  # fmt: skip
    for path, value in details.items():
        *parts, last = path.split(".")
        place = document
        for part in parts:
            place = place.setdefault(part, {})
        # Other traits stand beside the known ones, under names of their own.
        place.update(value if last == "others" else {last: value})
    return json.dumps(document)


@cache
def _sent(agent: str, settings: str, document: str) -> str:
    """All that the agent would be sent for an event, as one text; nothing where it would be sent nothing."""
    it = _agent(agent)
    try:
        made = it.build_requests(Event.load(document), it.settings.model_validate_json(settings))
    except Skip:
        return ""
    return "\n".join(f"{one.url} {unmasked(one.query)} {one.body.decode()} {unmasked(one.headers)}" for one in made)


# A field may matter only in the absence of another: consent by hand only where there is no string of a consent dialog.
ABSENCES: list[tuple[str, ...]] = [(), ("consent.tcf",), ("customerId",), ("device.attStatus",), ("device.pushToken",)]

# A caller's own digest goes only where the contact itself is absent.
MORE_ABSENCES: dict[str, list[tuple[str, ...]]] = {"emailSha256": [("email",)], "phoneSha256": [("phone",)]}


def _form(agent: str, settings: dict[str, Any], path: str) -> str:
    """How a field reaches an agent: clear, SHA-256, keyed, derived (something else depends on it), or not at all."""
    seen, absences = set(), [*ABSENCES, *MORE_ABSENCES.get(path, [])]
    first, second = FIELDS[path]
    for event_type, platform, absent in itertools.product(TYPES, ["android", "ios", "web"], absences):
        if path in absent:
            continue
        details = {
            name: values[0] for name, values in FIELDS.items() if name not in absent and name != "consent.saleOptOut"
        }
        one = _sent(agent, json.dumps(settings), _document(event_type, platform, {**details, path: first}))
        other = _sent(agent, json.dumps(settings), _document(event_type, platform, {**details, path: second}))
        if one != other:
            seen.add(_shown(first, one))
    return next((form for form in ("clear", "SHA-256", "keyed", "derived") if form in seen), "\u2013")


def _shown(value: Any, sent: str) -> str:
    texts = [str(one) for one in (value.values() if isinstance(value, dict) else [value]) if not isinstance(one, bool)]
    for text in texts:
        if text in sent or text.lower() in sent:
            return "clear"
        normal = [text, text.lower(), text.removeprefix("+")]
        if any(hashlib.sha256(one.encode()).hexdigest() in sent for one in normal):
            return "SHA-256"
        if hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()[:56] in sent:
            return "keyed"
    return "derived"


def _cell(agent: str, path: str) -> str:
    usual = _form(agent, SETTINGS[agent], path)
    widest = usual if WIDEST[agent] == SETTINGS[agent] else _form(agent, WIDEST[agent], path)
    return usual if usual == widest else f"{usual}, or {widest}"


def _table() -> dict[str, list[str]]:
    """The rows of the document's table of fields: cells by field."""
    rows = re.findall(
        r"^\| `([A-Za-z0-9.]+)` \|(.+)\|$",
        DOCUMENT.split("## Which field goes where")[1].split("\n## ")[0],
        re.MULTILINE,
    )
    return {field: [cell.strip() for cell in cells.split("|")] for field, cells in rows}


@pytest.mark.slow
@pytest.mark.parametrize("path", FIELDS)
def test_each_field_goes_where_the_document_says_and_in_that_form(path: str) -> None:
    assert _table()[path] == [_cell(agent, path) for agent in AGENTS]


def test_the_document_names_every_field_of_an_event_and_no_other() -> None:
    def leaves(model: Any, prefix: str = "") -> set[str]:
        found: set[str] = set()
        for name, field in model.model_fields.items():
            path = prefix + (field.alias or name)
            parts = {"device", "ids", "consent", "context", "traits"}
            found |= leaves(type(field.default), f"{path}.") if name in parts else {path}
        return found

    stamped = {"type", "appId", "receivedAt", "trusted", "deviceUnusable", "warnings", "orderedBy", "scope"}
    assert _table().keys() == FIELDS.keys()
    details = (
        {f"device.{path}" if path == "platform" else path for path in leaves(Event)} - stamped - {"device.platform"}
    )
    assert details == FIELDS.keys() | NOT_SENT_AS_SUCH


def test_the_document_names_each_agents_purpose() -> None:
    for agent in AGENTS:
        purpose = _agent(agent).purpose or "by its settings"
        assert re.search(rf"^\| {agent} \| {purpose} \|", DOCUMENT, re.MULTILINE)


def test_the_document_has_a_column_for_every_agent() -> None:
    assert sorted(AGENTS) == sorted(path.parent.name for path in Path("functions/agents").glob("*/app.py"))


def _written() -> str:
    """The document with a column for every agent and the rows of today's requests; `make privacy` stores it."""
    folders = sorted(path.parent.name for path in Path("functions/agents").glob("*/app.py"))
    agents = [*AGENTS, *(name for name in folders if name not in AGENTS)]
    head = [f"| field | {' | '.join(agents)} |", "|---" * (len(agents) + 1) + "|"]
    rows = [f"| `{path}` | {' | '.join(_cell(agent, path) for agent in agents)} |" for path in FIELDS]
    start = DOCUMENT.index("| field | ")
    return "\n".join([DOCUMENT[:start] + head[0], *head[1:], *rows]) + DOCUMENT[DOCUMENT.index("\n\n", start) :]


if __name__ == "__main__":
    Path("docs/privacy.md").write_text(_written())
