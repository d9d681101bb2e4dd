"""How long what cannot be counted still takes: as long as it took this machine the last time.

home/usual.json keeps the seconds of the last time, under names that do not tell whose work it was.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from prompts.events import Event
from prompts.following import followed
from prompts.home import home, write_whole

KEPT = 500  # durations that are remembered
MANY = 1000  # what is short is remembered by so many
FEW = 16  # fewer tell little of how long each of many takes
SOON = 2.0  # seconds after which it is seen how fast it goes
Tell = Callable[[Event], None]  # {"passed", "remaining"} is told to it


def _nobody(_left: Event) -> None: ...


_waiting: ContextVar[Tell] = ContextVar("loading", default=_nobody)


def usual(*what: object) -> float | None:
    """The seconds that it took here the last time; None where it is not known."""
    return _known().get(_key(what))


def remember(seconds: float, *what: object) -> None:
    """On a full disk nothing is remembered, which nobody misses."""
    key = _key(what)
    with suppress(OSError, Timeout), FileLock(home() / "usual.lock", timeout=5):
        known = {name: known for name, known in _known().items() if name != key}
        known[key] = round(seconds, 1)  # the newest is last
        write_whole(_file(), json.dumps(dict(list(known.items())[-KEPT:])))


def usual_each(*what: object) -> float | None:
    """As `usual`, of each of many."""
    seconds = usual("many", *what)
    return None if seconds is None else seconds / MANY


def remember_each(seconds: float, count: int, *what: object) -> None:
    """As `remember`, of `count` that took so long together; of FEW, each of which takes longer, only where nothing is known."""
    if count >= FEW or (count and usual("many", *what) is None):
        remember(seconds / count * MANY, "many", *what)


class Count(NamedTuple):
    """Of many things."""

    done: int
    begun: float = 0.0  # besides, what is done of those under way, in things; at least, as an answer may end early


class Pace:
    """How long so many things still take: by those that are done; at first by what all were to take, where that is known; where
    neither tells, or it was to be over by now, by those under way.
    """

    def __init__(self, of: int, foreseen: float | None) -> None:
        self._of, self._foreseen, self._done, self._spent = of, foreseen, 0, 0.0

    def told(self, counts: Iterable[Count]) -> Iterator[Event]:
        """{"done", "remaining": seconds, None where nobody knows} of each count, the first of which is of what was done before;
        several counts may come one after the other.
        """
        last = None
        for count, begun in counts:
            now = time.monotonic()
            if last is None:
                last, at = count, now
            elif count != last:
                self._done += count - last
                self._spent += now - at
                last, at = count, now
            yield {"done": count, "remaining": self._left(now - at, begun)}

    def _left(self, waited: float, begun: float) -> float | None:
        if self._done >= self._of:
            return None
        left = 0.0
        if self._done and self._spent >= SOON:
            left = self._spent / self._done * (self._of - self._done) - waited
        elif self._foreseen is not None:
            left = self._foreseen - self._spent - waited
        if left <= 0 and begun and waited >= SOON:
            left = waited / begun * (self._of - self._done - begun)
        return round(left, 1) if left > 0 else None  # of what is late nobody knows when it comes


def _file() -> Path:
    return home() / "usual.json"


def _known() -> dict[str, float]:
    try:
        return dict(json.loads(_file().read_text("utf-8")))
    except (OSError, ValueError):
        return {}


def _key(what: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def left(passed: float, *what: object) -> Event:
    """{"passed", "remaining"}, seconds. Where it takes longer than the last time, nobody knows what remains: None."""
    before = usual(*what)
    remaining = None if before is None or before <= passed else round(before - passed, 1)
    return {"passed": round(passed, 1), "remaining": remaining}


def timed(events: Generator[Event, None, Any], *what: object) -> Generator[Event, None, Any]:
    """The events with what `left` says; returns what they return."""
    began = time.monotonic()
    with closing(events):
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                remember(time.monotonic() - began, *what)
                return end.value
            yield {**event, **left(time.monotonic() - began, *what)}


def waited(work: Callable[[], Any], *what: object) -> Generator[Event, None, Any]:
    """What `left` says, at once and then once a second while `work()` takes place; returns what it returns."""

    def ticks() -> Generator[Event, None, Any]:
        found: list[Any] = []
        yield {}
        for _ in followed(lambda _say: found.append(work()), threading.Event(), every=1.0):
            yield {}
        return found[0]

    return timed(ticks(), *what)


@contextmanager
def loading_told_to(tell: Tell) -> Iterator[None]:
    """While a model is loaded within, `tell` is told once a second how long that still takes."""
    before = _waiting.set(tell)
    try:
        yield
    finally:
        _waiting.reset(before)


@contextmanager
def loading(source: str) -> Iterator[None]:
    """Around the loading of a model, or the wait for somebody else's loading of it."""
    tell, over, began = _waiting.get(), threading.Event(), time.monotonic()

    def tick() -> None:
        while not over.wait(1.0):
            tell(left(time.monotonic() - began, *loaded(source)))

    if tell is _nobody:
        yield
        return
    ticker = threading.Thread(target=copy_context().run, args=(tick,), daemon=True)
    ticker.start()
    try:
        yield
    finally:
        over.set()
        ticker.join()


def loaded(source: str) -> tuple[str, str]:
    """What the loading of a model is remembered by."""
    return ("loaded", source)
