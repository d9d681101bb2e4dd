"""Training, validation and held-out rows: stratified by answer, near duplicates on one side, seeded, fingerprinted."""

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from prompts.errors import UserError
from prompts.following import Progress, told_to_nobody
from prompts.rows import Row, Table
from prompts.scoring import folded, most_labels
from tuning.data.columns import Columns, Conversation, compared

# What a column that splits may say, for each part.
PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "eval"),
    "held_out": ("test", "testing", "held_out", "held-out", "heldout", "holdout"),
}


@dataclass(frozen=True)
class Split:
    """Row numbers, counted from 0, in the order they are used."""

    train: tuple[int, ...]
    held_out: tuple[int, ...]
    validation: tuple[int, ...] = ()

    def document(self) -> dict[str, list[int]]:
        return {"train": list(self.train), "validation": list(self.validation), "held_out": list(self.held_out)}


def part_of(value: Any) -> str | None:
    """The part that a cell of a split column names; None for one that names none."""
    word = str(value or "").strip().lower()
    return next((part for part, words in PARTS.items() if word in words), None)


def split_table(
    table: Table, talks: Sequence[Conversation], columns: Columns, held_out: float, validation: float, seed: int,
    tell: Progress = told_to_nobody,
) -> Split:  # fmt: skip
    """By the split column; without one by chance, near duplicates on one side. `tell` is told rows. Raises UserError."""
    if columns.split:
        return given_split(table.rows, columns, seed)
    from tuning.data.duplicates import find_groups

    given = (compared(row, columns) for row in table.rows)
    groups = find_groups(given, lambda at: compared(table.rows[at], columns), len(table.rows), tell)
    return split(talks, held_out, seed, validation, groups.together.tolist())


def split(
    rows: Sequence[Conversation],
    held_out: float,
    seed: int,
    validation: float = 0.0,
    groups: Sequence[int] | None = None,
) -> Split:
    """`held_out`, `validation`: shares kept for measuring and for watching. `groups`: a number for each row; rows with the same
    one stay together (default: rows with the same input). Raises UserError where nothing is left to train on or to hold out.
    """
    keys, answers = groups if groups is not None else _same_input(rows), _answers(rows)
    together: dict[int, list[int]] = defaultdict(list)
    for at, key in enumerate(keys):
        together[int(key)].append(at)
    rng = random.Random(seed)
    strata = _strata(list(together.values()), answers)
    for stratum in strata:
        rng.shuffle(stratum)
    kept, rest = _drawn(strata, held_out)
    watched, rest = _drawn(rest, validation / (1 - held_out) if held_out < 1 else 0.0)
    train = [at for stratum in rest for group in stratum for at in group]
    rng.shuffle(train)
    rng.shuffle(kept)
    rng.shuffle(watched)
    if not train or (held_out > 0 and not kept):
        raise UserError(
            "{rows} rows are too few to hold out {held_out:.0%}; add rows or change held_out",
            rows=len(rows),
            held_out=held_out,
        )
    return Split(tuple(train), tuple(kept), tuple(watched))


def given_split(rows: Iterable[Row], columns: Columns, seed: int) -> Split:
    """The split that a column of the rows says. Raises UserError naming a row that says none."""
    parts: dict[str, list[int]] = {name: [] for name in PARTS}
    for number, row in enumerate(rows):
        part = part_of(row[columns.split])
        if part is None:
            raise UserError(
                "row {number}: the split column {split!r} says {cell!r}; it must say train, validation or test",
                number=number + 1,
                split=columns.split,
                cell=str(row[columns.split])[:40],
                field="split",
            )
        parts[part].append(number)
    if not parts["train"]:
        raise UserError("no row is for training by the split column {split!r}", split=columns.split, field="split")
    for numbers in parts.values():
        random.Random(seed).shuffle(numbers)
    return Split(**{name: tuple(numbers) for name, numbers in parts.items()})


def _same_input(rows: Iterable[Conversation]) -> list[int]:
    return [hash(folded(row.prompt.plain() or row.answer)) for row in rows]


def _answers(rows: Sequence[Conversation]) -> list[str] | None:
    """Each row's answer, where they are labels."""
    few = most_labels(len(rows))
    answers: list[str] = []
    different: set[str] = set()
    for row in rows:
        different.add(row.answer)
        if len(different) > few:
            return None
        answers.append(row.answer)
    return answers


def _strata(groups: list[list[int]], answers: list[str] | None) -> list[list[list[int]]]:
    if answers is None:
        return [groups]
    by_answer: dict[str, list[list[int]]] = defaultdict(list)
    for group in groups:
        by_answer[answers[group[0]]].append(group)
    return [by_answer[answer] for answer in sorted(by_answer)]


def _drawn(strata: list[list[list[int]]], share: float) -> tuple[list[int], list[list[list[int]]]]:
    """So many rows of each stratum, in whole groups; and the strata that are left."""
    drawn: list[int] = []
    left: list[list[list[int]]] = []
    owed = 0.0
    for stratum in strata:
        owed += share * sum(map(len, stratum))
        stays = []
        for group in stratum:
            if owed > 0 and owed >= len(group) - 0.5:
                owed -= len(group)
                drawn.extend(group)
            else:
                stays.append(group)
        left.append(stays)
    return drawn, left


def fingerprint(rows: Iterable[Conversation]) -> str:
    """16 hexadecimal characters that change when any text or the order of the rows changes."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row.prompt.as_dicts(), row.answer], ensure_ascii=False).encode())
    return digest.hexdigest()[:16]
