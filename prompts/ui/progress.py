"""How far a long work is and how long it still takes, in one line."""

import time
from collections.abc import Mapping
from typing import Any

from prompts.words import say

TOLD_AFTER = 2.0  # seconds; before that, what is left cannot be told
FEW = 0.01  # of the bytes; of so few, which small files may be, neither


def duration(seconds: float | None) -> str:
    """75 -> "1 min 15 s"."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def time_left(seconds: float | None) -> str:
    """The end of such a line; empty where it is not known, or was to be over."""
    if seconds is None or seconds <= 0:
        return ""
    return say(" · about {duration} left", duration=duration(max(1.0, seconds)))


class TimeLeft:
    """Begins when it is made. What stands still is not counted on: what is left shrinks until it goes on, or nobody knows."""

    def __init__(self) -> None:
        self._began = self._at = time.monotonic()
        self._done = 0

    def line(self, event: Mapping[str, Any], now: float | None = None) -> str:
        """Of an event with "done" and "of" (0: not known), maybe the "variant" that is at work, or that "bytes" are counted, or the
        seconds "remaining" (None: not known).
        """
        done, of = event["done"], event["of"]
        if "bytes" in event:
            text = say("{done:,.1f} of {of:,.1f} MB", done=done / 1e6, of=of / 1e6)
        else:
            text = say("{done:,} of {of:,}", done=done, of=of) if of else say("{done:,} so far", done=done)
        if "variant" in event:
            text = say("{variant}: {done}", variant=event["variant"], done=text)
        if "remaining" in event:
            return text + (time_left(event["remaining"]) or "…")
        now = time.monotonic() if now is None else now
        if done != self._done:
            self._done, self._at = done, now
        if not done or now - self._began < TOLD_AFTER or ("bytes" in event and done < of * FEW):
            return text + "…"
        left = (self._at - self._began) / done * (of - done) - (now - self._at)
        return text + (time_left(left) or "…")
