"""Zero- and few-shot prompting: an instruction and k worked examples, k from 0, listed or chosen for each question.

Brown et al. 2020, "Language Models are Few-Shot Learners", arXiv 2005.14165; Liu et al. 2021, "What Makes Good In-Context
Examples for GPT-3?", arXiv 2101.06804 (similar examples).
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from prompts.errors import UserError
from prompts.messages import Message, Prompt, message, prompt
from prompts.settings import Settings, knob
from prompts.similar import diverse, similar_among
from prompts.techniques.base import AskSettings, Technique, filled, whole_reply

LESSON = """Show, don't tell. **Zero-shot asks outright; few-shot puts worked examples before the question.**

1. Start at k = 0: a clear instruction may be enough.
2. Add two or three examples that differ from one another, in exactly the form you want back.
3. Mix the labels, and do not end on the same one: models lean to the last and to the commonest.
4. Order matters; if it matters much, the score is luck.
5. Never show an example that you will later use for measuring."""

Choose = Literal["listed", "random", "similar", "diverse", "balanced"]


class Example(Settings):
    """One worked example."""

    input: str = knob(title="Input", help="What is given.")
    output: str = knob(title="Output", help="What should come back, in exactly the form you want.")


class FewShotSettings(AskSettings):
    """The instruction (task), the examples, how many of them are shown, and which."""

    examples: tuple[Example, ...] = knob((), title="Examples", help="Worked examples, shown in this order.")
    k: int | None = knob(
        None, title="Examples shown (k)", help="So many examples; 0 is zero-shot, empty shows all.", ge=0, le=64
    )
    choose: Choose = knob(
        "listed", title="Which examples",
        help="listed: the first k. random: k drawn once. similar: for each question those nearest to it (BM25), the nearest last. "
        "diverse: k unlike one another. balanced: as many of each output.",
    )  # fmt: skip
    layout: Literal["turns", "text"] = knob(
        "turns", title="Layout", advanced=True,
        help="turns: each example is a question and answer of the chat. text: all in one message.",
    )  # fmt: skip

    def shown_examples(self, *, every: bool = False) -> list[str]:
        return [one.input for one in self.examples] if every or self.k != 0 else []


def shown(settings: FewShotSettings, question: str = "") -> tuple[Example, ...]:
    """The examples in use for a question; the question itself is never chosen. Raises UserError where k asks for more than there
    are.
    """
    listed = settings.choose == "listed"
    pool = [one for one in settings.examples if listed or one.input.strip() != question.strip()]
    k = settings.k if settings.k is not None else len(pool)
    if k > len(settings.examples):
        raise UserError(
            "k is {k}, but there are {examples} examples; add some", k=k, examples=len(settings.examples), field="k"
        )
    return tuple(pool[at] for at in chosen(settings.choose, pool, k, question, settings.seed))


def chosen(how: Choose, pool: Sequence[Example], k: int, question: str, seed: int) -> Sequence[int]:
    """Which k of the examples are shown, in their order. Raises UserError where they hold no words to compare by."""
    if how == "listed" or not pool or not k:
        return range(min(k, len(pool)))
    texts = [example.input for example in pool]
    try:
        if how == "similar":
            return similar_among(tuple(texts)).to(question, k)
        if how == "diverse":
            return diverse(texts, k)
    except ValueError:
        raise UserError("the examples hold no words to compare by", field="choose") from None
    drawn = random.Random(seed).sample(range(len(pool)), len(pool))
    return drawn[:k] if how == "random" else balanced(drawn, [one.output.strip() for one in pool])[:k]


def balanced(drawn: Sequence[int], outputs: Sequence[str]) -> list[int]:
    """Places in an order in which the outputs take turns."""
    by_output: dict[str, list[int]] = {}
    for at in drawn:
        by_output.setdefault(outputs[at], []).append(at)
    rounds = max(map(len, by_output.values()))
    return [places[turn] for turn in range(rounds) for places in by_output.values() if turn < len(places)]


def build(settings: FewShotSettings, row: Mapping[str, Any]) -> Prompt:
    task = filled(settings, "task", row)
    question = filled(settings, "input", row)
    examples = shown(settings, question)
    if settings.layout == "text":
        return prompt(message("user", (task, "task"), *_as_text(examples), (_asked(question), "input")))
    turns: list[Message] = []
    for number, example in enumerate(examples, 1):
        turns.append(message("user", (example.input, f"example {number}")))
        turns.append(message("assistant", (example.output, f"example {number}")))
    if not turns:
        return prompt(message("user", (task, "task"), (question, "input")))
    last = message("user", (question, "input")) if question.strip() else message("user", (task, "task"))
    return prompt(message("system", (task, "task")), *turns, last)


def _as_text(examples: Sequence[Example]) -> list[tuple[str, str]]:
    return [
        (f"Input: {example.input}\nOutput: {example.output}", f"example {number}")
        for number, example in enumerate(examples, 1)
    ]


def _asked(question: str) -> str:
    return f"Input: {question.strip()}\nOutput:" if question.strip() else ""


TECHNIQUE = Technique("few_shot", "Zero- and few-shot", LESSON, FewShotSettings, build, whole_reply)
