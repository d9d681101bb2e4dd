"""Nothing that the page says from the start is missing in Spanish."""

import pickle
import re
import string
from functools import cache
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio.context import LocalContext

import app
from prompts.errors import UserError
from prompts.settings import titled
from prompts.statistics import compare
from prompts.techniques import TECHNIQUES, Technique
from prompts.techniques.chain_of_thought import Worked
from prompts.techniques.contextual import CARDS
from prompts.techniques.few_shot import Example
from prompts.ui import language
from prompts.ui.calls import spoken
from prompts.ui.language import listed, spanish, texts, translations
from prompts.words import dumps, in_english, loads, say
from tests.sentences import sentences

SLOT = re.compile(r"{[^{}]*}")
KEPT = re.compile(
    r"{{.*?}}|`[^`]+`|<[a-z]+>|^#+ |\*\*", re.MULTILINE
)  # what a translation keeps: slots, code, headings, weight


@pytest.fixture(autouse=True)
def english() -> Any:
    yield
    LocalContext.request.set(None)


@cache
def page() -> Any:
    """The page before any language: as localise meets it."""
    known, language.localise = app.localise, lambda _page: None
    app.localise = language.localise
    try:
        return app.build()
    finally:
        app.localise = language.localise = known


def test_no_text_is_missing() -> None:
    found = {text for *_, text in texts(page())}
    assert len(found) > 400
    assert sorted(found - set(spanish())) == []


def test_no_translation_is_left_over() -> None:
    machines = {app._model_line()}  # other machines say another one
    said = {text for *_, text in texts(page())} | {text for *_, some in listed(page()) for text in some}
    stale = set(spanish()) - said - machines
    assert sorted(text for text in stale if not text.startswith(("Model: **embedded**", "The embedded model"))) == []


def test_translations_keep_slots_code_and_headings() -> None:
    for text, said in spanish().items():
        assert said.strip(), text
        assert sorted(KEPT.findall(text)) == sorted(KEPT.findall(said)), text


def test_the_front_end_gets_both_languages_by_the_same_short_names() -> None:
    built = app.build()
    names = set(re.findall(r'"key": "([0-9a-f]{12})"', str([getattr(b, "label", "") for b in built.blocks.values()])))
    known = translations().translations
    assert len(names) > 200 and names <= set(known["en"]) == set(known["es"])
    assert not [name for name in known["en"] if "}" in name]


def slots(text: str) -> list[tuple[str | None, str | None, str | None]]:
    return sorted((name, conversion, spec) for _, name, spec, conversion in string.Formatter().parse(text) if name)


def test_every_sentence_is_in_spanish_with_the_same_slots() -> None:
    keys = {key for key in sentences() if any(letter.isalpha() for letter in SLOT.sub("", key))}
    known = spanish(language.SENTENCE)
    assert len(keys) > 850
    assert sorted(keys - set(language.sentences())) == [] and sorted(set(known) - keys) == []
    for key, said in known.items():
        if any(name.isidentifier() for name, *_ in slots(key) if name):
            assert slots(key) == slots(said), key


@pytest.mark.parametrize("technique", TECHNIQUES, ids=lambda one: one.name)
def test_the_parts_of_a_prompt_have_spanish_names(technique: Technique) -> None:
    ways: list[dict[str, Any]] = [{}]
    if technique.name == "chain_of_thought":
        worked = {"worked": [Worked(question="1 + 1?", reasoning="one more than one", answer="2")], "steps": "Add."}
        ways = [{**worked, "reasoning": way} for way in ("direct", "step_by_step", "own_steps", "examples")]
    if technique.name == "contextual":
        ways = [{name: [{"name": "a.txt", "text": "a"}] if name == "documents" else "a" for name in CARDS}]
    if technique.name == "few_shot":
        ways = [{"examples": [Example(input="one", output="two")], "k": 1}]
    for settings in ways:
        built = technique.build(technique.settings(task="Add.", input="2 + 2?", **settings), {})
        for part in (part for message in built.messages for part in message.parts):
            assert part.source.split(" ")[0] in spanish(language.SENTENCE) | spanish(), part.source


def heard(accepted: str) -> Any:
    """As if a browser of these languages had called."""
    LocalContext.request.set(SimpleNamespace(headers={"accept-language": accepted}) if accepted else None)
    return None


def test_a_failure_is_said_in_the_browsers_language() -> None:
    error = UserError("{name} is empty", name="a.csv", field="file").after("row 3: ")
    assert str(error) == "row 3: file: a.csv is empty"
    for accepted, said in (
        ("es-MX,en;q=0.5", "a.csv no tiene contenido"),
        ("en,es", "a.csv is empty"),
        ("", "a.csv is empty"),
    ):
        heard(accepted)
        assert error.sentence() == f"row 3: file: {said}"
    assert str(pickle.loads(pickle.dumps(error))) == str(error), "it crosses to a worker of the GPU and back"


def test_what_is_kept_is_said_in_the_language_of_who_reads_it() -> None:
    heard("es")
    verdict = compare("base", "tuned", [(False, True)] * 9 + [(True, True)])
    kept = dumps({"verdict": verdict.sentence, "rows": [say("{rows:,} rows, {ways} ways", rows=1, ways=2)], "n": 1})
    assert "tuned es mejor que base: tuned gana 9" in verdict.sentence
    assert loads(kept)["verdict"] == verdict.sentence
    heard("en")
    assert "tuned is better than base: tuned wins 9" in loads(kept)["verdict"]
    heard("es")
    with in_english():
        assert "tuned is better than base" in loads(kept)["verdict"], "a model card is for others"


def test_names_of_choices_and_heads_of_tables_are_said_in_spanish_and_values_stay() -> None:
    found = {text for *_, some in listed(page()) for text in some if any(letter.isalpha() for letter in text)}
    assert len(found) > 100 and sorted(found - set(spanish())) == []
    built = app.build()
    told = next(one for one in built.fns.values() if one.api_name == "ui_language")
    assert told.fn() == [gr.skip() for _ in told.outputs], "an English page stays as it is"
    heard("es")
    updates = dict(zip(told.outputs, told.fn(), strict=True))
    scorer = next(one for one in updates if one.label and ("exact match", "exact_match") in getattr(one, "choices", ()))
    assert ("coincidencia exacta", "exact_match") in updates[scorer]["choices"]
    assert any("Puntos" in update.get("headers", ()) for update in updates.values())


@pytest.mark.parametrize(
    ("field", "named"), [("agree", "Of which agree (m): "), ("model", "model: "), ("data", "data: ")]
)
def test_the_page_calls_a_setting_as_its_form_does(field: str, named: str) -> None:
    with pytest.raises(gr.Error, match=re.escape(f"'{named}none")), spoken(titled):
        raise UserError("none", field=field)
    with pytest.raises(gr.Error, match=f"'{field}: none"), spoken():
        raise UserError("none", field=field)


def test_memory_that_runs_out_is_a_sentence_and_other_faults_keep_their_traceback() -> None:
    with pytest.raises(gr.Error, match="^'out of memory; ask shorter prompts"), spoken():
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
    with pytest.raises(RuntimeError, match="shapes"), spoken():
        raise RuntimeError("shapes do not match")
