"""A table -> what is in it and how it would be used, before anything is trained."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from prompts.errors import UserError
from prompts.following import Progress, part, told_to_nobody
from prompts.home import write_whole
from prompts.rows import Table
from prompts.scoring import MOST_LABELS, most_labels
from tuning.data.columns import LOOK, Columns, Conversation, Conversations, checked, guess, resolve
from tuning.data.split import fingerprint

SHOWN = 5


def inspection(
    table: Table, columns: Columns, tell: Progress = told_to_nobody, keep: Path | None = None
) -> dict[str, Any]:
    """{"data", "rows", "columns", "mapping", "problem", "fingerprint", "labels", "examples"}; `tell` is told the rows.

    "problem" is None, or the sentence that says why the table cannot be used with this mapping. `keep`: a file of this table
    alone, in which what all rows held is kept, so that they are not looked through again for the same mapping.
    """
    document: dict[str, Any] = {
        "data": table.name,
        "rows": len(table.rows),
        "columns": list(table.columns),
        "notes": list(table.notes),
        "guess": guess(table.columns, table.rows[:LOOK]),
        "sample": table.rows[:SHOWN],
    }
    try:
        columns = resolve(columns, table)
        held = _kept(keep, columns) or _held(table, columns, tell, keep)
    except UserError as error:
        return {**document, "mapping": columns.to_json(), "problem": error.sentence()}
    first = Conversations(table.rows, columns)[:SHOWN]
    examples = [{"messages": talk.prompt.as_dicts(), "answer": talk.answer} for talk in first]
    return {**document, "problem": None, **held, "examples": examples}


def _held(table: Table, columns: Columns, tell: Progress, keep: Path | None) -> dict[str, Any]:
    """What all rows have to be looked through for. Raises UserError of rows that cannot be used."""
    answers: Counter[str] = Counter()

    def counted() -> Iterator[Conversation]:
        for talk in checked(table.rows, columns, tell):
            if len(answers) <= MOST_LABELS or talk.answer in answers:
                answers[talk.answer] += 1
            yield talk

    print_of = fingerprint(counted())
    few = len(answers) <= most_labels(len(table.rows))
    labels = dict(answers.most_common()) if few else None
    held = {"mapping": columns.to_json(), "fingerprint": print_of, "labels": labels}
    if keep:
        with suppress(OSError):  # no room, or the table is gone
            write_whole(keep, json.dumps(held, ensure_ascii=False))
    return held


def _kept(file: Path | None, columns: Columns) -> dict[str, Any] | None:
    """What was kept of this mapping."""
    with suppress(OSError, ValueError):  # nothing yet
        found: dict[str, Any] = json.loads(file.read_text("utf-8")) if file else {}
        return found if found.get("mapping") == columns.to_json() else None
    return None


def examined(table: Table, columns: Columns, progress: Progress = told_to_nobody) -> dict[str, Any]:
    """An inspection with "findings", what the doctor found; None where the mapping is not known yet."""
    from tuning.data.doctor import examine

    found = inspection(table, columns, part(progress, 0.0, 0.3))
    try:
        columns = resolve(columns, table)
    except UserError:
        return {**found, "findings": None}
    return {**found, "findings": [one.document() for one in examine(table, columns, part(progress, 0.3, 0.7))]}
