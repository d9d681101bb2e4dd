"""How far a long work is and how long it still takes, in one line."""

import time
from collections.abc import Mapping
from typing import Any

from prompts.words import say

TOLD_AFTER = 2.0  # seconds; before that, what is left cannot be told


def duration(seconds: float | None) -> str:
    """75 -> "1 min 15 s"."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def time_left(seconds: float | None) -> str:
    """The end of such a line; empty where it is not known."""
    return "" if seconds is None else say(" · about {duration} left", duration=duration(max(1.0, seconds)))


class TimeLeft:
    """Begins when it is made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def line(self, event: Mapping[str, Any], now: float | None = None) -> str:
        """Of an event with "done" and "of" (0: not known), maybe the "variant" that is at work, or that "bytes" are counted."""
        done, of = event["done"], event["of"]
        if "bytes" in event:
            text = say("{done:,.1f} of {of:,.1f} MB", done=done / 1e6, of=of / 1e6)
        else:
            text = say("{done:,} of {of:,}", done=done, of=of) if of else say("{done:,} so far", done=done)
        if "variant" in event:
            text = say("{variant}: {done}", variant=event["variant"], done=text)
        passed = (time.monotonic() if now is None else now) - self._began
        if not done or done >= of or passed < TOLD_AFTER:  # all was sent: the other side still takes it in
            return text + "…"
        return text + time_left(passed / done * (of - done))
