"""Times and places in line, in words."""

from typing import Any

from prompts.words import say


def duration(seconds: float | None) -> str:
    """75 -> "1 min 15 s"."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def line_words(state: dict[str, Any]) -> str:
    """The place in line of a work that waits, and when its turn comes."""
    seconds = state["starts_in_seconds"]
    when = (
        say("starts in about {duration}", duration=duration(seconds))
        if seconds is not None
        else say("those before it do not say yet how long they take")
    )
    return say("place {place_in_line} in line; {when}", place_in_line=state["place_in_line"], when=when)
