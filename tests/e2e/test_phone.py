"""The client against the deployed API, as the page /phone uses it: two people, offline, push accepted and declined."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from local.cloud import Stack
from tests.e2e.conftest import Caller

PATIENCE = 90_000
"""Milliseconds; the first event starts the functions."""

PUSH_AGENTS = ("eitri_push", "emarsys", "dashx")


@pytest.fixture
def phone(chromium: Browser, stack: Stack, app: Caller) -> Iterator[Page]:
    """A phone that nobody has used; at the end its page has failed nowhere."""
    del app
    failures: list[str] = []
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto(f"{stack.sandbox_url}/phone")
    expect(page.get_by_text("live", exact=True)).to_be_visible(timeout=PATIENCE)
    yield page
    context.close()
    assert failures == []


def _press(phone: Page, *names: str) -> None:
    for name in names:
        phone.get_by_role("button", name=name).click()


def _thinks(phone: Page, agent: str) -> Locator:
    return phone.locator(f"[data-agent={agent}] b")


def _owned_by(phone: Page, who: str) -> None:
    # Emarsys knows people by a digest.
    for agent in ("eitri_push", "dashx"):
        expect(_thinks(phone, agent)).to_have_text(f"its pushes go to {who}", timeout=PATIENCE)
    expect(_thinks(phone, "emarsys")).not_to_have_text("its pushes go to nobody", timeout=PATIENCE)


@pytest.mark.usefixtures("no_violations")
def test_two_people_offline_then_online_the_order_is_kept_and_the_phone_is_the_second_persons(phone: Page) -> None:
    _press(phone, "Ana logs in", "accept push")
    _owned_by(phone, "ana-1")
    for agent in ("appsflyer", "facebook", "google"):
        expect(_thinks(phone, agent)).to_have_text("counts events; keeps no device", timeout=PATIENCE)
    ana_at_emarsys = _thinks(phone, "emarsys").inner_text()
    phone.get_by_label("offline").check()
    _press(phone, "look at a shoe", "log out", "Bruno logs in", "look at a shoe")
    expect(phone.locator("#queue li b")).to_have_text(["track", "logout", "login", "push_token", "track"])
    _owned_by(phone, "ana-1")
    phone.get_by_label("offline").uncheck()
    expect(phone.get_by_text("Nothing waits.")).to_be_visible(timeout=PATIENCE)
    _owned_by(phone, "bruno-2")
    expect(_thinks(phone, "emarsys")).not_to_have_text(ana_at_emarsys, timeout=PATIENCE)
    # What one batch brings is accepted in one millisecond, so the list's own order says nothing.
    arrived = "[...document.querySelectorAll('#arrived li b')].slice(0, 5).map((one) => one.textContent).sort().join()"
    phone.wait_for_function(f"{arrived} === 'login,logout,push_token,track,track'")
    expect(phone.locator("#messages li")).to_have_count(0)


@pytest.mark.usefixtures("no_violations")
def test_a_declined_push_ends_the_pushes_and_a_reload_forgets_nobody(phone: Page) -> None:
    _press(phone, "Bruno logs in", "accept push")
    _owned_by(phone, "bruno-2")
    phone.reload()
    expect(phone.get_by_text("Bruno is logged in")).to_be_visible()
    _press(phone, "decline push")
    for agent in PUSH_AGENTS:
        expect(_thinks(phone, agent)).to_have_text("its pushes go to nobody", timeout=PATIENCE)


def test_the_pages_client_is_the_packages(phone: Page, stack: Stack) -> None:
    served = phone.request.get(f"{stack.sandbox_url}/phone/session-relay.js").text()
    assert "export function createSessionRelay" in served
    assert stack.secret_key not in phone.content()
