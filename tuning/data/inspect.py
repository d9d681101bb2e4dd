"""A table -> what is in it and how it would be used, before anything is trained."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from prompts.errors import UserError
from prompts.following import Progress
from prompts.rows import Table
from prompts.scoring import MOST_LABELS, most_labels
from tuning.data.columns import LOOK, Columns, Conversation, conversations, guess, resolve
from tuning.data.split import fingerprint

SHOWN = 5


def inspection(table: Table, columns: Columns) -> dict[str, Any]:
    """{"data", "rows", "columns", "mapping", "problem", "fingerprint", "labels", "examples"}.

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
    try:
        columns = resolve(columns, table)
        talks = conversations(table.rows, columns)
    except UserError as error:
        return {**document, "mapping": columns.to_json(), "problem": error.sentence()}
    answers: Counter[str] = Counter()

    def counted() -> Iterator[Conversation]:
        for talk in talks:
            if len(answers) <= MOST_LABELS or talk.answer in answers:
                answers[talk.answer] += 1
            yield talk

    print_of = fingerprint(counted())
    few = len(answers) <= most_labels(len(talks))
    return {
        **document,
        "mapping": columns.to_json(),
        "problem": None,
        "fingerprint": print_of,
        "labels": dict(answers.most_common()) if few else None,
        "examples": [{"messages": talk.prompt.as_dicts(), "answer": talk.answer} for talk in talks[:SHOWN]],
    }


def examined(table: Table, columns: Columns, progress: Progress | None = None) -> dict[str, Any]:
    """An inspection with "findings", what the doctor found; None where the mapping is not known yet."""
    from tuning.data.doctor import examine

    found = inspection(table, columns)
    try:
        columns = resolve(columns, table)
    except UserError:
        return {**found, "findings": None}
    return {**found, "findings": [finding.document() for finding in examine(table, columns, progress)]}
