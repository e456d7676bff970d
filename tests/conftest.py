"""How many examples properties are tried with, and in which order several processes take the tests."""

import pytest
from hypothesis import settings

from tests.examples import examples

# Time is no reason to fail: the machine may be busy. The profile in use is Hypothesis' own, another one in CI.
settings.register_profile("tests", settings(), deadline=None, max_examples=examples(100))
settings.load_profile("tests")

LONGEST = (
    "e2e/test_personal_data.py",
    "e2e/test_faults.py",
    "e2e/test_fuzz.py",
    "e2e/test_relay_agents.py",
    "e2e/test_relay_parked.py",
    "e2e/test_relay_events.py",
    "e2e/test_alarms.py",
    "integration/test_one_phone_two_people.py",
    "unit/test_bench.py",
)
"""Files of 20 seconds and more, longest first; all others come after them in their usual order."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Orders the tests for several processes (`make test`); one process alone keeps the usual order."""
    if not config.pluginmanager.hasplugin("xdist") or not hasattr(config, "workerinput"):
        return
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(_file(item), len(LONGEST)))


def _file(item: pytest.Item) -> str:
    return item.path.relative_to(item.config.rootpath / "tests").as_posix()
