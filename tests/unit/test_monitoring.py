"""Monitoring: what every alarm, the dashboard and the saved queries of the template must meet."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import decode_str
from cfnlint.template import Template
from cfnlint.template.transforms._language_extensions import language_extension

from local.emulator.expression import Number, value

ALARM_DOLLARS, FREE_ALARM_METRICS = 0.10, 10
POLLING_DOLLARS, IDLE_DOLLARS = 1.30, 3.00
FREE_DASHBOARDS = 3

OF_THE_STAGE = {
    "Accepted",
    "Rejected",
    "Unavailable",
    "Minted",
    "Settled",
    "CredentialsRefused",
    "CircuitOpen",
    "Unanswered",
    "SampledFaulty",
}
OF_AN_APP = {"Warned", "Superseded"}
OF_AN_AGENT = {
    *("Delivered", "Unconfirmed", "Skipped", "Expired", "Parked", "Retrying", "Held"),
    *("DeliverySeconds", "CredentialsRefused", "CircuitOpen", "InDoubt"),
}
OF_AWS = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", ("QueueName",)),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", ("QueueName",)),
    ("AWS/Lambda", "Errors", ("FunctionName",)),
    ("AWS/ApiGateway", "5XXError", ("ApiName", "Stage")),
    ("AWS/ApiGateway", "Count", ("ApiName", "Stage")),
    ("AWS/SNS", "NumberOfNotificationsDelivered", ("TopicName",)),
}


def _template() -> dict[str, Any]:
    document, faults = decode_str(Path("template.yaml").read_text())
    assert not faults
    # All agents, also those that a stack has only if its owner enables them.
    document["Parameters"]["EnabledAgents"]["Default"] = ",".join(document["Mappings"]["Agents"])
    faults, expanded = language_extension(Template("template.yaml", document, ["us-east-1"]))
    assert not faults
    plain: dict[str, Any] = json.loads(json.dumps(expanded))
    return plain


TEMPLATE = _template()
AGENTS = sorted(TEMPLATE["Mappings"]["Agents"])
ENABLED = tuple(re.findall(r"EnabledAgents:\n.*\n    Default: (.+)", Path("template.yaml").read_text())[0].split(","))
"""The agents that a deployment has unless its owner chooses others."""


def _of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: one["Properties"] for name, one in TEMPLATE["Resources"].items() if one["Type"] == kind}


ALARMS = _of_type("AWS::CloudWatch::Alarm")
every_alarm = pytest.mark.parametrize("name", sorted(ALARMS))


def _metrics(alarm: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "Metrics" in alarm:
        yield from (query["MetricStat"]["Metric"] for query in alarm["Metrics"] if "MetricStat" in query)
    else:
        yield alarm


def _description(alarm: dict[str, Any]) -> str:
    text = alarm["AlarmDescription"]
    return str(text["Fn::Sub"][0] if isinstance(text, dict) else text)


def _anchors() -> set[str]:
    """The anchors that GitHub makes of the headings of the runbook, and those that are written out."""
    text = Path("docs/runbook.md").read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([\w-]+)">', text))


@every_alarm
def test_an_alarm_notifies_when_it_begins_and_when_it_is_over(name: str) -> None:
    assert ALARMS[name]["AlarmActions"] == [{"Ref": "AlarmTopic"}]
    assert ALARMS[name]["OKActions"] == [{"Ref": "AlarmTopic"}]
    assert ALARMS[name].get("ActionsEnabled", True) is True


@every_alarm
def test_an_alarm_names_a_page_of_the_runbook_that_is_there(name: str) -> None:
    (anchor,) = re.findall(r"See docs/runbook\.md#([a-z-]+)$", _description(ALARMS[name]))
    assert anchor in _anchors()


def _page(anchor: str) -> str:
    text = Path("docs/runbook.md").read_text()
    found = re.search(rf"^### {anchor}$(.*?)(?=^##? |^### |\Z)", text, re.MULTILINE | re.DOTALL | re.IGNORECASE)
    assert found, anchor
    return found[1]


@every_alarm
def test_a_page_says_what_it_means_how_to_see_what_to_do_and_how_to_know_that_it_is_over(name: str) -> None:
    (anchor,) = re.findall(r"#([a-z-]+)$", _description(ALARMS[name]))
    for part in ("**Means.**", "**See.**", "**Do.**", "**Over.**"):
        assert part in _page(anchor), anchor


@every_alarm
def test_an_alarm_says_what_missing_data_means(name: str) -> None:
    # Nothing happens, nothing is reported: no alarm may wait for data, nor ring for want of it.
    assert ALARMS[name]["TreatMissingData"] == "notBreaching"


@every_alarm
def test_no_alarm_watches_a_metric_that_nobody_writes(name: str) -> None:
    for metric in _metrics(ALARMS[name]):
        dimensions = tuple(dimension["Name"] for dimension in metric["Dimensions"])
        if metric["Namespace"] == "session-relay":
            known = {("stage",): OF_THE_STAGE, ("stage", "agent"): OF_AN_AGENT}[dimensions]
            assert metric["MetricName"] in known
        else:
            assert (metric["Namespace"], metric["MetricName"], dimensions) in OF_AWS


@every_alarm
def test_what_an_alarm_watches_is_of_this_stack(name: str) -> None:
    for metric in _metrics(ALARMS[name]):
        values = [dimension["Value"] for dimension in metric["Dimensions"] if dimension["Name"] != "Stage"]
        assert all(isinstance(value, dict) for value in values), values


@every_alarm
def test_an_alarms_periods_fit_what_cloudwatch_evaluates(name: str) -> None:
    periods = [query["MetricStat"]["Period"] for query in ALARMS[name].get("Metrics", []) if "MetricStat" in query]
    period = max(periods or [ALARMS[name].get("Period", 60)])
    # A day, or a week for periods of an hour and more. Source: PutMetricAlarm, EvaluationPeriods.
    assert ALARMS[name]["EvaluationPeriods"] * period <= (7 * 86400 if period >= 3600 else 86400)
    assert ALARMS[name].get("DatapointsToAlarm", 1) <= ALARMS[name]["EvaluationPeriods"]


@pytest.mark.parametrize("agent", AGENTS)
def test_each_agent_has_an_alarm_of_its_queue_its_dead_letter_queue_and_its_function(agent: str) -> None:
    watched = {name: ALARMS[f"{agent}{name}Alarm"]["Dimensions"][0]["Value"] for name in ("Parked", "Late", "Errors")}
    assert watched == {
        "Parked": {"Fn::GetAtt": [f"{agent}DeadLetterQueue", "QueueName"]},
        "Late": {"Fn::GetAtt": [f"{agent}Queue", "QueueName"]},
        "Errors": {"Ref": f"{agent}Function"},
    }


def test_the_alarms_cost_what_an_idle_deployment_may_cost() -> None:
    optional = tuple({*AGENTS} - {*ENABLED})
    usual = {name: alarm for name, alarm in ALARMS.items() if not name.startswith(optional)}
    metrics = sum(len(list(_metrics(alarm))) for alarm in usual.values())
    dollars = (metrics - FREE_ALARM_METRICS) * ALARM_DOLLARS
    assert metrics == 9 + 3 * len(ENABLED)
    assert round(dollars + POLLING_DOLLARS, 2) <= IDLE_DOLLARS, "leave an agent that few need out of EnabledAgents"


def _math(name: str, **metrics: Number) -> Number:
    """What an alarm's expression is worth when its metrics are these."""
    alarm = ALARMS[name]
    (query,) = (one for one in alarm["Metrics"] if one["ReturnData"])
    periods = [one["MetricStat"]["Period"] for one in alarm["Metrics"] if "MetricStat" in one]
    text = query["Expression"]
    text = text["Fn::Sub"].replace("${StageRate}", "1000") if isinstance(text, dict) else text
    return value(text, metrics, max(periods))


@pytest.mark.parametrize(
    ("handed", "settled", "percent"),
    [(600, 600, 0), (600, 570, 5), (600, 900, -50), (600, None, 100), (None, None, 0), (None, 30, 0)],
)
def test_what_is_not_settled_is_a_share_of_what_queues_were_handed(
    handed: Number, settled: Number, percent: float
) -> None:
    assert _math("UnsettledAlarm", handed=handed, settled=settled) == percent


@pytest.mark.parametrize(("calls", "share"), [(60_000, 1), (45_000, 0.75), (None, 0)])
def test_the_load_is_the_share_of_the_stages_rate(calls: Number, share: float) -> None:
    assert _math("ThrottleAlarm", calls=calls) == share


@pytest.mark.parametrize(
    ("errors", "unavailable", "share"), [(None, None, 0), (0, 0.02, 0.02), (1, 0, 1), (3, None, 1), (None, 0, 0)]
)
def test_ingests_own_failures_are_its_errors_and_the_share_of_events_that_it_did_not_accept(
    errors: Number, unavailable: Number, share: float
) -> None:
    assert _math("IngestErrorsAlarm", errors=errors, unavailable=unavailable) == share


def test_callers_without_a_key_cannot_roll_back_a_canary() -> None:
    namespaces = {metric["Namespace"] for metric in _metrics(ALARMS["IngestErrorsAlarm"])}
    assert namespaces == {"AWS/Lambda", "session-relay"}
    (errors,) = (one for one in _metrics(ALARMS["IngestErrorsAlarm"]) if one["Namespace"] == "AWS/Lambda")
    assert errors["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": "IngestFunction"}}]


def test_the_rate_that_the_load_is_a_share_of_is_the_stages() -> None:
    text = json.dumps(ALARMS["ThrottleAlarm"]["Metrics"])
    assert ("StageRate" in TEMPLATE["Parameters"]) == ("${StageRate}" in text)


def test_mail_is_sent_only_if_an_address_is_given() -> None:
    subscription = TEMPLATE["Resources"]["AlarmSubscription"]
    assert subscription["Condition"] == "HasAlarmEmail"
    assert subscription["Properties"] == {
        "TopicArn": {"Ref": "AlarmTopic"},
        "Protocol": "email",
        "Endpoint": {"Ref": "AlarmEmail"},
    }
    assert TEMPLATE["Parameters"]["AlarmEmail"]["Default"] == ""


def _dashboard() -> dict[str, Any]:
    text = _of_type("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]["Fn::Sub"]
    body: dict[str, Any] = json.loads(re.sub(r"\$\{([\w.:]+)\}", r"<\1>", text))
    return body


def test_the_dashboard_shows_every_metric_that_session_relay_writes() -> None:
    shown = json.dumps([widget["properties"].get("metrics") for widget in _dashboard()["widgets"]])
    assert {metric for metric in OF_THE_STAGE | OF_AN_APP | OF_AN_AGENT if metric not in shown} == set()


def test_the_runbook_explains_every_metric_that_session_relay_writes() -> None:
    rows = re.findall(r"^\| (`[A-Z].*?) \| stage", Path("docs/runbook.md").read_text(), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == OF_THE_STAGE | OF_AN_APP | OF_AN_AGENT


def test_the_dashboard_answers_five_questions_from_top_to_bottom() -> None:
    texts = [one["properties"]["markdown"] for one in _dashboard()["widgets"] if one["type"] == "text"]
    assert re.findall(r"## (.*?\?)", "\n".join(texts)) == [
        "Are we accepting?",
        "Is everything settling?",
        "Which agent is failing, and since when?",
        "How late are we?",
        "What is parked?",
    ]


def test_the_dashboards_widgets_fill_its_24_columns_without_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for widget in _dashboard()["widgets"]:
        columns = range(widget["x"], widget["x"] + widget["width"])
        cells = {(x, y) for x in columns for y in range(widget["y"], widget["y"] + widget["height"])}
        assert not cells & taken
        taken |= cells
    assert {x for x, _ in taken} == set(range(24))
    assert len(taken) == 24 * len({y for _, y in taken})


def test_the_dashboard_needs_no_list_of_agents() -> None:
    text = json.dumps(_dashboard())
    assert [agent for agent in AGENTS if agent in text] == []


def test_the_pages_that_the_dashboard_names_are_there() -> None:
    texts = [one["properties"]["markdown"] for one in _dashboard()["widgets"] if one["type"] == "text"]
    named = {page for text in texts for page in re.findall(r"\*([a-z]+)\*", text)}
    assert named
    assert named <= _anchors()


def test_the_dashboard_shows_every_alarm_of_the_whole() -> None:
    (widget,) = (one for one in _dashboard()["widgets"] if one["type"] == "alarm")
    of_the_whole = {f"<{name}.Arn>" for name in ALARMS if not name.startswith(tuple(AGENTS))}
    assert set(widget["properties"]["alarms"]) == of_the_whole


def test_there_is_one_dashboard_which_is_free() -> None:
    assert len(_of_type("AWS::CloudWatch::Dashboard")) <= FREE_DASHBOARDS


def test_a_dashboards_name_is_one_for_all_regions_so_it_says_which() -> None:
    name = _of_type("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardName"]["Fn::Sub"]
    assert "${Stage}" in name
    assert "${AWS::Region}" in name


def test_saved_queries_lie_in_the_stages_folder_and_ask_for_fields_that_lines_have() -> None:
    queries = _of_type("AWS::Logs::QueryDefinition")
    assert sorted(queries) == ["EventQuery", "HeldQuery", "ParkedQuery", "RejectedQuery", "SlowestQuery"]
    for query in queries.values():
        assert query["Name"]["Fn::Sub"].startswith("session-relay/${Stage}/")
        text = query["QueryString"]
        text = text["Fn::Sub"] if isinstance(text, dict) else text
        assert set(re.findall(r"filter (\w+)", text)) <= {"message", "event_id"}


def test_the_groups_that_a_saved_query_asks_for_are_named_so() -> None:
    groups = _of_type("AWS::Logs::LogGroup")
    for name in [f"{agent}LogGroup" for agent in AGENTS] + ["IngestLogGroup"]:
        assert groups[name]["LogGroupName"]["Fn::Sub"].startswith("/session-relay/${Stage}/")
