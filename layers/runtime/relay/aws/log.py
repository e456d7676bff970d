"""One JSON log line for everything that happens to an event, which carries its CloudWatch metrics; no personal data.

Metrics are written in the embedded metric format: CloudWatch takes them out of a log line that describes them.
Source: CloudWatch user guide, "Specification: Embedded metric format"; a metric has at most 100 values in a line.
"""

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from pydantic_core import to_json

from relay.aws.environment import stage

NAMESPACE = "session-relay"
MAX_VALUES = 100
"""Values that one metric may have in one line."""

Metrics = Mapping[str, float | list[float]]
NO_METRICS: Mapping[str, Any] = {}

_LAMBDA_LEVELS = {logging.DEBUG: "DEBUG", logging.INFO: "INFO", logging.WARNING: "WARN", logging.ERROR: "ERROR"}


@cache
def logger() -> Logger:
    """The function's logger, whose level is POWERTOOLS_LOG_LEVEL; each function has a log group of its own."""
    written = Logger(location=None, use_rfc3339=True, json_serializer=_to_json)
    written.remove_keys(["service"])
    return written


def _standard() -> logging.Logger:
    """The standard library's logger that Powertools' stands on, with its level and its handler."""
    return logging.getLogger(logger().name)


def _to_json(line: dict[str, Any]) -> str:
    return to_json(line, fallback=str).decode()


def log_with_metrics(level: int, message: str, fields: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
    """Writes a line that carries metrics (of `emf`); the metrics alone where LogLevel leaves such a line out."""
    if _standard().isEnabledFor(level):
        _standard().log(level, message, extra={**fields, **metrics})
    elif metrics:
        _write_metrics(metrics)


def emit_metric(metric: str, value: int = 1, agent: str | None = None) -> None:
    """Adds to a metric of the stage, and to the agent's own where one is named, in a line of its own."""
    sets: dict[tuple[str, ...], Metrics] = {(): {metric: value}} | ({("agent",): {metric: value}} if agent else {})
    _write_metrics(emf(sets, agent))


def _write_metrics(metrics: Mapping[str, Any]) -> None:
    # Lambda drops a line of a lower level than the function's, and takes one without a level or a time for INFO.
    # Source: Lambda developer guide, "Log-level filtering".
    level = _LAMBDA_LEVELS.get(_standard().level, "ERROR")
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    print(_to_json({"level": level, "timestamp": now, "message": "metrics", **metrics}))  # noqa: T201 - the format's way


def emf(sets: Mapping[tuple[str, ...], Metrics], agent: str | None = None) -> dict[str, Any]:
    """What makes a log line carry metrics: each set's, by the stage and the set's own dimensions; nothing of zeros."""
    filled = {dimensions: {n: v for n, v in metrics.items() if v} for dimensions, metrics in sets.items()}
    filled = {dimensions: metrics for dimensions, metrics in filled.items() if metrics}
    if not filled:
        return {}
    directives = [
        {
            "Namespace": NAMESPACE,
            "Dimensions": [["stage", *dimensions]],
            "Metrics": [{"Name": name} for name in metrics],
        }
        for dimensions, metrics in filled.items()
    ]
    values = {name: value for metrics in filled.values() for name, value in metrics.items()}
    return {
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": directives},
        "stage": stage(),
        **({"agent": agent} if agent else {}),
        **values,
    }
