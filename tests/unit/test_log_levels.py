"""LogLevel: metrics are written whatever it is, and of other libraries' lines none below WARNING ever is."""

import json
import logging
import runpy
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import relay
from relay.aws import log
from relay.delivery.outcome import Outcome
from relay.delivery.report import Report
from relay.ledger.states import DeliveryState

NOW = datetime(2026, 11, 20, 9, 15, 42, tzinfo=UTC)
every_level = pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARN", "ERROR"])


@pytest.fixture
def _fresh_logger(level: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The function's logger as a start at this level makes it: Lambda names the level, and the template does."""
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", level)
    monkeypatch.setenv("AWS_LAMBDA_LOG_LEVEL", level)
    # Powertools keeps a logger by its service's name, and with it the stream of the test that made it.
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", request.node.name)
    log.logger.cache_clear()
    yield
    log.logger.cache_clear()


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@every_level
@pytest.mark.usefixtures("_fresh_logger")
def test_a_batchs_metrics_are_written_at_every_level(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("emarsys")
    report.add(None, Outcome(DeliveryState.PARKED, "HTTP 400", attempts=1), NOW, 42.0)
    report.add(None, Outcome(DeliveryState.DELIVERED, "HTTP 200", attempts=1), NOW, 42.0)
    report.close()
    lines = _lines(capsys)
    metrics = [line for line in lines if "_aws" in line]
    assert [(line["Settled"], line["Delivered"], line["Parked"]) for line in metrics] == [(2, 1, 1)]
    messages = [line["message"] for line in lines if line["message"] in {"parked", "delivered"}]
    assert messages == {"WARN": ["parked"], "ERROR": []}.get(level, ["parked", "delivered"])


@every_level
@pytest.mark.usefixtures("_fresh_logger")
def test_a_line_of_metrics_alone_has_a_level_and_a_time_by_which_lambda_lets_it_through(
    level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log.emit_metric("CircuitOpen", agent="google")
    log.log_with_metrics(logging.DEBUG, "detail", {}, log.emf({(): {"Accepted": 1}}))
    for line in _lines(capsys):
        assert line["level"] == level
        assert datetime.fromisoformat(line["timestamp"]).tzinfo
        assert line["_aws"]["CloudWatchMetrics"]


@pytest.mark.usefixtures("_fresh_logger")
@pytest.mark.parametrize("level", ["ERROR"])
def test_a_line_that_is_left_out_and_carries_no_metrics_writes_nothing(
    level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log.log_with_metrics(logging.INFO, level, {"event_id": "evt_1"}, log.NO_METRICS)
    assert _lines(capsys) == []


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, which has its level back afterwards."""
    found = logging.getLogger()
    before = found.level
    yield found
    found.setLevel(before)


@pytest.mark.parametrize(
    ("level", "kept"), [("DEBUG", "WARNING"), ("INFO", "WARNING"), ("WARN", "WARNING"), ("ERROR", "ERROR")]
)
def test_other_libraries_stay_at_warning_whatever_level_lambda_gives_the_root_logger(
    root: logging.Logger, level: str, kept: str
) -> None:
    root.setLevel(level)
    runpy.run_path(str(relay.__file__))
    foreign = {logging.getLogger(name).getEffectiveLevel() for name in ("botocore.endpoint", "urllib3.connectionpool")}
    assert foreign == {logging.getLevelName(kept)}
