"""A simulated month keeps every promise, whatever goes wrong; `make simulate` tries a thousand."""

import pytest

from tests.simulation.month import simulate

SEEDS = (1, 45, 116, 7)
"""45 and 116 have found what the others look for: a claim that sent nothing, of which the copy bore another's name."""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "session-relay")
    monkeypatch.setenv("STAGE", "test")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_month_of_faults_loses_nothing_does_nothing_twice_and_keeps_the_order_of_each_device(seed: int) -> None:
    assert simulate(seed) == []
