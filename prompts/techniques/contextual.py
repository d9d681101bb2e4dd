"""Contextual prompting: who answers, for whom, knowing what, within which limits."""

from collections.abc import Mapping
from typing import Any

from prompts.messages import Prompt, message, prompt
from prompts.settings import knob
from prompts.techniques.base import AskSettings, Technique, filled, whole_reply

LESSON = """A model knows nothing of your situation. **Say who it is, whom it writes for, and what it must know.**

1. *Role*: from whose point of view should it answer?
2. *Audience*: what may it take for granted, and which words are understood?
3. *Background*: the facts it cannot know; paste them rather than hope.
4. *Constraints*: length, format, tone, what to leave out.
5. More context costs tokens on every call: drop a field and see whether the answer gets worse."""


class ContextualSettings(AskSettings):
    """The task with its context, each piece a field of its own; empty pieces are left out."""

    role: str = knob("", title="Role", help="Who answers: 'You are a patient maths teacher.'", lines=2, place=5)
    audience: str = knob(
        "", title="Audience", help="Who reads it: 'Children of ten who like football.'", lines=2, place=5
    )
    background: str = knob("", title="Background", help="Facts the model needs and cannot know.", lines=4, place=5)
    constraints: str = knob("", title="Constraints", help="Length, format, tone, what to leave out.", lines=3, place=5)


def build(settings: ContextualSettings, row: Mapping[str, Any]) -> Prompt:
    """Role, audience, background and constraints make the system message; task and text the user's."""
    labelled = [
        ("role", ""),
        ("audience", "Audience: "),
        ("background", "Background:\n"),
        ("constraints", "Constraints:\n"),
    ]
    system = [(_labelled(label, filled(settings, field, row)), field) for field, label in labelled]
    user = [(filled(settings, field, row), field) for field in ("task", "input")]
    return prompt(message("system", *system), message("user", *user))


def _labelled(label: str, text: str) -> str:
    return label + text.strip() if text.strip() else ""


TECHNIQUE = Technique("contextual", "Contextual prompting", LESSON, ContextualSettings, build, whole_reply)
