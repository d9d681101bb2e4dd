"""Chain of thought: direct, step by step, along your own steps or after worked examples; the answer is read apart.

Kojima et al. 2022, "Large Language Models are Zero-Shot Reasoners", arXiv 2205.11916 (the one-phrase switch); Wei et al. 2022,
"Chain-of-Thought Prompting Elicits Reasoning in Large Language Models", arXiv 2201.11903 (worked examples).
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

from prompts.errors import UserError
from prompts.messages import Prompt, message, prompt
from prompts.settings import Settings, knob
from prompts.techniques.base import Answer, AskSettings, Technique, filled, split_thinking

LESSON = """Some questions need steps. **Ask for the reasoning, and for the answer in a place you can find.**

1. *Direct* first: many questions need no steps, and steps cost tokens.
2. *Step by step* makes the model write what it would otherwise skip.
3. *Your own steps*, or *worked examples*, help most when you know how the task is done.
4. Ask for the answer on a line of its own; then a wrong answer and an unreadable one are different things.
5. Fluent steps can still be wrong: measure on rows whose answer you know. Thinking models do this by themselves."""


class Worked(Settings):
    """A question whose way to the answer is written out."""

    question: str = knob(title="Question", help="What is asked.")
    reasoning: str = knob(title="Reasoning", help="The steps to the answer.")
    answer: str = knob(title="Answer", help="The answer alone.")


Reasoning = Literal["direct", "step_by_step", "own_steps", "examples"]
# How an answer is found where the marker is missing: what has to match, its group 1 being the answer; the last match counts.
RULES = {
    "boxed": r"\\boxed\{([^{}]+)\}",
    "answer_is": r"(?i)answer is:?\s*([^\n]+?)[.\s]*(?:\n|$)",
    "last_number": r"(-?\$?\d[\d,]*(?:\.\d+)?%?)",
}
Rule = Literal["marker", "boxed", "answer_is", "last_number"]


class ChainSettings(AskSettings):
    """How the model should reason, and how its answer is found."""

    reasoning: Reasoning = knob(
        "step_by_step", title="Reasoning",
        help="direct: the answer alone. own_steps: along the steps you write. examples: after worked examples.",
    )  # fmt: skip
    steps: str = knob("", title="Your steps", lines=4, help="One step a line, used with own_steps.")
    worked: tuple[Worked, ...] = knob((), title="Worked examples", help="Shown in this order, used with examples.")
    marker: str = knob(
        "Answer:", title="Answer marker", help="The word before the final answer.", min_length=1, advanced=True
    )
    rules: tuple[Rule, ...] = knob(
        ("marker", "boxed", "answer_is", "last_number"), title="Where the answer is looked for", min_length=1, advanced=True,
        help="In this order: after the marker, in a box, after 'the answer is', the last number. None: it cannot be read.",
    )  # fmt: skip

    def shown_examples(self, *, every: bool = False) -> list[str]:
        return [one.question for one in self.worked]


def build(settings: ChainSettings, row: Mapping[str, Any]) -> Prompt:
    think = f'Let\'s think step by step. Then write the final answer on a line of its own, after "{settings.marker}".'
    how = {
        "direct": f'Give only the answer, after "{settings.marker}".',
        "step_by_step": think,
        "own_steps": _plan(settings, row),
        "examples": think,
    }[settings.reasoning]
    task, text = (filled(settings, "task", row), "task"), (filled(settings, "input", row), "input")
    if settings.reasoning != "examples":
        return prompt(message("user", task, text, (how, "reasoning")))
    if not settings.worked:
        raise UserError("write at least one worked example, or choose step_by_step", field="worked")
    turns = []
    for number, one in enumerate(settings.worked, 1):
        turns.append(message("user", (one.question, f"example {number}")))
        turns.append(
            message(
                "assistant",
                (f"{one.reasoning}\n{settings.marker} {one.answer}", f"example {number}"),
            )
        )
    last = message("user", text if text[0].strip() else task)
    return prompt(message("system", task, (how, "reasoning")), *turns, last)


def _plan(settings: ChainSettings, row: Mapping[str, Any]) -> str:
    steps = [line.strip() for line in filled(settings, "steps", row).splitlines() if line.strip()]
    if not steps and settings.reasoning == "own_steps":
        raise UserError("write at least one step, or choose step_by_step", field="steps")
    listed = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    return f'Work through these steps:\n{listed}\nThen write the final answer on a line of its own, after "{settings.marker}".'


def read(settings: ChainSettings, reply: str) -> Answer:
    """What the first of `settings.rules` finds that finds anything; a direct reply without a marker is the answer; else none.

    Example: "3 x 4 = 12.\\nAnswer: 12 dollars" -> Answer("12 dollars", "3 x 4 = 12.").
    """
    thought, reply = split_thinking(reply)
    for rule in settings.rules:
        if rule == "marker":
            head, found, tail = reply.rpartition(settings.marker)
            if found and tail.strip():
                return Answer(tail.strip().splitlines()[0].strip(" *`"), _joined(thought, head))
        elif settings.reasoning == "direct":
            break  # the reply is the answer
        elif matches := list(re.finditer(RULES[rule], reply)):
            return Answer(matches[-1].group(1).strip(" *`"), _joined(thought, reply))
    if settings.reasoning == "direct" and reply.strip():
        return Answer(reply.strip(), thought)
    return Answer(None, _joined(thought, reply))


def _joined(*texts: str) -> str:
    return "\n\n".join(text.strip() for text in texts if text.strip())


TECHNIQUE = Technique("chain_of_thought", "Chain of thought", LESSON, ChainSettings, build, read, whole=False)
