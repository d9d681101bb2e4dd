"""Conversations -> token ids and what of them is learned, rendered by the same function that asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prompts.errors import UserError
from prompts.rendering import render_answered
from tuning.data.columns import Conversation

Overlong = Literal["stop", "drop", "cut"]


@dataclass(frozen=True)
class EncodedRow:
    """Token ids (shape: n); the first `context` of them are read, the rest are learned."""

    ids: tuple[int, ...]
    context: int

    @property
    def learned(self) -> int:
        return len(self.ids) - self.context


@dataclass(frozen=True)
class Encoded:
    """The rows to train on, and what became of the others."""

    rows: tuple[EncodedRow, ...]
    dropped: tuple[int, ...] = ()  # row numbers, from 0
    cut: tuple[int, ...] = ()

    @property
    def tokens(self) -> int:
        return sum(len(row.ids) for row in self.rows)


def encode(rows: Sequence[Conversation], tokenizer: Any, max_length: int, overlong: Overlong) -> Encoded:
    """Raises UserError where a row is longer than `max_length` tokens and `overlong` is "stop", or would teach nothing."""
    made, dropped, cut, long = [], [], [], []
    for at, row in enumerate(rows):
        asked, learned = render_answered(row.prompt, row.answer, tokenizer)
        ids = (*asked.ids, *learned.ids)
        if len(ids) > max_length:
            long.append((at, len(ids)))
            if overlong == "drop":
                dropped.append(at)
                continue
            cut.append(at)
            ids = ids[:max_length]
        made.append(EncodedRow(ids, min(len(asked.ids), len(ids))))
    if long and overlong == "stop":
        worst = max(length for _, length in long)
        raise UserError(
            f"{len(long)} of {len(rows)} rows are longer than {max_length} tokens (row {long[0][0] + 1} has "
            f"{long[0][1]}; the longest {worst}). Raise max_length to {worst}, or set overlong to drop or cut",
            field="max_length",
        )
    if nothing := [at for at, row in enumerate(made) if row.learned == 0]:
        raise UserError(
            f"{len(nothing)} rows would teach nothing: their input alone fills {max_length} tokens. Raise max_length "
            "or set overlong to drop",
            field="max_length",
        )
    if not made:
        raise UserError(f"every row is longer than {max_length} tokens; raise max_length", field="max_length")
    return Encoded(tuple(made), tuple(dropped), tuple(cut))
