"""Nothing that the page says from the start is missing in Spanish."""

import re
from functools import cache
from typing import Any

from prompts.ui import language
from prompts.ui.language import spanish, texts, translations

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
