"""`relay agents` against the local cloud: settings are typed, validated, stored and tried at the sandbox's agents."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from local import settings
from local.deploy import STAGE, Cloud
from tests.e2e.conftest import Caller
from tests.e2e.terminal import Terminal, plain


def _stored(app: Caller, agent: str) -> dict[str, Any]:
    ssm = Cloud(app.stack.aws_endpoint, app.stack.region).client("ssm")
    found = ssm.get_parameter(Name=f"/session-relay/{STAGE}/agents/{agent}", WithDecryption=True)["Parameter"]
    assert found["Type"] == "SecureString"
    document: dict[str, Any] = json.loads(found["Value"])
    return document


@pytest.fixture
def terminal(app: Caller) -> Iterator[Terminal]:
    """A terminal after which every agent has the settings again that it had."""
    used = Terminal(app.stack)
    yield used
    ssm = Cloud(app.stack.aws_endpoint, app.stack.region).client("ssm")
    for agent, known in settings.agents(app.stack.sandbox_url).items():
        name = f"/session-relay/{STAGE}/agents/{agent}"
        ssm.put_parameter(Name=name, Value=json.dumps(known), Type="SecureString", Overwrite=True)


def test_every_agent_is_listed_with_how_its_settings_stand(app: Caller, terminal: Terminal) -> None:
    rows = terminal.answered("agents", "list")
    deployed = settings.agents(app.stack.sandbox_url)
    assert [(row["agent"], row["deployed"], row["settings"]) for row in rows] == [
        (folder, folder in deployed, "valid" if folder in deployed else "missing")
        for folder in sorted(path.parent.name for path in Path("functions/agents").glob("*/app.py"))
    ]


def test_settings_are_set_field_by_field_and_the_others_kept(app: Caller, terminal: Terminal) -> None:
    before = _stored(app, "emarsys")
    terminal.well("agents", "set", "emarsys", "--set", "contact_field_id=7", "--set", "applications.ios.code=A-1")
    before["contact_field_id"], before["applications"]["ios"]["code"] = 7, "A-1"
    assert _stored(app, "emarsys") == before
    terminal.well("agents", "set", "emarsys", "--set", "properties=plan,method", "--set", "applications.ios.code=-",
                  "--set", "applications.ios.password=-")  # fmt: skip
    assert _stored(app, "emarsys")["properties"] == ["plan", "method"]
    assert "ios" not in _stored(app, "emarsys")["applications"]


def test_what_does_not_validate_is_not_stored_and_its_value_not_shown(app: Caller, terminal: Terminal) -> None:
    before = _stored(app, "google")
    wrong = {
        ("--set", "measurement_id=bad-value"): (1, "measurement_id"),
        ("--set", "measurement=G-1"): (2, "is not a field"),
        ("--set", "api_secret=-"): (1, "api_secret: Field required"),
        ("--file", "nowhere.json"): (2, "cannot be read"),
    }
    for arguments, (code, words) in wrong.items():
        run = terminal.relay("agents", "set", "google", *arguments)
        assert (run.code, words in run.stderr, "bad-value" in run.stderr) == (code, True, False), run
    unknown = terminal.relay(
        "agents", "set", "google", "--file", "-", given=json.dumps({**before, "more": "bad-value"})
    )
    assert (unknown.code, "more: " in unknown.stderr, "bad-value" in unknown.stderr) == (1, True, False)
    assert terminal.relay("agents", "set", "nobody").code == 2
    assert _stored(app, "google") == before


def test_the_terminal_asks_for_each_field_says_what_it_is_and_shows_no_secret(app: Caller, terminal: Terminal) -> None:
    before = _stored(app, "facebook")
    run = terminal.typed(
        "agents",
        "set",
        "facebook",
        answers=[
            ("access_token [unchanged]", "A-NEW-TOKEN"),
            ("dataset_id [1234567890123456]", "not-a-number"),
            ("dataset_id [1234567890123456]:", "42"),
            ("api_version (default v26.0) [v26.0]", ""),
            ("base_url (default https://graph.facebook.com)", ""),
            ("test_event_code (optional)", ""),
            ("not_phone_numbers (optional)", ""),
        ],
    )
    shown = plain(run.out)
    assert run.code == 0, shown
    assert "a system user's token for the dataset" in shown
    assert "A-NEW-TOKEN" not in shown
    assert before["access_token"] not in shown
    assert _stored(app, "facebook") == {**before, "access_token": "A-NEW-TOKEN", "dataset_id": "42"}


def test_the_check_passes_with_the_right_settings_and_leaves_no_trace(app: Caller, terminal: Terminal) -> None:
    before = {agent: app.state(agent) for agent in settings.agents("")}
    rows = terminal.answered("agents", "check")
    assert {row["agent"] for row in rows} == before.keys()
    assert [row for row in rows if row["result"] == "failed"] == []
    for agent in before:
        results = [row["result"] for row in rows if row["agent"] == agent]
        # Its settings, at least one thing asked of the agent, and what that does not prove.
        assert (results[0], "passed" in results[1:], results[-1]) == ("passed", True, "note")
    assert {agent: app.state(agent) for agent in before} == before


@pytest.mark.parametrize(
    ("agent", "field", "value"),
    [
        ("appsflyer", "s2s_key", "WRONG"),
        ("dashx", "private_key", "prv_wrong"),
        ("eitri_push", "signing_secrets", "whsec_" + base64.b64encode(b"wrong" * 6).decode()),
        ("emarsys", "applications.android.password", "wrong"),
        ("facebook", "access_token", "WRONG"),
    ],
)
def test_the_check_notices_wrong_credentials(terminal: Terminal, agent: str, field: str, value: str) -> None:
    terminal.well("agents", "set", agent, "--set", f"{field}={value}")
    run = terminal.relay("agents", "check", agent, "--json")
    (failed, *_) = [row for row in run.json if row["result"] == "failed"]
    assert run.code == 1
    assert failed["meaning"] == "the agent refuses the credentials" or agent == "appsflyer"
    assert value not in run.out
    assert f"relay agents set {agent} --stage {STAGE}" in terminal.relay("agents", "check", agent).stderr


def test_the_checks_probes_count_as_no_violations(app: Caller, terminal: Terminal) -> None:
    before = app.last_request()
    terminal.well("agents", "check")
    probes = [one for one in app.received_since(before) if one["probe"]]
    assert {one["agent"] for one in probes} == settings.agents("").keys()
    assert [one for one in probes if one["violations"]]
    assert app.received_since(before, wrong="true") == []


def test_the_check_says_of_google_what_it_cannot_prove(terminal: Terminal) -> None:
    terminal.well("agents", "set", "google", "--set", "api_secret=WRONG")
    run = terminal.well("agents", "check", "google")
    assert "secret and stream: Google does not look at them here" in run.out


def test_the_check_sends_a_test_event_to_facebook_if_asked(app: Caller, terminal: Terminal) -> None:
    rows = terminal.answered("agents", "check", "facebook", "--test-event-code", "TEST41207")
    assert [row["result"] for row in rows] == ["passed", "passed", "note"]
    assert len(app.received("facebook", "TEST41207")) == 1


def test_the_check_distinguishes_a_failing_agent_from_wrong_settings(app: Caller, terminal: Terminal) -> None:
    app.fault("dashx", status=503)
    run = terminal.relay("agents", "check", "dashx")
    assert (run.code, "the agent is failing now" in run.out) == (1, True)
    requests.delete(f"{app.stack.sandbox_url}/_faults", timeout=10)
    terminal.well("agents", "set", "dashx", "--set", "base_url=http://127.0.0.1:9")
    run = terminal.relay("agents", "check", "dashx")
    assert (run.code, "the agent does not respond" in run.out) == (1, True)
