"""Nothing that the page says from the start is missing in Spanish."""

import pickle
import re
import string
from functools import cache
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from prompts.errors import UserError
from prompts.ui import language
from prompts.ui.calls import spoken
from prompts.ui.language import spanish, texts, translations
from tests.sentences import sentences

KEPT = re.compile(
    r"{{.*?}}|`[^`]+`|<[a-z]+>|^#+ |\*\*", re.MULTILINE
)  # what a translation keeps: slots, code, headings, weight


@cache
def page() -> Any:
    """The page before any language: as localise meets it."""
    import app

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
    import app

    machines = {app._model_line()}  # other machines say another one
    stale = set(spanish()) - {text for *_, text in texts(page())} - machines
    assert sorted(text for text in stale if not text.startswith(("Model: **embedded**", "The embedded model"))) == []


def test_translations_keep_slots_code_and_headings() -> None:
    for text, said in spanish().items():
        assert said.strip(), text
        assert sorted(KEPT.findall(text)) == sorted(KEPT.findall(said)), text


def test_the_front_end_gets_both_languages_by_the_same_short_names() -> None:
    import app

    built = app.build()
    names = set(re.findall(r'"key": "([0-9a-f]{12})"', str([getattr(b, "label", "") for b in built.blocks.values()])))
    known = translations().translations
    assert len(names) > 200 and names <= set(known["en"]) == set(known["es"])
    assert not [name for name in known["en"] if "}" in name]


def slots(text: str) -> list[tuple[str | None, str | None, str | None]]:
    return sorted((name, conversion, spec) for _, name, spec, conversion in string.Formatter().parse(text) if name)


def test_every_failure_is_said_in_spanish_with_the_same_slots() -> None:
    keys, known = set(sentences()), spanish(language.FAILURE)
    assert len(keys) > 250
    assert sorted(keys - set(known)) == [] and sorted(set(known) - keys) == []
    for key, said in known.items():
        if any(name.isidentifier() for name, *_ in slots(key) if name):
            assert slots(key) == slots(said), key


def test_a_failure_is_said_in_the_browsers_language() -> None:
    error = UserError("{name} is empty", name="a.csv", field="file").after("row 3: ")
    assert str(error) == "row 3: file: a.csv is empty"
    for accepted, said in (
        ("es-MX,en;q=0.5", "a.csv no tiene contenido"),
        ("en,es", "a.csv is empty"),
        ("", "a.csv is empty"),
    ):
        request = SimpleNamespace(headers={"accept-language": accepted})
        assert language.in_words_of(request, error) == f"row 3: file: {said}"
    assert str(pickle.loads(pickle.dumps(error))) == str(error), "it crosses to a worker of the GPU and back"


def test_memory_that_runs_out_is_a_sentence_and_other_faults_keep_their_traceback() -> None:
    with pytest.raises(gr.Error, match="^'out of memory; ask shorter prompts"), spoken(()):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
    with pytest.raises(RuntimeError, match="shapes"), spoken(()):
        raise RuntimeError("shapes do not match")
