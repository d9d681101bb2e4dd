"""The place in line, in words."""

from typing import Any

from prompts.ui.progress import duration
from prompts.words import say


def line_words(state: dict[str, Any]) -> str:
    """The place in line of a work that waits, and when its turn comes."""
    seconds = state["starts_in_seconds"]
    if seconds is None:
        when = say("those before it do not say yet how long they take")
    elif seconds < 1:  # its turn has come, or who has the device takes longer than it said
        when = say("starts soon")
    else:
        when = say("starts in about {duration}", duration=duration(seconds))
    return say("place {place_in_line} in line; {when}", place_in_line=state["place_in_line"], when=when)
