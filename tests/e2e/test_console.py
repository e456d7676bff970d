"""The console in a real browser: events sent, followed and settled, faults switched, whose pushes a phone gets."""

import os
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect

from local import browser
from local.cloud import Stack
from tests.e2e.conftest import Caller

PATIENCE = 60_000
"""Milliseconds; the first event starts the functions."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser; no test of the console is skipped where REQUIRE_BROWSER is set, as CI does."""
    if browser.found() is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail(browser.HOW_TO_INSTALL)
        pytest.skip(browser.HOW_TO_INSTALL)
    with browser.chromium() as started:
        yield started


@pytest.fixture
def page(chromium: Browser, stack: Stack, app: Caller) -> Iterator[Page]:
    """The console; at the end it has complained of nothing, and asked nobody but the sandbox."""
    del app
    complaints: list[str] = []
    asked: set[str] = set()
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    shown = context.new_page()
    shown.set_default_timeout(PATIENCE)
    shown.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    shown.on("request", lambda request: asked.add(request.url.split("/")[2]))
    shown.goto(stack.sandbox_url)
    expect(shown.get_by_text("live", exact=True)).to_be_visible()
    yield shown
    context.close()
    assert complaints == []
    assert asked == {stack.sandbox_url.removeprefix("http://")}


def _newest(page: Page) -> Locator:
    return page.locator(".life").first


def _sent(page: Page, scene: str) -> Locator:
    """The newest event, once the one that a button sends is it."""
    page.get_by_role("button", name=scene).click()
    who, _, what = scene.partition(" ")
    call = {"logs in": "login", "logs out": "logout"}[what]
    newest = _newest(page)
    expect(newest.get_by_role("heading")).to_have_text(f"{call} of {who}", timeout=PATIENCE)
    return newest


def _settle(event: Locator) -> None:
    expect(event.get_by_text("settled", exact=True)).to_be_visible(timeout=PATIENCE)


def test_an_event_sent_by_the_form_fans_out_and_settles(page: Page) -> None:
    page.get_by_label("Call").select_option("signup")
    page.get_by_label("Person").select_option("ana")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("202 accepted")).to_be_visible(timeout=PATIENCE)
    newest = _newest(page)
    expect(newest.get_by_role("heading")).to_have_text("signup of Ana", timeout=PATIENCE)
    _settle(newest)
    expect(newest.locator(".station")).to_have_count(6)


@pytest.mark.parametrize("call", ["login", "logout", "open", "identify", "track", "push-token", "batch"])
def test_each_kind_of_event_can_be_sent_as_it_is_proposed(page: Page, call: str) -> None:
    page.get_by_label("Call").select_option(call)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#answered")).to_have_text(
        "207 accepted" if call == "batch" else "202 accepted", timeout=PATIENCE
    )


def test_a_broken_agent_is_retried_and_delivers_once_it_is_mended(page: Page) -> None:
    page.get_by_label("How Emarsys behaves").select_option("answers 500")
    expect(page.get_by_text("Emarsys fails on purpose")).to_be_visible()
    event = _sent(page, "Bia logs in")
    emarsys = event.locator(".station", has_text="Emarsys")
    expect(emarsys).to_contain_text("retrying", timeout=PATIENCE)
    page.get_by_role("button", name="Let Emarsys work").click()
    expect(emarsys).to_contain_text("delivered", timeout=PATIENCE)
    _settle(event)


def test_two_people_and_one_phone_show_whose_pushes_it_gets(page: Page, stack: Stack) -> None:
    # What other tests left on this and other phones is forgotten first.
    requests.delete(f"{stack.sandbox_url}/_state", timeout=10).raise_for_status()
    phone = page.locator("#devices .card", has_text="6b1f0a52")
    _settle(_sent(page, "Ana logs in"))
    expect(phone).to_contain_text("one person", timeout=PATIENCE)
    _settle(_sent(page, "Ana logs out"))
    _settle(_sent(page, "Bia logs in"))
    expect(phone).to_contain_text("bia-2", timeout=PATIENCE)
    expect(phone).not_to_contain_text("ana-1")


def test_an_event_can_be_sent_by_keyboard_alone(page: Page) -> None:
    page.get_by_label("Call").focus()
    page.keyboard.type("open")
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(_newest(page).get_by_role("heading")).to_have_text("open of Ana", timeout=PATIENCE)


def test_what_is_not_json_is_said_where_it_is_written(page: Page) -> None:
    page.get_by_role("textbox", name="Body").fill("{not json")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#answered")).to_contain_text("not JSON")
    expect(page.get_by_role("textbox", name="Body")).to_be_focused()


def test_markup_in_an_event_is_shown_as_text(page: Page, app: Caller) -> None:
    markup = "<img src=x onerror=document.title='taken'>"
    app.accepted("/track", {"name": "seen", "customerId": markup, "device": {"id": markup, "platform": "ios"}})
    expect(_newest(page).get_by_role("heading")).to_contain_text("track", timeout=PATIENCE)
    _settle(_newest(page))
    assert page.locator("img").count() == 0
    assert "taken" not in page.title()


def test_dark_and_light_differ_and_both_can_be_read(page: Page) -> None:
    colours = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        ground, ink = (
            page.evaluate(f"getComputedStyle(document.body).{name}.match(/\\d+/g).map(Number)")
            for name in ("backgroundColor", "color")
        )
        colours.append(ground)
        assert _contrast(ground, ink) >= 7
    assert colours[0] != colours[1]


def test_a_narrow_window_needs_no_scrolling_aside(page: Page) -> None:
    page.set_viewport_size({"width": 380, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("header", [{"Origin": "https://stranger.example.com"}, {"Host": "stranger.example.com"}])
def test_a_foreign_page_can_do_nothing(stack: Stack, header: dict[str, str]) -> None:
    answer = requests.post(f"{stack.sandbox_url}/_console/send", json={"call": "logout"}, headers=header, timeout=10)
    assert answer.status_code == 403


def test_the_page_never_has_a_key(stack: Stack) -> None:
    for path in ("/", "/console/console.js", "/console/life.js", "/_console/events"):
        text = requests.get(stack.sandbox_url + path, timeout=10).text
        assert stack.secret_key not in text
        assert stack.public_key not in text


def _contrast(one: list[int], other: list[int]) -> float:
    """The contrast of two colours as WCAG 2.2 reckons it."""

    def luminance(colour: list[int]) -> float:
        parts = [part / 255 for part in colour[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)
