"""Alarms as CloudWatch evaluates them: by their dimensions, over their periods, with metric math and missing data.

MiniStack 1.5.33 evaluates an alarm over every set of dimensions at once, whenever a call puts metrics, and refuses
metric math in a template. Source: CloudWatch user guide, "Using Amazon CloudWatch alarms". CloudWatch's periods
begin at full minutes and hours; here the last one ends now, so that an alarm can be waited for.
"""

import operator
import time
from typing import Any

from ministack.services import cloudwatch
from ministack.services.cloudformation import provisioners

from local.emulator.expression import Number, value
from local.emulator.points import Metric, statistic

Alarm = dict[str, Any]

_BREACHES = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def install() -> None:
    """Makes MiniStack evaluate alarms this way, and accept metric math in templates."""
    record = provisioners._cw_metric_alarm_record  # noqa: SLF001 - there is no public way in

    def record_with_math(name: str, properties: dict[str, Any]) -> Alarm:
        metrics = properties.get("Metrics")
        if not metrics:
            return dict(record(name, properties))
        # It has no metric of its own: one to get past the check, taken away again.
        alarm = record(name, {**properties, "Metrics": None, "MetricName": "-", "Namespace": "-"})
        own = ("MetricName", "Namespace", "Statistic", "Period", "Dimensions")
        return {key: kept for key, kept in alarm.items() if key not in own} | {"Metrics": [_typed(m) for m in metrics]}

    provisioners._cw_metric_alarm_record = record_with_math  # noqa: SLF001
    cloudwatch._evaluate_alarm = evaluate  # noqa: SLF001


def _typed(query: dict[str, Any]) -> dict[str, Any]:
    """A metric query as the API answers it: a template's numbers and truths may be texts."""
    typed = {**query, "ReturnData": str(query.get("ReturnData", True)).lower() == "true"}
    if "MetricStat" in query:
        typed["MetricStat"] = {**query["MetricStat"], "Period": int(query["MetricStat"]["Period"])}
    return typed


def look(now: float) -> None:
    """Evaluates every alarm."""
    for alarm in list(cloudwatch._alarms.values()):  # noqa: SLF001
        evaluate(alarm, now)


def evaluate(alarm: Alarm, now: float | None = None) -> None:
    """Gives an alarm the state that its metric has, and calls its actions if the state has changed."""
    old, new = alarm["StateValue"], state(alarm, now or time.time())
    if new == old:
        return
    reason = f"Threshold Crossed: {alarm['ComparisonOperator']} {alarm['Threshold']}"
    stamped = int(time.time())
    alarm.update(StateValue=new, StateReason=reason, StateUpdatedTimestamp=stamped)
    cloudwatch._record_history(alarm["AlarmName"], old, new, reason)  # noqa: SLF001
    cloudwatch._dispatch_alarm_actions(alarm, old, new, reason)  # noqa: SLF001
    cloudwatch._evaluate_parent_alarms(alarm)  # noqa: SLF001


def state(alarm: Alarm, now: float) -> str:
    """`ALARM`, `OK` or `INSUFFICIENT_DATA`; the state that it has, if missing data is to be ignored."""
    periods = int(alarm["EvaluationPeriods"])
    values = [_value(alarm, now, number) for number in range(periods)]
    known = [_breaches(alarm, number) for number in values if number is not None]
    missing, treated = periods - len(known), alarm.get("TreatMissingData", "missing")
    if not known and treated in {"missing", "ignore"}:
        return "INSUFFICIENT_DATA" if treated == "missing" else str(alarm["StateValue"])
    breaching = sum(known) + (missing if treated == "breaching" else 0)
    return "ALARM" if breaching >= int(alarm.get("DatapointsToAlarm") or periods) else "OK"


def _breaches(alarm: Alarm, number: float) -> bool:
    return bool(_BREACHES[alarm["ComparisonOperator"]](number, alarm["Threshold"]))


def _value(alarm: Alarm, now: float, back: int) -> Number:
    """The alarm's value in its last period, or so many periods back."""
    if "Metrics" not in alarm:
        which = alarm.get("ExtendedStatistic") or alarm["Statistic"]
        return _statistic(alarm, which, int(alarm["Period"]), now, back)
    found: dict[str, Number] = {}
    queries = sorted(alarm["Metrics"], key=lambda query: "Expression" in query)
    period = max(query["MetricStat"]["Period"] for query in queries if "MetricStat" in query)
    for query in queries:
        if "MetricStat" in query:
            stat = query["MetricStat"]
            found[query["Id"]] = _statistic(stat["Metric"], stat["Stat"], stat["Period"], now, back)
        else:
            found[query["Id"]] = value(query["Expression"], found, period)
    return next(found[query["Id"]] for query in queries if query["ReturnData"])


def _statistic(metric: dict[str, Any], which: str, period: int, now: float, back: int) -> Number:
    dimensions = {dimension["Name"]: dimension["Value"] for dimension in metric.get("Dimensions", [])}
    window = (now - period * (back + 1), now - period * back)
    return statistic(Metric(metric["Namespace"], metric["MetricName"], dimensions), which, window)
