"""Iterative refinement: a prompt, its output, your feedback, the next version."""

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

from prompts.backends import Backend, Sampling
from prompts.messages import Prompt, message, prompt
from prompts.refining.gates import fault
from prompts.settings import Settings, knob
from prompts.techniques.base import AskSettings, Technique, filled, split_thinking, whole_reply
from prompts.words import later, say

LESSON = """Rarely is the first prompt the best one. **Ask, look, say what is missing, ask again.**

1. Start with a plain request and read what comes back.
2. Name one thing to change: the audience, the length, the format, a missing fact.
3. Keep every version; go back to an older one when a change made it worse.
4. Change one thing at a time, or you will not know what helped.
5. Before you trust the last version, try it on cases you did not look at while refining."""
REFUSED = later("The model's rewrite {complaint}, so your feedback was added as a requirement instead.")


class Note(Settings):
    """Feedback on one output."""

    output: str = knob("", title="Output", help="What came back.")
    correct: str = knob("", title="Correction", help="What should have come back; empty where the output is right.")
    comment: str = knob("", title="Comment", help="What is wrong with it, or right.")
    input: str = knob("", title="Text", help="What was asked.")


class RefinementSettings(AskSettings):
    """Ask with a prompt; with feedback, make the next version of the prompt first."""

    feedback: str = knob(
        "",
        title="Feedback on the last output",
        lines=2,
        help="What should change? Your feedback makes the next version.",
    )
    notes: tuple[Note, ...] = knob(
        (),
        title="Feedback on single outputs",
        help="Outputs that were wrong or right, with what they should be.",
        advanced=True,
    )
    rewrite: Literal["add", "model"] = knob(
        "add", title="How the next version is made",
        help="add: your feedback becomes a requirement in the prompt. model: a model rewrites the prompt.",
    )  # fmt: skip
    rewriting_model: str = knob(
        "", title="Rewriting model", pick=True, advanced=True, place=81,
        help="For model: who rewrites; a stronger one than the model that is asked does it better. Empty: the same.",
    )  # fmt: skip
    most_tokens: int = knob(
        400, title="Longest prompt", unit="tokens", ge=16, le=8192, advanced=True, place=82,
        help="Longer proposals, of a model or an edit, are refused; what you write yourself may be longer.",
    )  # fmt: skip

    def plain(self) -> Self:
        return self.changed(feedback="", notes=())


def build(settings: RefinementSettings, row: Mapping[str, Any]) -> Prompt:
    return prompt(message("user", (filled(settings, "task", row), "task"), (filled(settings, "input", row), "input")))


def revise(settings: RefinementSettings, open_model: Callable[[str], Backend]) -> tuple[RefinementSettings, list[str]]:
    """The next version: the same settings with the feedback worked into the task, and notes on how."""
    said = worded(settings)
    if not said:
        right = [say("Outputs that are right ask for no change.")] if settings.notes else []
        return settings.changed(notes=()), right
    added = settings.task
    for line in said:
        added = add_requirement(added, line)
    if settings.rewrite == "add":
        return settings.changed(task=added, feedback="", notes=()), []
    task = rewritten(settings, open_model(settings.rewriting_model or settings.model))
    rows = [note.input for note in settings.notes]
    if complaint := fault(settings.task, task, rows=rows, most_tokens=settings.most_tokens):
        return settings.changed(task=added, feedback="", notes=()), [say(REFUSED, complaint=complaint)]
    return settings.changed(task=task, feedback="", notes=()), []


def worded(settings: RefinementSettings) -> list[str]:
    """The feedback, the whole and that on single outputs, as sentences."""
    found = [settings.feedback.strip()] if settings.feedback.strip() else []
    for note in settings.notes:
        if note.comment.strip():
            found.append(note.comment.strip())
        elif note.correct.strip() and note.correct.strip() != note.output.strip():
            found.append(f"Where it is {_short(note.correct)!r}, do not answer {_short(note.output)!r}.")
    return list(dict.fromkeys(found))


def _short(text: str) -> str:
    return " ".join(re.sub(r"[{}]", "", text).split())[:60]  # no slot


HEADING = "Requirements:"


def add_requirement(task: str, feedback: str) -> str:
    """The task with the feedback as one more line of its requirements."""
    line = "- " + " ".join(feedback.split())
    return f"{task.rstrip()}\n{line}" if HEADING in task else f"{task.rstrip()}\n\n{HEADING}\n{line}"


def rewritten(settings: RefinementSettings, backend: Backend) -> str:
    """What the model makes of the prompt and the feedback."""
    single = [
        f"Text: {note.input}\nAnswer: {note.output}\nRight answer: {note.correct or note.output}\n{note.comment}".strip()
        for note in settings.notes
    ]
    request = prompt(
        message(
            "user",
            ("Rewrite the prompt below so that the answer to it follows the feedback. Keep everything else, and keep "
             "every {{ name }} as it is. Say rules, do not copy texts. Reply with the new prompt only.", "task"),
            (f"Prompt:\n{settings.task}", "input"),
            (f"Feedback:\n{settings.feedback}" if settings.feedback else "", "feedback"),
            ("Answers it gave:\n\n" + "\n\n".join(single) if single else "", "feedback"),
        )
    )  # fmt: skip
    return said_by(backend, request, settings.seed)


def said_by(backend: Backend, request: Prompt, seed: int, stop: threading.Event | None = None) -> str:
    """A model's proposal of a prompt, its thought and its wrapping aside; empty where it was cut off."""
    text, ended = "", True
    for reply in backend.stream(request, Sampling(max_new_tokens=512, seed=seed), stop or threading.Event()):
        text, ended = reply.text, reply.finish == "stop"
    text = split_thinking(text)[1].strip() if ended else ""
    fenced = re.fullmatch(r"(?s)```\w*\n(.*?)\n?```", text)
    text = fenced.group(1) if fenced else text
    return re.sub(r"(?i)^\s*(new )?prompt:\s*", "", text).strip().strip('"').strip()


TECHNIQUE = Technique(
    "iterative_refinement", "Iterative refinement", LESSON, RefinementSettings, build, whole_reply, revise=revise
)
