"""Conversations -> token ids and what of them is learned, rendered by the same function that asks.

All rows of a data set are tokenised once for a tokenizer and kept on disk (tokens.bin and its index); what a recipe does about
rows that are too long is a view of them.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from prompts.errors import UserError
from prompts.following import Progress
from prompts.kinds import Labels
from prompts.lazy import Lazy
from prompts.rendering import answered_texts, is_plain
from tuning.data.columns import Conversation
from tuning.work import durable

Overlong = Literal["stop", "drop", "cut", "split"]
CHUNK = 1000  # rows rendered before their texts are tokenised together, in parallel where there are cores


@dataclass(frozen=True)
class EncodedRow:
    """Token ids (shape: n); the first `context` of them are read, the rest are learned."""

    ids: tuple[int, ...]
    context: int

    @property
    def learned(self) -> int:
        return len(self.ids) - self.context


@dataclass(frozen=True)
class Tokens:
    """All rows end to end: `ids` (int32), where each row ends in them (int64), and how much of it is context (int64)."""

    ids: Any
    ends: Any
    context: Any

    @property
    def starts(self) -> Any:
        return np.concatenate([[0], self.ends[:-1]]).astype(np.int64)


@dataclass(frozen=True)
class Encoded:
    """The rows to train on, and what became of the others: row numbers, counted from 0, and tokens nobody reads."""

    tokens_of: Tokens
    pieces: Any  # shape (n, 5): a piece is ids[start:middle] and ids[resume:stop], and its first `context` ids are read
    dropped: tuple[int, ...] = ()
    cut: tuple[int, ...] = ()
    nothing: tuple[int, ...] = ()
    lost: int = 0
    rows: "EncodedRows" = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", EncodedRows(self.tokens_of.ids, self.pieces))

    @property
    def tokens(self) -> int:
        return int(self.rows.lengths().sum())


class EncodedRows(Lazy[EncodedRow]):
    """The pieces as rows, each made when it is asked for."""

    def __init__(self, ids: Any, pieces: Any) -> None:
        self._ids, self._pieces = ids, pieces

    def __len__(self) -> int:
        return len(self._pieces)

    def make(self, at: int) -> EncodedRow:
        start, middle, resume, stop, context = self._pieces[at].tolist()
        return EncodedRow((*self._ids[start:middle].tolist(), *self._ids[resume:stop].tolist()), context)

    def lengths(self) -> Any:
        return self._pieces[:, 1] - self._pieces[:, 0] + self._pieces[:, 3] - self._pieces[:, 2]


def tokenise(
    rows: Sequence[Conversation], tokenizer: Any, folder: Path, name: str, labels: Labels | None = None,
    progress: Progress | None = None,
) -> Tokens:  # fmt: skip
    """The tokens of all rows: from `folder` where they were made before, else made and kept there.

    `name` says which rows they are (a fingerprint); with `labels`, what is learned of a row is the numbers of its classes.
    Raises UserError where the model's template refuses a row.
    """
    kept = folder / f"{name}-{tokenizer_fingerprint(tokenizer)}{'-classes' if labels else ''}"
    if not (kept / "index.npz").is_file():
        partial = kept.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write(partial, rows, tokenizer, labels, progress)
        durable(partial)
        shutil.rmtree(kept, ignore_errors=True)
        partial.rename(kept)
    index = np.load(kept / "index.npz", allow_pickle=False)
    return Tokens(np.memmap(kept / "tokens.bin", dtype=np.int32, mode="r"), index["ends"], index["context"])


def _write(
    folder: Path, rows: Sequence[Conversation], tokenizer: Any, labels: Labels | None, progress: Progress | None
) -> None:
    ends, context, at = [], [], 0
    with (folder / "tokens.bin").open("wb") as file:
        for asked, learned in _tokenised(rows, tokenizer, labels):
            file.write(np.array([*asked, *learned], dtype=np.int32).tobytes())
            at += len(asked) + len(learned)
            ends.append(at)
            context.append(len(asked))
            if progress and len(ends) % CHUNK == 0:
                progress(len(ends), len(rows))
    with (folder / "index.npz").open("wb") as file:
        np.savez(file, ends=np.array(ends, dtype=np.int64), context=np.array(context, dtype=np.int64))


def _tokenised(
    rows: Sequence[Conversation], tokenizer: Any, labels: Labels | None = None
) -> Iterator[tuple[list[int], list[int]]]:
    """(what is read, what is learned) of each row. Of plain text the first token is read, as nothing comes before it."""
    left = iter(rows)
    while chunk := list(islice(left, CHUNK)):
        texts = [answered_texts(row.prompt, row.answer, tokenizer) for row in chunk]
        special = is_plain(tokenizer)
        asked = tokenizer([text for text, _ in texts], add_special_tokens=special)["input_ids"]
        if labels:
            learned = [classes(row.answer, labels) for row in chunk]
        else:
            learned = tokenizer([text for _, text in texts], add_special_tokens=special)["input_ids"]
        yield from ((a, b) if a else (b[:1], b[1:]) for a, b in zip(asked, learned, strict=True))


def classes(answer: str, labels: Labels) -> list[int]:
    """The numbers of the classes that an answer names. Raises UserError for one that is none."""
    names = split_classes(answer) if labels.many else [answer.strip()]
    if unknown := next((name for name in names if name not in labels.names), None):
        raise UserError(
            "{unknown!r} is none of the {names} classes of the training rows",
            unknown=unknown,
            names=len(labels.names),
            field="output",
        )
    return [labels.names.index(name) for name in names]


def split_classes(answer: str) -> list[str]:
    """The classes of an answer that may name several: a JSON list, or names between semicolons."""
    if answer.lstrip().startswith("["):
        with suppress(ValueError):
            return [str(name) for name in json.loads(answer)]
    return [name.strip() for name in answer.split(";") if name.strip()]


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """What decides a rendering's tokens: vocabulary, special tokens and chat template."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    vocabulary = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    parts = [vocabulary, str(tokenizer.chat_template), str(tokenizer.eos_token), str(is_plain(tokenizer))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def fit(tokens: Tokens, numbers: Sequence[int], max_length: int, overlong: Overlong, *, apart: bool = False) -> Encoded:
    """These rows within `max_length` tokens. Raises UserError where one is longer and `overlong` is "stop", where one would teach
    nothing, or where none is left. `apart`: what is learned is written beside what is read, which alone has to fit.
    """
    found = view(tokens, numbers, max_length, overlong, apart=apart)
    long = [*found.dropped, *found.cut]
    lengths = tokens.context if apart else tokens.ends - tokens.starts
    if long and overlong == "stop":
        first, worst = min(long), int(max(lengths[at] for at in long))
        raise UserError(
            "{long} of {numbers} rows are longer than {max_length} tokens (row {first} has {tokens}; "
            "the longest {worst}). Raise the longest row (max_length) to {worst}, or say what becomes of rows too long "
            "(overlong): drop, cut or split",
            long=len(long),
            numbers=len(numbers),
            max_length=max_length,
            first=first + 1,
            tokens=int(lengths[first]),
            worst=worst,
            field="max_length",
        )
    if found.nothing:
        raise UserError(
            "{nothing} rows would teach nothing (row {row}): their input alone fills {max_length} "
            "tokens. Raise the longest row (max_length), or let rows too long (overlong) be dropped or split",
            nothing=len(found.nothing),
            row=found.nothing[0] + 1,
            max_length=max_length,
            field="max_length",
        )
    if not len(found.rows):
        raise UserError(
            "every row is longer than {max_length} tokens; raise the longest row (max_length)",
            max_length=max_length,
            field="max_length",
        )
    return found


def view(
    tokens: Tokens, numbers: Sequence[int], max_length: int, overlong: Overlong, *, apart: bool = False
) -> Encoded:
    """As `fit`, with nothing refused: `cut` and `dropped` name the rows that are too long."""
    if apart and overlong == "split":
        raise UserError(
            "rows of a model that reads and writes apart cannot be split; choose cut or drop", field="overlong"
        )
    at = np.array(numbers, dtype=np.int64)
    starts, ends, context = tokens.starts[at], tokens.ends[at], tokens.context[at]
    long = (context if apart else ends - starts) > max_length
    which = tuple(int(number) for number in at[long])
    nothing = tuple(int(number) for number in at[context >= ends - starts]) if not apart else ()
    whole = np.stack([starts, ends, ends, ends, context], axis=1)
    if overlong == "drop":
        return Encoded(tokens, whole[~long], dropped=which, nothing=nothing, lost=int((ends - starts)[long].sum()))
    if apart:  # the input is cut before its last token, which ends it
        cut = np.stack(
            [starts, starts + max_length - 1, starts + context - 1, ends, np.full(len(at), max_length)], axis=1
        )
        lost = int((context - max_length)[long].sum())
        return Encoded(tokens, np.where(long[:, None], cut, whole), cut=which, nothing=nothing, lost=lost)
    if overlong == "split":
        return _split(tokens, whole, long, max_length, which, nothing)
    stops = np.minimum(ends, starts + max_length)
    pieces = np.stack([starts, stops, stops, stops, np.minimum(context, max_length)], axis=1)
    nothing = tuple(int(number) for number in at[context >= stops - starts])
    return Encoded(tokens, pieces, cut=which, nothing=nothing, lost=int((ends - stops).sum()))


def _split(
    tokens: Tokens, whole: Any, long: Any, most: int, which: tuple[int, ...], nothing: tuple[int, ...]
) -> Encoded:
    pieces, lost = [], 0
    for (start, end, _, _, context), is_long in zip(whole.tolist(), long, strict=True):
        parts = _windows(start, end, context, most) if is_long else [(start, end, context)]
        lost += max(0, parts[0][0] - start)
        pieces += [(first, stop, stop, stop, read) for first, stop, read in parts]
    return Encoded(tokens, np.array(pieces), cut=which if lost else (), nothing=nothing, lost=lost)


def _windows(start: int, end: int, context: int, most: int) -> list[tuple[int, int, int]]:
    """A long row as pieces: each learned token is learned once, with up to half a window before it to read."""
    learned = start + context
    first = start if context < most else learned - most // 2
    pieces = [(first, min(end, first + most), learned - first)]
    while (done := pieces[-1][1]) < end:
        first = done - most // 2
        pieces.append((first, min(end, first + most), done - first))
    return pieces


def encode(rows: Sequence[Conversation], tokenizer: Any, max_length: int, overlong: Overlong) -> Encoded:
    """`tokenise` and `fit` for a few rows, with nothing kept."""
    ends, context, ids = [], [], []
    for asked, learned in _tokenised(rows, tokenizer):
        ids.extend([*asked, *learned])
        ends.append(len(ids))
        context.append(len(asked))
    tokens = Tokens(np.array(ids, dtype=np.int32), np.array(ends, dtype=np.int64), np.array(context, dtype=np.int64))
    return fit(tokens, range(len(rows)), max_length, overlong)
