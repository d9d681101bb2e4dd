"""What the techniques share: the settings that each has, and what a technique is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from prompts.backends import Backend, Sampling
from prompts.messages import Prompt
from prompts.models import EMBEDDED
from prompts.settings import knob
from prompts.templates import fill, slots_of


class AskSettings(Sampling):
    """What every technique needs: the task, the text to work on, the model and how to draw."""

    model: str = knob(
        EMBEDDED, title="Model", place=80, pick=True,
        help="embedded, a Hub id, a folder, run:<id> for your fine-tune, or <url>#<model> for a server.",
    )  # fmt: skip
    task: str = knob(
        title="Task", help="What the model should do. {{ column }} takes a value from your rows.", lines=4, place=10
    )
    input: str = knob(
        "", title="Text to work on", lines=3, place=11,
        help="The case at hand, put under the task; with rows, a template such as {{ email }}.",
    )  # fmt: skip

    def shown_examples(self, *, every: bool = False) -> list[str]:
        """The texts that its prompts show as examples, which are not scored; `every`: also those that it could show."""
        return []

    def plain(self) -> Self:
        """The same without feedback on an output, which makes the next version and is no part of this one."""
        return self


@dataclass(frozen=True)
class Answer:
    """What a reply comes to. `text` is None where no answer could be found in it (a parse failure)."""

    text: str | None
    reasoning: str = ""


@dataclass(frozen=True)
class Technique:
    """A technique: settings and a row -> a prompt; a reply -> its answer.

    `revise`, where a technique has it, makes the next version of the settings before asking and returns notes with it (the page
    keeps versions in a tree where the settings are those of the refinement). `fit` leaves out what does not fit the model's
    window, for one row, and says what.
    """

    name: str  # the endpoint, the command's word and the key of files
    title: str
    lesson: str  # the guide's lesson, Markdown
    settings: type[AskSettings]
    build: Callable[[Any, Mapping[str, Any]], Prompt]
    read: Callable[[Any, str], Answer]
    whole: bool = True  # is the whole reply the answer? Then labels can be scored by log-probability
    revise: Callable[[Any, Callable[[str], Backend]], tuple[Any, list[str]]] | None = None
    fit: Callable[[Any, Mapping[str, Any], Backend], tuple[Any, list[str]]] | None = None

    def built(self, settings: Any, row: Mapping[str, Any], backend: Backend) -> tuple[Prompt, list[str]]:
        """The prompt of a row as it is asked of `backend`, and notes on what did not fit."""
        notes: list[str] = []
        if self.fit:
            settings, notes = self.fit(settings, row, backend)
        return self.build(settings, row), notes


def whole_reply(_settings: AskSettings, reply: str) -> Answer:
    """The reply is the answer, its thought aside."""
    thought, rest = split_thinking(reply)
    return Answer(rest.strip(), thought)


def split_thinking(reply: str) -> tuple[str, str]:
    """A thinking model's reply -> (thought, the rest); a thought that never ends leaves nothing."""
    head, found, tail = reply.partition("</think>")
    if found:
        return head.replace("<think>", "").strip(), tail.strip()
    return (reply.removeprefix("<think>").strip(), "") if reply.lstrip().startswith("<think>") else ("", reply)


def filled(settings: AskSettings, field: str, row: Mapping[str, Any]) -> str:
    """The text of a field with the row's values in its slots. Raises UserError naming the field and the slot."""
    return fill(getattr(settings, field), row, field=field)


def slots(settings: AskSettings) -> tuple[str, ...]:
    """Every slot that the settings' texts name, sorted."""
    texts = [value for value in settings.model_dump(exclude={"model"}).values() if isinstance(value, str)]
    return tuple(sorted({slot for text in texts for slot in slots_of(text)}))


def prompt_words(technique: Technique, settings: AskSettings) -> str:
    """What a technique says to the model of every row: its prompt without the text at hand and with empty slots."""
    row = dict.fromkeys(slots(settings), "")
    parts = [part for message in technique.build(settings, row).messages for part in message.parts]
    return "\n\n".join(part.text.strip() for part in parts if part.source != "input" and part.text.strip())
