"""Zero- and few-shot prompting: an instruction and k worked examples, k from 0.

Brown et al. 2020, "Language Models are Few-Shot Learners", arXiv 2005.14165.
"""

from collections.abc import Mapping
from typing import Any, Literal

from prompts.errors import UserError
from prompts.messages import Message, Prompt, message, prompt
from prompts.settings import Settings, knob
from prompts.techniques.base import AskSettings, Technique, filled, whole_reply

LESSON = """Show, don't tell. **Zero-shot asks outright; few-shot puts worked examples before the question.**

1. Start at k = 0: a clear instruction may be enough.
2. Add two or three examples that differ from one another, in exactly the form you want back.
3. Mix the labels, and do not end on the same one: models lean to the last and to the commonest.
4. Order matters; if it matters much, the score is luck.
5. Never show an example that you will later use for measuring."""


class Example(Settings):
    """One worked example."""

    input: str = knob(title="Input", help="What is given.")
    output: str = knob(title="Output", help="What should come back, in exactly the form you want.")


class FewShotSettings(AskSettings):
    """The instruction (task), the examples, and how many of them are shown."""

    examples: tuple[Example, ...] = knob((), title="Examples", help="Worked examples, shown in this order.")
    k: int | None = knob(
        None, title="Examples shown (k)", help="The first k examples; 0 is zero-shot, empty shows all.", ge=0, le=64
    )
    layout: Literal["turns", "text"] = knob(
        "turns", title="Layout", advanced=True,
        help="turns: each example is a question and answer of the chat. text: all in one message.",
    )  # fmt: skip


def shown(settings: FewShotSettings) -> tuple[Example, ...]:
    """The examples in use. Raises UserError where k asks for more than there are."""
    if settings.k is not None and settings.k > len(settings.examples):
        raise UserError(f"k is {settings.k}, but there are {len(settings.examples)} examples; add some", field="k")
    return settings.examples[: settings.k]


def build(settings: FewShotSettings, row: Mapping[str, Any]) -> Prompt:
    task = filled(settings, "task", row)
    question = filled(settings, "input", row)
    if settings.layout == "text":
        return prompt(message("user", (task, "task"), *_as_text(settings), (_asked(question), "input")))
    turns: list[Message] = []
    for number, example in enumerate(shown(settings), 1):
        turns.append(message("user", (example.input, f"example {number}")))
        turns.append(message("assistant", (example.output, f"example {number}")))
    if not turns:
        return prompt(message("user", (task, "task"), (question, "input")))
    last = message("user", (question, "input")) if question.strip() else message("user", (task, "task"))
    return prompt(message("system", (task, "task")), *turns, last)


def _as_text(settings: FewShotSettings) -> list[tuple[str, str]]:
    return [
        (f"Input: {example.input}\nOutput: {example.output}", f"example {number}")
        for number, example in enumerate(shown(settings), 1)
    ]


def _asked(question: str) -> str:
    return f"Input: {question.strip()}\nOutput:" if question.strip() else ""


TECHNIQUE = Technique("few_shot", "Zero- and few-shot", LESSON, FewShotSettings, build, whole_reply)
