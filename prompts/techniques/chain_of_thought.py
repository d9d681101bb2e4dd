"""Chain of thought: direct, step by step, or along your own steps; the answer is read apart from the reasoning.

Kojima et al. 2022, "Large Language Models are Zero-Shot Reasoners", arXiv 2205.11916 (the one-phrase switch).
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

from prompts.errors import UserError
from prompts.messages import Prompt, message, prompt
from prompts.settings import knob
from prompts.techniques.base import Answer, AskSettings, Technique, filled, split_thinking

LESSON = """Some questions need steps. **Ask for the reasoning, and for the answer in a place you can find.**

1. *Direct* first: many questions need no steps, and steps cost tokens.
2. *Step by step* makes the model write what it would otherwise skip.
3. *Your own steps* help most when you know how the task is done.
4. Ask for the answer on a line of its own; then a wrong answer and an unreadable one are different things.
5. Fluent steps can still be wrong: measure on rows whose answer you know. Thinking models do this by themselves."""


class ChainSettings(AskSettings):
    """How the model should reason, and how its answer is marked."""

    reasoning: Literal["direct", "step_by_step", "own_steps"] = knob(
        "step_by_step", title="Reasoning", help="direct: the answer alone. own_steps: along the steps you write."
    )
    steps: str = knob("", title="Your steps", lines=4, help="One step a line, used with own_steps.")
    marker: str = knob(
        "Answer:", title="Answer marker", help="The word before the final answer.", min_length=1, advanced=True
    )


def build(settings: ChainSettings, row: Mapping[str, Any]) -> Prompt:
    how = {
        "direct": f'Give only the answer, after "{settings.marker}".',
        "step_by_step": f"Let's think step by step. Then write the final answer on a line of its own, after "
        f'"{settings.marker}".',
        "own_steps": _plan(settings, row),
    }[settings.reasoning]
    parts = [(filled(settings, "task", row), "task"), (filled(settings, "input", row), "input"), (how, "reasoning")]
    return prompt(message("user", *parts))


def _plan(settings: ChainSettings, row: Mapping[str, Any]) -> str:
    steps = [line.strip() for line in filled(settings, "steps", row).splitlines() if line.strip()]
    if not steps and settings.reasoning == "own_steps":
        raise UserError("write at least one step, or choose step_by_step", field="steps")
    listed = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    return f'Work through these steps:\n{listed}\nThen write the final answer on a line of its own, after "{settings.marker}".'


def read(settings: ChainSettings, reply: str) -> Answer:
    """The text after the last marker; else a boxed answer, "the answer is ...", or the last number; else none.

    Example: "3 x 4 = 12.\\nAnswer: 12 dollars" -> Answer("12 dollars", "3 x 4 = 12.").
    """
    thought, reply = split_thinking(reply)
    head, found, tail = reply.rpartition(settings.marker)
    if found and tail.strip():
        return Answer(tail.strip().splitlines()[0].strip(" *`"), _joined(thought, head))
    if settings.reasoning == "direct" and reply.strip():
        return Answer(reply.strip(), thought)
    for pattern in (
        r"\\boxed\{([^{}]+)\}",
        r"(?i)answer is:?\s*([^\n]+?)[.\s]*(?:\n|$)",
        r"(-?\$?\d[\d,]*(?:\.\d+)?%?)",
    ):
        if matches := list(re.finditer(pattern, reply)):
            return Answer(matches[-1].group(1).strip(" *`"), _joined(thought, reply))
    return Answer(None, _joined(thought, reply))


def _joined(*texts: str) -> str:
    return "\n\n".join(text.strip() for text in texts if text.strip())


TECHNIQUE = Technique("chain_of_thought", "Chain of thought", LESSON, ChainSettings, build, read, whole=False)
