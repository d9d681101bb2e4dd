"""What an experiment asks: its settings, and which rows are scored. prompts/comparison.py runs it."""

import hashlib
import json
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from prompts.errors import UserError
from prompts.refining.gates import ARROW, EXAMPLE
from prompts.rows import Row, Table, as_text
from prompts.scoring import Scoring, needs_reference, normal, settled
from prompts.settings import Settings, build, knob
from prompts.techniques import NAMED, AskSettings, technique
from prompts.templates import fill, slots_of
from prompts.words import say


class Variant(Settings):
    """A technique with its settings, under a name."""

    name: str = knob(title="Name", help="What the results call it.", min_length=1, max_length=80)
    technique: str = knob(title="Technique", help=NAMED)
    settings: dict[str, Any] = knob(
        title="Settings", help="The technique's settings; its slots name columns of the rows."
    )


# The usual names of columns of right answers.
USUAL_REFERENCES = (
    "reference", "label", "output", "answer", "completion", "target", "expected", "response", "summary", "sentiment", "solution",
)  # fmt: skip


class Rated(Scoring):
    """Which rows of a table are asked, and how the answers are scored."""

    reference: str = knob(
        "",
        title="Reference column",
        pick=True,
        place=10,
        help=f"The right answers; empty: the first of {', '.join(USUAL_REFERENCES)}.",
    )
    development: float = knob(
        0.0, title="Development share", ge=0, le=0.9, step=0.05, place=30,
        help="Rows set aside for improving prompts; they are never scored here. The others are held out.",
    )  # fmt: skip
    most_rows: int = knob(
        10_000,
        title="At most",
        help="So many rows are asked; which ones, the seed decides.",
        unit="rows",
        ge=1,
        place=32,
    )
    seed: int = knob(0, title="Seed", help="Fixes split, order and draws.", ge=0, le=2**31 - 1, place=34, advanced=True)


class Experiment(Rated):
    """Two or more variants on the same rows."""

    too_long: str = knob(
        "stop", title="Rows too long", pattern="^(stop|skip)$", place=33, advanced=True,
        help="stop: refuse where a row does not fit a model's window. skip: leave such rows out, for every variant.",
    )  # fmt: skip
    variants: tuple[Variant, ...] = knob(title="Variants", help="What is compared.", min_length=1, max_length=20)
    until_decided: bool = knob(
        False, title="Run until decided", place=31,
        help="Stop as soon as every pair is decided, by a test that allows looking every 10 rows.",
    )  # fmt: skip


def read_experiment(path: Path) -> Experiment:
    """An experiment from a JSON or YAML file. Raises UserError."""
    if not path.is_file():
        raise UserError("there is no file {path}", path=path)
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(
            "{name} is neither JSON nor YAML: {reason}", name=path.name, reason=" ".join(str(error).split())[:200]
        ) from None
    if not isinstance(document, dict):
        raise UserError('{name}: expected {{"variants": [...], "scorer": ...}}', name=path.name)
    return build(Experiment, document)


@dataclass(frozen=True)
class EvalSet:
    """The rows that are scored, and how."""

    numbers: list[int]  # of the table, from 0
    rows: list[Row]
    references: list[str]
    labels: list[str]
    notes: list[str]
    column: str = ""  # where the references are


R = TypeVar("R", bound=Rated)


def evalset_of(
    rated: R, table: Table, shown: Sequence[AskSettings] = (), *, development: bool = False
) -> tuple[R, EvalSet]:
    """(`rated` with its scorer settled, the rows to score: never development rows, unless these are wanted, and never rows that one
    of the settings `shown` shows as an example). Raises UserError.
    """
    column = reference_of(rated, table)
    numbers, notes = _held_out(rated, table, column, shown, development=development)
    references = [as_text(table.rows[at].get(column)).strip() for at in numbers] if column else [""] * len(numbers)
    if needs_reference(rated) and (empty := [at + 1 for at, ref in zip(numbers, references, strict=True) if not ref]):
        first = ", ".join(map(str, empty[:5]))
        raise UserError(
            "{empty} rows have no reference in {column!r} (rows {first}); fill or remove them",
            empty=len(empty),
            column=column,
            first=first,
        )
    rated = settled(rated, references)
    labels = list(rated.labels) or sorted({as_text(row.get(column)).strip() for row in table.rows} - {""})
    if rated.scorer == "label" and len(labels) > 100:
        raise UserError(
            "{column!r} holds {labels} different answers, too many for labels",
            column=column,
            labels=len(labels),
            field="scorer",
        )
    return rated, EvalSet(numbers, [table.rows[at] for at in numbers], references, labels, notes, column)


def reference_of(rated: Rated, table: Table) -> str:
    """The column of the right answers, empty where none is needed. Raises UserError."""
    column = rated.reference or next((name for name in USUAL_REFERENCES if name in table.columns), "")
    if (not column and needs_reference(rated)) or (column and column not in table.columns):
        raise UserError(
            "which column of {name} holds the right answers? There are {names}",
            name=table.name,
            names=", ".join(table.columns),
            field="reference",
        )
    return column


def _held_out(
    rated: Rated, table: Table, column: str, settings: Sequence[AskSettings], *, development: bool
) -> tuple[list[int], list[str]]:
    texts = [row_text(row, column) for row in table.rows]
    inside = [in_development(text, rated.development, rated.seed) for text in texts]
    kept = [at for at, inner in enumerate(inside) if inner == development]
    notes = []
    if (aside := len(texts) - len(kept)) and not development:
        notes.append(say("{aside} development rows are not among the held-out rows.", aside=aside))
    examples = {normal(text) for one in settings for text in shown_texts(one, every=True) if text.strip()}
    shown = [at for at in kept if examples & _read_as(table.rows[at], column, settings)] if examples else []
    if shown:
        notes.append(say("{shown} rows are examples of a variant and are not scored.", shown=len(shown)))
        kept = [at for at in kept if at not in set(shown)]
    if not kept:
        which = say("development") if development else say("held-out")
        raise UserError("no {which} rows are left; change the development share", which=which, field="development")
    if getattr(rated, "until_decided", False) or len(kept) > rated.most_rows:
        random.Random(rated.seed).shuffle(kept)
    if len(kept) > rated.most_rows:
        notes.append(
            say(
                "{most_rows} of {kept} rows were drawn by the seed; the others were not asked.",
                most_rows=rated.most_rows,
                kept=len(kept),
            )
        )
    return kept[: rated.most_rows], notes


def row_text(row: Row, reference: str) -> str:
    """A row's content without its answer, for telling rows apart."""
    return json.dumps({name: row[name] for name in sorted(row) if name != reference}, ensure_ascii=False, default=str)


def in_development(text: str, share: float, seed: int) -> bool:
    """The side of a row, by its content: it stays on its side when rows are added."""
    digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share


def shown_texts(settings: AskSettings, *, every: bool = False) -> list[str]:
    """The texts that a prompt shows as examples: those of its technique, and the `Example:` lines of a refined prompt; `every`:
    also those that it could show.
    """
    lines = [line.removeprefix(EXAMPLE) for line in settings.task.splitlines() if line.startswith(EXAMPLE)]
    return [*settings.shown_examples(every=every), *(line.rpartition(ARROW)[0] for line in lines)]


def _read_as(row: Row, column: str, settings: Sequence[AskSettings]) -> set[str]:
    """What a row may look like as an example: each cell, all of them, and what each of the settings makes of it."""
    cells = [as_text(value).strip() for name, value in row.items() if name != column]
    found = {normal(text) for text in (*cells, " ".join(cells))}
    for one in settings:
        if slots_of(one.input):
            with suppress(UserError):
                found.add(normal(fill(one.input, row)))
    return found


def first_row(rated: Rated, table: Table) -> Row:
    """The first row that may be looked at: a development row, where some are set aside."""
    column = rated.reference or next((name for name in USUAL_REFERENCES if name in table.columns), "")
    inside = (row for row in table.rows if in_development(row_text(row, column), rated.development, rated.seed))
    return next(inside, table.rows[0])


def settings_of(variant: Variant) -> AskSettings:
    try:
        return build(technique(variant.technique).settings, variant.settings)
    except UserError as error:
        raise UserError(
            "variant {name!r}: {error}", name=variant.name, error=error.sentence(), field="variants"
        ) from None
