"""Work that reports by calling back, as an iterator of its events."""

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from prompts.events import Event

Progress = Callable[[int, int], None]  # (done, of) is told to it


def told_to_nobody(_done: int, _of: int) -> None:
    """For whoever follows nothing."""


def followed(
    work: Callable[[Callable[[Any], None]], None], stop: threading.Event, every: float | None = None
) -> Generator[Any, None, None]:
    """Runs `work(say)` in a thread of its own and yields what it says; what it raises is raised here. With `every`, None is yielded
    after so many seconds of silence. Closing the iterator sets `stop` and waits for the end.
    """
    said: queue.Queue[Any] = queue.Queue()
    end = object()

    def run() -> None:
        try:
            work(said.put)
        except BaseException as error:
            said.put(error)
        said.put(end)

    thread = threading.Thread(target=copy_context().run, args=(run,), daemon=True)  # in the language of who called
    thread.start()
    try:
        while True:
            try:
                item = said.get(timeout=every)
            except queue.Empty:
                yield None
                continue
            if item is end:
                thread.join()
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        if thread.is_alive():
            stop.set()
            thread.join()


def paced(events: Iterable[Event], seconds: float = 0.25, *, moved: bool = False) -> Iterator[Event]:
    """The events for somebody to look at: of those that only count ("done", "of", or the seconds "passed"), one every so many
    seconds; with `moved`, only those that say another count than the last one.
    """
    kind, told, last = "", 0.0, None
    for event in events:
        now = time.monotonic()
        counts = {"done", "of"} <= event.keys() or "passed" in event
        count = {name: value for name, value in event.items() if name not in ("remaining", "time")}
        if counts and moved and count == last:
            continue
        if not counts or event["event"] != kind or now - told >= seconds:
            kind, told, last = event["event"], now, count
            yield event


def seconds_left(began: float, done: int, of: int) -> float:
    """As long as it goes on as it went so far, from `began` by time.monotonic()."""
    return round((time.monotonic() - began) / done * (of - done), 1)


def part(tell: Progress, start: float, share: float) -> Progress:
    """Tells `tell` how far a step of a longer work is: the `share` of it that begins at `start`, both 0 to 1."""
    return lambda done, of: tell(round(of * start + share * done), of)


class _Stopped(BaseException):
    """Nobody listens any more; no handler of failures may take it for one."""


def told_meanwhile(work: Callable[[Progress], Any], every: float = 0.5) -> Generator[Event, None, None]:
    """{"done", "of"} once in `every` seconds while `work(tell)` tells it; last {"found": what it returns}. Closing the iterator
    ends the work at its next telling.
    """
    stop = threading.Event()

    def run(say: Callable[[Event], None]) -> None:
        last = time.monotonic()

        def tell(done: int, of: int) -> None:
            nonlocal last
            if stop.is_set():
                raise _Stopped
            if time.monotonic() - last >= every:
                last = time.monotonic()
                say({"done": done, "of": of})

        with suppress(_Stopped):
            say({"found": work(tell)})

    yield from followed(run, stop)
