"""Takes the README's picture of the console: a real one, of a local cloud with an agent that fails."""

from pathlib import Path

import requests

from local import browser
from local.cloud import running

PICTURE = Path(__file__).resolve().parent.parent / "docs/images/console.png"


def main() -> None:
    """Starts a local cloud, lets two people share a phone while one agent is ill, and takes the picture."""
    with running("pictures", print) as stack, browser.chromium() as chromium:
        page = chromium.new_page(viewport={"width": 1280, "height": 780}, color_scheme="light")
        page.goto(stack.sandbox_url)
        for scene in ("Ana logs in", "Ana logs out"):
            page.get_by_role("button", name=scene).click()
            page.locator(".life").first.get_by_text("settled", exact=True).wait_for()
            page.wait_for_timeout(2000)
        requests.put(f"{stack.sandbox_url}/_faults/emarsys", json={"status": 500}, timeout=10).raise_for_status()
        page.get_by_role("button", name="Bia logs in").click()
        page.get_by_text("retrying after").first.wait_for()
        page.get_by_text("5 of 6 settled").wait_for()
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE)
    print(f"{PICTURE.name} is taken")


if __name__ == "__main__":
    main()
