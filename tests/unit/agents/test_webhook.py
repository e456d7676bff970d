"""The webhook: its document and schema, its signatures, its purpose and order, and the sandbox that checks it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from standardwebhooks import Webhook

from functions.agents.webhook import app as webhook
from local.sandbox import exchange
from local.sandbox.webhook import Webhook as Endpoint
from local.settings import optional_agents
from relay.agent.auth import Attempt
from relay.agent.http import Request, Response, unmasked
from relay.delivery.app_settings import ScopedSettings
from relay.delivery.handler import as_deployed
from relay.delivery.outcome import Outcome
from relay.delivery.plan import Plan, make_plan
from relay.event.model import Event
from tests.unit.delivery.test_delivery import ENVIRONMENT

NOW = datetime(2026, 11, 20, 9, 15, 42, tzinfo=UTC)
STORED = optional_agents("https://hooks.example.com")["webhook"]
NEW_SECRET = "whsec_b2YtbGFzdC15ZWFyLW9mLWxhc3QteWVhci1vZi1sYXN0"
SCHEMA = json.loads(Path("docs/webhook-event.schema.json").read_text())
CASES = json.loads(Path("functions/agents/webhook/contract.json").read_text())["cases"]
KINDS: dict[str, Any] = {"string": str, "integer": int, "object": dict}


def _settings(**more: Any) -> webhook.Settings:
    return webhook.Settings.model_validate(STORED | more)


def _event(event_type: str = "login", **fields: Any) -> Event:
    stamped = {"type": event_type, "appId": "shop", "eventId": "evt_1", "sequence": 1795166142000}
    times = {"occurredAt": NOW.isoformat(), "receivedAt": NOW.isoformat()}
    return Event.load(json.dumps({**stamped, **times, "customerId": "12345", **fields}))


def _sent(settings: webhook.Settings, event: Event | None = None) -> Request:
    (request,) = webhook.build_requests(event or _event(), settings)
    attempt = Attempt(NOW, lambda _request: Response(500), force_refresh=False)
    return webhook.authorize(request, settings, attempt)


def _received(request: Request) -> exchange.Request:
    agent = {"user-agent": "session-relay/0.1.0"}
    return exchange.Request("POST", "/hooks/events", {}, unmasked(request.headers) | agent, request.body)


@pytest.mark.parametrize("case", [case for case in CASES if "requests" in case], ids=lambda case: case["name"])
def test_every_document_keeps_to_the_schema(case: dict[str, Any]) -> None:
    body = case["requests"][0]["body"]
    assert set(SCHEMA["required"]) <= body.keys() <= SCHEMA["properties"].keys()
    for name, value in body.items():
        form = SCHEMA["properties"][name]
        assert value == form.get("const", value)
        assert value in form.get("enum", [value])
        assert isinstance(value, KINDS.get(form.get("type", ""), object))


def test_while_a_secret_changes_a_message_has_a_signature_of_each() -> None:
    old = STORED["signing_secrets"][0]
    request = _sent(_settings(signing_secrets=[NEW_SECRET, old]))
    headers = unmasked(request.headers)
    assert len(headers["webhook-signature"].split()) == 2
    fresh = headers | {"webhook-timestamp": str(int(datetime.now(UTC).timestamp()))}
    for secret in (NEW_SECRET, old):
        signature = Webhook(secret).sign("evt_1", NOW, request.body.decode())
        assert signature in headers["webhook-signature"].split()
    assert fresh["webhook-id"] == "evt_1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"purpose": None},
        {"purpose": "fun"},
        {"signing_secrets": []},
        {"signing_secrets": ["whsec_c2hvcnQ="]},
        {"personal_data": "pseudonymous"},
        {"personal_data": "pseudonymous", "pseudonym_key": "short"},
    ],
)
def test_settings_that_leave_open_who_may_know_what_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _settings(**wrong)


def test_the_purpose_of_the_settings_is_the_one_that_is_asked_for() -> None:
    def plan(purpose: str) -> Plan[webhook.Settings] | Outcome:
        scoped = ScopedSettings(_settings(purpose=purpose), "webhook")
        event = _event(consent={"messaging": False, "analytics": True})
        return make_plan(webhook.AGENT, event, lambda: scoped, NOW, default_consent=True)

    assert isinstance(plan("analytics"), Plan)
    assert plan("messaging").reason == "consent: messaging"  # type: ignore[union-attr]


@pytest.mark.parametrize(("queue", "is_ordered"), [("https://sqs.example.com/q", False), ("https://x/q.fifo", True)])
def test_the_type_of_its_queue_says_whether_it_is_ordered(queue: str, *, is_ordered: bool) -> None:
    deployed = as_deployed(webhook.AGENT, ENVIRONMENT._replace(queue_url=queue))
    assert (deployed.name, deployed.ordered) == ("example", is_ordered)


def test_a_folder_is_named_once_for_an_environment_and_again_for_another() -> None:
    other = ENVIRONMENT._replace(settings_parameter="/session-relay/test/agents/other")
    assert as_deployed(webhook.AGENT, ENVIRONMENT) is as_deployed(webhook.AGENT, ENVIRONMENT)
    assert as_deployed(webhook.AGENT, other).name == "other"
    assert as_deployed(webhook.AGENT, ENVIRONMENT).name == "example"


def test_the_sandboxs_endpoint_takes_what_is_signed_once() -> None:
    endpoint, received = Endpoint(STORED), _received(_sent(_settings()))
    result = endpoint.check(received, NOW.timestamp())
    assert result.violations == []
    assert [result.work().status, endpoint.check(received, NOW.timestamp()).work().status] == [202, 409]
    assert endpoint.state()["byName"] == {"login": 1}


@pytest.mark.parametrize(
    ("settings", "late", "violation"),
    [
        ({"signing_secrets": [NEW_SECRET]}, 0, "webhook-signature fits no secret"),
        ({}, 400, "is not within 300 s of now"),
        ({"personal_data": "full"}, 0, "body: customerId tells of a person"),
    ],
)
def test_the_sandboxs_endpoint_finds_what_is_wrong(settings: dict[str, Any], late: int, violation: str) -> None:
    received = _received(_sent(_settings(**settings)))
    result = Endpoint(STORED).check(received, (NOW + timedelta(seconds=late)).timestamp())
    assert any(violation in found for found in result.violations)


def test_no_secret_is_shown() -> None:
    request = _sent(_settings(personal_data="pseudonymous", pseudonym_key="an example key of 32 characters."))
    assert isinstance(request.headers["webhook-signature"], SecretStr)
    assert "an example key" not in repr(request) + request.body.decode()


@pytest.mark.parametrize("personal_data", ["none", "pseudonymous", "full"])
def test_a_release_logs_the_device_out_where_the_endpoint_knows_it(personal_data: str) -> None:
    settings = _settings(personal_data=personal_data, pseudonym_key="an example key of 32 characters.")
    event = _event(device={"id": "phone-1", "platform": "ios"}, scope="s1")
    (login,) = webhook.build_requests(event, settings)
    named = json.loads(login.body)["device"].get("id")
    released = [json.loads(request.body) for request in webhook.build_release(event, settings, ())]
    if personal_data == "none":
        assert (named, released) == (None, [])
        return
    (document,) = released
    assert document.pop("device") == {"id": named}
    assert (document["type"], document["id"], document["releaseOf"]) == ("logout", "release/evt_1.s1", "evt_1.s1")
    assert document.keys() <= SCHEMA["properties"].keys()
    assert "12345" not in json.dumps(document)


def test_events_of_one_id_that_another_person_proved_are_other_documents() -> None:
    ids = {webhook.build_requests(_event(scope=scope), _settings())[0].headers["webhook-id"] for scope in ("", "s1")}
    assert ids == {"evt_1", "evt_1.s1"}
