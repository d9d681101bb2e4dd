"""The lock on held-out rows: no prompt shows them, and no model that learned a row is scored on it. Rows are known by content.

A run's folder holds held_out.keys and train.keys, 16 characters a line, and held_out.jsonl, the rows themselves.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prompts.errors import NotFound, UserError
from prompts.home import RUN_PREFIX, owner_folder, run_folder
from prompts.rows import Table, read_table, sample_table
from prompts.scoring import folded
from prompts.uploads import UPLOAD, uploaded_table

HELD_OUT, TRAINED, ROWS = "held_out.keys", "train.keys", "held_out.jsonl"
LENGTH = 16


def keys_of(texts: Iterable[str]) -> set[str]:
    """What a row is known by: all its texts together, and the longest of them. White space and case do not matter."""
    normal = [found for text in texts if (found := folded(text))]
    return {_key(" ".join(normal)), _key(max(normal, key=len))} if normal else set()


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def row_keys(row: Mapping[str, Any], without: str = "") -> set[str]:
    """The keys of a table's row, its answer aside."""
    return keys_of(value for name, value in row.items() if name != without and isinstance(value, str))


def write(folder: Path, name: str, rows: Iterable[set[str]]) -> None:
    """One line a row."""
    with (folder / name).open("w", encoding="utf-8") as file:
        file.writelines(" ".join(sorted(keys)) + "\n" for keys in rows)


def _read(file: Path) -> set[str]:
    return set(file.read_text("utf-8").split()) if file.is_file() else set()


def locked_keys(owner: str) -> set[str]:
    """What the rows are known by that any of the owner's runs holds out."""
    return set().union(*(_read(file) for file in owner_folder(owner, "runs").glob(f"*/{HELD_OUT}")))


def check_examples(owner: str, examples: Sequence[str]) -> None:
    """Raises UserError where the input of an example is a row that one of the owner's runs holds out."""
    wanted = [keys_of([text]) for text in examples]
    if not any(wanted):
        return
    for file in owner_folder(owner, "runs").glob(f"*/{HELD_OUT}"):
        locked = _read(file)
        for number, keys in enumerate(wanted, 1):
            if keys & locked:
                raise UserError(
                    "example {number} is a held-out row of run {name}: a prompt that shows it could not be "
                    "measured on it; choose another example, or delete the run",
                    number=number,
                    name=file.parent.name,
                    field="examples",
                )


def check_unseen(owner: str, model: str, rows: Iterable[set[str]], numbers: Sequence[int]) -> None:
    """Raises UserError where `model` is a run of the owner's that was trained on one of these rows (numbers from 0)."""
    if not model.startswith(RUN_PREFIX):
        return
    try:
        seen = _read(run_folder(owner, model) / TRAINED)
    except NotFound:
        return  # said by whoever opens it
    known = [number + 1 for number, keys in zip(numbers, rows, strict=True) if keys & seen]
    if known:
        raise UserError(
            "{model} was trained on {known} of {numbers} rows (rows {names}): a score on them would "
            "be memory, not skill. Use its held-out rows, {model}, as the data, or rows that are new",
            model=model,
            known=len(known),
            numbers=len(numbers),
            names=", ".join(map(str, known[:5])),
        )


def check_rows(owner: str, settings: Any, evalset: Any) -> None:
    """Raises UserError where these settings of a technique may not be scored on these rows: as the two checks above."""
    from prompts.experiment import shown_texts

    check_examples(owner, shown_texts(settings))
    check_unseen(owner, settings.model, [row_keys(row, evalset.column) for row in evalset.rows], evalset.numbers)


def named_table(name: str, owner: str) -> Table:
    """A sample of the app's own, what the owner brought (upload:<id>), or the rows that `run:<id>` holds out. Raises UserError."""
    if name.startswith(UPLOAD):
        return uploaded_table(owner, name)
    return read_table(held_out_file(owner, name)) if name.startswith(RUN_PREFIX) else sample_table(name)


def held_out_file(owner: str, run: str) -> Path:
    """The held-out rows of a run, as JSONL. Raises NotFound, or UserError where it held out none."""
    file = run_folder(owner, run) / ROWS
    if not file.is_file():
        raise UserError("run {run} holds out no rows", run=run.removeprefix(RUN_PREFIX), field="sample")
    return file
