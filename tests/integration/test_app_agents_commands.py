"""The commands that give an app settings of its own, against SSM."""

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local import settings as local_settings
from ops import stage as ops_stage
from ops.agents import set_
from ops.app_agents import mode_of, own_settings_findings, settings_path, use
from ops.check import checked
from ops.errors import CommandError
from ops.show import Show
from ops.stage import AgentStack, Stage
from relay.agent.http import Request, Response
from relay.api.keys import App

FACEBOOK = local_settings.agents("https://vendors.example.com")["facebook"]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage of an app and shared settings, at which facebook is deployed."""
    monkeypatch.setattr(ops_stage, "_clients", {})
    made = Stage("test")
    made.__dict__["agents"] = {"facebook": AgentStack("facebook", "Facebook", ("login",), {})}
    made.__dict__["parameters"] = {}
    made.store(FACEBOOK, "agents", "facebook")
    made.store({"keys": []}, "apps", "outlet")
    return made


def _set_own(stage: Stage, **changed: Any) -> None:
    values = [f"{name}={value}" for name, value in {**FACEBOOK, **changed}.items()]
    set_(stage, Show(as_json=True), "facebook", app="outlet", values=values)


def _stored(path: str) -> dict[str, Any]:
    name = f"/session-relay/test/{path}"
    found = boto3.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]
    document: dict[str, Any] = json.loads(found["Value"])
    return document


def test_set_for_an_app_stores_its_own_settings_and_then_uses_them(stage: Stage) -> None:
    _set_own(stage, access_token="TOKEN-OF-OUTLET")
    assert _stored("agents/facebook/outlet")["access_token"] == "TOKEN-OF-OUTLET"
    assert _stored("agents/facebook") == FACEBOOK
    assert _stored("apps/outlet")["agents"] == {"facebook": "own"}
    assert settings_path(stage, "facebook", "outlet") == ("agents", "facebook", "outlet")


class FullSsm:
    """SSM as AWS has it: moto 5.2.5 and MiniStack 1.5.33 take any length in a standard parameter."""

    def put_parameter(self, **wanted: Any) -> None:
        """Refuses what is longer than a standard parameter, or what else is wrong."""
        length = len(wanted["Value"])
        reason = "maximum parameter value of 4096 characters" if length > 4096 else "a wrong name"
        raise ClientError({"Error": {"Code": "ValidationException", "Message": reason}}, "PutParameter")


def test_a_document_that_is_too_long_for_ssm_is_refused_with_its_length(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops_stage, "client", lambda _: FullSsm())
    with pytest.raises(CommandError, match=r"/agents/facebook would have 5013 characters: .* up to 4096; .*Tiering"):
        stage.store({"filters": "x" * 4998}, "agents", "facebook")
    with pytest.raises(ClientError, match="a wrong name"):
        stage.store({"filters": ""}, "agents", "facebook")


def test_settings_for_an_app_that_does_not_exist_are_not_stored(stage: Stage) -> None:
    with pytest.raises(CommandError, match="no app nowhere"):
        set_(stage, Show(as_json=True), "facebook", app="nowhere", values=["dataset_id=1"])
    assert stage.read("agents", "facebook", "nowhere") is None


def test_own_settings_are_chosen_only_where_they_are_stored(stage: Stage) -> None:
    with pytest.raises(CommandError, match="no settings of its own"):
        use(stage, Show(as_json=True), "outlet", "facebook", "own")
    assert mode_of(stage, "outlet", "facebook") == "shared"
    use(stage, Show(as_json=True), "outlet", "facebook", "none")
    assert mode_of(stage, "outlet", "facebook") == "none"
    assert settings_path(stage, "facebook", "outlet") is None


def test_the_record_keeps_its_keys_when_the_settings_change(stage: Stage) -> None:
    key = {"kind": "secret", "sha256": "0" * 64}
    stage.store({"name": "Outlet", "identity": "optional", "keys": [key]}, "apps", "outlet")
    use(stage, Show(as_json=True), "outlet", "facebook", "none")
    kept = _stored("apps/outlet")
    assert (kept["name"], kept["identity"], kept["keys"]) == ("Outlet", "optional", [key])


def test_check_tries_the_account_by_which_an_app_is_served(stage: Stage) -> None:
    _set_own(stage, dataset_id="6543210987654321")
    asked: list[str] = []

    def send(request: Request) -> Response:
        asked.append(request.url)
        return Response(401)

    rows = list(checked(stage, "facebook", send, "TEST1", "outlet"))
    assert {row["result"] for row in rows} >= {"passed", "failed"}
    assert all("6543210987654321" in url for url in asked)
    use(stage, Show(as_json=True), "outlet", "facebook", "none")
    (row,) = checked(stage, "facebook", send, None, "outlet")
    assert row["meaning"] == "outlet does not use this agent"


@pytest.mark.parametrize(
    ("own", "state", "words"),
    [
        (None, "wrong", "are not stored, so its deliveries there are held"),
        ({"dataset_id": "x"}, "wrong", "access_token: Field required"),
        (FACEBOOK, "ok", "validate"),
    ],
)
def test_doctor_finds_own_settings_that_hold_deliveries(stage: Stage, own: Any, state: str, words: str) -> None:
    if own:
        stage.store(own, "agents", "facebook", "outlet")
    (finding,) = own_settings_findings(stage, "outlet", App(agents={"facebook": "own"}))
    assert finding.state == state
    assert words in finding.finding


def test_doctor_notes_an_agent_of_a_record_that_is_not_deployed(stage: Stage) -> None:
    (finding,) = own_settings_findings(stage, "outlet", App(agents={"google": "none"}))
    assert finding.state == "note"


def test_an_instance_under_another_name_takes_the_settings_of_its_code(stage: Stage) -> None:
    stage.agents["facebook_two"] = AgentStack("facebook_two", "FacebookTwo", ("login",), {}, "facebook")
    set_(stage, Show(as_json=True), "facebook_two", values=[f"{name}={value}" for name, value in FACEBOOK.items()])
    assert _stored("agents/facebook_two") == FACEBOOK
    rows = list(checked(stage, "facebook_two", lambda _request: Response(401)))
    assert [row["result"] for row in rows] == ["passed", "failed", "note"]
