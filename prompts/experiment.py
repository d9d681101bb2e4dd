"""What an experiment asks: its settings, and which rows are scored. prompts/comparison.py runs it."""

import hashlib
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from prompts.errors import UserError
from prompts.rows import Row, Table
from prompts.scoring import Scoring, needs_reference, normal, settled
from prompts.settings import Settings, build, knob
from prompts.techniques import AskSettings, technique
from prompts.techniques.few_shot import FewShotSettings


class Variant(Settings):
    """A technique with its settings, under a name."""

    name: str = knob(title="Name", help="What the results call it.", min_length=1, max_length=80)
    technique: str = knob(title="Technique", help="iterative_refinement, contextual, chain_of_thought or few_shot.")
    settings: dict[str, Any] = knob(
        title="Settings", help="The technique's settings; its slots name columns of the rows."
    )


class Experiment(Scoring):
    """Two or more variants on the same rows."""

    variants: tuple[Variant, ...] = knob(title="Variants", help="What is compared.", min_length=1, max_length=20)
    reference: str = knob(
        "",
        title="Reference column",
        pick=True,
        place=10,
        help="The right answers; empty: label, output, answer or reference.",
    )
    development: float = knob(
        0.0, title="Development share", ge=0, le=0.9, step=0.05, place=30,
        help="Rows set aside for improving prompts; they are never scored here. The others are held out.",
    )  # fmt: skip
    until_decided: bool = knob(
        False, title="Run until decided", place=31,
        help="Stop as soon as every pair is decided, by a test that allows looking every 10 rows.",
    )  # fmt: skip
    most_rows: int = knob(
        10_000,
        title="At most",
        help="So many rows are asked; which ones, the seed decides.",
        unit="rows",
        ge=1,
        place=32,
    )
    too_long: str = knob(
        "stop", title="Rows too long", pattern="^(stop|skip)$", place=33, advanced=True,
        help="stop: refuse where a row does not fit a model's window. skip: leave such rows out, for every variant.",
    )  # fmt: skip
    seed: int = knob(0, title="Seed", help="Fixes split, order and draws.", ge=0, le=2**31 - 1, place=34, advanced=True)


def read_experiment(path: Path) -> Experiment:
    """An experiment from a JSON or YAML file. Raises UserError."""
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name} is neither JSON nor YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(document, dict):
        raise UserError(f'{path.name}: expected {{"variants": [...], "scorer": ...}}')
    return build(Experiment, document)


USUAL_REFERENCES = ("reference", "label", "output", "answer", "completion", "target", "expected")


@dataclass(frozen=True)
class Task:
    """The rows that are scored, and how."""

    numbers: list[int]  # of the table, from 0
    rows: list[Row]
    references: list[str]
    labels: list[str]
    notes: list[str]
    column: str = ""  # where the references are


def task_of(experiment: Experiment, table: Table) -> tuple[Experiment, Task]:
    """(the experiment with its scorer settled, the rows to score: never development rows, never rows that a variant shows as an
    example). Raises UserError.
    """
    names = [variant.name for variant in experiment.variants]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"two variants are called {twice!r}; rename one", field="variants")
    column = experiment.reference or next((name for name in USUAL_REFERENCES if name in table.columns), "")
    if (not column and needs_reference(experiment)) or (column and column not in table.columns):
        raise UserError(
            f"which column of {table.name} holds the right answers? There are {', '.join(table.columns)}",
            field="reference",
        )
    numbers, notes = _held_out(experiment, table, column)
    references = [_text(table.rows[at].get(column)) for at in numbers] if column else [""] * len(numbers)
    if needs_reference(experiment) and (
        empty := [at + 1 for at, ref in zip(numbers, references, strict=True) if not ref]
    ):
        shown = ", ".join(map(str, empty[:5]))
        raise UserError(f"{len(empty)} rows have no reference in {column!r} (rows {shown}); fill or remove them")
    experiment = settled(experiment, references)
    labels = list(experiment.labels) or sorted({_text(row.get(column)) for row in table.rows} - {""})
    if experiment.scorer == "label" and len(labels) > 100:
        raise UserError(f"{column!r} holds {len(labels)} different answers, too many for labels", field="scorer")
    return experiment, Task(numbers, [table.rows[at] for at in numbers], references, labels, notes, column)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _held_out(experiment: Experiment, table: Table, column: str) -> tuple[list[int], list[str]]:
    texts = [row_text(row, column) for row in table.rows]
    kept = [at for at, text in enumerate(texts) if not in_development(text, experiment.development, experiment.seed)]
    notes = []
    if aside := len(texts) - len(kept):
        notes.append(f"{aside} development rows are not scored.")
    examples = _examples(experiment)
    shown = [
        at
        for at in kept
        if examples & {normal(_text(value)) for name, value in table.rows[at].items() if name != column}
    ]
    if shown:
        notes.append(f"{len(shown)} rows are examples of a variant and are not scored.")
        kept = [at for at in kept if at not in set(shown)]
    if not kept:
        raise UserError("no rows are left to score", field="development")
    if experiment.until_decided or len(kept) > experiment.most_rows:
        random.Random(experiment.seed).shuffle(kept)
    if len(kept) > experiment.most_rows:
        notes.append(f"{experiment.most_rows} of {len(kept)} rows were drawn (most_rows).")
    return kept[: experiment.most_rows], notes


def row_text(row: Row, reference: str) -> str:
    """A row's content without its answer, for telling rows apart."""
    return json.dumps({name: row[name] for name in sorted(row) if name != reference}, ensure_ascii=False, default=str)


def in_development(text: str, share: float, seed: int) -> bool:
    """The side of a row, by its content: it stays on its side when rows are added."""
    digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share


def _examples(experiment: Experiment) -> set[str]:
    found: set[str] = set()
    for variant in experiment.variants:
        settings = settings_of(variant)
        if isinstance(settings, FewShotSettings):
            found |= {normal(example.input) for example in settings.examples if example.input.strip()}
    return found


def settings_of(variant: Variant) -> AskSettings:
    try:
        return build(technique(variant.technique).settings, variant.settings)
    except UserError as error:
        raise UserError(f"variant {variant.name!r}: {error}", field="variants") from None
