"""The report of a batch: lines that CloudWatch reads as metrics, and none that tells who a person is."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from relay.aws import log
from relay.aws.log import emit_metric
from relay.delivery.outcome import Outcome
from relay.delivery.report import Report
from relay.event.model import Event
from relay.ledger.states import DeliveryState


@pytest.fixture
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """What a report writes."""
    stream = StringIO()
    own = Logger(request.node.name, location=None, use_rfc3339=True, stream=stream)
    monkeypatch.setattr(log, "logger", lambda: own)
    return stream


NOW = datetime(2026, 11, 20, 9, 15, 42, tzinfo=UTC)
MAX_BYTES = 400
"""What a delivery may cost in the log, where several share a batch."""


def _event(event_id: str) -> Event:
    known: dict[str, Any] = {
        "event_id": event_id,
        "type": "login",
        "app_id": "shop",
        "customer_id": "cust-77",
        "email": "ana@example.com",
    }
    return Event.model_construct(None, **known, occurred_at=NOW, received_at=NOW, sequence=1)


def _reported(written: StringIO, *outcomes: Outcome) -> list[dict[str, Any]]:
    logged = Report("emarsys")
    for position, outcome in enumerate(outcomes):
        logged.add(_event(f"evt_{position}"), outcome, NOW + timedelta(seconds=1.25), 42.4)
    logged.close()
    return [json.loads(line) for line in written.getvalue().splitlines()]


def _metrics(line: dict[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    return {
        tuple(directive["Dimensions"][0]): {metric["Name"]: line[metric["Name"]] for metric in directive["Metrics"]}
        for directive in line["_aws"]["CloudWatchMetrics"]
    }


def test_each_delivery_is_a_line_and_the_last_carries_the_metrics(written: StringIO) -> None:
    lines = _reported(
        written,
        Outcome(DeliveryState.DELIVERED, "HTTP 200", attempts=1),
        Outcome(DeliveryState.SKIPPED, "consent: messaging"),
        Outcome(DeliveryState.RETRYING, "HTTP 503", 30, attempts=1),
    )
    assert [line["message"] for line in lines] == ["delivered", "skipped", "retrying"]
    assert [("_aws" in line) for line in lines] == [False, False, True]
    assert _metrics(lines[-1]) == {
        ("stage", "agent"): {"Delivered": 1, "Skipped": 1, "Retrying": 1, "DeliverySeconds": [1.25]},
        ("stage",): {"Settled": 2},
    }
    assert (lines[-1]["stage"], lines[-1]["agent"]) == ("test", "emarsys")


def test_a_line_tells_the_event_the_state_and_the_time_and_nobodys_name(written: StringIO) -> None:
    (line,) = _reported(written, Outcome(DeliveryState.RETRYING, "HTTP 503", 30, attempts=2))
    logged = {name: line[name] for name in ("event_id", "app", "agent", "type", "attempt", "ms", "reason", "wait")}
    assert logged == {
        "event_id": "evt_0",
        "app": "shop",
        "agent": "emarsys",
        "type": "login",
        "attempt": 2,
        "ms": 42,
        "reason": "HTTP 503",
        "wait": 30,
    }
    assert not any(secret in json.dumps(line) for secret in ("cust-77", "ana@example.com"))


def test_refused_credentials_are_counted_for_the_agent_and_for_the_stage(written: StringIO) -> None:
    (line,) = _reported(written, Outcome(DeliveryState.HELD, "HTTP 401", 900, attempts=0, refused=True))
    assert _metrics(line)["stage", "agent"]["CredentialsRefused"] == 1
    assert _metrics(line)["stage",]["CredentialsRefused"] == 1


def test_more_values_than_a_line_may_have_are_written_in_further_lines(written: StringIO) -> None:
    lines = _reported(written, *[Outcome(DeliveryState.DELIVERED, attempts=1)] * 250)
    logged = [len(_metrics(line)["stage", "agent"]["DeliverySeconds"]) for line in lines if "_aws" in line]
    assert logged == [100, 100, 50]


def test_an_empty_batch_says_nothing(written: StringIO) -> None:
    assert _reported(written) == []


def test_a_delivery_of_a_batch_costs_little_in_the_log(written: StringIO) -> None:
    logged = Report("eitri_push")
    for number in range(10):
        event = _event(f"0199a7f0-1111-7000-8000-12345678901{number}")
        logged.add(event, Outcome(DeliveryState.DELIVERED, "HTTP 200", attempts=1), NOW, 123.4)
    logged.close()
    assert len(written.getvalue().encode()) / 10 < MAX_BYTES


def test_a_count_is_the_stages_and_the_agents(capsys: pytest.CaptureFixture[str]) -> None:
    emit_metric("CircuitOpen", agent="dashx")
    assert _metrics(json.loads(capsys.readouterr().out)) == {
        ("stage",): {"CircuitOpen": 1},
        ("stage", "agent"): {"CircuitOpen": 1},
    }


def test_deliveries_in_doubt_are_counted_for_the_agent_and_as_unanswered_for_the_stage(written: StringIO) -> None:
    doubt = Outcome(DeliveryState.UNCONFIRMED, "in doubt: no answer: ReadTimeout", in_doubt=True)
    line = _reported(written, doubt, doubt)[-1]
    assert _metrics(line)["stage", "agent"]["InDoubt"] == 2
    assert _metrics(line)["stage",]["Unanswered"] == 2


def test_a_batch_without_doubt_writes_no_metric_of_it(written: StringIO) -> None:
    (line,) = _reported(written, Outcome(DeliveryState.UNCONFIRMED, "HTTP 204", status=204))
    assert {"InDoubt", "Unanswered"} & line.keys() == set()
