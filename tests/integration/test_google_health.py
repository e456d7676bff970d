"""What `relay doctor` says of Google's two agents, and `relay agents check` of the Data Manager's, against SSM."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from local import settings as local_settings
from local.sandbox.google_data_manager import GoogleDataManager
from ops import stage as ops_stage
from ops.check import checked
from ops.google_health import google_findings
from ops.stage import AgentStack, Stage
from relay.agent.http import Response
from tests.sandboxed import Vendor

URL = "https://agents.example"
GOOGLE = local_settings.agents(URL)["google"]
DATA_MANAGER = local_settings.optional_agents(URL)["google_data_manager"]
SAME_STREAM = {**DATA_MANAGER, "measurement_id": GOOGLE["measurement_id"]}


def _agent(name: str, code: str = "") -> AgentStack:
    return AgentStack(name, name, ("login",), {}, code or name)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage of two apps, at which both of Google's agents are deployed."""
    monkeypatch.setattr(ops_stage, "_clients", {})
    made = Stage("test")
    made.__dict__["agents"] = {name: _agent(name) for name in ("google", "google_data_manager")}
    made.__dict__["parameters"] = {}
    made.__dict__["resources"] = {"GoogleDataManagerStatusAlarm": "alarm"}
    made.store(GOOGLE, "agents", "google")
    made.store(DATA_MANAGER, "agents", "google_data_manager")
    for app in ("shop", "outlet"):
        made.store({"keys": []}, "apps", app)
    return made


def _findings(stage: Stage, state: str) -> list[tuple[str, str]]:
    return [(one.about, one.finding) for one in google_findings(stage) if one.state == state]


def test_two_agents_for_different_streams_are_right(stage: Stage) -> None:
    assert _findings(stage, "wrong") == []
    assert ("google_data_manager", "no stream gets an app's events twice") in _findings(stage, "ok")


def test_one_stream_by_both_agents_is_wrong_for_every_app_that_both_serve(stage: Stage) -> None:
    stage.store(SAME_STREAM, "agents", "google_data_manager")
    stage.store({"keys": [], "agents": {"google": "none"}}, "apps", "outlet")
    ((about, finding),) = _findings(stage, "wrong")
    assert about == "app shop"
    assert GOOGLE["measurement_id"] in finding
    (fix,) = [one.fix for one in google_findings(stage) if one.state == "wrong"]
    assert fix == "relay apps use shop google none --stage test"


def test_an_apps_own_settings_count(stage: Stage) -> None:
    stage.store(SAME_STREAM, "agents", "google_data_manager", "outlet")
    stage.store({"keys": [], "agents": {"google_data_manager": "own"}}, "apps", "outlet")
    assert [about for about, _ in _findings(stage, "wrong")] == ["app outlet"]


def test_an_agent_of_another_name_is_known_by_its_folder(stage: Stage) -> None:
    stage.__dict__["agents"] = {
        "google_two": _agent("google_two", "google"),
        "later": _agent("later", "google_data_manager"),
    }
    stage.store(GOOGLE, "agents", "google_two")
    stage.store(SAME_STREAM, "agents", "later")
    assert sorted(about for about, _ in _findings(stage, "wrong")) == ["app outlet", "app shop"]


def test_without_its_alarm_there_is_a_note_and_without_the_agent_no_word(stage: Stage) -> None:
    stage.__dict__["resources"] = {}
    ((_, finding),) = _findings(stage, "note")
    assert "StatusAlarm=true" in finding
    stage.__dict__["agents"] = {"google": _agent("google")}
    assert list(google_findings(stage)) == []


def _checked(stage: Stage, settings: dict[str, Any]) -> tuple[list[str], Vendor]:
    vendor = Vendor(GoogleDataManager(DATA_MANAGER), f"{URL}/google_data_manager", lambda: datetime.now(UTC))
    stage.store(settings, "agents", "google_data_manager")
    return [str(row["result"]) for row in checked(stage, "google_data_manager", vendor)], vendor


def test_check_lets_google_validate_an_event_of_each_stream_and_leaves_no_trace(stage: Stage) -> None:
    results, vendor = _checked(stage, DATA_MANAGER)
    assert results == ["passed", "passed", "passed", "passed", "note"]
    sent = [json.loads(request.body) for request in vendor.sent if "ingest" in request.url]
    assert [body["validateOnly"] for body in sent] == [True, True, True]
    assert vendor.violations == []
    assert vendor.agent.state()["count"] == 0


@pytest.mark.parametrize("wrong", [{"property_id": "999999999"}, {"measurement_id": "G-WRONG"}])
def test_check_finds_a_property_or_stream_that_the_account_may_not_edit(stage: Stage, wrong: dict[str, Any]) -> None:
    assert "failed" in _checked(stage, {**DATA_MANAGER, **wrong})[0]


def test_check_says_when_google_does_not_admit_the_role(stage: Stage) -> None:
    rows = list(checked(stage, "google_data_manager", lambda _request: Response(403)))
    assert [row["result"] for row in rows] == ["passed", "failed", "failed", "failed", "note"]
    assert rows[1]["answer"] == "token endpoint: HTTP 403 without a token"
