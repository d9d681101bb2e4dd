"""make screenshots: every tab at both widths, light and dark, with real content, into screenshots/; and what the README shows,
into docs/. With the word `readme`: those alone.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tests.serving import ROOT, serving

TABS = [
    "Start",
    "Iterative refinement",
    "Contextual prompting",
    "Chain of thought",
    "Zero- and few-shot",
    "Compare",
    "Fine-tune",
    "Ladder",
    "Monitor",
]
PATIENCE = 400_000  # ms that anything on the page is waited for: two trainings in fp32 may share two cores
LOOKS = [(1440, 900, "light"), (1440, 900, "dark"), (390, 844, "light"), (390, 844, "dark")]


def open_tab(page: Page, name: str) -> None:
    """Also on a phone, whose bar hides most tabs behind a menu."""
    tab = page.get_by_role("tab", name=name, exact=True)
    wide = page.viewport_size is None or page.viewport_size["width"] > 1000
    if wide or tab.is_visible():
        tab.click()  # waits until the page has drawn it
    else:
        page.locator(".overflow-menu button").first.click()
        page.locator(".overflow-dropdown button", has_text=name).click()


def unfold(page: Page) -> None:
    """Opens every accordion in sight."""
    closed = page.locator("button.label-wrap:not(.open)").filter(visible=True)
    for _ in range(40):
        if not closed.count():
            return
        closed.first.click()
    raise AssertionError("accordions do not open")


def opened(browser: Browser, url: str, **look: Any) -> Any:
    """The page of a visitor of its own, in a window that looks so; `faults` are its console's."""
    page: Any = browser.new_context(**look).new_page()
    page.faults = []
    page.on("console", lambda message: page.faults.append(message.text) if message.type == "error" else None)
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    page.get_by_role("heading", name="Prompt or Tune").wait_for()
    page.wait_for_timeout(1000)  # what the page fetches at first is in its fields
    return page


def fill(page: Page, name: str) -> None:
    """Real content: an answer in the technique tabs, the sample's rows in the fine-tune tab."""
    if name == "Fine-tune":
        page.get_by_label("Sample data").filter(visible=True).first.click()
        page.get_by_role("option", name="Customer-support").first.click()
    elif name == "Compare":
        page.get_by_label("At most (rows)").fill("20")
        page.get_by_role("button", name="Compare", exact=True).click()
        page.get_by_text("data fingerprint").wait_for()
    elif name not in ("Start", "Ladder", "Monitor"):  # those need a run
        panel = page.get_by_role("tabpanel").filter(visible=True).first
        panel.get_by_role("button", name="Ask the model").click()
        panel.get_by_text(" tokens out ").wait_for()
        page.wait_for_timeout(6000)
    page.wait_for_timeout(1500)


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    target = ROOT / "screenshots"
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        models = ROOT / ".cache" / "models"
        models.mkdir(parents=True, exist_ok=True)
        (Path(folder) / "models").symlink_to(models)
        with serving(Path(folder)) as url:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for width, height, look in [] if "readme" in sys.argv else LOOKS:
                page = opened(browser, f"{url}/?__theme={look}", viewport={"width": width, "height": height})
                for number, name in enumerate(TABS):
                    open_tab(page, name)
                    fill(page, name)
                    path = target / f"{number}-{name.lower().replace(' ', '-')}-{width}-{look}.png"
                    page.screenshot(path=path, full_page=True)
                    print(os.path.relpath(path))
            for name, shown in SHOWN.items():
                page = opened(browser, f"{url}/?__theme=light", viewport={"width": 1280, "height": 860})
                shown(page)
                page.screenshot(path=ROOT / "docs" / f"{name}.png")
                print(f"docs/{name}.png")
            browser.close()


def to_top(page: Page, found: Locator) -> None:
    """Scrolls until it stands at the top of the window."""
    found.evaluate("element => window.scrollTo(0, element.getBoundingClientRect().top + window.scrollY - 16)")
    page.wait_for_timeout(1500)


def compared(page: Page) -> None:
    """Two prompts on the same rows."""
    open_tab(page, "Compare")
    fill(page, "Compare")
    to_top(page, page.get_by_role("button", name="Compare", exact=True))


def tuned(page: Page) -> None:
    """A training of two epochs, measured."""
    open_tab(page, "Fine-tune")
    page.get_by_label("Epochs").first.fill("2")
    page.get_by_role("button", name="Start training").click()
    page.get_by_text("held-out rows, scored by").first.wait_for(timeout=3 * PATIENCE)
    to_top(page, page.get_by_role("heading", name="3 · Training"))


SHOWN = {
    "start": lambda page: None,
    "compare": compared,
    "fine-tune": tuned,
}  # what the README shows


if __name__ == "__main__":
    main()
