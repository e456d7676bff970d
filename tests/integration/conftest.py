"""AWS as moto plays it, in this process: nothing leaves it."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from relay import aws, environment, settings


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "session-relay")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "session-relay")
    monkeypatch.setenv("APPS_PATH", "/session-relay/test/apps")
    with mock_aws():
        forget()
        yield
    forget()


def forget() -> None:
    """Makes the functions' caches as cold as at their first start."""
    for cached in (aws.sns, aws.sqs, aws.ssm, environment.topic_arn, environment.apps_path, settings._provider):  # noqa: SLF001
        cached.cache_clear()
    environment.AgentEnvironment.read.__func__.cache_clear()  # type: ignore[attr-defined]
    settings._last_good.clear()  # noqa: SLF001
