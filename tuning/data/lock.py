"""A run's held-out rows, locked: what they and the training rows are known by, written into its folder."""

import json
from pathlib import Path

from prompts import held_out
from prompts.rows import Row, Table
from prompts.templates import fill, template_of
from tuning.data.columns import Columns, texts
from tuning.data.split import Split


def lock(folder: Path, table: Table, columns: Columns, parts: Split) -> None:
    """What held-out and training rows are known by, and the held-out rows themselves."""
    for name, numbers in ((held_out.HELD_OUT, parts.held_out), (held_out.TRAINED, (*parts.train, *parts.validation))):
        held_out.write(folder, name, (_keys(table.rows[at], columns) for at in numbers))
    if parts.held_out:
        rows = (json.dumps(table.rows[at], ensure_ascii=False) + "\n" for at in parts.held_out)
        (folder / held_out.ROWS).write_text("".join(rows), encoding="utf-8")


def _keys(row: Row, columns: Columns) -> set[str]:
    if columns.messages or not columns.input:
        given, answer = texts(row, columns)
        return held_out.keys_of([given, answer]) | held_out.keys_of([given])
    shown = fill(template_of(columns.input), row)
    return held_out.row_keys({name: row[name] for name in columns.input}) | held_out.keys_of([shown])
