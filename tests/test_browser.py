"""The main paths in a real browser, at desktop and phone width."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.screenshots import TABS, open_tab, opened, unfold
from tests.serving import ROOT, serving

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("embedded")
def test_refining_keeps_every_version(page: Any) -> None:
    open_tab(page, "Iterative refinement")
    page.get_by_role("textbox", name="Task What").first.fill("Name a colour.")
    page.get_by_label("Feedback on the last output").fill("A dark one")
    ask = page.get_by_role("button", name="Ask the model").first
    ask.click()
    page.get_by_text(re.compile(r"tokens out .* (finished|cut off)")).first.wait_for()
    ask.click()  # now the feedback makes the second version
    page.wait_for_function(
        "() => [...document.querySelectorAll('textarea')].some(t => t.value.includes('- A dark one'))"
    )
    tree = page.get_by_role("navigation", name="Tree of versions")
    tree.get_by_text("2: A dark one").wait_for()
    page.reload()
    open_tab(page, "Iterative refinement")
    tree.get_by_text("1: first request").wait_for()


@pytest.mark.usefixtures("embedded")
def test_each_technique_answers_and_shows_its_exact_prompt(page: Any) -> None:
    for name in TABS[2:5]:
        open_tab(page, name)
        panel = page.get_by_role("tabpanel").filter(visible=True).first
        panel.get_by_role("button", name="Show the prompt").click()
        panel.get_by_text(re.compile(r"The prompt is below: \d+ tokens")).wait_for()
        assert "<|im_start|>" in panel.get_by_role("region", name="Exact prompt").inner_text()
        panel.get_by_role("button", name="Ask the model").click()
        panel.get_by_text(re.compile(r"tokens out .* (finished|cut off)")).wait_for()


@pytest.mark.usefixtures("embedded")
def test_a_long_answer_can_be_stopped(page: Any) -> None:
    open_tab(page, "Contextual prompting")
    panel = page.get_by_role("tabpanel").filter(visible=True).first
    panel.get_by_role("textbox", name="Task What").fill(
        "Write a very long story about a lighthouse keeper. Go on for pages."
    )
    panel.get_by_role("button", name="Advanced").click()
    panel.get_by_label("Longest reply (tokens)").fill("2000")
    panel.get_by_role("button", name="Ask the model").click()
    panel.get_by_text("writing…").wait_for()
    panel.get_by_role("button", name="Stop").click()
    panel.get_by_text("Stopped.").wait_for()


def test_training_survives_a_reload_and_shows_its_result(page: Any, tiny: str) -> None:
    open_tab(page, "Fine-tune")
    page.get_by_label("Sample data").filter(visible=True).first.click()
    page.get_by_role("option", name=re.compile("Customer-support")).click()
    page.get_by_text(re.compile("support_emails.jsonl: 225 rows")).wait_for()
    page.get_by_label("Base model").fill(tiny)
    page.keyboard.press("Enter")
    page.get_by_label("Longest row (tokens)").fill("1024")
    page.get_by_label("Epochs").fill("3")
    page.get_by_role("button", name="Start training").click()
    page.get_by_text(re.compile(r"Training.*step \d+ of")).wait_for()
    page.reload()
    open_tab(page, "Fine-tune")
    page.get_by_text(re.compile(r"step \d+ of \d+")).wait_for()
    page.get_by_text("On 45 held-out rows, scored by label").wait_for()
    page.get_by_role("button", name="Ask the tuned model").first.click()
    question = page.get_by_role("textbox", name="Text What a row")
    question.wait_for()
    expect(question).to_have_value(re.compile("^Subject: "))  # a row's input, without the instruction
    page.get_by_role("button", name="Take it with you").click()
    page.get_by_role("button", name="Make the file").click()
    page.get_by_text(re.compile("Adapter: adapter_config.json")).wait_for()
    climb(page)


def climb(page: Any) -> None:
    """The ladder of the run, which was trained since the page was loaded: its rungs, the advice, and the same after a reload."""
    open_tab(page, "Ladder")
    panel = page.get_by_role("tabpanel").filter(visible=True).first
    expect(panel.get_by_label("Run", exact=True)).to_have_value(re.compile("Customer|support"))
    panel.get_by_role("combobox", name="Rungs").click()
    for rung in ("zero_shot", "lora_short"):
        page.get_by_role("option", name=rung.replace("_", " ")).click()
    page.keyboard.press("Escape")
    panel.get_by_role("button", name="Climb the ladder").click()
    page.get_by_text(re.compile("Finished: 2 of 2 rungs, 45 held-out rows")).wait_for()
    page.get_by_text(re.compile("Neither: |Prompt: |Fine-tune: ")).first.wait_for()
    page.reload()
    open_tab(page, "Ladder")
    page.get_by_text(re.compile("Finished: 2 of 2 rungs, 45 held-out rows")).wait_for()


def test_an_upload_with_a_fault_is_a_message_and_a_good_one_follows(page: Any, tmp_path: Path) -> None:
    open_tab(page, "Fine-tune")
    bad, good = tmp_path / "bad.jsonl", tmp_path / "good.csv"
    bad.write_text('{"a": 1}\n{"a": \n')
    good.write_text("text,label\n" + "".join(f"row {n},{'ab'[n % 2]}\n" for n in range(20)))
    page.locator("#data-file input[type=file]").set_input_files(bad)
    page.get_by_text(re.compile("line 2: not valid JSON")).wait_for()
    page.locator("#data-file").get_by_role("button", name=re.compile("Clear|Remove")).first.click()
    page.locator("#data-file input[type=file]").set_input_files(good)
    page.get_by_text(re.compile("20 rows")).wait_for()
    page.get_by_text("2 labels: a 10, b 10.").wait_for()
    page.get_by_role("button", name=re.compile("^Tokens: what will be learned")).click()
    page.get_by_role("button", name="Show the tokens").click()
    page.get_by_text(re.compile(r"20 rows, \d+ tokens")).wait_for()
    expect(page.locator(".tokens").get_by_text("learned", exact=True).first).to_be_visible()


@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_overflows_and_nothing_is_logged_as_an_error(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    for name in TABS:
        open_tab(page, name)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for column in page.locator(".beside").filter(visible=True).all():
            assert column.evaluate("it => it.scrollWidth <= it.clientWidth"), name
        unfold(page)
        fields = page.locator(".form > .block").filter(visible=True)
        assert fields.evaluate_all("all => all.filter(it => it.clientWidth < 130).map(it => it.innerText)") == [], name
    assert not page.faults


@pytest.mark.usefixtures("embedded")
def test_a_prompt_from_a_tab_is_compared_and_the_verdict_is_shown(page: Any) -> None:
    open_tab(page, "Zero- and few-shot")
    panel = page.get_by_role("tabpanel").filter(visible=True).first
    panel.get_by_role("textbox", name="Text to work on").fill("{{ text }}")
    panel.get_by_role("button", name="Add to Compare").click()
    page.get_by_text("Added to Compare as").wait_for()
    open_tab(page, "Compare")
    panel = page.get_by_role("tabpanel").filter(visible=True).first
    page.get_by_text("Zero- and few-shot 1").first.wait_for()
    rows = "text,label\nI love it,positive\nI hate it,negative\nwonderful,positive\nawful,negative"
    panel.get_by_label("Or paste rows").fill(rows)
    panel.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text(re.compile("^Failed: variant 'zero-shot', row 1: .*nothing fills the slot")).wait_for()
    variants = [
        {"name": name, "technique": "few_shot", "settings": {"task": task, "input": "{{ text }}", "max_new_tokens": 4}}
        for name, task in (("one", "Positive or negative?"), ("two", "Is the mood positive or negative?"))
    ]
    code = panel.locator(".cm-content").first
    code.click(position={"x": 20, "y": 10})
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(json.dumps(variants))
    panel.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text(re.compile("4 rows, seed 0, data fingerprint")).wait_for()
    page.get_by_text(re.compile(r"ties \d of 4 rows; exact McNemar p")).wait_for()
    page.get_by_role("button", name="Download the result").wait_for()
    panel.get_by_role("grid", name="Replies").get_by_role("gridcell").nth(2).click()
    page.get_by_text(re.compile("is this reply right")).wait_for()
    panel.get_by_role("button", name="I call it right").click()
    page.get_by_text(re.compile("agrees with you on")).wait_for()
    panel.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text("Click a reply and say whether it is right").wait_for()  # those of before are of other replies


def test_a_prompt_is_what_a_soft_prompt_starts_as(page: Any) -> None:
    open_tab(page, "Zero- and few-shot")
    panel = page.get_by_role("tabpanel").filter(visible=True).first
    panel.get_by_role("textbox", name="Task What").fill("Say which team answers this e-mail.")
    panel.get_by_role("button", name="Fine-tune from this").click()
    page.get_by_role("button", name="Start training").wait_for()
    page.get_by_role("button", name="Advanced").filter(visible=True).last.click()
    words = page.get_by_label("Soft prompt starts as")
    expect(words).to_have_value(re.compile("^Say which team answers this e-mail"))
    expect(page.get_by_label("Method")).to_have_value("prompt tuning")


def test_a_sweep_shows_its_trials_and_its_best(page: Any, tiny: str) -> None:
    open_tab(page, "Fine-tune")
    page.get_by_label("Sample data").filter(visible=True).first.click()
    page.get_by_role("option", name=re.compile("Arithmetic|word problems", re.IGNORECASE)).click()
    page.get_by_text(re.compile("word_problems.jsonl: 106 rows")).first.wait_for()
    page.get_by_label("Base model").fill(tiny)
    page.keyboard.press("Enter")
    page.get_by_label("Longest row (tokens)").fill("1024")
    page.get_by_label("Epochs").first.fill("1")
    page.get_by_role("button", name="Sweep: try several recipes").click()
    expect(page.get_by_label("What varies")).to_have_value(re.compile("learning_rate"))
    page.wait_for_timeout(500)  # what is written in the very moment of unfolding may be lost
    page.get_by_label("What varies").fill("lora_r = 2, 4; rank = 1")
    page.get_by_role("button", name="Start sweep").click()
    page.get_by_text("rank is no setting of the recipe").wait_for()
    page.get_by_label("What varies").fill("lora_r = 2, 4")
    page.get_by_role("button", name="Start sweep").click()
    page.get_by_text(re.compile("Best by validation loss")).wait_for()
    page.get_by_text("2 of 2 trials").wait_for()


MARKUP = (
    "<img src=x onerror='window.ran=1'><svg onload='window.ran=1'></svg><script>window.ran=1</script>"
    "[here](javascript:window.ran=1)"
)


@pytest.mark.usefixtures("embedded")
def test_markup_of_strangers_is_shown_and_does_not_run(page: Any, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    labels = [f"{MARKUP}{n % 2}" for n in range(24)]
    lines = [{f"text {MARKUP}": f"{MARKUP} number {n}", "label": label} for n, label in enumerate(labels)]
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
    open_tab(page, "Zero- and few-shot")
    panel = page.get_by_role("tabpanel").filter(visible=True).first
    panel.get_by_role("textbox", name="Task What").fill(f"Repeat this: {MARKUP}")
    panel.get_by_role("button", name="Show the prompt").click()
    panel.get_by_text(re.compile(r"The prompt is below: \d+ tokens")).wait_for()
    assert "onerror=" in panel.get_by_role("region", name="Exact prompt").inner_text(), "it is text"
    panel.get_by_role("button", name="Ask the model").click()
    panel.get_by_text(re.compile(r"tokens out .* (finished|cut off)")).wait_for()
    open_tab(page, "Compare")
    panel = page.get_by_role("tabpanel").filter(visible=True).first
    panel.get_by_label("Or paste rows").fill(
        "".join(json.dumps({"text": MARKUP, "label": one}) + "\n" for one in labels[:4])
    )
    variant = {
        "name": MARKUP[:60],
        "technique": "few_shot",
        "settings": {"task": "Which?", "input": "{{ text }}", "max_new_tokens": 2},
    }
    panel.locator(".cm-content").first.click(position={"x": 20, "y": 10})
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(json.dumps([variant]))
    panel.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text(re.compile("4 rows, seed 0, data fingerprint")).wait_for()
    open_tab(page, "Fine-tune")
    page.locator("#data-file input[type=file]").set_input_files(rows)
    page.get_by_text(re.compile("24 rows")).wait_for()
    page.wait_for_timeout(2000)
    assert page.evaluate("window.ran") is None
    assert page.locator("[href^='javascript:']").count() == 0 and page.locator("img[src='x'][onerror]").count() == 0


@pytest.mark.usefixtures("embedded")
def test_a_task_chosen_once_is_in_every_tab_and_after_a_reload(page: Any, tmp_path: Path) -> None:
    rows = tmp_path / "cities.csv"
    rows.write_text(
        "question,answer\n" + "".join(f"In which city is street {n}?,{('Bern', 'Graz')[n % 2]}\n" for n in range(30))
    )
    page.get_by_role("button", name="Translate into Spanish").click()
    page.get_by_text("hardly knows Spanish").wait_for()
    page.get_by_role("button", name="Use your data").click()
    asked = page.get_by_label("What should the model do with a row?")
    expect(asked).to_have_value("Translate into Spanish.")  # what the sample filled is there before one writes
    page.locator("#start-file input[type=file]").set_input_files(rows)
    page.get_by_text(
        re.compile("^Task: cities.csv · 30 rows$")
    ).wait_for()  # the sample's instruction says nothing of these
    asked.fill("Name the city.")
    page.get_by_role("button", name="Use these columns").click()
    page.get_by_text(re.compile("Task: cities.csv · 30 rows · Name the city")).wait_for()
    open_tab(page, "Contextual prompting")
    page.get_by_role("button", name="Add to Compare").filter(visible=True).click()
    page.get_by_text("Added to Compare as").wait_for()
    open_tab(page, "Start")
    for _ in range(2):
        for name in TABS[1:5]:
            page.get_by_role("button", name=f"Next: {name}").filter(visible=True).click()
            expect(page.get_by_role("tab", name=name, exact=True)).to_have_attribute("aria-selected", "true")
            task = (
                page.get_by_role("tabpanel").filter(visible=True).first.get_by_role("textbox", name="Task What").first
            )
            expect(task).to_have_value("Name the city. Answer with one of these: Bern, Graz.")
        open_tab(page, "Compare")
        panel = page.get_by_role("tabpanel").filter(visible=True).first
        expect(panel.get_by_label("Sample data")).to_have_value("Your data: cities.csv")
        expect(panel.locator(".cm-content").first).to_contain_text("Contextual prompting 1")
        open_tab(page, "Monitor")
        expect(page.get_by_role("tab")).to_have_count(len(TABS))
        open_tab(page, "Fine-tune")
        page.get_by_text(re.compile("cities.csv: 30 rows")).wait_for()
        page.reload()
        page.get_by_text(re.compile("Task: cities.csv")).wait_for()


SLOW = """
import runpy, sys, time
sys.path.insert(0, {root!r})
import tuning.ui.start_tab

def late(self, *given, reload=tuning.ui.start_tab.StartTab._reload):
    time.sleep(8)
    return reload(self, *given)

tuning.ui.start_tab.StartTab._reload = late
runpy.run_path("app.py", run_name="__main__")
"""


@pytest.mark.parametrize("tab", ["Start", "Fine-tune"])
def test_what_is_chosen_before_the_page_is_full_stays(browser: Any, home: Path, tmp_path: Path, tab: str) -> None:
    slow, rows = tmp_path / "slow.py", tmp_path / "words.csv"
    slow.write_text(SLOW.format(root=str(ROOT)))
    rows.write_text("text,label\n" + "".join(f"item {n},{n % 2}\n" for n in range(24)))
    with serving(home, str(slow)) as url:
        page = opened(browser, url)
        open_tab(page, tab)
        if tab == "Start":
            page.get_by_role("button", name="Use your data").click()
        page.locator("#start-file, #data-file").filter(visible=True).locator("input[type=file]").set_input_files(rows)
        open_tab(page, "Fine-tune")
        found = page.get_by_text(re.compile("words.csv: 24 rows"))
        found.wait_for()
        page.wait_for_timeout(9000)  # until what the page began with would be there
        expect(found).to_be_visible()
        expect(page.get_by_role("textbox", name=re.compile("^Instruction"))).to_have_value("")


TECHNIQUE = """
from prompts.messages import Message, Part, Prompt
from prompts.techniques.base import AskSettings, Technique, filled, whole_reply


class EchoSettings(AskSettings):
    \"\"\"Say it twice.\"\"\"


def build(settings, row):
    text = filled(settings, "task", row) + "\\n\\n" + filled(settings, "input", row)
    return Prompt((Message("user", (Part(text, "task"),)),))


TECHNIQUE = Technique("echo", "Echo", "Ask **twice**.", EchoSettings, build, whole_reply)
"""


@pytest.mark.usefixtures("embedded")
def test_a_technique_is_one_file_one_name_and_a_starter(browser: Any, home: Path, tmp_path: Path) -> None:
    for name in ("prompts", "tuning"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "app.py", tmp_path)
    techniques = tmp_path / "prompts" / "techniques"
    (techniques / "echo.py").write_text(TECHNIQUE)
    known = (techniques / "__init__.py").read_text()
    known = known.replace("import chain_of_thought", "import echo, chain_of_thought", 1)
    (techniques / "__init__.py").write_text(
        known.replace("    few_shot.TECHNIQUE,\n", "    few_shot.TECHNIQUE,\n    echo.TECHNIQUE,\n")
    )
    (tmp_path / "prompts" / "library" / "echo-1-hi.yaml").write_text(
        "name: Hi\ntechnique: echo\nsettings:\n  task: Say hi.\n"
    )
    with serving(home, str(tmp_path / "app.py")) as url:
        page = opened(browser, url, viewport={"width": 1440, "height": 900})
        open_tab(page, "Echo")
        panel = page.get_by_role("tabpanel").filter(visible=True).first
        panel.get_by_role("button", name="Ask the model").click()
        panel.get_by_text(re.compile(r"tokens out .* asked with the first row")).wait_for()
        panel.get_by_role("button", name="Add to Compare").click()
        page.get_by_text("Added to Compare as 'Echo 1'").wait_for()
