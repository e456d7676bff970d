"""Alarms: the deployed template holds them; breaking something moves the alarm that says so, and no other."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.cloud import HOME, REFUSING
from local.deploy import STAGE, Cloud, wait_for
from local.scenario import CONTACT, PHONE
from tests.e2e.conftest import CLOUD, PATIENCE_SECONDS, Caller, empty_dead_letters

Unique = Callable[[], str]


@dataclass(frozen=True)
class Watch:
    """The alarms of the local cloud since a moment at which nothing was parked."""

    cloud: Cloud
    since: datetime

    def alarms(self) -> dict[str, dict[str, Any]]:
        """Every alarm by its logical id."""
        pages = self.cloud.client("cloudwatch").get_paginator("describe_alarms").paginate()
        alarms = [alarm for page in pages for alarm in page["MetricAlarms"]]
        return {alarm["AlarmName"].split("-")[-2]: alarm for alarm in alarms}

    def moved(self) -> set[str]:
        """The alarms whose metric has been beyond the threshold since then."""
        alarms = [(name, alarm) for name, alarm in self.alarms().items() if not alarm.get("Metrics")]
        queries = [
            {
                "Id": f"m{number}",
                "MetricStat": {
                    "Metric": {name: alarm[name] for name in ("Namespace", "MetricName", "Dimensions")},
                    "Period": alarm["Period"],
                    "Stat": alarm["Statistic"],
                },
            }
            for number, (_, alarm) in enumerate(alarms)
        ]
        results = self.cloud.client("cloudwatch").get_metric_data(
            MetricDataQueries=queries, StartTime=self.since, EndTime=datetime.now(UTC) + timedelta(minutes=1)
        )["MetricDataResults"]
        values = {result["Id"]: result["Values"] for result in results}
        return {name for number, (name, alarm) in enumerate(alarms) if _beyond(values[f"m{number}"], alarm)}

    def moves(self, name: str) -> bool:
        """Whether the alarm has moved, and rings, before patience ends."""
        return wait_for(lambda: name in self.moved() and self.rings(name), PATIENCE_SECONDS)

    def rings(self, name: str) -> bool:
        """Whether the alarm is in its state ALARM."""
        return bool(self.alarms()[name]["StateValue"] == "ALARM")


def _beyond(values: list[float], alarm: dict[str, Any]) -> bool:
    # A test is shorter than a period, but may lie across the end of one.
    value = sum(values) if alarm["Statistic"] == "Sum" else max(values, default=0)
    at_least = alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    return bool(value >= alarm["Threshold"] if at_least else value > alarm["Threshold"])


@pytest.fixture
def watch(app: Caller) -> Iterator[Watch]:
    cloud = Cloud(app.stack.aws_endpoint, app.stack.region)
    empty_dead_letters(app.stack)
    # The queues are measured every second.
    time.sleep(2.5)
    yield Watch(cloud, datetime.now(UTC))
    app.clear_faults()
    empty_dead_letters(app.stack)


def _login(app: Caller, unique: Unique) -> str:
    event_id = unique()
    device = {**PHONE["device"], "id": event_id, "pushToken": unique()}
    return app.accepted("/login", {"eventId": event_id, "customerId": unique(), **CONTACT, **PHONE, "device": device})


def test_the_deployed_template_holds_the_alarms_the_dashboard_and_the_queries(watch: Watch) -> None:
    alarms = watch.alarms()
    assert len(alarms) == 25
    topics = {arn for alarm in alarms.values() for arn in (*alarm["AlarmActions"], *alarm["OKActions"])}
    known = {topic["TopicArn"] for topic in watch.cloud.client("sns").list_topics()["Topics"]}
    assert len(topics) == 1
    assert topics <= known
    name = f"session-relay-{STAGE}-us-east-1"
    body = watch.cloud.client("cloudwatch").get_dashboard(DashboardName=name)["DashboardBody"]
    assert "${" not in body
    shown = next(one["properties"]["alarms"] for one in json.loads(body)["widgets"] if one["type"] == "alarm")
    assert set(shown) <= {alarm["AlarmArn"] for alarm in alarms.values()}
    queries = watch.cloud.client("logs").describe_query_definitions(queryDefinitionNamePrefix="session-relay/")
    assert [query["name"].removeprefix(f"session-relay/{STAGE}/") for query in queries["queryDefinitions"]] == [
        "rejected calls by app",
        "the life of one event",
        "the slowest deliveries",
        "what is held, and why",
        "what was parked, and why",
    ]


def test_while_all_is_well_nothing_moves(app: Caller, unique: Unique, watch: Watch) -> None:
    app.settled(_login(app, unique))
    assert watch.moved() == set()


def test_refused_credentials_move_their_alarm_alone(app: Caller, unique: Unique, watch: Watch) -> None:
    app.fault("eitri_push", status=401)
    event_id = _login(app, unique)
    app.receipt(event_id, "eitri_push", "held")
    assert watch.moves("CredentialsRefusedAlarm")
    assert watch.moved() == {"CredentialsRefusedAlarm"}
    app.clear_faults()
    app.receipt(event_id, "eitri_push", "delivered")


def test_a_parked_delivery_moves_the_alarm_of_its_agent_alone_until_it_is_gone(
    app: Caller, unique: Unique, watch: Watch
) -> None:
    app.fault("facebook", status=400)
    app.receipt(_login(app, unique), "facebook", "parked")
    assert watch.moves("FacebookParkedAlarm")
    assert watch.moved() == {"FacebookParkedAlarm"}
    empty_dead_letters(app.stack)
    assert wait_for(lambda: not watch.rings("FacebookParkedAlarm"), PATIENCE_SECONDS)


def test_an_agent_that_does_not_answer_moves_the_alarm_of_the_circuit_alone(
    app: Caller, unique: Unique, watch: Watch
) -> None:
    app.fault("google", status=503)
    sent = [_login(app, unique) for _ in range(8)]
    assert watch.moves("CircuitOpenAlarm")
    assert watch.moved() == {"CircuitOpenAlarm"}
    app.clear_faults()
    for event_id in sent:
        app.receipt(event_id, "google", "unconfirmed")


def test_an_event_that_cannot_be_accepted_moves_the_alarms_of_ingest_and_of_the_api_alone(
    app: Caller, unique: Unique, watch: Watch
) -> None:
    marker = HOME / CLOUD / REFUSING
    marker.write_text("sns")
    try:
        answer = app.call("/login", {"customerId": unique(), **PHONE})
    finally:
        marker.unlink()
    assert answer.status_code == 503
    assert wait_for(lambda: watch.rings("IngestErrorsAlarm"), PATIENCE_SECONDS)
    assert watch.moves("ApiErrorsAlarm")
    assert watch.moved() == {"ApiErrorsAlarm"}


def test_what_an_agents_deliveries_took_can_be_read_by_percentile(app: Caller, unique: Unique, watch: Watch) -> None:
    app.settled(_login(app, unique))
    dimensions = [{"Name": "stage", "Value": STAGE}, {"Name": "agent", "Value": "emarsys"}]
    metric = {"Namespace": "session-relay", "MetricName": "DeliverySeconds", "Dimensions": dimensions}
    query = {"Id": "p99", "MetricStat": {"Metric": metric, "Period": 300, "Stat": "p99"}}
    until = datetime.now(UTC) + timedelta(minutes=1)
    (found,) = watch.cloud.client("cloudwatch").get_metric_data(
        MetricDataQueries=[query], StartTime=watch.since, EndTime=until
    )["MetricDataResults"]
    assert found["Values"]
    assert all(0 < seconds < PATIENCE_SECONDS for seconds in found["Values"])
