"""Any text to any model, with what a run was trained on put around it."""

import threading
from collections.abc import Iterator
from typing import Any

from prompts.backends import OnDevice, Sampling, identity, open_backend
from prompts.errors import UserError
from prompts.home import RUN_PREFIX
from prompts.messages import Reply, message, prompt
from prompts.models import EMBEDDED
from prompts.settings import knob
from tuning.run import find


class Ask(Sampling):
    """One text to one model, without a technique; a run gets the instruction it was trained with."""

    model: str = knob(
        EMBEDDED, title="Model", help="embedded, a Hub id, a folder, run:<id>, or <url>#<model>.", place=80, pick=True
    )
    text: str = knob(title="Text", help="What to ask.", lines=4, min_length=1, place=10)


def ask_text(
    owner: str, settings: Ask, *, token: str | None = None, key: str | None = None, on_device: OnDevice = identity
) -> Iterator[dict[str, Any]]:
    """Documents {"model", "reply", "tokens_in", "tokens_out", "seconds", "finish"}; the last one is complete."""
    if not settings.text.strip():
        raise UserError("write something to ask", field="text")
    run = find(owner, settings.model) if settings.model.startswith(RUN_PREFIX) else None
    backend = open_backend(settings.model, owner, token=token, key=key, on_device=on_device)
    instruction = run.columns.instruction if run else ""
    question = prompt(message("user", (instruction, "task"), (settings.text, "input")))
    for reply in backend.stream(question, settings, threading.Event()):
        yield _document(settings.model, reply)


def _document(model: str, reply: Reply) -> dict[str, Any]:
    return {
        "model": model, "reply": reply.text, "tokens_in": reply.tokens_in, "tokens_out": reply.tokens_out,
        "seconds": round(reply.seconds, 3), "finish": reply.finish,
    }  # fmt: skip
