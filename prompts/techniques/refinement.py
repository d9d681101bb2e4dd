"""Iterative refinement: a prompt, its output, your feedback, the next version."""

import re
import threading
from collections.abc import Mapping
from typing import Any, Literal

from prompts.backends import Backend, Sampling
from prompts.errors import UserError
from prompts.messages import Prompt, message, prompt
from prompts.settings import knob
from prompts.techniques.base import AskSettings, Technique, filled, whole_reply
from prompts.templates import slots_of

LESSON = """Rarely is the first prompt the best one. **Ask, look, say what is missing, ask again.**

1. Start with a plain request and read what comes back.
2. Name one thing to change: the audience, the length, the format, a missing fact.
3. Keep every version; go back to an older one when a change made it worse.
4. Change one thing at a time, or you will not know what helped.
5. Before you trust the last version, try it on cases you did not look at while refining."""


class RefinementSettings(AskSettings):
    """Ask with a prompt; with feedback, make the next version of the prompt first."""

    feedback: str = knob(
        "",
        title="Feedback on the last output",
        lines=2,
        help="What should change? Your feedback makes the next version.",
    )
    rewrite: Literal["add", "model"] = knob(
        "add", title="How the next version is made",
        help="add: your feedback becomes a requirement in the prompt. model: the model rewrites the prompt.",
    )  # fmt: skip


def build(settings: RefinementSettings, row: Mapping[str, Any]) -> Prompt:
    return prompt(message("user", (filled(settings, "task", row), "task"), (filled(settings, "input", row), "input")))


def revise(settings: RefinementSettings, backend: Backend) -> tuple[RefinementSettings, list[str]]:
    """The next version: the same settings with the feedback worked into the task, and notes on how."""
    feedback = settings.feedback.strip()
    if not feedback:
        return settings, []
    if settings.rewrite == "add":
        return settings.changed(task=add_requirement(settings.task, feedback), feedback=""), []
    task = rewritten(settings, backend)
    if complaint := fault(settings.task, task):
        added = add_requirement(settings.task, feedback)
        note = f"The model's rewrite {complaint}, so your feedback was added as a requirement instead."
        return settings.changed(task=added, feedback=""), [note]
    return settings.changed(task=task, feedback=""), []


HEADING = "Requirements:"


def add_requirement(task: str, feedback: str) -> str:
    """The task with the feedback as one more line of its requirements."""
    line = "- " + " ".join(feedback.split())
    return f"{task.rstrip()}\n{line}" if HEADING in task else f"{task.rstrip()}\n\n{HEADING}\n{line}"


def rewritten(settings: RefinementSettings, backend: Backend) -> str:
    """What the model makes of the prompt and the feedback."""
    request = prompt(
        message(
            "user",
            ("Rewrite the prompt below so that the answer to it follows the feedback. Keep everything else, and keep "
             "every {{ name }} as it is. Reply with the new prompt only.", "task"),
            (f"Prompt:\n{settings.task}", "input"),
            (f"Feedback:\n{settings.feedback}", "feedback"),
        )
    )  # fmt: skip
    sampling = Sampling(max_new_tokens=512, seed=settings.seed)
    text = ""
    for reply in backend.stream(request, sampling, threading.Event()):
        text = reply.text
    text = re.sub(r"(?is)<think>.*?</think>", "", text)
    return re.sub(r"(?i)^\s*(new )?prompt:\s*", "", text).strip().strip('"').strip()


def fault(before: str, after: str) -> str:
    """Why a rewritten prompt cannot be used, as the end of a sentence; empty where it can."""
    if not after:
        return "was empty"
    if "<think>" in after or after.count("```") % 2:
        return "was cut off in the middle of a thought or a code fence"
    try:
        lost = set(slots_of(before)) - set(slots_of(after))
    except UserError:
        return "is not a readable template"
    if lost:
        return f"lost the slot {{{{ {min(lost)} }}}}"
    return "changed nothing" if after == before.strip() else ""


TECHNIQUE = Technique(
    "iterative_refinement", "Iterative refinement", LESSON, RefinementSettings, build, whole_reply, revise=revise
)
