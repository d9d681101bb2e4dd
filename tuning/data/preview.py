"""What will be learned, before anything is trained: tokens that are learned, read and cut, the worst rows first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prompts.errors import UserError
from prompts.following import Progress
from prompts.home import owner_folder
from prompts.rendering import has_template
from prompts.rows import Table
from prompts.words import say
from tuning.data.columns import Columns, conversations, resolve
from tuning.data.encode import Overlong, Tokens, tokenise, view
from tuning.data.split import fingerprint
from tuning.recipe import Reading

SHOWN = 5
CUT_CHARACTERS = 4000  # of one row, shown at most; what is left out is said


def tokens_folder(owner: str) -> Path:
    """Where an owner's tokenised rows are kept."""
    return owner_folder(owner, "cache", "tokens")


def preview(
    table: Table, columns: Columns, reading: Reading, owner: str, *,
    token: str | None = None, shown: int = SHOWN, progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """{"model", "rows", "tokens", "longest", "rows_cut", "tokens_lost", "rows_with_nothing_to_learn", "end_of_turn_trained",
    "blocked", "shown": [{"row", "tokens", "spans": [{"text", "kind"}]}]}; kind is context, learned or cut.

    "blocked" is None, or the sentence that says why training would not start. Raises UserError for rows that are none.
    """
    from prompts.loading import load_tokenizer
    from prompts.models import locate

    columns = resolve(columns, table)
    talks = conversations(table.rows, columns)
    model, max_length, overlong = reading.model, reading.max_length, reading.overlong
    tokenizer = load_tokenizer(locate(model, owner)[0], token)
    tokens = tokenise(talks, tokenizer, tokens_folder(owner), fingerprint(talks), progress=progress)
    everything = range(len(talks))
    found = view(tokens, everything, max_length, overlong)
    lengths = tokens.ends - tokens.starts
    ends_told = _ends_told(tokens, found, tokenizer)
    return {
        "model": model, "rows": len(talks), "max_length": max_length, "overlong": overlong,
        "template": say("the model's own") if has_template(tokenizer) else say('none: texts on lines of their own'),
        "tokens": int(lengths.sum()), "longest": int(lengths.max()), "median": int(np.median(lengths)),
        "rows_cut": len(found.cut) + len(found.dropped), "tokens_lost": found.lost,
        "rows_with_nothing_to_learn": len(found.nothing), "end_of_turn_trained": ends_told, "pieces": len(found.rows),
        "blocked": _blocked(tokens, everything, max_length, overlong),
        "shown": [_row(tokens, at, max_length, overlong, tokenizer) for at in _worst(found, lengths, shown)],
    }  # fmt: skip


def _blocked(tokens: Tokens, numbers: Sequence[int], max_length: int, overlong: Overlong) -> str | None:
    from tuning.data.encode import fit

    try:
        fit(tokens, numbers, max_length, overlong)
    except UserError as error:
        return error.sentence()
    return None


def _ends_told(tokens: Tokens, found: Any, tokenizer: Any) -> int:
    """How many pieces end with the end-of-turn token as the last thing learned."""
    if not len(found.rows) or tokenizer.eos_token_id is None:
        return 0
    return int(
        (np.asarray(tokens.ids)[np.maximum(found.pieces[:, 3], found.pieces[:, 1]) - 1] == tokenizer.eos_token_id).sum()
    )


def _worst(found: Any, lengths: Any, shown: int) -> list[int]:
    """The numbers of so many rows, from 0: those with nothing to learn, the cut ones, then the longest."""
    bad = [*found.nothing, *sorted((*found.cut, *found.dropped), key=lambda at: -lengths[at])]
    longest = np.argsort(-lengths, kind="stable")[:shown].tolist()
    return list(dict.fromkeys([*bad, *longest]))[:shown]


def _row(tokens: Tokens, at: int, max_length: int, overlong: Overlong, tokenizer: Any) -> dict[str, Any]:
    start, end, context = int(tokens.starts[at]), int(tokens.ends[at]), int(tokens.context[at])
    ids = np.asarray(tokens.ids[start:end]).tolist()
    limit = len(ids) if overlong == "split" else max_length if overlong in ("cut", "stop") else 0
    limit = len(ids) if len(ids) <= max_length else limit
    parts = [
        ("context", ids[: min(context, limit)]),
        ("learned", ids[min(context, limit) : limit]),
        ("cut", ids[limit:]),
    ]
    spans = [
        {"text": _shortened(tokenizer.decode(part)), "kind": kind, "tokens": len(part)} for kind, part in parts if part
    ]
    return {"row": at + 1, "tokens": len(ids), "spans": spans}


def _shortened(text: str) -> str:
    if len(text) <= CUT_CHARACTERS:
        return text
    half = CUT_CHARACTERS // 2
    cut = say("{cut:,} characters not shown", cut=len(text) - CUT_CHARACTERS)
    return f"{text[:half]} … {cut} … {text[-half:]}"
