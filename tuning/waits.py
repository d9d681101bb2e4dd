"""How long what a run is at still takes: by how fast it counts, else by how long it took this machine the last time."""

import time
from typing import Any

from prompts.events import Event
from prompts.usual import left, remember
from tuning.recipe import Recipe

COUNTED = ("fetching", "reading", "measuring", "evaluating")  # kinds of event that count
SILENT = ("starting", "loading", "data", "training", "trained")  # those after which nothing counts until the next one


def at(events: list[Event], recipe: Recipe, starting: float | None = None) -> dict[str, Any]:
    """What an active run is at, of its events so far, or since when it is starting: each of COUNTED, or None, with the seconds
    that remain from now; "silent": {"after", "passed", "remaining"} where nothing counts; "remaining", the training's.
    """
    now = time.time()
    last = events[-1] if events else {}
    kind, since = last.get("event", ""), last.get("time", 0.0)
    if starting and since < starting:
        kind, since = "starting", starting
    silent = {"after": kind, **left(now - since, *_name(kind, recipe))} if kind in SILENT else None
    step = next((event for event in reversed(events) if event["event"] == "step"), None)
    return {
        **{one: _from_now(last, now) if kind == one else None for one in COUNTED},
        "silent": silent,
        "remaining": _from_now(step, now)["remaining"] if step else None,
    }


def _from_now(event: Event, now: float) -> Event:
    """What is late is about to come."""
    then = event["remaining"]
    return {**event, "remaining": round(max(min(1.0, then), then - (now - event["time"])), 1)}


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
