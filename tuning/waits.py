"""How long what a run is at still takes: by how fast it counts, else by how long it took this machine the last time."""

import time
from typing import Any

from prompts.events import Event
from prompts.usual import left, remember
from tuning.recipe import Recipe

COUNTED = ("fetching", "reading", "measuring", "evaluating")  # kinds of event that count
SILENT = {
    "starting": ("queued",), "loading": ("reading", "data"), "data": ("training",), "training": ("step",),
    "trained": ("evaluating",),
}  # fmt: skip  # kinds after which nothing counts, until one of these comes
ASIDE = ("tracker", "autopilot")  # kinds that come in between


def at(events: list[Event], recipe: Recipe, starting: float | None = None, *, here: bool = True) -> dict[str, Any]:
    """What an active run is at, of its events so far, or since when it is starting: each of COUNTED, or None, with the seconds
    that remain from now; "silent": {"after", "passed", "remaining"} where nothing counts; "remaining", the training's. `here`:
    on this machine.
    """
    now, events = time.time(), [event for event in events if event["event"] not in ASIDE]
    last = events[-1] if events else {}
    kind, since = last.get("event", ""), last.get("time", 0.0)
    if starting and since < starting:
        kind, since = "starting", starting
    what = _name(kind, recipe) if here else ("elsewhere",)
    step = next(
        (event for event in reversed(events) if event["event"] in ("step", "training", "trained", "queued")), last
    )
    return {
        **{one: _from_now(last, now) if kind == one else None for one in COUNTED},
        "silent": {"after": kind, **left(now - since, *what)} if kind in SILENT else None,
        "remaining": _from_now(step, now)["remaining"] if step.get("event") == "step" else None,
    }


def _from_now(event: Event, now: float) -> Event:
    """Of what is late nobody knows when it comes: None."""
    remaining = (event.get("remaining") or 0.0) - (now - event["time"])
    return {**event, "remaining": round(remaining, 1) if remaining > 0 else None}


class Silences:
    """Remembers how long each silence of a run lasts, which starts since `began`; `heard` is told its events as they come."""

    def __init__(self, recipe: Recipe, began: float) -> None:
        self._recipe, self._last, self._since = recipe, "starting", began

    def heard(self, event: Event) -> None:
        if event["event"] in ASIDE:
            return
        now = time.time()
        if event["event"] in SILENT.get(self._last, ()):
            remember(now - self._since, *_name(self._last, self._recipe))
        self._last, self._since = event["event"], now


def _name(kind: str, recipe: Recipe) -> tuple[object, ...]:
    """A model is named only once it was seen that who runs it may read it: what was trained here is nobody else's to know."""
    if kind in ("starting", "loading"):
        return (kind,)
    step = (recipe.max_length, recipe.effective_batch_size) if kind == "training" else ()  # its first step
    return (kind, recipe.model, *step)
