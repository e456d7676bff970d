"""Several apps by one deployment: which settings serve an app, and what fails with them."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from functions.agents.appsflyer import app as appsflyer
from functions.agents.emarsys import app as emarsys
from functions.agents.facebook import app as facebook
from functions.agents.webhook import app as webhook
from local import settings as local_settings
from local.scenario import PHONE
from relay.agent.definition import Agent
from relay.agent.http import Request, Response
from relay.aws import environment, parameters
from relay.delivery.handler import lambda_handler
from relay.ledger.ledger import Ledger

SHARED = local_settings.agents("https://vendors.example.com") | local_settings.optional_agents(
    "https://hooks.example.com"
)
OUTLETS = "https://outlet.example.com"
OWN: dict[str, dict[str, Any]] = {
    "appsflyer": {"s2s_key": "S2S-KEY-OF-OUTLET", "android_app_id": "com.example.outlet", "base_url": OUTLETS},
    "facebook": {"access_token": "TOKEN-OF-OUTLET", "dataset_id": "6543210987654321", "base_url": OUTLETS},
    "emarsys": {
        "applications": {"android": {"code": "0UTLE-T0001", "password": "example-of-outlet"}},
        "base_url": OUTLETS,
    },
}
AGENTS: dict[str, Agent[Any]] = {made.AGENT.name: made.AGENT for made in (appsflyer, facebook, emarsys)}


@dataclass
class Time:
    """A Lambda context with plenty of time."""

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


@dataclass
class Stage:
    """One agent's function of a stage, whose vendor answers by the account that a request is for."""

    agent: Agent[Any]
    outlets_status: int = 200
    shops_status: int = 200
    sent: list[Request] = field(default_factory=list)

    def store(self, path: str, document: object) -> None:
        """Stores a parameter of the stage."""
        name = f"/session-relay/test/{path}"
        boto3.client("ssm").put_parameter(Name=name, Value=json.dumps(document), Type="SecureString", Overwrite=True)

    def deliver(self, *events: dict[str, Any]) -> list[str]:
        """The event ids that stay in the queue."""
        records = [_record(event, fifo=self.agent.ordered) for event in events]
        answer = lambda_handler(self.agent, send=self._send)({"Records": records}, Time())
        return sorted(failure["itemIdentifier"] for failure in answer["batchItemFailures"])

    def dry_run(self, event: dict[str, Any]) -> dict[str, Any]:
        """The requests that the event would make."""
        return lambda_handler(self.agent, send=self._send)({"dryRun": json.dumps(event)}, Time())

    def receipt(self, event: dict[str, Any]) -> dict[str, Any]:
        """The event's receipt."""
        return dict(Ledger("receipts").receipts(event["appId"], event["eventId"])[""][self.agent.name])

    def _send(self, request: Request) -> Response:
        self.sent.append(request)
        status = self.outlets_status if _is_outlets(request) else self.shops_status
        events = json.loads(request.body).get("data", [])
        return Response(status, json.dumps({"events_received": len(events)}).encode())

    def accounts(self) -> set[str]:
        """The apps whose accounts were sent something."""
        return {"outlet" if _is_outlets(request) else "shop" for request in self.sent}


def _is_outlets(request: Request) -> bool:
    return request.url.startswith(OUTLETS)


def _event(app_id: str, number: int = 1) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    device = {name: value for name, value in PHONE["device"].items() if name != "appId"}
    return {
        "type": "login",
        "appId": app_id,
        "eventId": f"evt_{app_id}_{number}",
        "occurredAt": now,
        "receivedAt": now,
        "sequence": number,
        "customerId": f"customer-{number}",
        "email": "ana@example.com",
        "ids": PHONE["ids"],
        "device": {**device, "id": f"{app_id}-{number}"},
    }


def _record(event: dict[str, Any], *, fifo: bool) -> dict[str, Any]:
    sent = {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(datetime.now(UTC).timestamp() * 1000))}
    return {
        "messageId": event["eventId"],
        "receiptHandle": event["eventId"],
        "body": json.dumps(event),
        "attributes": {**sent, **({"MessageGroupId": event["device"]["id"]} if fifo else {})},
        "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:agent{'.fifo' if fifo else ''}",
    }


def _stage(agent: Agent[Any], monkeypatch: pytest.MonkeyPatch, table: str, *, is_fifo: bool = False) -> Stage:
    """A stage of one app, which an agent serves by the shared settings."""
    name = agent.name
    queue = {"QueueName": "q.fifo", "Attributes": {"FifoQueue": "true"}} if is_fifo else {"QueueName": "q"}
    for variable, value in {
        "SETTINGS_PARAMETER": f"/session-relay/test/agents/{name}",
        "TABLE": table,
        "QUEUE_URL": boto3.client("sqs").create_queue(**queue)["QueueUrl"],
        "DEAD_LETTER_QUEUE_URL": boto3.client("sqs").create_queue(QueueName="dead")["QueueUrl"],
        "RETRY_SCHEDULE": "5,30",
        "RETRY_HORIZON_SECONDS": "86400",
        "HOLD_SECONDS": "900",
        "CIRCUIT_SECONDS": "30",
        "CLAIM_SECONDS": "60",
        "DEFAULT_CONSENT": "granted",
        "ALLOW_INSECURE_AGENTS": "false",
    }.items():
        monkeypatch.setenv(variable, value)
    made = Stage(agent)
    made.store(f"agents/{name}", SHARED[name])
    made.store("apps/shop", {"keys": []})
    return made


@pytest.fixture(params=AGENTS)
def stage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, table: str) -> Stage:
    """A stage of two apps, each with an account of its own at the agent: the shop's are the shared settings."""
    name: str = request.param
    made = _stage(AGENTS[name], monkeypatch, table)
    made.store(f"agents/{name}/outlet", SHARED[name] | OWN[name])
    made.store("apps/outlet", {"keys": [], "agents": {name: "own"}})
    return made


def test_each_app_is_served_by_its_own_account(stage: Stage) -> None:
    assert stage.deliver(_event("shop")) == []
    assert stage.accounts() == {"shop"}
    stage.sent.clear()
    assert stage.deliver(_event("outlet")) == []
    assert stage.accounts() == {"outlet"}


def test_one_batch_of_two_apps_never_mixes_their_accounts(stage: Stage) -> None:
    events = [_event(app_id, number) for number in (1, 2) for app_id in ("shop", "outlet")]
    assert stage.deliver(*events) == []
    for request in stage.sent:
        other = b"evt_shop" if _is_outlets(request) else b"evt_outlet"
        assert other not in request.body
    assert stage.accounts() == {"shop", "outlet"}
    if stage.agent is facebook.AGENT:
        assert len(stage.sent) == 2


def test_a_broken_account_holds_its_own_app_alone(stage: Stage) -> None:
    stage.outlets_status = 401
    assert stage.deliver(_event("outlet"), _event("shop")) == ["evt_outlet_1"]
    assert stage.receipt(_event("outlet"))["state"] == "held"
    assert stage.receipt(_event("shop"))["state"] in {"delivered", "unconfirmed"}
    stage.sent.clear()
    # The refusal is remembered for the settings that were refused.
    assert stage.deliver(_event("outlet", 2), _event("shop", 2)) == ["evt_outlet_2"]
    assert stage.accounts() == {"shop"}


def test_own_settings_that_are_missing_hold_the_delivery_and_never_use_the_shared_account(stage: Stage) -> None:
    boto3.client("ssm").delete_parameter(Name=f"/session-relay/test/agents/{stage.agent.name}/outlet")
    assert stage.deliver(_event("outlet"), _event("shop")) == ["evt_outlet_1"]
    receipt = stage.receipt(_event("outlet"))
    assert (receipt["state"], receipt["reason"]) == (
        "held",
        f"/session-relay/test/agents/{stage.agent.name}/outlet does not exist",
    )
    assert stage.accounts() == {"shop"}


def test_an_app_whose_record_cannot_be_read_is_held(stage: Stage) -> None:
    boto3.client("ssm").delete_parameter(Name="/session-relay/test/apps/outlet")
    assert stage.deliver(_event("outlet")) == ["evt_outlet_1"]
    assert stage.receipt(_event("outlet"))["reason"] == "/session-relay/test/apps/outlet does not exist"
    assert stage.sent == []


def test_an_app_that_does_not_use_the_agent_is_skipped_with_that_reason(stage: Stage) -> None:
    stage.store("apps/outlet", {"keys": [], "agents": {stage.agent.name: "none"}})
    assert stage.deliver(_event("outlet"), _event("shop")) == []
    receipt = stage.receipt(_event("outlet"))
    assert (receipt["state"], receipt["reason"]) == ("skipped", "the app does not use this agent")
    assert stage.accounts() == {"shop"}


def test_a_dry_run_shows_the_apps_own_account(stage: Stage) -> None:
    shown = stage.dry_run(_event("outlet"))
    assert all(request["url"].startswith(OUTLETS) for request in shown["requests"])
    stage.store("apps/shop", {"agents": {stage.agent.name: "none"}})
    assert stage.dry_run(_event("shop")) == {"skipped": "the app does not use this agent"}


def test_a_broken_shared_account_never_holds_an_app_with_its_own(stage: Stage) -> None:
    stage.shops_status = 401
    assert stage.deliver(_event("shop"), _event("outlet")) == ["evt_shop_1"]
    stage.shops_status = 503
    for number in range(2, 9):
        stage.deliver(_event("shop", number))
    assert stage.deliver(_event("outlet", 2)) == []
    assert stage.receipt(_event("outlet", 2))["state"] in {"delivered", "unconfirmed"}


def test_a_device_is_released_by_the_apps_own_account(monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    stage = _stage(emarsys.AGENT, monkeypatch, table, is_fifo=True)
    stage.store("agents/emarsys/outlet", SHARED["emarsys"] | OWN["emarsys"])
    stage.store("apps/outlet", {"keys": [], "agents": {"emarsys": "own"}})
    _log_in_then_deny(stage, "outlet")
    assert (stage.accounts(), stage.sent[-1].url.rpartition("/")[2]) == ({"outlet"}, "logout")
    assert stage.receipt(_event("outlet", 2))["released"] == 1
    # The shop's phone, of whose account the outlet's settings know nothing.
    stage.sent.clear()
    _log_in_then_deny(stage, "shop")
    assert stage.accounts() == {"shop"}


def test_an_app_that_has_left_the_agent_releases_no_device_there(monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    stage = _stage(emarsys.AGENT, monkeypatch, table, is_fifo=True)
    stage.deliver(_event("shop", 1))
    sent = len(stage.sent)
    stage.store("apps/shop", {"keys": [], "agents": {"emarsys": "none"}})
    parameters._last_good.clear()  # noqa: SLF001
    second = _event("shop", 2) | {"device": _event("shop", 1)["device"], "consent": {"messaging": False}}
    assert stage.deliver(second) == []
    assert len(stage.sent) == sent
    assert stage.receipt(second)["reason"] == "consent: messaging"


def test_an_ordered_webhook_is_sent_that_nobody_is_on_the_device_of_a_person_who_denied(
    monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    stage = _stage(webhook.AGENT, monkeypatch, table, is_fifo=True)
    stage.store("agents/webhook", SHARED["webhook"] | {"personal_data": "full", "purpose": "messaging"})
    _log_in_then_deny(stage, "shop")
    documents = [json.loads(request.body) for request in stage.sent]
    assert [(sent["type"], sent.get("customerId")) for sent in documents] == [("login", "customer-1"), ("logout", None)]
    assert documents[1]["device"] == {"id": "shop-1"}


def test_an_ordered_webhook_that_knows_no_device_is_not_said_to_be_released(
    monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    stage = _stage(webhook.AGENT, monkeypatch, table, is_fifo=True)
    assert stage.deliver(_event("shop", 1)) == []
    stage.shops_status = 400
    second = _event("shop", 2) | {"device": _event("shop", 1)["device"]}
    assert stage.deliver(second) == []
    receipt = stage.receipt(second)
    assert (receipt["state"], receipt["reason"], "released" in receipt) == ("parked", "HTTP 400", False)


def test_an_unordered_webhook_releases_nothing(monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    stage = _stage(webhook.AGENT, monkeypatch, table)
    stage.store("agents/webhook", SHARED["webhook"] | {"personal_data": "full", "purpose": "messaging"})
    _log_in_then_deny(stage, "shop")
    assert [json.loads(request.body)["type"] for request in stage.sent] == ["login"]


def _log_in_then_deny(stage: Stage, app_id: str) -> None:
    """One person logs in; the next one, who denies messaging, logs in on the same phone."""
    first = _event(app_id, 1)
    assert stage.deliver(first) == []
    assert stage.deliver(_event(app_id, 2) | {"device": first["device"], "consent": {"messaging": False}}) == []


def test_an_outage_of_one_account_opens_its_own_circuit(stage: Stage) -> None:
    stage.outlets_status = 503
    for number in range(1, 8):
        stage.deliver(_event("outlet", number))
    assert "circuit open" in stage.receipt(_event("outlet", 7))["reason"]
    assert stage.deliver(_event("shop")) == []
    rows = boto3.client("dynamodb").scan(TableName="receipts")["Items"]
    circuits = {row["agent"]["S"] for row in rows if row["event"]["S"] == "circuit"}
    assert circuits == {f"{stage.agent.name}#outlet", f"{stage.agent.name}#outlet##down"}


def test_a_folder_that_is_deployed_under_another_name_works_under_that_name(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{stage.agent.name}_two"
    environment.AgentEnvironment.read.__func__.cache_clear()  # type: ignore[attr-defined]
    monkeypatch.setenv("SETTINGS_PARAMETER", f"/session-relay/test/agents/{name}")
    stage.store(f"agents/{name}", SHARED[stage.agent.name] | OWN[stage.agent.name])
    assert stage.deliver(_event("shop")) == []
    assert stage.accounts() == {"outlet"}
    rows = Ledger("receipts").receipts("shop", "evt_shop_1")[""]
    assert (rows.keys() & AGENTS.keys(), rows[name]["state"] in {"delivered", "unconfirmed"}) == (set(), True)
    stage.store("apps/shop", {"agents": {stage.agent.name: "own", name: "none"}})
    assert stage.dry_run(_event("shop")).keys() == {"requests"}
    parameters._last_good.clear()  # noqa: SLF001
    assert stage.dry_run(_event("shop")) == {"skipped": "the app does not use this agent"}
