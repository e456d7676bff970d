"""The console in a real browser: events sent, followed and settled, faults switched, whose pushes a phone gets."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import axe_playwright_python
import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect

from local.cloud import Stack, warm
from tests.e2e.conftest import Caller
from tests.e2e.terminal import Terminal

STEP = 25
"""Events that the page shows at first."""

TITLES = ("AppsFlyer", "Facebook", "Google Analytics", "Eitri Push", "Emarsys", "DashX")
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")

NEWEST = "document.querySelector('.life')?.dataset.event ?? null"

PATIENCE = 60_000
"""Milliseconds; the first event starts the functions."""


@pytest.fixture(scope="module")
def warmed(stack: Stack) -> Stack:
    """The local cloud with its functions started, as after `make up`."""
    warm(stack)
    return stack


@pytest.fixture
def page(chromium: Browser, warmed: Stack, app: Caller) -> Iterator[Page]:
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
    shown.goto(warmed.sandbox_url)
    expect(shown.get_by_text("live", exact=True)).to_be_visible()
    expect(shown.locator("#send")).to_be_visible(timeout=PATIENCE)
    yield shown
    context.close()
    assert complaints == []
    assert asked == {warmed.sandbox_url.removeprefix("http://")}


def _newest(page: Page) -> Locator:
    return page.locator(".life").first


def _station(event: Locator, agent: str) -> Locator:
    """An event's cell at an agent."""
    return event.get_by_role("button", name=re.compile(f"^{agent}: "))


def _sent(page: Page, button: str, title: str) -> Locator:
    """Presses a button; the row of the event that it sent."""
    before = page.evaluate(NEWEST)
    page.get_by_role("button", name=button, exact=True).click()
    page.wait_for_function(f"({NEWEST}) !== {json.dumps(before)}", timeout=PATIENCE)
    sent = page.locator(f'.life[data-event="{page.evaluate(NEWEST)}"]')
    expect(sent.get_by_role("rowheader")).to_contain_text(title, timeout=PATIENCE)
    return sent


def _settle(event: Locator) -> None:
    expect(event).to_have_class("life ", timeout=PATIENCE)


def test_an_event_sent_by_the_form_fans_out_to_a_column_for_each_agent_and_settles(page: Page) -> None:
    page.get_by_label("Call").select_option("signup")
    page.get_by_label("Person").select_option("ana")
    newest = _sent(page, "Send", "signup ana-1")
    expect(page.get_by_text("202 accepted")).to_be_visible(timeout=PATIENCE)
    _settle(newest)
    heads = page.get_by_role("columnheader")
    expect(newest.get_by_role("cell")).to_have_count(heads.count() - 1)
    for title in TITLES:
        cell = newest.get_by_role("cell", name=title)
        head = page.get_by_role("columnheader", name=title)
        assert abs(_left(cell) - _left(head)) < 4, title


def _left(element: Locator) -> float:
    box = element.bounding_box()
    assert box
    return box["x"]


@pytest.mark.parametrize("call", ["login", "logout", "open", "identify", "track", "push-token", "batch"])
def test_each_kind_of_event_can_be_sent_as_it_is_proposed(page: Page, call: str) -> None:
    page.get_by_label("Call").select_option(call)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#answered")).to_have_text(
        "207 accepted" if call == "batch" else "202 accepted", timeout=PATIENCE
    )


def test_an_agent_that_does_not_receive_an_event_has_a_dash_in_its_column(page: Page) -> None:
    page.get_by_label("Call").select_option("identify")
    event = _sent(page, "Send", "identify")
    expect(_station(event, "DashX")).to_contain_text("delivered", timeout=PATIENCE)
    expect(event.locator(".cell.none").first).to_contain_text("\N{EN DASH}")


def test_an_agent_is_made_to_fail_in_its_columns_head_and_delivers_once_it_works(page: Page) -> None:
    page.get_by_label("How Emarsys behaves").select_option("answers 500")
    expect(page.get_by_role("columnheader", name="Emarsys")).to_have_class("agent busy")
    event = _sent(page, "Bia logs in", "login bia-2")
    expect(_station(event, "Emarsys")).to_contain_text("retrying", timeout=PATIENCE)
    page.get_by_role("button", name="let all agents work").click()
    expect(_station(event, "Emarsys")).to_contain_text("delivered", timeout=PATIENCE)
    _settle(event)


def test_what_is_parked_stands_first_in_red_and_nothing_says_settled_beside_it(page: Page) -> None:
    page.get_by_label("How Google Analytics behaves").select_option("answers 400")
    event = _sent(page, "Ana logs in", "login ana-1")
    expect(event.get_by_role("rowheader")).to_contain_text("1 parked", timeout=PATIENCE)
    expect(event).to_have_class("life bad", timeout=PATIENCE)
    counts = page.get_by_role("status", name="State")
    expect(counts.locator(".count").first).to_have_text(re.compile(r"^\d+ parked$"))
    expect(counts).not_to_contain_text("settled")


def test_a_station_opens_the_request_that_was_sent_and_its_answer(page: Page) -> None:
    event = _sent(page, "Ana logs in", "login ana-1")
    _settle(event)
    for title, text in (("Emarsys", "contact_field_value"), ("DashX", "identifyAccount"), ("Facebook", "event_name")):
        station = _station(event, title)
        station.click()
        expect(station).to_have_attribute("aria-expanded", "true")
        expect(event.get_by_role("group", name="Request").first).to_contain_text(text, timeout=PATIENCE)
        expect(event.get_by_role("group", name="Answer").first).to_be_visible()
    event.get_by_role("button", name="close").click()
    expect(event.get_by_role("group", name="Request")).to_have_count(0)


def test_the_list_says_how_many_there_are_shows_more_and_is_cleared(page: Page, app: Caller, stack: Stack) -> None:
    assert app.call("/batch", {"events": [{"type": "logout"}] * (STEP + 2)}).status_code == 207
    expect(page.locator("#shown-events")).to_contain_text(re.compile(rf"{STEP} of \d+"), timeout=PATIENCE)
    expect(page.locator(".life")).to_have_count(STEP)
    page.get_by_role("button", name="show more").click()
    page.wait_for_function(f"document.querySelectorAll('.life').length > {STEP}")
    page.get_by_role("button", name="clear").click()
    expect(page.locator(".life")).to_have_count(0)
    expect(page.get_by_text("No event yet")).to_be_visible()
    curl = page.locator("#empty pre").inner_text()
    assert (stack.api_url in curl, stack.public_key in curl, stack.secret_key in curl) == (True, True, False)
    done = subprocess.run(["sh", "-c", f"{curl} -s"], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603, S607
    assert json.loads(done.stdout)["status"] == "accepted"
    expect(page.locator(".life")).to_have_count(1, timeout=PATIENCE)


def test_probes_leave_the_console_calm(page: Page, stack: Stack) -> None:
    Terminal(stack).relay("agents", "check")
    expect(page.locator("#requests .pill", has_text="probe").first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("status", name="State")).not_to_contain_text("a contract")


def test_two_people_and_one_phone_show_whose_pushes_it_gets(page: Page, stack: Stack) -> None:
    # What other tests left on this and other phones is deleted first.
    requests.delete(f"{stack.sandbox_url}/_state", timeout=10).raise_for_status()
    phone = page.locator("#devices .card", has_text="6b1f0a52")
    _settle(_sent(page, "Ana logs in", "login ana-1"))
    expect(phone).to_contain_text("one person", timeout=PATIENCE)
    _settle(_sent(page, "Ana logs out", "logout ana-1"))
    _settle(_sent(page, "Bia logs in", "login bia-2"))
    expect(phone).to_contain_text("bia-2", timeout=PATIENCE)
    expect(phone).not_to_contain_text("ana-1")


def test_an_event_can_be_sent_by_keyboard_alone(page: Page) -> None:
    page.get_by_label("Call").focus()
    page.keyboard.type("open")
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(_newest(page).get_by_role("rowheader")).to_contain_text("open ana-1", timeout=PATIENCE)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(page: Page, scheme: Literal["light", "dark"], width: int) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.get_by_label("How Google Analytics behaves").select_option("answers 400")
    event = _sent(page, "Ana logs in", "login ana-1")
    expect(event.get_by_role("rowheader")).to_contain_text("1 parked", timeout=PATIENCE)
    _station(event, "Emarsys").click()
    expect(event.get_by_role("group", name="Request").first).to_be_visible(timeout=PATIENCE)
    page.locator("#requests summary").first.click()
    page.evaluate(AXE.read_text())
    violations = page.evaluate("axe.run()")["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in violations] == []


def test_on_a_phone_the_result_comes_before_the_body(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    _sent(page, "Ana logs in", "login ana-1")
    tops = [page.locator(name).bounding_box() for name in ("#send", "#events", "#body", "#requests")]
    assert [box["y"] for box in tops if box] == sorted(box["y"] for box in tops if box)
    assert len([box for box in tops if box]) == 4


def test_what_is_not_json_is_said_where_it_is_written(page: Page) -> None:
    page.get_by_role("textbox", name="Body").fill("{not json")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#answered")).to_contain_text("not JSON")
    expect(page.get_by_role("textbox", name="Body")).to_be_focused()


def test_markup_in_an_event_is_shown_as_text(page: Page, app: Caller) -> None:
    markup = "<img src=x onerror=document.title='taken'>"
    app.accepted("/track", {"name": "seen", "customerId": markup, "device": {"id": markup, "platform": "ios"}})
    expect(_newest(page).get_by_role("rowheader")).to_contain_text("track", timeout=PATIENCE)
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


@pytest.mark.parametrize("header", [{"Origin": "https://other.example.com"}, {"Host": "other.example.com"}])
def test_a_foreign_page_can_do_nothing(stack: Stack, header: dict[str, str]) -> None:
    answer = requests.post(f"{stack.sandbox_url}/_console/send", json={"call": "logout"}, headers=header, timeout=10)
    assert answer.status_code == 403


def test_the_page_never_has_the_secret_key(stack: Stack) -> None:
    paths = ("/", "/console/console.js", "/console/life.js", "/_console", "/_console/events", "/_console/devices")
    for path in paths:
        assert stack.secret_key not in requests.get(stack.sandbox_url + path, timeout=10).text


def _contrast(one: list[int], other: list[int]) -> float:
    """The contrast of two colours as WCAG 2.2 reckons it."""

    def luminance(colour: list[int]) -> float:
        parts = [part / 255 for part in colour[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)
