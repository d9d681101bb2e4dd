"""Files on their way from the Hub, told to whoever waits for them."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any

from prompts.events import Event
from prompts.following import Progress, told_meanwhile, told_to_nobody

_waiting: ContextVar[Progress] = ContextVar("waiting", default=told_to_nobody)


@contextmanager
def told_to(tell: Progress) -> Iterator[None]:
    """What is fetched within tells `tell` its bytes, from whatever threads fetch them."""
    before = _waiting.set(tell)
    try:
        yield
    finally:
        _waiting.reset(before)


def told_of(work: Callable[[], Any], every: float = 0.5) -> Generator[Event, None, None]:
    """As `told_meanwhile`, of the bytes that `work` fetches."""

    def fetched(tell: Progress) -> Any:
        with told_to(tell):
            return work()

    return told_meanwhile(fetched, every)


def bar() -> Any:
    """The `tqdm_class` of a download by the Hub's client, which shows nothing itself; None, the client's own, where nobody
    waits.
    """
    tell, context = _waiting.get(), copy_context()
    if tell is told_to_nobody:
        return None
    from huggingface_hub.utils.tqdm import tqdm

    bars: list[Any] = []  # some count files, or what travels; the largest of bytes counts what is written

    class Told(tqdm):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **{**more, "disable": True})
            if more.get("unit") == "B":
                bars.append(self)

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            largest = max(bars, key=lambda one: one.total or 0, default=self)
            if largest.n and largest.total and largest in bars:
                context.copy().run(tell, int(largest.n), int(largest.total))

    return Told
