"""How long what somebody waits for still takes: by how fast it counts, else by how long it took this machine the last time.

home/usual.json keeps the seconds of the last time, under names that do not tell whose work it was.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from prompts.events import Event
from prompts.following import followed
from prompts.home import home, write_whole
from tuning.recipe import Recipe

COUNTED = ("fetching", "reading", "measuring", "evaluating")  # kinds of event that count
SILENT = ("starting", "loading", "data", "training", "trained")  # those after which nothing counts until the next one
KEPT = 500  # durations that are remembered


def usual(*what: object) -> float | None:
    """The seconds that it took here the last time; None where it is not known."""
    return _known().get(_key(what))


def remember(seconds: float, *what: object) -> None:
    """On a full disk nothing is remembered, which nobody misses."""
    known = {**_known(), _key(what): round(seconds, 1)}
    with suppress(OSError):
        write_whole(_file(), json.dumps(dict(list(known.items())[-KEPT:])))


def _file() -> Path:
    return home() / "usual.json"


def _known() -> dict[str, float]:
    try:
        return dict(json.loads(_file().read_text("utf-8")))
    except (OSError, ValueError):
        return {}


def _key(what: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def waited(work: Callable[[], Any], *what: object) -> Generator[Event, None, Any]:
    """{"passed", "remaining"}, seconds, at once and then once a second while `work()` takes place; returns what it returns."""
    began, found = time.monotonic(), []
    yield _left(0.0, *what)
    with closing(followed(lambda _say: found.append(work()), threading.Event(), every=1.0)) as ticks:
        for _ in ticks:
            yield _left(time.monotonic() - began, *what)
    remember(time.monotonic() - began, *what)
    return found[0]


def _left(passed: float, *what: object) -> Event:
    """Where it takes longer than the last time, nobody knows what remains: None."""
    before = usual(*what)
    remaining = None if before is None or before <= passed else round(before - passed, 1)
    return {"passed": round(passed, 1), "remaining": remaining}


def at(events: list[Event], recipe: Recipe, starting: float | None = None) -> dict[str, Any]:
    """What an active run is at, of its events so far, or since when it is starting: each of COUNTED, or None, with the seconds
    that remain from now; "silent": {"after", "passed", "remaining"} where nothing counts; "remaining", the training's.
    """
    now = time.time()
    last = events[-1] if events else {}
    kind, since = last.get("event", ""), last.get("time", 0.0)
    if starting and since < starting:
        kind, since = "starting", starting
    silent = {"after": kind, **_left(now - since, *_name(kind, recipe))} if kind in SILENT else None
    step = next((event for event in reversed(events) if event["event"] == "step"), None)
    return {
        **{one: _from_now(last, now) if kind == one else None for one in COUNTED},
        "silent": silent,
        "remaining": _from_now(step, now)["remaining"] if step else None,
    }


def _from_now(event: Event, now: float) -> Event:
    """What is late is about to come."""
    left = event["remaining"]
    return {**event, "remaining": round(max(min(1.0, left), left - (now - event["time"])), 1)}


class Silences:
    """Remembers how long each silence of a run lasts, which starts since `began`; `heard` is told its events as they come."""

    def __init__(self, recipe: Recipe, began: float) -> None:
        self._recipe, self._last, self._since = recipe, "starting", began

    def heard(self, event: Event) -> None:
        now = time.time()
        if self._last in SILENT and event["event"] != "cancelled":
            remember(now - self._since, *_name(self._last, self._recipe))
        self._last, self._since = event["event"], now


def _name(kind: str, recipe: Recipe) -> tuple[object, ...]:
    step = (recipe.max_length, recipe.effective_batch_size) if kind == "training" else ()  # its first step
    return (kind, recipe.model, *step)
