"""What stands around every call of a visitor: quotas, and expected failures as messages."""

import inspect
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import gradio as gr

from prompts.downloads import told_to
from prompts.errors import AppError, WorldError, is_out_of_memory
from prompts.events import Event
from prompts.following import Progress
from prompts.quotas import allowed
from prompts.usual import loading_told_to
from prompts.words import say

READ_IN, SEEN_IN = 30, 10  # seconds that a message stays on the page, and one that is said in a line as well


@contextmanager
def spoken(called: Callable[[str], str] = str) -> Iterator[None]:
    """Expected failures as messages on the page and to API callers, in the caller's language, with settings by the names that they
    are `called`; anything else keeps its traceback.
    """
    try:
        yield
    except AppError as error:
        raise _shown(error, called) from None
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise _shown(WorldError("out of memory; ask shorter prompts or a smaller model"), called) from None


def _shown(error: AppError, called: Callable[[str], str]) -> gr.Error:
    return gr.Error(str(error.sentence(called)), duration=READ_IN, print_exception=False)


def told_to_client(what: str, unit: str) -> Progress:
    """What a call that returns all at once tells in the status of a client's job, twice a second: what it does, and counts."""
    progress, told = gr.Progress(), 0.0

    def tell(done: int, of: int) -> None:
        nonlocal told
        if (now := time.monotonic()) - told >= 0.5:
            told = now
            progress((done, max(1, of)), desc=say(what), unit=say(unit))

    return tell


def _fetched(done: int, of: int) -> None:
    """Over what waits for it on the page, and in the status of a client's job."""
    gr.Progress()((done // 10**6, max(1, of // 10**6)), desc=say("Fetching from the Hub"), unit="MB")


def _loading(left: Event) -> None:
    passed, remaining = left["passed"], left["remaining"]
    of = None if remaining is None else round(passed + remaining)
    gr.Progress()((round(passed), of), desc=say("Loading the model"), unit=say("s of loading the model"))


def _told(events: Iterator[Any]) -> Iterator[Any]:
    """The events, each of which Gradio fetches in a context of its own. It closes them where everybody's calls begin: they end in a
    thread, as they may have to wait for what cannot be broken off.
    """
    end = object()
    try:
        while True:
            with told_to(_fetched), loading_told_to(_loading):
                event = next(events, end)
            if event is end:
                return
            yield event
    except GeneratorExit:
        threading.Thread(target=events.close).start()  # type: ignore[attr-defined]
        raise


def _paid(owner: str, do: Callable[[], Iterator[Any]], costs: bool) -> Iterator[Any]:
    """What it does counts against the owner's quotas until it has ended."""
    with allowed(owner) if costs else nullcontext():
        yield from do()


Call = Callable[[tuple[Any, ...]], tuple[str, Callable[[], Any]]]  # values -> (owner, what to do)


def like(
    run: Callable[..., Any], call: Call, *, costs: bool, line: Any = None, called: Callable[[str], str] = str
) -> Callable[..., Any]:
    """A function of positional values around `call`; a generator where `run` is one, which Gradio has to see. `line`: the output
    that says how far it is, and what it failed of. `called`: as of `spoken`.
    """
    if inspect.isgeneratorfunction(run):

        def streaming(*values: Any) -> Iterator[Any]:
            try:
                with spoken(called):
                    owner, do = call(values)
                    yield from _told(_paid(owner, do, costs))
            except gr.Error as failure:
                if line is not None:
                    failure.duration = SEEN_IN
                    yield {line: say("Failed: {sentence}", sentence=failure.message)}
                raise

        return streaming

    def plain(*values: Any) -> Any:
        with spoken(called), told_to(_fetched), loading_told_to(_loading):
            owner, do = call(values)
            with allowed(owner) if costs else nullcontext():
                return do()

    return plain
