"""Whole ways through the page: from an upload to a published adapter on a phone, two visitors at once, Spanish."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.hub_server import Server
from tests.screenshots import open_tab, opened
from tests.serving import nothing_left_at_work, serving

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("embedded")]


def test_on_a_phone_an_upload_becomes_a_published_adapter(browser: Any, home: Path, tmp_path: Path) -> None:
    rows = tmp_path / "words.csv"
    rows.write_text("text,label\n" + "".join(f"item {n} is {(n % 2 and 'odd') or 'even'},{n % 2}\n" for n in range(24)))
    with Server() as hub, nothing_left_at_work(home):
        with serving(home, HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "hf")) as url:
            page = opened(browser, url, viewport={"width": 390, "height": 844}, has_touch=True)
            page.get_by_role("button", name="Use your data").click()
            page.locator("#start-file input[type=file]").set_input_files(rows)
            page.get_by_text(re.compile("Task: words.csv · 24 rows")).wait_for()
            open_tab(page, "Fine-tune")
            page.get_by_text(re.compile("words.csv: 24 rows")).wait_for()
            page.get_by_label("Epochs").first.fill("1")
            page.get_by_label("Longest row (tokens)").fill("64")
            page.get_by_role("button", name="Start training").click()
            page.get_by_text(re.compile("held-out rows, scored by label")).first.wait_for()
            page.get_by_role("button", name="Publish on the Hub").click()
            page.get_by_label("Repository").fill("words")
            page.locator("input[type=password]").filter(visible=True).last.fill("hf_writer")
            page.get_by_role("button", name="Publish", exact=True).click()
            page.get_by_text(re.compile("Published as ana/words, private")).first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert "adapter_model.safetensors" in hub.files("ana/words")


def test_two_visitors_at_once_are_kept_apart_and_wait_in_line(browser: Any, home: Path) -> None:
    space = {"SYSTEM": "spaces", "SPACE_ID": "ana/app", "HF_HUB_OFFLINE": "1"}
    with nothing_left_at_work(home), serving(home, **space) as url:
        first, second = opened(browser, url), opened(browser, url)
        for page, told in ((first, r"step \d+ of"), (second, r"place \d in line")):
            open_tab(page, "Fine-tune")
            page.get_by_text(re.compile("support_emails.jsonl: 225 rows")).wait_for()
            asked = page.get_by_role("textbox", name=re.compile("^Instruction"))
            expect(asked).to_have_value("Which team should answer this e-mail?")  # the task that the page opens on
            page.get_by_role("button", name="Start training").click()
            page.get_by_text(re.compile(told)).first.wait_for()
        open_tab(second, "Iterative refinement")
        second.get_by_role("button", name="Ask the model").first.click()
        second.get_by_text(re.compile(r"tokens out .* (finished|cut off)")).first.wait_for()
        open_tab(second, "Fine-tune")
        first.get_by_role("button", name="Cancel", exact=True).click()
        first.get_by_text(re.compile("Cancelled")).first.wait_for()
        second.get_by_text(re.compile(r"step \d+ of")).first.wait_for()
        assert [len(list(owner.glob("runs/*/status.json"))) for owner in home.glob("owners/*")] == [1, 1]
        second.get_by_role("button", name="Cancel", exact=True).click()
        second.get_by_text(re.compile("Cancelled")).first.wait_for()


def test_the_page_speaks_spanish_and_so_do_its_failures_and_verdicts(browser: Any, url: str, tmp_path: Path) -> None:
    file = tmp_path / "nothing.csv"
    file.write_text("")
    page = opened(browser, url, locale="es-ES")
    page.get_by_role("heading", name="¿Qué debe hacer el modelo?").wait_for()
    page.get_by_role("tab", name="Afinar").click()
    page.get_by_role("button", name="Empezar").first.wait_for()
    assert "__i18n__" not in page.locator("body").inner_text()
    page.locator("#data-file input[type=file]").set_input_files(file)
    page.get_by_text("nothing.csv no tiene contenido").wait_for()
    page.get_by_role("tab", name="Comparar").click()
    page.get_by_label("Como máximo (filas)").filter(visible=True).fill("10")
    page.get_by_role("button", name="Comparar", exact=True).click()
    verdict = page.get_by_text(re.compile(r"with context gana \d+, pierde \d+, empata \d+ de 10 filas"))
    verdict.wait_for()
    expect(page.get_by_role("radio", name="todas las filas")).to_be_checked()
    expect(page.get_by_role("columnheader", name="Variante").first).to_be_visible()
