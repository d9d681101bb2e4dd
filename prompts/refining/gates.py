"""What a proposed prompt has to pass, whoever proposed it."""

from collections.abc import Callable, Sequence

from prompts.errors import UserError
from prompts.messages import CHARACTERS
from prompts.templates import slots_of
from prompts.words import say

COPIED = 8  # words in a row that occur in a row of the data: more is a copy, not a rule
ARROW = " → "  # between the text of an example and its answer
EXAMPLE = "Example:"  # begins a line that shows a row on purpose; prompts/refining/operators.py writes them


def fault(
    before: str,
    after: str,
    *,
    rows: Sequence[str] = (),
    most_tokens: int | None = None,
    count: Callable[[str], int] = lambda text: len(text) // CHARACTERS,
) -> str:
    """Why a proposed prompt cannot be used, as the end of a sentence; empty where it can.

    `rows`: texts of the development rows, which a rule must not copy; `count`: tokens of a text.
    """
    if not after.strip():
        return say("was empty or cut off")
    if "<think>" in after or "</think>" in after or after.count("```") % 2:
        return say("was cut off in the middle of a thought or a code fence")
    try:
        lost = set(slots_of(before)) - set(slots_of(after))
        new = set(slots_of(after)) - set(slots_of(before))
    except UserError:
        return say("is not a readable template")
    if lost:
        return say("lost the slot {{{{ {lost} }}}}", lost=min(lost))
    if new:
        return say("has a slot that was not there, {{{{ {new} }}}}", new=min(new))
    if after.strip() == before.strip():
        return say("changed nothing")
    if (copied := copy_of(rows, before, after)) is not None:
        return say("copies a row: “{copied}”", copied=copied)
    if most_tokens and (tokens := count(after)) > most_tokens:
        return say(
            "has {tokens:,} tokens, more than the {most_tokens:,} allowed", tokens=tokens, most_tokens=most_tokens
        )
    return ""


def copy_of(rows: Sequence[str], before: str, after: str) -> str | None:
    """The first COPIED words in a row that `after` took from a row and `before` did not have; None where there are none."""
    said = "\n".join(line for line in after.splitlines() if not line.startswith(EXAMPLE))
    taken = _runs(said) - _runs(before)
    if not taken:
        return None
    for row in rows:
        if found := taken & _runs(row):
            return min(found)
    return None


def _runs(text: str) -> set[str]:
    words = text.casefold().split()
    return {" ".join(words[at : at + COPIED]) for at in range(len(words) - COPIED + 1)}
