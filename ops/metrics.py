"""Sums of metrics from CloudWatch."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ops.stage import client

OURS = "session-relay"
MAX_METRICS = 500
"""Metrics in one request at most. Source: CloudWatch API reference, GetMetricData."""


@dataclass(frozen=True)
class Metric:
    """A metric by namespace, name and dimensions."""

    name: str
    dimensions: tuple[tuple[str, str], ...]
    namespace: str = OURS
    statistic: str = "Sum"


def ours(name: str, stage: str, agent: str | None = None) -> Metric:
    """Names one of session-relay's own metrics, of the stage or of one agent."""
    return Metric(name, (("stage", stage), *((("agent", agent),) if agent else ())))


def totals(metrics: Iterable[Metric], period: timedelta) -> dict[Metric, float | None]:
    """Reads the sum or maximum of each metric over the period until now; None where there is no data."""
    names, now = list(dict.fromkeys(metrics)), datetime.now(UTC)
    found: dict[Metric, float | None] = dict.fromkeys(names)
    for start in range(0, len(names), MAX_METRICS):
        chunk = names[start : start + MAX_METRICS]
        queries = [_query(f"m{number}", metric) for number, metric in enumerate(chunk)]
        pages = (
            client("cloudwatch")
            .get_paginator("get_metric_data")
            .paginate(MetricDataQueries=queries, StartTime=now - period, EndTime=now + timedelta(minutes=1))
        )
        for page in pages:
            for result in page["MetricDataResults"]:
                metric = chunk[int(result["Id"][1:])]
                if result["Values"]:
                    whole = [*result["Values"], *([] if found[metric] is None else [found[metric]])]
                    found[metric] = max(whole) if metric.statistic == "Maximum" else sum(whole)
    return found


def _query(name: str, metric: Metric) -> dict[str, Any]:
    dimensions = [{"Name": key, "Value": value} for key, value in metric.dimensions]
    described = {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": described, "Period": 60, "Stat": metric.statistic}}
