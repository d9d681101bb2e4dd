"""Where a prompt is answered: local.py (transformers) and remote.py (OpenAI-compatible servers)."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, Protocol

from prompts.backends.plan import Batch
from prompts.messages import CHARACTERS, Prompt, Rendered, Reply
from prompts.settings import Settings, knob
from prompts.usual import remember_each

Thinking = Literal["default", "on", "off"]
OnDevice = Callable[[Callable[..., Any]], Callable[..., Any]]


def identity(function: Callable[..., Any]) -> Callable[..., Any]:
    """The `on_device` wrapper of a machine whose device is always there. On ZeroGPU it is `spaces.GPU`."""
    return function


class Sampling(Settings):
    """How a reply is drawn."""

    max_new_tokens: int = knob(
        256,
        title="Longest reply",
        help="The reply is stopped after this many tokens.",
        unit="tokens",
        ge=1,
        le=8192,
        place=90,
        advanced=True,
    )
    temperature: float = knob(
        0.0,
        title="Temperature",
        help="0 always takes the likeliest token; higher is more varied.",
        ge=0,
        le=2,
        step=0.05,
        place=91,
        advanced=True,
    )
    top_p: float = knob(
        1.0, title="Top-p", help="Draw only from the likeliest tokens that together have this probability.",
        gt=0, le=1, step=0.05, advanced=True, place=92,
    )  # fmt: skip
    thinking: Thinking = knob(
        "default", title="Thinking", place=92, advanced=True,
        help="For models that can think first: default leaves it to the model's template.",
    )  # fmt: skip
    seed: int = knob(0, title="Seed", help="Same seed, same reply.", ge=0, le=2**31 - 1, advanced=True, place=93)


class Backend(Protocol):
    """Answers prompts. Every method raises UserError or WorldError, never returns a failure as text."""

    name: str

    def render(self, prompt: Prompt, thinking: Thinking = "default") -> Rendered | None:
        """The exact string the model reads; None where a server keeps its template to itself."""

    def stream(self, prompt: Prompt, sampling: Sampling, stop: threading.Event) -> Iterator[Reply]:
        """Replies that grow, the last one finished. Closing the iterator or setting `stop` ends the generation."""

    def fingerprint(self) -> str:
        """What decides this model's replies, for the cache."""

    def plan(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Batch]:
        """Which prompts are answered together. Raises UserError for one that does not fit."""

    def batch(
        self, prompts: Sequence[Prompt], sampling: Sampling, stop: threading.Event, plan: Sequence[Batch] | None = None
    ) -> Iterator[tuple[int, Reply] | float]:
        """(position, reply) of every prompt in `plan` (default: all), in the order they are done; of a model on this machine, so
        that whoever waits is heard of, now and then how many rows' worth of the batch under way is written (0: unknown).
        """


def replies_of(batch: Iterable[tuple[int, Reply] | float]) -> Iterator[tuple[int, Reply]]:
    """What `Backend.batch` yields, without what tells of its way there."""
    return (one for one in batch if isinstance(one, tuple))


def together(
    backend: Backend, prompts: Sequence[Prompt], sampling: Sampling, stop: threading.Event
) -> Iterator[tuple[dict[int, Reply], float]]:
    """(replies by their positions, rows' worth of the next ones): those of a batch come at once, as they are done in the same
    moment, and so they are counted. None come first, as soon as the model is there, and now and then.
    """
    plan = backend.plan(prompts, sampling)
    yield {}, 0.0
    began = time.monotonic()
    batch_of = {at: number for number, batch in enumerate(plan) for at in batch}
    found: list[dict[int, Reply]] = [{} for _ in plan]
    for one in backend.batch(prompts, sampling, stop, plan):
        if not isinstance(one, tuple):
            yield {}, one
            continue
        mine = batch_of[one[0]]
        found[mine][one[0]] = one[1]
        if len(found[mine]) == len(plan[mine]):
            yield found[mine], 0.0
    remember_each(time.monotonic() - began, len(prompts), *answers(backend, sampling))


def answers(backend: Backend, sampling: Sampling, labelled: bool = False) -> tuple[object, ...]:
    """What the time of a model's answers is remembered by; `labelled`: of the likeliest of some labels, which are not written."""
    return ("answers", backend.name, labelled or sampling.max_new_tokens)


def tokens_of(backend: Backend, prompt: Prompt, thinking: Thinking = "default") -> int:
    """Tokens of a prompt as the model reads it; of a server, which does not tell, about so many, by its characters."""
    rendered = backend.render(prompt, thinking)
    return len(rendered.ids) if rendered else len(prompt.plain()) // CHARACTERS


def open_backend(
    model: str,
    owner: str,
    *,
    token: str | None = None,
    key: str | None = None,
    on_device: OnDevice = identity,
) -> Backend:
    """The backend of a model's name. `token` is the caller's Hub token, `key` a server's key; neither is kept.

    Raises UserError for a name of no known form.
    """
    from prompts.models import parse

    found = parse(model)
    if found.kind == "server":
        from prompts.backends.remote import RemoteBackend

        return RemoteBackend(found.url, found.value, key)
    from prompts.backends.local import LocalBackend

    return LocalBackend(model, owner, token=token, on_device=on_device)
