"""The embedded metric format: log lines that describe metrics become metrics.

Source: CloudWatch user guide, "Specification: Embedded metric format".
"""

import json
import logging
from collections.abc import Iterator
from typing import Any

from ministack.services import cloudwatch_logs

from local.emulator.points import Metric, add

MOST_VALUES = 100
MOST_DIMENSIONS = 30

_log = logging.getLogger("emulator")


class NotTheFormatError(Exception):
    """The line says that it carries metrics, and CloudWatch would not take them; the message says why."""


def install() -> None:
    """Reads every line that is put into a log stream."""
    append = cloudwatch_logs._append_log_events  # noqa: SLF001 - there is no public way in

    def append_and_read(stream: dict[str, Any], events: list[dict[str, Any]]) -> None:
        append(stream, events)
        for event in events:
            try:
                for metric, value, at, unit in values(event["message"]):
                    add(metric, value, at, unit)
            except NotTheFormatError as fault:
                _log.warning("a line's metrics are refused: %s", fault)

    cloudwatch_logs._append_log_events = append_and_read  # noqa: SLF001


def values(line: str) -> Iterator[tuple[Metric, float, float, str]]:
    """The values of a line's metrics, each with its time (epoch seconds) and unit; none if the line carries no metrics.

    Raises:
        NotTheFormatError: the line breaks the format's rules.
    """
    if '"_aws"' not in line:
        return
    try:
        document = json.loads(line)
    except ValueError:
        return
    format_ = document.get("_aws") if isinstance(document, dict) else None
    if not isinstance(format_, dict) or "CloudWatchMetrics" not in format_:
        return
    at = format_["Timestamp"] / 1000
    for directive in format_["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = {name: _dimension(document, name) for name in names}
            if len(dimensions) > MOST_DIMENSIONS:
                raise NotTheFormatError(f"more than {MOST_DIMENSIONS} dimensions")
            for described in directive["Metrics"]:
                metric = Metric(directive["Namespace"], described["Name"], dimensions)
                for value in _values(document, metric.name):
                    yield metric, value, at, described.get("Unit", "None")


def _dimension(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise NotTheFormatError(f"the dimension {name} is no text")
    return value


def _values(document: dict[str, Any], name: str) -> list[float]:
    found = document.get(name)
    listed: list[Any] = found if isinstance(found, list) else [found]
    if len(listed) > MOST_VALUES:
        raise NotTheFormatError(f"{name} has more than {MOST_VALUES} values")
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in listed):
        raise NotTheFormatError(f"{name} is no number")
    return listed
