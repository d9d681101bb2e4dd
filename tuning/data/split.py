"""Train and held-out rows: stratified by answer, alike inputs on one side, seeded, fingerprinted."""

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from prompts.errors import UserError
from tuning.data.columns import Conversation

FEW = 50  # at most so many different answers count as labels


@dataclass(frozen=True)
class Split:
    """Row numbers, counted from 0, in the order they are used."""

    train: tuple[int, ...]
    held_out: tuple[int, ...]


def split(rows: Sequence[Conversation], held_out: float, seed: int) -> Split:
    """`held_out`: the share kept for measuring. Rows with the same input stay together. Raises UserError."""
    groups: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        groups[" ".join(row.prompt.plain().casefold().split())].append(at)
    strata = _strata(rows, list(groups.values()))
    rng = random.Random(seed)
    train: list[int] = []
    kept: list[int] = []
    owed = 0.0
    for stratum in strata:
        rng.shuffle(stratum)
        owed += held_out * sum(map(len, stratum))
        for group in stratum:
            side = kept if owed >= len(group) - 0.5 else train
            owed -= len(group) if side is kept else 0
            side.extend(group)
    rng.shuffle(train)
    rng.shuffle(kept)
    if not train or (held_out > 0 and not kept):
        raise UserError(f"{len(rows)} rows are too few to hold out {held_out:.0%}; add rows or change held_out")
    return Split(tuple(train), tuple(kept))


def _strata(rows: Sequence[Conversation], groups: list[list[int]]) -> list[list[list[int]]]:
    answers = {row.answer for row in rows}
    if len(answers) > min(FEW, len(rows) // 2):
        return [groups]
    by_answer: dict[str, list[list[int]]] = defaultdict(list)
    for group in groups:
        by_answer[rows[group[0]].answer].append(group)
    return [by_answer[answer] for answer in sorted(by_answer)]


def fingerprint(rows: Sequence[Conversation]) -> str:
    """16 hexadecimal characters that change when any text or the order of the rows changes."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row.prompt.as_dicts(), row.answer], ensure_ascii=False).encode())
    return digest.hexdigest()[:16]
