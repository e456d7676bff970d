"""The points of metrics in MiniStack's CloudWatch: added, kept as they stand, and read back by statistic."""

from threading import Lock
from typing import Any, NamedTuple

from ministack.services import cloudwatch

MINUTE = 60
_changing = Lock()


class Metric(NamedTuple):
    """A metric by namespace, name and dimensions."""

    namespace: str
    name: str
    dimensions: dict[str, str]


def add(metric: Metric, value: float, at: float, unit: str = "Count") -> None:
    """Adds a value; the same one again within a second makes its point count twice, which keeps the points few."""
    with _changing:
        points = _points(metric)
        if points and points[-1]["Value"] == value and int(points[-1]["Timestamp"]) == int(at):
            points[-1]["Count"] = points[-1].get("Count", 1.0) + 1
        else:
            points.append(_point(metric, value, at, unit))


def stand(metric: Metric, value: float, at: float, unit: str = "Count") -> None:
    """Says how something stands: one point a minute, the current one the newest."""
    with _changing:
        points = _points(metric)
        if points and points[-1]["Timestamp"] // MINUTE == at // MINUTE:
            points.pop()
        points.append(_point(metric, value, at, unit))


def statistic(metric: Metric, which: str, window: tuple[float, float]) -> float | None:
    """A statistic (`Sum`, `Maximum`, `p95`) of the points after the window's start up to its end; None without any."""
    start, end = window
    with _changing:
        points = [point for point in _points(metric) if start < point["Timestamp"] <= end]
    if not points:
        return None
    found: float | None = cloudwatch._stat_value(cloudwatch._calc_stats(points), which, points)  # noqa: SLF001
    return found


def _points(metric: Metric) -> list[dict[str, Any]]:
    key = (metric.namespace, metric.name, cloudwatch._dims_key(metric.dimensions))  # noqa: SLF001 - there is no public way in
    found: list[dict[str, Any]] = cloudwatch._metric_bucket(key)  # noqa: SLF001
    return found


def _point(metric: Metric, value: float, at: float, unit: str) -> dict[str, Any]:
    return {"Timestamp": at, "Value": float(value), "Unit": unit, "Dimensions": metric.dimensions}
