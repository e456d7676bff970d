"""The template's facts: what every agent's resources must meet, read from the template as its loops expand."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import decode_str
from cfnlint.template import Template
from cfnlint.template.transforms._language_extensions import language_extension

ORDERED = {"EitriPush", "Emarsys", "Dashx"}
FOLDERS = sorted(path.parent.name for path in Path("functions/agents").glob("*/app.py"))
FUNCTION_TIMEOUT_SECONDS = 30
FOURTEEN_DAYS = 14 * 24 * 3600


@cache
def _template() -> dict[str, Any]:
    document, faults = decode_str(Path("template.yaml").read_text())
    assert not faults
    faults, expanded = language_extension(Template("template.yaml", document, ["us-east-1"]))
    assert not faults
    plain: dict[str, Any] = json.loads(json.dumps(expanded))
    return {**plain, "Resources": _with_defaults(plain["Resources"], plain["Mappings"])}


def _with_defaults(part: Any, mappings: dict[str, Any]) -> Any:
    """The part with each look-up that has a default resolved; a member whose default is no value is left out."""
    if isinstance(part, list):
        return [_with_defaults(item, mappings) for item in part]
    if not isinstance(part, dict):
        return part
    members = {name: _looked_up(value, mappings) for name, value in part.items()}
    no_value = {"Ref": "AWS::NoValue"}
    return {name: _with_defaults(value, mappings) for name, value in members.items() if value != no_value}


def _looked_up(value: Any, mappings: dict[str, Any]) -> Any:
    look_up = value.get("Fn::FindInMap") if isinstance(value, dict) else None
    if look_up and isinstance(look_up[-1], dict):
        name, top, second, default = look_up
        return mappings[name][top].get(second, default["DefaultValue"])
    return value


def _properties(name: str) -> dict[str, Any]:
    properties: dict[str, Any] = _template()["Resources"][name]["Properties"]
    return properties


AGENTS = sorted(_template()["Mappings"]["Agents"])
every_agent = pytest.mark.parametrize("agent", AGENTS)


def test_every_agents_folder_is_in_the_template_and_enabled() -> None:
    mapped = _template()["Mappings"]["Agents"]
    assert sorted(facts["Name"] for facts in mapped.values()) == FOLDERS
    assert sorted(_template()["Parameters"]["EnabledAgents"]["Default"].split(",")) == AGENTS


@every_agent
def test_an_agents_code_is_its_folder(agent: str) -> None:
    facts = _template()["Mappings"]["Agents"][agent]
    assert facts["CodeUri"] == f"functions/agents/{facts['Name']}"
    assert _properties(f"{agent}Function")["CodeUri"] == facts["CodeUri"]


@every_agent
def test_a_queue_and_its_dead_letter_queue_are_fifo_for_ordered_agents_alone(agent: str) -> None:
    for name in (f"{agent}Queue", f"{agent}DeadLetterQueue"):
        queue = _properties(name)
        # SQS refuses FifoQueue: false, so a standard queue must not have it at all.
        assert queue.get("FifoQueue") is (True if agent in ORDERED else None)
        assert queue["MessageRetentionPeriod"] == FOURTEEN_DAYS
        assert queue["SqsManagedSseEnabled"] is True
    assert _properties(f"{agent}Queue").get("FifoThroughputLimit") == (
        "perMessageGroupId" if agent in ORDERED else None
    )


@every_agent
def test_a_message_outlasts_six_of_its_functions_timeouts(agent: str) -> None:
    assert _properties(f"{agent}Function")["Timeout"] == FUNCTION_TIMEOUT_SECONDS
    assert _properties(f"{agent}Queue")["VisibilityTimeout"] >= 6 * FUNCTION_TIMEOUT_SECONDS


@every_agent
def test_sqs_own_redrive_is_only_a_backstop(agent: str) -> None:
    redrive = _properties(f"{agent}Queue")["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": [f"{agent}DeadLetterQueue", "Arn"]}
    assert redrive["maxReceiveCount"] == 1000


@every_agent
def test_a_subscription_filters_delivers_raw_and_loses_nothing(agent: str) -> None:
    subscription = _properties(f"{agent}Subscription")
    assert subscription["RawMessageDelivery"] is True
    assert subscription["Endpoint"] == {"Fn::GetAtt": [f"{agent}Queue", "Arn"]}
    assert {"login", "logout"} <= set(subscription["FilterPolicy"]["type"])
    assert subscription["RedrivePolicy"] == {"deadLetterTargetArn": {"Fn::GetAtt": ["UndeliveredQueue", "Arn"]}}


@every_agent
def test_only_the_topic_may_write_to_a_queue(agent: str) -> None:
    (statement,) = _properties(f"{agent}QueuePolicy")["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Ref": "EventTopic"}}}


@every_agent
def test_a_batch_reports_its_failures_and_leaves_room_for_others(agent: str) -> None:
    source = _properties(f"{agent}Function")["Events"]["Deliveries"]["Properties"]
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"]["MaximumConcurrency"] >= 2
    if agent in ORDERED:
        # SQS allows a FIFO source ten messages and no window.
        assert source["BatchSize"] <= 10
        assert "MaximumBatchingWindowInSeconds" not in source


@every_agent
def test_a_function_reads_its_own_secret_and_no_other(agent: str) -> None:
    (policy,) = _properties(f"{agent}Role")["Policies"]
    allowed = {json.dumps(s["Action"]): s["Resource"] for s in policy["PolicyDocument"]["Statement"]}
    name = _template()["Mappings"]["Agents"][agent]["Name"]
    assert allowed['"ssm:GetParameter"'] == {
        "Fn::Sub": [
            "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/session-relay/${Stage}/agents/${Name}",
            {"Name": name},
        ]
    }
    assert _properties(f"{agent}Function")["Environment"]["Variables"]["SETTINGS_PARAMETER"] == {
        "Fn::Sub": ["/session-relay/${Stage}/agents/${Name}", {"Name": name}]
    }


def test_no_role_allows_everything() -> None:
    for name, resource in _template()["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"]["Policies"]:
                for statement in policy["PolicyDocument"]["Statement"]:
                    assert statement["Resource"] != "*", name
                    assert not re.search(r'"[a-z0-9]*:?\*"', json.dumps(statement["Action"])), name


def test_every_call_but_health_asks_the_authorizer() -> None:
    assert _properties("Api")["Auth"]["DefaultAuthorizer"] == "KeyAuthorizer"
    calls = {
        event["Properties"]["Path"]: event["Properties"].get("Auth")
        for resource in _template()["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
        for event in resource["Properties"].get("Events", {}).values()
        if event["Type"] == "Api"
    }
    assert {path for path, auth in calls.items() if auth} == {"/health"}
    assert calls["/health"] == {"Authorizer": "NONE"}


def test_the_topic_orders_by_group() -> None:
    topic = _properties("EventTopic")
    assert topic["FifoTopic"] is True
    assert topic["TopicName"]["Fn::Sub"].endswith(".fifo")
    assert topic["FifoThroughputScope"] == "MessageGroup"


def test_every_function_has_its_role_and_a_log_group_that_forgets() -> None:
    functions = [
        (name, resource["Properties"])
        for name, resource in _template()["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    for name, function in functions:
        prefix = name.removesuffix("Function")
        assert function["Role"] == {"Fn::GetAtt": [f"{prefix}Role", "Arn"]}
        assert function["LoggingConfig"] == {"LogGroup": {"Ref": f"{prefix}LogGroup"}}
        assert _properties(f"{prefix}LogGroup")["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_nothing_is_written_with_an_alias_that_cloudformation_refuses() -> None:
    assert not re.search(r"(?m)^\s*[\w:]+:\s+[&*]\w+", Path("template.yaml").read_text())
