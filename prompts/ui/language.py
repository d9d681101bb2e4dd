"""The page in English and Spanish.

An English text is the key of its translation, as gettext has it; spanish.po holds them. The browser's language decides.
Gradio's front end looks up what stands in the page from the start, by short names made of the texts, as it reads none with a brace;
sentences whose slots are filled here (prompts/words.py) are looked up here.
"""

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
from babel.messages.pofile import read_po
from gradio.context import LocalContext

from prompts.words import in_the_language_of, say

SPANISH = Path(__file__).parent / "spanish.po"
PAGE, SENTENCE = "page", "sentence"  # contexts of messages
TEXTS = ("label", "info", "placeholder")  # what a component says, besides the value of those that only say something
SPEAKERS = (gr.Button, gr.DownloadButton, gr.HTML, gr.Markdown)
LISTS = ("choices", "headers", "x_title", "y_title")


@cache
def spanish(context: str = PAGE) -> dict[str, str]:
    """English -> Spanish: the page's texts, or sentences with slots."""
    with SPANISH.open("rb") as file:
        messages = [one for one in read_po(file, locale="es") if one.id and one.context == context]
    return {str(message.id): str(message.string) for message in messages}


def of_the_caller() -> dict[str, str]:
    """English -> the language that the caller's browser prefers, of sentences whose slots are filled here; empty for English."""
    request = LocalContext.request.get(None)
    first = str(request.headers.get("accept-language") or "") if request else ""
    return sentences() if first.lower().startswith("es") else {}


@cache
def sentences() -> dict[str, str]:
    """English -> Spanish: sentences, and the page's texts where they are said anew."""
    return spanish() | spanish(SENTENCE)


in_the_language_of(of_the_caller)


def texts(page: gr.Blocks) -> Iterator[tuple[Any, str, str]]:
    """(component, attribute, text) of everything that the page says from the start, in words."""
    for block in page.blocks.values():
        names = (*TEXTS, "value") if isinstance(block, SPEAKERS) else TEXTS
        for name in names:
            text = getattr(block, name, None)
            if isinstance(text, str) and any(letter.isalpha() for letter in text) and block.get_block_name() != "api":
                yield block, name, text


def listed(page: gr.Blocks) -> Iterator[tuple[Any, str, list[str]]]:
    """(component, attribute, texts) of what the front end does not look up: names of choices, heads of tables, axes."""
    for block in page.blocks.values():
        for name in LISTS:
            texts = getattr(block, name, None)
            if name == "choices":
                texts = [text for text, _ in texts or ()]
            if texts:
                yield block, name, [texts] if isinstance(texts, str) else list(texts)


def localise(page: gr.Blocks) -> None:
    """Says in the browser's language what spanish.po knows. Before the page's `with` block ends."""
    for block, name, text in list(texts(page)):
        if text in spanish():
            setattr(block, name, str(gr.I18n()(_short(text))))
    found: dict[Any, list[str]] = {}
    for block, name, known in listed(page):
        if any(text in spanish() for text in known):
            found.setdefault(block, []).append(name)

    def said() -> list[Any]:
        return [_in_spanish(block, names) if of_the_caller() else gr.skip() for block, names in found.items()]

    page.load(
        said, None, list(found), api_name="ui_language", api_visibility="private", show_progress="hidden", queue=False
    )


def _in_spanish(block: Any, names: list[str]) -> Any:
    made: dict[str, Any] = {}
    for name in names:
        known = getattr(block, name)
        if name == "choices":
            made[name] = [(say(text), value) for text, value in known]
        else:
            made[name] = say(known) if isinstance(known, str) else [say(text) for text in known]
    return gr.update(**made)


def translations() -> gr.I18n:
    """What `launch` hands to the front end."""
    return gr.I18n(
        en={_short(text): text for text in spanish()}, es={_short(text): said for text, said in spanish().items()}
    )


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
