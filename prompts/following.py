"""Work that reports by calling back, as an iterator of its events."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any

Event = dict[str, Any]


def followed(work: Callable[[Callable[[Event], None]], None], stop: threading.Event) -> Iterator[Event]:
    """Runs `work(say)` in a thread of its own and yields what it says; what it raises is raised here. Closing the iterator sets
    `stop` and waits for the end.
    """
    said: queue.Queue[Event | BaseException | None] = queue.Queue()

    def run() -> None:
        try:
            work(said.put)
        except BaseException as error:
            said.put(error)
        said.put(None)

    thread = threading.Thread(target=copy_context().run, args=(run,), daemon=True)  # in the language of who called
    thread.start()
    try:
        while (event := said.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event
    finally:
        if thread.is_alive():
            stop.set()
            thread.join()
