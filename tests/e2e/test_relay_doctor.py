"""`relay doctor`, and what every command has in common: it finds what is broken, and says what to do."""

import json
import re
import time
from typing import Any

import pytest

from local import settings
from local.deploy import STAGE, Cloud, wait_for
from tests.e2e.conftest import PATIENCE_SECONDS, Caller
from tests.e2e.terminal import Terminal, plain

AGENTS = tuple(sorted(settings.agents("")))


def _client(app: Caller, service: str) -> Any:
    return Cloud(app.stack.aws_endpoint, app.stack.region).client(service)


def _wrong(terminal: Terminal, about: str) -> dict[str, str]:
    """What is wrong with a thing, and the command that fixes it."""
    run = terminal.relay("doctor", "--json")
    found = {
        one["finding"]: one["fix"] for one in run.json["findings"] if one["about"] == about and one["state"] == "wrong"
    }
    assert (run.code == 1) == bool(run.json["wrong"])
    return found


def _resource(app: Caller, logical: str) -> str:
    found = _client(app, "cloudformation").describe_stack_resource(
        StackName=app.stack.stack_name, LogicalResourceId=logical
    )
    return str(found["StackResourceDetail"]["PhysicalResourceId"])


def test_what_was_deployed_and_seeded_is_well(app: Caller) -> None:
    terminal = Terminal(app.stack)
    for agent in AGENTS:
        terminal.relay("parked", "drop", agent, "--yes")
    # Other tests put unreadable messages into every queue, this one among them.
    _client(app, "sqs").purge_queue(QueueUrl=_resource(app, "UndeliveredQueue"))
    findings = terminal.relay("doctor", "--json").json["findings"]
    mine = {"stack", "clock", "undelivered", "alarms", f"app {app.stack.app_id}", *AGENTS}
    assert [one for one in findings if one["about"] in mine and one["state"] == "wrong"] == []
    assert {one["about"] for one in findings} >= mine - {"alarms"}
    assert {one["about"] for one in findings if one["finding"] == "not throttled"} >= {
        "IngestFunction",
        "EmarsysFunction",
    }


def test_the_release_that_each_functions_alias_runs_is_named(app: Caller) -> None:
    terminal = Terminal(app.stack)
    found = {
        one["about"]: one
        for one in terminal.relay("doctor", "--json").json["findings"]
        if "runs release" in one["finding"]
    }
    assert len(found) == len(AGENTS) + 5
    assert {one["state"] for one in found.values()} == {"ok"}
    (release,) = {
        re.findall(r"^runs release ([0-9a-f]{16}), version \d+$", one["finding"])[0] for one in found.values()
    }
    sentence = f"All {len(found)} functions run release {release}."
    for command in ("doctor", "status"):
        run = terminal.relay(command)
        assert sentence in " ".join(plain(run.out + run.stderr).split())
    releases = terminal.relay("status", "--json").json["releases"]
    assert {(one["release"], tuple(one["stale"])) for one in releases} == {(release, ())}


def test_settings_that_are_missing_or_do_not_validate_are_found(app: Caller) -> None:
    terminal, ssm, name = Terminal(app.stack), _client(app, "ssm"), f"/session-relay/{STAGE}/agents/google"
    known = json.dumps(settings.agents(app.stack.sandbox_url)["google"])
    try:
        ssm.put_parameter(Name=name, Value='{"api_secret": 7}', Type="SecureString", Overwrite=True)
        (what, fix), *_ = _wrong(terminal, "google").items()
        assert what.startswith("settings: ")
        ssm.delete_parameter(Name=name)
        assert _wrong(terminal, "google")["no settings are stored, so its deliveries are held"] == fix
        assert fix == f"relay agents set google --stage {STAGE}"
        assert terminal.relay("agents", "check", "google").code == 1
    finally:
        terminal.well("agents", "set", "google", "--file", "-", given=known)
    assert not [what for what in _wrong(terminal, "google") if "settings" in what]


def test_a_function_that_no_longer_reads_its_queue_is_found_with_the_command_that_fixes_it(app: Caller) -> None:
    terminal, functions = Terminal(app.stack), _client(app, "lambda")
    mapping = _resource(app, "DashxFunctionDeliveries")
    try:
        functions.update_event_source_mapping(UUID=mapping, Enabled=False)
        found = _wrong(terminal, "dashx")
        assert found["polling its queue is Disabled"].endswith(
            f"--enabled --uuid {mapping} --region {app.stack.region}"
        )
    finally:
        functions.update_event_source_mapping(UUID=mapping, Enabled=True)
    assert "reading its queue is Disabled" not in _wrong(terminal, "dashx")


def test_a_queue_that_the_topic_cannot_reach_is_found(app: Caller) -> None:
    terminal, queues, topics = Terminal(app.stack), _client(app, "sqs"), _client(app, "sns")
    queue, subscription = _resource(app, "EmarsysQueue"), _resource(app, "EmarsysSubscription")
    policy = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])["Attributes"]["Policy"]
    known = topics.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]["FilterPolicy"]

    def reports(filtered: str) -> None:
        topics.set_subscription_attributes(
            SubscriptionArn=subscription, AttributeName="FilterPolicy", AttributeValue=filtered
        )

    try:
        queues.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": '{"Statement": []}'})
        reports('{"type": ["login"]}')
        assert _wrong(terminal, "emarsys").keys() >= {
            "its queue does not accept the topic's messages",
            "its subscription passes other events than the registry lists",
        }
    finally:
        queues.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
        reports(known)
    assert not [what for what in _wrong(terminal, "emarsys") if "topic" in what or "subscription" in what]


def test_an_app_that_nobody_could_use_is_found(app: Caller) -> None:
    terminal, ssm, name = Terminal(app.stack), _client(app, "ssm"), f"/session-relay/{STAGE}/apps/ops-broken"
    try:
        ssm.put_parameter(Name=name, Value='{"keys": []}', Type="SecureString", Overwrite=True)
        found = _wrong(terminal, "app ops-broken")
        assert found["it has no valid key"] == f"relay apps rotate ops-broken --stage {STAGE}"
        admit = f"relay apps admit ops-broken --stage {STAGE}"
        assert found["it is not in the usage plan, so API Gateway refuses it"] == admit
        assert "it has no identity key, so its public key can name no customer" in found
        terminal.well("apps", "admit", "ops-broken")
        assert admit not in _wrong(terminal, "app ops-broken").values()
        ssm.put_parameter(Name=name, Value='{"keys": 7}', Type="SecureString", Overwrite=True)
        assert "its record does not validate" in _wrong(terminal, "app ops-broken")
    finally:
        ssm.delete_parameter(Name=name)


def test_parked_deliveries_are_found(app: Caller) -> None:
    terminal, event_id = Terminal(app.stack), f"doctor-{time.time_ns()}"
    app.fault("eitri_push", status=400, match=event_id, times=1)
    app.accepted("/open", {"eventId": event_id, "device": {"id": event_id, "platform": "android"}})
    app.receipt(event_id, "eitri_push", "parked")
    listing = f"relay parked list eitri_push --stage {STAGE}"
    assert wait_for(lambda: listing in _wrong(terminal, "eitri_push").values(), PATIENCE_SECONDS)
    terminal.well("parked", "drop", "eitri_push", "--yes")
    assert listing not in _wrong(terminal, "eitri_push").values()


@pytest.mark.parametrize(
    ("environment", "code", "words"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, 3, "AWS does not respond"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, 3, "no usable AWS credentials"),
        ({"AWS_REGION": ""}, 3, "No AWS region is set"),
        ({"AWS_PROFILE": "nobody"}, 3, "does not have the profile"),
        ({"RELAY_STAGE": "nowhere"}, 1, "no stack session-relay-nowhere"),
        ({"RELAY_STACK": "nowhere"}, 1, "no stack nowhere"),
    ],
)
def test_every_error_is_one_sentence_that_says_what_to_do_and_a_code(
    app: Caller, environment: dict[str, str], code: int, words: str
) -> None:
    for command in (("status",), ("apps", "list")):
        if command == ("apps", "list") and code == 1:
            continue
        run = Terminal(app.stack).relay(*command, **environment)
        sentences = [line for line in run.stderr.splitlines() if not line.startswith("    ")]
        assert (run.code, run.out, words in run.stderr, len(sentences)) == (code, "", True, 1), run
        run = Terminal(app.stack).relay(*command, "--json", **environment)
        error = run.json["error"]
        assert (run.code, error["code"], words in error["message"], run.stderr) == (code, code, True, ""), run


def test_help_lists_every_command_and_says_what_the_codes_mean(app: Caller) -> None:
    terminal = Terminal(app.stack)
    shown = " ".join(terminal.well("--help", COLUMNS="200").out.split())
    assert "Exit codes: 0 fine;" in shown
    for name in ("apps", "agents", "status", "events", "send", "parked", "tail", "doctor", "forget"):
        assert f" {name} " in shown
    assert terminal.relay("nothing").code == 2
    assert terminal.relay("status", "--nothing").code == 2


def test_at_a_terminal_there_are_tables_and_colours_and_in_a_pipe_plain_text(app: Caller) -> None:
    terminal = Terminal(app.stack)
    at_terminal, piped = terminal.typed("agents", "list"), terminal.well("agents", "list")
    assert "\x1b[" in at_terminal.out
    assert re.search(r"agent +deployed  settings", plain(at_terminal.out))
    assert piped.out.splitlines()[0] == "agent\tdeployed\tsettings\tpurpose\tevents\terrors"
    assert "\x1b" not in piped.out


@pytest.mark.parametrize("columns", [60, 100])
def test_at_any_width_names_and_commands_are_whole(app: Caller, columns: int) -> None:
    terminal = Terminal(app.stack)
    for command in (("status",), ("agents", "list"), ("apps", "list"), ("doctor",)):
        lines = plain(terminal.typed(*command, columns=columns).out).replace("\r", "").splitlines()
        text = "\n".join(lines)
        if command[0] in {"status", "agents"}:
            assert [name for name in AGENTS if name not in text] == []
        commands = [line.strip() for line in lines if line.strip().startswith("relay ")]
        assert [line for line in commands if not line.endswith(f"--stage {STAGE}")] == []
        assert [line for line in lines if len(line.rstrip()) > columns and line.strip() not in commands] == []
