"""What long work tells while it goes on: dictionaries whose "event" is one of these kinds, each with its fields.

Where a kind ends in "...", a document's fields follow: see what makes it. tuning/events.py has the kinds of fine-tuning. A test
reads the code for kinds and fields that are not listed.
"""

from typing import Any

Event = dict[str, Any]

KINDS = {
    # rows, of which so many are answered; by which variant, or for which rung; seconds, or None
    "asking": "done of variant rung remaining",
    "proposed": "tree version how score refused",  # a search for a better prompt: what it found, or why that was refused
    "compared": "...",  # an experiment is done
    "studied": "study rows scorer model seed labels notes ...",  # a technique's study is done
}
