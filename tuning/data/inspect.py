"""A table -> what is in it and how it would be used, before anything is trained."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from prompts.errors import UserError
from prompts.following import Progress, told_to_nobody
from prompts.rows import Table
from prompts.scoring import MOST_LABELS, most_labels
from tuning.data.columns import LOOK, Columns, Conversation, Conversations, checked, guess, resolve
from tuning.data.split import fingerprint

SHOWN = 5


def inspection(table: Table, columns: Columns, tell: Progress = told_to_nobody) -> dict[str, Any]:
    """{"data", "rows", "columns", "mapping", "problem", "fingerprint", "labels", "examples"}; `tell` is told the rows.

    "problem" is None, or the sentence that says why the table cannot be used with this mapping.
    """
    document: dict[str, Any] = {
        "data": table.name,
        "rows": len(table.rows),
        "columns": list(table.columns),
        "notes": list(table.notes),
        "guess": guess(table.columns, table.rows[:LOOK]),
        "sample": table.rows[:SHOWN],
    }
    answers: Counter[str] = Counter()

    def counted() -> Iterator[Conversation]:
        for talk in checked(table.rows, columns, tell):
            if len(answers) <= MOST_LABELS or talk.answer in answers:
                answers[talk.answer] += 1
            yield talk

    try:
        columns = resolve(columns, table)
        print_of = fingerprint(counted())
    except UserError as error:
        return {**document, "mapping": columns.to_json(), "problem": error.sentence()}
    few = len(answers) <= most_labels(len(table.rows))
    first = Conversations(table.rows, columns)[:SHOWN]
    return {
        **document,
        "mapping": columns.to_json(),
        "problem": None,
        "fingerprint": print_of,
        "labels": dict(answers.most_common()) if few else None,
        "examples": [{"messages": talk.prompt.as_dicts(), "answer": talk.answer} for talk in first],
    }


def examined(table: Table, columns: Columns, progress: Progress = told_to_nobody) -> dict[str, Any]:
    """An inspection with "findings", what the doctor found; None where the mapping is not known yet."""
    from tuning.data.doctor import examine

    found = inspection(table, columns)
    try:
        columns = resolve(columns, table)
    except UserError:
        return {**found, "findings": None}
    return {**found, "findings": [finding.document() for finding in examine(table, columns, progress)]}
