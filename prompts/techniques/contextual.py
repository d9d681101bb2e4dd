"""Contextual prompting: who answers, for whom, knowing what, within which limits. Each piece is a card."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from prompts.backends import Backend, tokens_of
from prompts.errors import UserError
from prompts.messages import Prompt, message, prompt
from prompts.settings import Settings, knob
from prompts.similar import Similar
from prompts.techniques.base import AskSettings, Technique, filled, whole_reply
from prompts.words import say

LESSON = """A model knows nothing of your situation. **Say who it is, whom it writes for, and what it must know.**

1. *Role*: from whose point of view should it answer?
2. *Audience*: what may it take for granted, and which words are understood?
3. *Background* and *documents*: the facts it cannot know; paste them rather than hope.
4. *Constraints*, *tone*, *format*: length, manner, form, what to leave out.
5. More context costs tokens on every call: the ledger says what each card is worth; drop what is worth nothing."""

# The cards in their usual order, and what stands before each.
CARDS = {
    "role": "", "audience": "Audience: ", "background": "Background:\n", "documents": "", "constraints": "Constraints:\n",
    "tone": "Tone: ", "format": "Format:\n",
}  # fmt: skip
if TYPE_CHECKING:
    Card = str
else:
    Card = Literal[tuple(CARDS)]


class Document(Settings):
    """A text that the model may use."""

    name: str = knob(title="Name", help="What the prompt calls it.", max_length=200)
    text: str = knob(title="Text", help="What it says.")


class ContextualSettings(AskSettings):
    """The task with its context, each piece a card of its own; empty cards are left out."""

    role: str = knob("", title="Role", help="Who answers: 'You are a patient maths teacher.'", lines=2, place=5)
    audience: str = knob(
        "", title="Audience", help="Who reads it: 'Children of ten who like football.'", lines=2, place=5
    )
    background: str = knob("", title="Background", help="Facts the model needs and cannot know.", lines=4, place=5)
    constraints: str = knob("", title="Constraints", help="Length, limits, what to leave out.", lines=3, place=5)
    tone: str = knob("", title="Tone", help="How it should sound: 'Friendly, without jargon.'", place=5)
    format: str = knob(
        "", title="Format", help="The form of the answer: 'Three short bullet points.'", lines=2, place=5
    )
    documents: tuple[Document, ...] = knob((), title="Documents", help="Texts that the model may use.", place=6)
    cards: tuple[Card, ...] = knob(
        (), title="Cards in use, in their order", place=7,
        help="Leave one out to switch it off; choose them in the order in which they should stand. Empty: all of them.",
    )  # fmt: skip
    context_budget: int | None = knob(
        None, title="Token budget", unit="tokens", gt=0, le=1_000_000, advanced=True, place=8,
        help="The whole prompt may have so many. Empty: what the model's window leaves beside the reply.",
    )  # fmt: skip
    overflow: Literal["refuse", "order", "cut", "similar"] = knob(
        "refuse", title="Documents that do not fit", advanced=True, place=8,
        help="refuse: say so. order: whole documents in their order, as many as fit. cut: cut off the end. similar: the passages "
        "most like the text to work on.",
    )  # fmt: skip


def used_cards(settings: ContextualSettings) -> list[str]:
    """The cards that say something, in their order; each document by itself, as "document 1"."""
    found: list[str] = []
    for card in dict.fromkeys(settings.cards or CARDS):
        if card == "documents":
            found += [f"document {n}" for n, one in enumerate(settings.documents, 1) if one.text.strip()]
        elif getattr(settings, card).strip():
            found.append(card)
    return found


def without(settings: ContextualSettings, card: str) -> ContextualSettings:
    """The settings without one of its used cards."""
    if card.startswith("document "):
        at = int(card.split()[1]) - 1
        return settings.changed(documents=(*settings.documents[:at], *settings.documents[at + 1 :]))
    return settings.changed(**{card: ""})


def build(settings: ContextualSettings, row: Mapping[str, Any]) -> Prompt:
    """The cards make the system message; task and text the user's."""
    system: list[tuple[str, str]] = []
    for card in used_cards(settings):
        if card.startswith("document "):
            one = settings.documents[int(card.split()[1]) - 1]
            system.append((f'Document "{one.name}":\n{one.text.strip()}', card))
        else:
            system.append((CARDS[card] + filled(settings, card, row).strip(), card))
    user = [(filled(settings, field, row), field) for field in ("task", "input")]
    return prompt(message("system", *system), message("user", *user))


def fit(settings: ContextualSettings, row: Mapping[str, Any], backend: Backend) -> tuple[ContextualSettings, list[str]]:
    """The settings with as much of the documents as the budget and the window leave room for, and what was left out.

    Raises UserError where they do not fit and nothing may be left out, or where the rest alone does not fit.
    """
    window = backend.render(build(settings.changed(documents=()), row), settings.thinking)
    limits = [settings.context_budget] if settings.context_budget else []
    if window and window.window:
        limits.append(window.window - settings.max_new_tokens)
    if not limits or not any(card.startswith("document ") for card in used_cards(settings)):
        return settings, []
    most = min(limits)

    def fits(tried: ContextualSettings) -> bool:
        return _tokens(tried, row, backend) <= most

    if fits(settings):
        return settings, []
    if settings.overflow == "refuse":
        raise UserError(
            "the prompt has {tokens:,} tokens, and {most:,} are allowed; choose what goes, under "
            "documents that do not fit, or shorten",
            tokens=_tokens(settings, row, backend),
            most=most,
            field="documents",
        )
    units = _units(settings, row)
    kept = _most_that_fit(lambda n: settings.changed(documents=_kept(settings, units[:n])), len(units), fits)
    what = {
        "order": say("documents"),
        "cut": say("words of the documents"),
        "similar": say("passages, those most like the text to work on"),
    }
    return kept[0], [
        say(
            "Not everything fits {most:,} tokens: {kept:,} of {units:,} {what} are kept.",
            most=most,
            kept=kept[1],
            units=len(units),
            what=what[settings.overflow],
        )
    ]


def _tokens(settings: ContextualSettings, row: Mapping[str, Any], backend: Backend) -> int:
    return tokens_of(backend, build(settings, row), settings.thinking)


def _most_that_fit(
    make: Callable[[int], ContextualSettings], most: int, fits: Callable[[ContextualSettings], bool]
) -> tuple[ContextualSettings, int]:
    """(the settings with the most units that fit, how many these are). Raises UserError where not even none fits."""
    if not fits(make(0)):
        raise UserError(
            "the prompt does not fit even without its documents; shorten the other cards", field="documents"
        )
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(make(middle)) else (low, middle)
    return make(low), low


Unit = tuple[int, int, int]  # of which document, from and to which character


def _units(settings: ContextualSettings, row: Mapping[str, Any]) -> list[Unit]:
    """What can be kept, the first first: whole documents, words, or passages by their nearness to the text to work on."""
    texts = [one.text for one in settings.documents]
    if settings.overflow == "order":
        return [(at, 0, len(text)) for at, text in enumerate(texts)]
    pattern = r"\S+\s*" if settings.overflow == "cut" else r"(?s)(?:.+?(?:\n\s*\n|\Z))"
    found = [
        (at, m.start(), m.end())
        for at, text in enumerate(texts)
        for m in re.finditer(pattern, text)
        if m.group().strip()
    ]
    if settings.overflow == "cut":
        return found
    question = "\n".join(filled(settings, field, row) for field in ("task", "input"))
    try:
        nearness = Similar([texts[at][start:end] for at, start, end in found]).scores(question)
    except ValueError:
        return found
    return [found[int(at)] for at in (-nearness).argsort(kind="stable")]


def _kept(settings: ContextualSettings, units: Sequence[Unit]) -> tuple[Document, ...]:
    """The documents with these units of theirs, in their own order."""

    def texts() -> Iterator[Document]:
        for at, one in enumerate(settings.documents):
            mine = sorted(unit for unit in units if unit[0] == at)
            if mine:
                yield one.changed(text="".join(one.text[start:end] for _, start, end in mine))

    return tuple(texts())


TECHNIQUE = Technique("contextual", "Contextual prompting", LESSON, ContextualSettings, build, whole_reply, fit=fit)
