"""One JSON log line for everything that happens to an event, and CloudWatch metrics; never personal data."""

from functools import cache

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric


@cache
def logger() -> Logger:
    """The function's logger; its level is POWERTOOLS_LOG_LEVEL."""
    return Logger(location=None, use_rfc3339=True)


def count(metric: str, value: int = 1, **dimensions: str) -> None:
    """Adds to a CloudWatch metric with these dimensions (embedded metric format, on standard output)."""
    with single_metric(name=metric, unit=MetricUnit.Count, value=value) as written:
        for name, text in dimensions.items():
            written.add_dimension(name=name, value=text)
