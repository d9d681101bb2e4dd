"""The page in English and Spanish.

An English text is the key of its translation, as gettext has it; spanish.po holds them. The browser's language decides.
Gradio's front end looks up what stands in the page from the start, by short names made of the texts, as it reads none with a brace;
the sentences of failures, whose slots are filled here, are looked up here.
"""

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
from babel.messages.pofile import read_po

from prompts.errors import AppError

SPANISH = Path(__file__).parent / "spanish.po"
PAGE, FAILURE = "page", "failure"  # contexts of messages
TEXTS = ("label", "info", "placeholder")  # what a component says, besides the value of those that only say something
SPEAKERS = (gr.Button, gr.DownloadButton, gr.Markdown)


@cache
def spanish(context: str = PAGE) -> dict[str, str]:
    """English -> Spanish: the page's texts, or the sentences of failures."""
    with SPANISH.open("rb") as file:
        messages = [one for one in read_po(file, locale="es") if one.id and one.context == context]
    return {str(message.id): str(message.string) for message in messages}


def in_words_of(request: gr.Request | None, error: AppError) -> str:
    """A failure's sentence in the language that the caller's browser prefers."""
    first = (request.headers.get("accept-language") or "") if request else ""
    return error.said(spanish(FAILURE) if first.lower().startswith("es") else None)


def texts(page: gr.Blocks) -> Iterator[tuple[Any, str, str]]:
    """(component, attribute, text) of everything that the page says from the start, in words."""
    for block in page.blocks.values():
        names = (*TEXTS, "value") if isinstance(block, SPEAKERS) else TEXTS
        for name in names:
            text = getattr(block, name, None)
            if isinstance(text, str) and any(letter.isalpha() for letter in text) and block.get_block_name() != "api":
                yield block, name, text


def localise(page: gr.Blocks) -> None:
    """Lets the front end say in the browser's language what spanish.po knows. Before the page's `with` block ends."""
    for block, name, text in list(texts(page)):
        if text in spanish():
            setattr(block, name, str(gr.I18n()(_short(text))))


def translations() -> gr.I18n:
    """What `launch` hands to the front end."""
    return gr.I18n(
        en={_short(text): text for text in spanish()}, es={_short(text): said for text, said in spanish().items()}
    )


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
