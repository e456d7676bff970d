"""How often properties are tried, the order in which several processes take the tests, their browser and reports."""

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

# Time is no reason to fail: the machine may be busy. The profile in use is Hypothesis' own, another one in CI.
settings.register_profile("tests", settings(), deadline=None, max_examples=examples(100))
settings.load_profile("tests")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Orders the tests for several processes, which take a file at a time: those first that last longest."""
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: (item.path not in slow, "e2e" not in item.path.parts))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows what tests recorded as their `report`, whichever process they ran in."""
    for test in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in test.user_properties:
            if name == "report" and test.when == "call":
                terminalreporter.write_line(f"{test.nodeid}:\n{text}")


@pytest.fixture(scope="session")
def chromium() -> "Iterator[Browser]":
    """One browser for all tests of a process; none is skipped where REQUIRE_BROWSER is set, as CI does.

    Playwright takes no second one in a thread: files that one process runs share it.
    """
    from local import browser  # noqa: PLC0415 - unit tests need no browser

    if browser.found() is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail(browser.HOW_TO_INSTALL)
        pytest.skip(browser.HOW_TO_INSTALL)
    with browser.chromium() as started:
        yield started
