"""Takes the pictures of the console and of `relay status`: of a real local cloud in which an agent fails."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from playwright.sync_api import Browser, Page

from local import browser
from local.cloud import ROOT, Stack, environment, running, warm

IMAGES = ROOT / "docs/images"
PATIENCE = 90_000
"""Milliseconds."""

SIZES = {
    "console": {"width": 1360, "height": 860},
    "console-phone": {"width": 390, "height": 844},
    "phone": {"width": 1280, "height": 600},
}


def main() -> None:
    """Starts a local cloud, lets two people share a phone while agents fail, and takes the pictures."""
    IMAGES.mkdir(exist_ok=True)
    with running("pictures", print) as stack, browser.chromium() as chromium:
        warm(stack)
        with console(chromium, stack, "console", "light") as page:
            page.screenshot(path=IMAGES / "console-empty.png")
            _play(page, stack)
            page.screenshot(path=IMAGES / "console.png")
            page.locator(".station.bad").first.click()
            page.get_by_role("group", name="Answer").first.wait_for()
            page.screenshot(path=IMAGES / "console-request.png")
        for name, size, scheme in (("console-dark", "console", "dark"), ("console-phone", "console-phone", "light")):
            with console(chromium, stack, size, scheme) as page:
                page.locator(".life").first.wait_for()
                page.screenshot(path=IMAGES / f"{name}.png")
        for name, columns in (("relay-status", 100), ("relay-status-60", 60)):
            _status(stack, IMAGES / f"{name}.svg", columns)
        _heal(stack)
        with console(chromium, stack, "phone", "light", "/phone") as page:
            _share_phone(page)
            page.screenshot(path=IMAGES / "phone.png")
    print(f"The pictures are in {IMAGES.relative_to(ROOT)}.")


@contextmanager
def console(chromium: Browser, stack: Stack, size: str, scheme: str, path: str = "/") -> Iterator[Page]:
    """Opens the console in a window of this size and colour scheme."""
    context = chromium.new_context(viewport=SIZES[size], color_scheme=scheme, device_scale_factor=2)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(stack.sandbox_url + path)
    page.locator("#send" if path == "/" else "[data-agent=dashx] b").wait_for()
    yield page
    context.close()


def _share_phone(page: Page) -> None:
    """Lets Ana log in, and Bruno after her while the phone is offline."""
    for button in ("Ana logs in", "accept push"):
        page.get_by_role("button", name=button).click()
    page.locator("[data-agent=dashx] b", has_text="ana-1").wait_for()
    page.wait_for_function("document.querySelectorAll('#arrived .pill.good').length > 1")
    page.get_by_label("offline").check()
    for button in ("look at a shoe", "log out", "Bruno logs in"):
        page.get_by_role("button", name=button).click()
    page.wait_for_timeout(2000)


def _play(page: Page, stack: Stack) -> None:
    """Sends events of two people: two settle, one is parked at an agent, one is retried at another."""
    for scene in ("Ana logs in", "Ana logs out"):
        _send(page, scene)
    _fault(stack, "emarsys", {"status": 400, "times": 1})
    _send(page, "Bia logs in")
    page.locator(".station.bad").first.wait_for()
    page.get_by_label("Call").select_option("track")
    page.get_by_label("Person").select_option("bia")
    _send(page, "Send")
    _fault(stack, "dashx", {"status": 500})
    _send(page, "Ana logs in")
    page.locator(".station.busy", has_text="retrying").first.wait_for()


def _send(page: Page, button: str) -> None:
    """Presses a button, and waits until the new event has arrived and most of it is settled."""
    before = page.locator(".life").count()
    page.get_by_role("button", name=button, exact=True).click()
    page.locator(".life").nth(before).wait_for()
    page.wait_for_timeout(4000)


def _fault(stack: Stack, agent: str, fault: dict[str, object]) -> None:
    requests.put(f"{stack.sandbox_url}/_faults/{agent}", json=fault, timeout=10).raise_for_status()


def _heal(stack: Stack) -> None:
    """Lets every agent work again, and hides the events until now."""
    for path in ("/_faults", "/_console/events"):
        requests.delete(stack.sandbox_url + path, timeout=10).raise_for_status()


def _status(stack: Stack, path: Path, columns: int) -> None:
    """Saves what `relay status` shows; it ends with 1, since an agent fails."""
    own = {**environment(stack.aws_endpoint, ROOT / ".local/pictures"), "RELAY_STAGE": "local", "PYTHONPATH": ""}
    command = [sys.executable, "-m", "ops", "status", "--svg", str(path), "--columns", str(columns)]
    own["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "layers/runtime")])
    subprocess.run(command, env=own, cwd=ROOT, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if not path.is_file():
        message = f"{path.name} was not written"
        raise RuntimeError(message)


if __name__ == "__main__":
    main()
