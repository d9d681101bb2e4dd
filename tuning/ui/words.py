"""The place in line, in words."""

from typing import Any

from prompts.ui.progress import duration
from prompts.words import say


def line_words(state: dict[str, Any]) -> str:
    """The place in line of a work that waits, and when its turn comes."""
    seconds = state["starts_in_seconds"]
    when = (
        say("starts in about {duration}", duration=duration(seconds))
        if seconds is not None
        else say("those before it do not say yet how long they take")
    )
    return say("place {place_in_line} in line; {when}", place_in_line=state["place_in_line"], when=when)
