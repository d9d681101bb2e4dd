"""What axe-core finds in the page, and the main path by keyboard alone."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.screenshots import TABS, open_tab, unfold

pytestmark = pytest.mark.slow

GRADIOS = {  # what Gradio's own markup lacks, and no style of ours can mend
    ("aria-prohibited-attr", 'aria-label="Empty value"'),
    ("scrollable-region-focusable", "virtual-table-viewport"),
    ("scrollable-region-focusable", "cm-scroller"),
}


def serious(page: Page) -> list[str]:
    """What axe finds that keeps people from using the page, Gradio's own aside."""
    from axe_playwright_python.sync_playwright import Axe

    return [
        f"{found['id']}: {node['html'][:200]}"
        for found in Axe().run(page).response["violations"]
        if found["impact"] in ("serious", "critical")
        for node in found["nodes"]
        if not any(found["id"] == rule and part in node["html"] for rule, part in GRADIOS)
    ]


def test_axe_finds_nothing_serious_in_any_tab(page: Any) -> None:
    found = {}
    for name in TABS:
        open_tab(page, name)
        page.wait_for_timeout(500)
        unfold(page)
        for look in ("light", "dark"):
            page.evaluate("dark => document.body.classList.toggle('dark', dark)", look == "dark")
            page.wait_for_timeout(400)  # colours change slowly, slower still on a busy machine
            page.wait_for_function("() => document.getAnimations().every(one => !(one instanceof CSSTransition))")
            found[name, look] = serious(page)
    assert not any(found.values()), found


def test_every_field_has_the_name_that_it_shows(page: Any) -> None:
    nameless = """() => [...document.querySelectorAll("input, textarea, select")].filter(field =>
        field.checkVisibility() && !field.ariaLabel && ![...field.labels].some(label => label.textContent.trim())
        && !field.getAttribute("aria-labelledby") && !field.title).map(field => field.outerHTML.slice(0, 200))"""
    found = {}
    for name in TABS:
        open_tab(page, name)
        unfold(page)
        page.wait_for_timeout(300)
        found[name] = page.evaluate(nameless)
    assert not any(found.values()), found
    open_tab(page, "Zero- and few-shot")
    assert page.get_by_role("textbox", name="Reply", exact=True).is_visible()


def reach(page: Page, label: str) -> None:
    """Presses Tab until what has the focus is called `label`, and is seen to have it."""
    called = """() => { const e = document.activeElement;
        return [e.getAttribute('aria-label'), e.textContent, ...(e.labels ? [...e.labels].map(l => l.textContent) : [])]
            .filter(Boolean).map(t => t.trim()) }"""
    for _ in range(250):
        page.keyboard.press("Tab")
        if any(name.startswith(label) for name in page.evaluate(called)):
            style = "() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle + s.boxShadow }"
            assert page.evaluate(style) != "nonenone", f"{label} does not show that it has the focus"
            return
    raise AssertionError(f"Tab does not lead to {label!r}")


def press(page: Page, label: str) -> None:
    reach(page, label)
    page.keyboard.press("Enter")


def choose(page: Page, label: str, value: str) -> None:
    reach(page, label)
    page.keyboard.press("Control+A")
    page.keyboard.type(value)
    page.keyboard.press("Enter")


def test_the_main_path_needs_no_mouse(page: Any, tiny: str) -> None:
    press(page, "Solve word problems")
    page.get_by_text("poor at sums").wait_for()
    press(page, "Next: Iterative refinement")
    choose(page, "Model", tiny)
    press(page, "Ask the model")
    page.get_by_text(re.compile(r"tokens out .* (finished|cut off)")).first.wait_for()
    press(page, "Fine-tune")
    choose(page, "Base model", tiny)
    press(page, "Start training")
    page.get_by_text(re.compile("held-out rows, scored by")).first.wait_for()


@pytest.mark.parametrize("tab", ["Iterative refinement", "Fine-tune", "Ladder"])
def test_the_focus_passes_by_and_nothing_happens(page: Any, tab: str) -> None:
    """Gradio's lists tell of a choice, or of none, whenever they lose the focus."""
    open_tab(page, tab)
    page.wait_for_timeout(1500)
    for _ in range(60):
        page.keyboard.press("Tab")
    page.wait_for_timeout(2000)
    assert page.locator(".toast-body").count() == 0 and not page.faults


def test_what_is_written_stays_when_the_focus_passes_its_list(page: Any) -> None:
    open_tab(page, "Fine-tune")
    listed = page.get_by_label("Sample data").filter(visible=True).first
    written = page.get_by_label("Instruction").filter(visible=True).first
    expect(listed).to_have_value(re.compile("e-mails"))
    written.fill("Which desk?")
    listed.focus()
    page.keyboard.press("Tab")
    page.wait_for_timeout(2000)
    expect(written).to_have_value("Which desk?")
    listed.focus()  # the same one, chosen: the sample is read anew
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(written).to_have_value("Which team should answer this e-mail?")
