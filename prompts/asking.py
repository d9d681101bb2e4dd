"""One question, from settings to answer, as a stream of events: what the tabs, the endpoints and the shell all call."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prompts.arithmetic import sums
from prompts.backends import Backend
from prompts.errors import UserError
from prompts.experiment import shown_texts
from prompts.held_out import check_examples
from prompts.home import LOCAL
from prompts.messages import Prompt, Rendered, Reply
from prompts.techniques import Answer, AskSettings, Technique

Open = Callable[[str], Backend]  # a model's name -> its backend


@dataclass(frozen=True)
class Asked:
    """The state of one question. `reply` grows; `answer` comes with the finished reply."""

    technique: Technique
    settings: AskSettings  # as revised
    prompt: Prompt
    rendered: Rendered | None
    notes: tuple[str, ...]
    reply: Reply | None = None
    answer: Answer | None = None

    def document(self) -> dict[str, Any]:
        """What the API returns and `--json` prints."""
        reply, answer = self.reply, self.answer
        return {
            "technique": self.technique.name,
            "model": self.settings.model,
            "task": self.settings.task,
            "messages": self.prompt.as_dicts(),
            "rendered": self.rendered.text if self.rendered else None,
            "reply": reply.text if reply else "",
            "answer": answer.text if answer else None,
            "reasoning": answer.reasoning if answer else "",
            "sums": [{"text": one.text, "right": one.right, "value": one.value} for one in sums(answer.reasoning)]
            if answer
            else [],
            "tokens_in": reply.tokens_in if reply else None,
            "tokens_out": reply.tokens_out if reply else None,
            "seconds": round(reply.seconds, 3) if reply else None,
            "finish": reply.finish if reply else "running",
            "notes": list(self.notes),
        }


def ask(
    technique: Technique,
    settings: AskSettings,
    open_model: Open,
    *,
    row: Mapping[str, Any] | None = None,
    stop: threading.Event | None = None,
    owner: str = LOCAL,
) -> Iterator[Asked]:
    """First the rendered prompt, then growing replies, last the finished reply with its answer.

    Raises UserError naming the field or the slot, or an example that one of the owner's runs holds out; WorldError where the
    model cannot be had.
    """
    check_examples(owner, shown_texts(settings))
    _built(technique, settings, row)  # faults in the fields are told before any model is loaded
    backend = open_model(settings.model)
    notes: list[str] = []
    if technique.revise:
        settings, notes = technique.revise(settings, open_model)
    prompt, said = technique.built(settings, row or {}, backend)
    notes += said
    rendered = backend.render(prompt, settings.thinking)
    notes += rendered.notes if rendered else ()
    asked = Asked(technique, settings, prompt, rendered, tuple(notes))
    yield asked
    for reply in backend.stream(prompt, settings, stop or threading.Event()):
        answer = technique.read(settings, reply.text) if reply.finish != "running" else None
        yield Asked(technique, settings, prompt, rendered, tuple(notes), reply, answer)


def _built(technique: Technique, settings: AskSettings, row: Mapping[str, Any] | None) -> Prompt:
    prompt = technique.build(settings, row or {})
    if not any(message.role == "user" for message in prompt.messages):
        raise UserError("write what the model should do", field="task")
    return prompt


def rendered_prompt(
    technique: Technique, settings: AskSettings, open_model: Open, row: Mapping[str, Any] | None = None
) -> Asked:
    """The prompt as it would be asked, without asking."""
    _built(technique, settings, row)
    backend = open_model(settings.model)
    prompt, notes = technique.built(settings, row or {}, backend)
    rendered = backend.render(prompt, settings.thinking)
    return Asked(technique, settings, prompt, rendered, (*notes, *(rendered.notes if rendered else ())))


def rendered_document(
    technique: Technique, settings: AskSettings, open_model: Open, row: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """{"messages", "plain", "rendered", "ids", "spans", "tokens", "window", "notes"}: the prompt as the model reads it.

    "rendered", "ids" and "spans" are None for a server, which applies its own template and does not show it.
    """
    asked = rendered_prompt(technique, settings, open_model, row)
    found = asked.rendered
    return {
        "technique": technique.name,
        "model": settings.model,
        "messages": asked.prompt.as_dicts(),
        "plain": asked.prompt.plain(),
        "rendered": found.text if found else None,
        "ids": list(found.ids) if found else None,
        "spans": [[span.start, span.end, span.source] for span in found.spans] if found else None,
        "tokens": len(found.ids) if found else None,
        "window": found.window if found else None,
        "notes": list(asked.notes),
    }
