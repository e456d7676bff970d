"""The template's facts: what every agent's resources must meet, read from the template as its loops expand."""

import importlib
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import decode_str
from cfnlint.template import Template
from cfnlint.template.transforms._language_extensions import language_extension

from relay.agent.definition import Agent
from relay.delivery.retry import MAX_RECEIVES, MAX_WAIT

FOLDERS = sorted(path.parent.name for path in Path("functions/agents").glob("*/app.py"))
FUNCTION_TIMEOUT_SECONDS = 30
FOURTEEN_DAYS = 14 * 24 * 3600


@cache
def _template() -> dict[str, Any]:
    document, faults = decode_str(Path("template.yaml").read_text())
    assert not faults
    # All agents, also those that a stack has only if its owner enables them.
    document["Parameters"]["EnabledAgents"]["Default"] = ",".join(document["Mappings"]["Agents"])
    faults, expanded = language_extension(Template("template.yaml", document, ["us-east-1"]))
    assert not faults
    plain: dict[str, Any] = json.loads(json.dumps(expanded))
    return {**plain, "Resources": _with_defaults(plain["Resources"], plain["Mappings"])}


def _with_defaults(part: Any, mappings: dict[str, Any]) -> Any:
    """The part with each look-up that has a default resolved; a member whose default is no value is left out."""
    if isinstance(part, list):
        return [_with_defaults(_looked_up(item, mappings), mappings) for item in part]
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


def _of_type(kind: str) -> list[str]:
    return sorted(name for name, resource in _template()["Resources"].items() if resource["Type"] == kind)


AGENTS = sorted(_template()["Mappings"]["Agents"])
ORDERED = {name for name, facts in _template()["Mappings"]["Agents"].items() if facts.get("Fifo")}
every_agent = pytest.mark.parametrize("agent", AGENTS)


def _code(agent: str) -> Agent[Any]:
    """The agent that an entry of the mapping deploys."""
    folder = _template()["Mappings"]["Agents"][agent]["CodeUri"].rpartition("/")[2]
    code: Agent[Any] = importlib.import_module(f"functions.agents.{folder}.app").AGENT
    return code


def test_every_agents_folder_is_in_the_template() -> None:
    mapped = _template()["Mappings"]["Agents"]
    assert sorted({facts["CodeUri"].rpartition("/")[2] for facts in mapped.values()}) == FOLDERS
    names = [facts["Name"] for facts in mapped.values()]
    assert len(set(names)) == len(names)
    (enabled,) = re.findall(r"EnabledAgents:\n.*\n    Default: (.+)", Path("template.yaml").read_text())
    assert {*enabled.split(",")} <= {*AGENTS}


@every_agent
def test_an_agents_queue_keeps_order_where_its_code_needs_it(agent: str) -> None:
    code = _code(agent)
    assert code.ordered == (agent in ORDERED) or (code.may_be_ordered and agent in ORDERED)


@every_agent
def test_an_agents_code_is_a_folder_and_a_folders_name_is_no_other_agents(agent: str) -> None:
    facts = _template()["Mappings"]["Agents"][agent]
    assert facts["CodeUri"] in {f"functions/agents/{folder}" for folder in FOLDERS}
    assert facts["Name"] not in FOLDERS or facts["CodeUri"] == f"functions/agents/{facts['Name']}"
    assert facts["CodeUri"] == f"functions/agents/{facts.get('Folder', facts['Name'])}"
    assert _properties(f"{agent}Function")["CodeUri"] == facts["CodeUri"]


@every_agent
def test_a_queue_and_its_dead_letter_queue_are_fifo_for_ordered_agents_alone(agent: str) -> None:
    for name in (f"{agent}Queue", f"{agent}DeadLetterQueue"):
        queue = _properties(name)
        # SQS refuses FifoQueue: false, so a standard queue must not have it at all.
        assert queue.get("FifoQueue") is (True if agent in ORDERED else None)
        assert queue["MessageRetentionPeriod"] == FOURTEEN_DAYS
    assert _properties(f"{agent}Queue").get("FifoThroughputLimit") == (
        "perMessageGroupId" if agent in ORDERED else None
    )


@every_agent
def test_only_an_agent_whose_claims_may_be_handed_on_puts_messages_into_its_own_queue(agent: str) -> None:
    code = _code(agent)
    (own,) = (one for one in _statements(f"{agent}Role") if one["Resource"] == {"Fn::GetAtt": [f"{agent}Queue", "Arn"]})
    assert ("sqs:SendMessage" in own["Action"]) is not code.repeatable
    assert not (agent in ORDERED and "sqs:SendMessage" in own["Action"])


@every_agent
def test_a_delivery_is_parked_with_its_reason_before_sqs_moves_it_without_one(agent: str) -> None:
    policy = _properties(f"{agent}Queue")["RedrivePolicy"]
    assert int(policy["maxReceiveCount"]) > MAX_RECEIVES
    assert timedelta(seconds=FOURTEEN_DAYS) > MAX_WAIT


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
    statement, refused = _properties(f"{agent}QueuePolicy")["PolicyDocument"]["Statement"]
    assert refused["Effect"] == "Deny"
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Ref": "EventTopic"}}}


@every_agent
def test_a_batch_reports_its_failures_and_leaves_room_for_others(agent: str) -> None:
    source = _properties(f"{agent}FunctionDeliveries")
    assert source["FunctionName"] == {"Ref": f"{agent}FunctionAliaslive"}
    assert source["EventSourceArn"] == {"Fn::GetAtt": [f"{agent}Queue", "Arn"]}
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"]["MaximumConcurrency"] >= 2
    if agent in ORDERED:
        # SQS allows a FIFO source ten messages and no window.
        assert source["BatchSize"] <= 10
        assert "MaximumBatchingWindowInSeconds" not in source
    elif source["BatchSize"] > 10:
        # Lambda refuses a batch of more than ten without a window; the linter does not know.
        assert source["MaximumBatchingWindowInSeconds"] >= 1


def test_what_google_counts_of_requests_is_not_used_up_by_batches_that_gather() -> None:
    facts = _template()["Mappings"]["Agents"]["GoogleDataManager"]
    batches_a_second = facts["Concurrency"] / facts["Window"]
    # Data Manager API, limits (2026): a Cloud project may send 300 requests a minute and 100,000 a day.
    assert batches_a_second * 60 <= 300
    assert batches_a_second * 86_400 <= 100_000
    assert 200 <= facts["Batch"] <= importlib.import_module("functions.agents.google_data_manager.app").MAX_EVENTS


def test_no_number_of_a_mapping_is_where_sam_checks_its_type() -> None:
    # A mapping's values may be texts once AWS has expanded the loop; SAM refuses a BatchSize that is one.
    for name in _of_type("AWS::Serverless::Function"):
        events = _properties(name).get("Events", {}).values()
        assert {event["Type"] for event in events} <= {"Api"}


@every_agent
def test_a_function_reads_its_own_settings_and_no_other_agents(agent: str) -> None:
    settings, ledger_keys = [s["Resource"] for s in _statements(f"{agent}Role") if s["Action"] == "ssm:GetParameter"]
    name, keys = _template()["Mappings"]["Agents"][agent]["Name"], "ledger-keys" if agent in ORDERED else "no-keys"
    parameter = "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/session-relay/${Stage}"
    assert settings == [
        {"Fn::Sub": [f"{parameter}/agents/${{Name}}", {"Name": name}]},
        {"Fn::Sub": [f"{parameter}/agents/${{Name}}/*", {"Name": name}]},
        {"Fn::Sub": f"{parameter}/apps/*"},
    ]
    assert ledger_keys == {"Fn::Sub": [f"{parameter}/${{Keys}}", {"Keys": keys}]}
    assert _properties(f"{agent}Function")["Environment"]["Variables"]["SETTINGS_PARAMETER"] == {
        "Fn::Sub": ["/session-relay/${Stage}/agents/${Name}", {"Name": name}]
    }


def test_the_ledgers_keys_are_made_and_never_replaced() -> None:
    for role in ("IngestRole", *(f"{agent}Role" for agent in AGENTS)):
        (making,) = [one for one in _statements(role) if one["Action"] == "ssm:PutParameter"]
        assert making["Condition"] == {"StringEquals": {"ssm:Overwrite": "false"}}


REASONED = {
    # X-Ray's calls know no resources (its developer guide, IAM), and are made only where tracing is switched on.
    ("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
}
"""The actions that a role may have on every resource."""


def _statements(role: str) -> Iterator[dict[str, Any]]:
    """A role's statements, those that a parameter switches on among them."""
    for policy in _properties(role)["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            yield statement["Fn::If"][1] if "Fn::If" in statement else statement


def _text(resource: Any) -> str:
    """The text of a resource's Fn::Sub, with or without values of its own."""
    substituted = resource["Fn::Sub"]
    return str(substituted[0] if isinstance(substituted, list) else substituted)


@pytest.mark.parametrize("role", _of_type("AWS::IAM::Role"))
def test_a_role_may_do_what_it_names_to_what_it_names(role: str) -> None:
    for statement in _statements(role):
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        assert not any("*" in action for action in actions)
        named = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        for resource in named:
            if "*" in json.dumps(resource) and tuple(actions) not in REASONED:
                # A parameter per app, whose names are not known when deploying.
                assert actions == ["ssm:GetParameter"]
                assert re.search(r"/session-relay/\$\{Stage\}/(apps|identity|agents/\$\{Name\})/\*$", _text(resource))


def test_a_function_shares_its_role_with_no_other() -> None:
    roles = [json.dumps(_properties(function)["Role"]) for function in _of_type("AWS::Serverless::Function")]
    assert len(set(roles)) == len(roles)


@pytest.mark.parametrize("name", [*_of_type("AWS::SQS::Queue"), *_of_type("AWS::SNS::Topic")])
def test_queues_and_topics_refuse_callers_without_tls(name: str) -> None:
    kinds = {"Queues": "AWS::SQS::QueuePolicy", "Topics": "AWS::SNS::TopicPolicy"}
    refusals = [
        statement
        for target, kind in kinds.items()
        for policy in _of_type(kind)
        if {"Ref": name} in _properties(policy)[target]
        for statement in _properties(policy)["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
    ]
    assert {"Bool": {"aws:SecureTransport": "false"}} in [refusal["Condition"] for refusal in refusals]
    assert {refusal["Principal"] for refusal in refusals} == {"*"}


def test_only_ingest_may_publish_to_the_topic() -> None:
    allowed = [
        one for one in _properties("EventTopicPolicy")["PolicyDocument"]["Statement"] if one["Effect"] == "Allow"
    ]
    assert [one["Principal"] for one in allowed] == [{"AWS": {"Fn::GetAtt": ["IngestRole", "Arn"]}}]


def test_a_role_that_may_publish_to_every_topic_may_not_publish_to_this_one() -> None:
    statements = _properties("EventTopicPolicy")["PolicyDocument"]["Statement"]
    (refused,) = (one for one in statements if "ArnNotEquals" in one.get("Condition", {}))
    assert (refused["Effect"], refused["Principal"], refused["Action"]) == ("Deny", "*", "sns:Publish")
    assert refused["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": {"Fn::GetAtt": ["IngestRole", "Arn"]}}}


def test_the_ledger_is_encrypted_with_a_key_that_costs_nothing_unless_the_stack_has_its_own() -> None:
    encryption = _properties("Receipts")["SSESpecification"]
    own = {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": {"Ref": "Key"}}
    assert encryption == {"Fn::If": ["HasOwnKey", own, {"Ref": "AWS::NoValue"}]}


def test_the_ledger_forgets_by_what_its_rows_call_their_end() -> None:
    """No end-to-end test would notice: MiniStack 1.5.33 leaves the table's time to live out."""
    assert _properties("Receipts")["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}


def test_sns_may_write_its_traces_where_tracing_is_on() -> None:
    policy = _template()["Resources"]["TopicTracePolicy"]
    assert (policy["Type"], policy["Condition"]) == ("AWS::XRay::ResourcePolicy", "IsTraced")
    text = policy["Properties"]["PolicyDocument"]["Fn::Sub"]
    (statement,) = json.loads(text)["Statement"]
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert "xray:PutTraceSegments" in statement["Action"]
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": "${AWS::AccountId}"}


PERSONAL = ("identity", "path}", "requestOverride", "querystring", "header", "body", "authorizer.principalId", "apiKey")
"""What of an access log's variables may say who called."""


def test_the_access_log_is_off_by_default_and_says_nothing_of_the_person() -> None:
    on, log, off = _properties("Api")["AccessLogSetting"]["Fn::If"]
    assert (on, off) == ("HasAccessLog", {"Ref": "AWS::NoValue"})
    assert _template()["Parameters"]["AccessLog"]["Default"] == "false"
    line = json.loads(log["Format"])
    assert not [value for value in line.values() if any(word in value for word in PERSONAL)]
    # The path that was called may name an event; the resource's pattern names nothing.
    assert "$context.path" not in line.values()
    assert "$context.requestId" in line.values()


@pytest.mark.parametrize("queue", _of_type("AWS::SQS::Queue"))
def test_queues_are_encrypted_by_aws_or_by_the_stacks_own_key(queue: str) -> None:
    no_value = {"Ref": "AWS::NoValue"}
    assert _properties(queue)["SqsManagedSseEnabled"] == {"Fn::If": ["HasOwnKey", no_value, True]}
    assert _properties(queue)["KmsMasterKeyId"] == {"Fn::If": ["HasOwnKey", {"Ref": "Key"}, no_value]}


@pytest.mark.parametrize("group", _of_type("AWS::Logs::LogGroup"))
def test_logs_are_forgotten_and_encrypted_with_the_stacks_key_where_it_has_one(group: str) -> None:
    assert _properties(group)["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert _properties(group)["KmsKeyId"]["Fn::If"][:2] == ["HasOwnKey", {"Fn::GetAtt": ["Key", "Arn"]}]


def test_the_key_serves_this_accounts_services_alone() -> None:
    _, messages, logs = _properties("Key")["KeyPolicy"]["Statement"]
    assert "sns.amazonaws.com" in messages["Principal"]["Service"]
    assert messages["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert "${AWS::AccountId}" in json.dumps(logs["Condition"])


def test_each_app_and_the_stage_have_a_rate() -> None:
    assert _properties("UsagePlan")["Throttle"] == {"RateLimit": {"Ref": "AppRate"}, "BurstLimit": {"Ref": "AppBurst"}}
    (limits,) = _properties("Api")["MethodSettings"]
    assert (limits["HttpMethod"], limits["ResourcePath"]) == ("*", "/*")
    assert limits["ThrottlingRateLimit"] == {"Ref": "StageRate"}
    assert _properties("Api")["ApiKeySourceType"] == "AUTHORIZER"
    assert _properties("Api")["Auth"]["ApiKeyRequired"] is True


GATEWAY_RESPONSES = _properties("Api")["GatewayResponses"]
every_gateway_response = pytest.mark.parametrize("kind", GATEWAY_RESPONSES)


@every_gateway_response
def test_every_fault_of_the_gateway_is_a_problem(kind: str) -> None:
    headers = GATEWAY_RESPONSES[kind]["ResponseParameters"]["Headers"]
    assert headers["Content-Type"] == "'application/problem+json'"


@every_gateway_response
def test_a_page_can_read_every_fault_of_the_gateway_where_pages_may_call(kind: str) -> None:
    headers = GATEWAY_RESPONSES[kind]["ResponseParameters"]["Headers"]
    no_value = {"Ref": "AWS::NoValue"}
    assert headers["Access-Control-Allow-Origin"] == {"Fn::If": ["HasAllowedOrigins", "'*'", no_value]}
    exposed = "'Date,Retry-After,Preference-Applied'"
    assert headers["Access-Control-Expose-Headers"] == {"Fn::If": ["HasAllowedOrigins", exposed, no_value]}
    assert "Access-Control-Allow-Credentials" not in headers


def test_all_faults_of_the_gateway_are_covered() -> None:
    assert GATEWAY_RESPONSES.keys() >= {"DEFAULT_4XX", "DEFAULT_5XX", "THROTTLED", "REQUEST_TOO_LARGE"}


def test_a_key_that_cannot_be_looked_up_is_to_be_sent_again() -> None:
    failure = GATEWAY_RESPONSES["AUTHORIZER_FAILURE"]
    assert failure["StatusCode"] == "503"
    assert failure["ResponseParameters"]["Headers"]["Retry-After"] == "'5'"
    assert json.loads(failure["ResponseTemplates"]["application/json"])["status"] == 503


def test_a_new_version_takes_over_bit_by_bit_and_goes_back_when_it_fails() -> None:
    for agent in AGENTS:
        assert _properties(f"{agent}Function")["DeploymentPreference"] == {
            "Type": {"Ref": "Rollout"},
            "Alarms": [{"Ref": f"{agent}ErrorsAlarm"}],
        }
    assert _properties("IngestFunction")["DeploymentPreference"]["Alarms"] == [{"Ref": "IngestErrorsAlarm"}]
    assert _template()["Globals"]["Function"]["AutoPublishAlias"] == "live"


def test_the_ledger_outlives_the_stack() -> None:
    assert _template()["Resources"]["Receipts"]["DeletionPolicy"] == "Retain"


def test_only_the_stage_named_local_sends_without_tls() -> None:
    rule = _template()["Rules"]["InsecureAgentsAreLocal"]
    assert rule["RuleCondition"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "Stage"}, "local"]}]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Equals": [{"Ref": "AllowInsecureAgents"}, "false"]}


def test_every_call_but_health_asks_the_authorizer() -> None:
    assert _properties("Api")["Auth"]["DefaultAuthorizer"] == "KeyAuthorizer"
    calls = {
        event["Properties"]["Path"]: event["Properties"].get("Auth")
        for resource in _template()["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
        for event in resource["Properties"].get("Events", {}).values()
        # A browser's question before a call carries no key.
        if event["Type"] == "Api" and event["Properties"]["Method"] != "OPTIONS"
    }
    assert {path for path, auth in calls.items() if auth} == {"/health"}
    assert calls["/health"] == {"Authorizer": "NONE", "ApiKeyRequired": False}


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
        assert function["LoggingConfig"] == {
            "LogGroup": {"Ref": f"{prefix}LogGroup"},
            "LogFormat": "JSON",
            "ApplicationLogLevel": {"Ref": "LogLevel"},
            # Lambda's own lines of each invocation would cost as much as ours.
            "SystemLogLevel": "WARN",
        }


def test_nothing_is_written_with_an_alias_that_cloudformation_refuses() -> None:
    assert not re.search(r"(?m)^\s*[\w:]+:\s+[&*]\w+", Path("template.yaml").read_text())


def test_the_ledger_is_paid_by_the_write_unless_writes_are_reserved() -> None:
    table = _properties("Receipts")
    assert table["BillingMode"] == {"Fn::If": ["HasReservedWrites", "PROVISIONED", "PAY_PER_REQUEST"]}
    assert _template()["Parameters"]["ReservedWrites"]["Default"] == 0
    assert table["ProvisionedThroughput"]["Fn::If"][1]["WriteCapacityUnits"] == {"Ref": "ReservedWrites"}


def test_the_memory_of_agents_is_their_owners_choice_and_small_unless_chosen() -> None:
    memories = {_properties(f"{agent}Function")["MemorySize"]["Ref"] for agent in AGENTS}
    assert memories == {"AgentMemory"}
    assert _template()["Parameters"]["AgentMemory"]["Default"] == 256


def test_snapshots_are_for_those_whom_callers_wait_for_and_of_a_python_that_has_them() -> None:
    template = _template()
    functions = {name: one for name, one in template["Resources"].items() if one["Type"] == "AWS::Serverless::Function"}
    offered = {name for name, one in functions.items() if "SnapStart" in one["Properties"]}
    assert offered == {"AuthorizerFunction", "IngestFunction"}
    assert template["Parameters"]["SnapStart"]["Default"] == "None"
    (assertion,) = template["Rules"]["SnapshotsOfNewPython"]["Assertions"]
    old = set(template["Parameters"]["PythonRuntime"]["AllowedValues"]) - set(assertion["Assert"]["Fn::Contains"][0])
    assert old == {"python3.11"}
