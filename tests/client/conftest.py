"""A page of an app in a real Chromium, and a relay that fails as it is asked to."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.client.service import Relay, serving


class App:
    """A page that has the client, as an app would; what it reports is kept."""

    def __init__(self, page: Page, url: str) -> None:
        """Opens the page."""
        self.page, self.url = page, url
        page.goto(url)
        page.wait_for_function("'start' in window")

    def start(self, options: str = "{}") -> "App":
        """Makes the client with these options, as JavaScript."""
        self.page.evaluate(f"start({options})")
        return self

    def call(self, script: str) -> Any:
        """Makes a call, as in `track('seen')`, and waits until it resolves."""
        return self.page.evaluate(f"relay.{script}")

    def reload(self, options: str = "{}") -> "App":
        """Loads the page again and makes the client anew."""
        self.page.goto(self.url)
        self.page.wait_for_function("'start' in window")
        return self.start(options)

    def reported(self, number: int = 0) -> list[dict[str, Any]]:
        """What onError was given, once it was given as much as that."""
        self.page.wait_for_function(f"reported.length >= {number}")
        errors: list[dict[str, Any]] = self.page.evaluate("reported")
        return errors

    def codes(self, number: int = 0) -> list[str]:
        """The codes that onError was given, likewise."""
        return [error["code"] for error in self.reported(number)]

    def pending(self) -> list[str]:
        """The types of the events that wait."""
        return [event["type"] for event in self.call("pending()")]

    def drain(self) -> None:
        """Sends without waiting between attempts, until nothing waits."""
        for _ in range(60):
            self.call("flush()")
            if not self.pending():
                return
        raise AssertionError(f"still waiting: {self.pending()}, reported: {self.reported()}")

    def storage(self) -> str:
        """All that the page's storage holds."""
        return str(self.page.evaluate("JSON.stringify(localStorage)"))


@pytest.fixture(scope="session")
def server() -> Iterator[tuple[Relay, str]]:
    """One relay for all tests."""
    relay = Relay()
    with serving(relay) as url:
        yield relay, url


@pytest.fixture
def relay(server: tuple[Relay, str]) -> Relay:
    """The relay, working, with nothing received."""
    server[0].reset()
    return server[0]


@pytest.fixture
def api(relay: Relay, url: str) -> str:
    """Where the relay takes events in this test."""
    return f"{url}{relay.generation}/v1"


@pytest.fixture
def url(server: tuple[Relay, str]) -> str:
    """The relay's address, where the app's page is as well."""
    return server[1]


@pytest.fixture(scope="session")
def _window(chromium: Browser) -> Iterator[Page]:
    """One window for all tests: a new profile for each would take longer than most tests do."""
    context = chromium.new_context(locale="pt-BR", timezone_id="America/Sao_Paulo")
    page = context.new_page()
    page.set_default_timeout(20_000)
    yield page
    context.close()


@pytest.fixture
def profile(_window: Page, relay: Relay) -> Iterator[BrowserContext]:
    """A browser profile; afterwards it is online, has one page, and nothing is stored in it."""
    yield _window.context
    _window.context.set_offline(offline=False)
    relay.gate.set()
    for page in _window.context.pages:
        if page is not _window:
            # Gone before the window forgets what is stored: a page that closes may still write.
            page.goto("about:blank")
            page.close()
    _window.context.clear_cookies()
    _window.goto("about:blank")


@pytest.fixture
def app(_window: Page, profile: BrowserContext, url: str) -> App:
    """A page that has not made its client yet."""
    del profile
    opened = App(_window, url)
    opened.page.evaluate("localStorage.clear()")
    return opened
