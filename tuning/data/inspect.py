"""A table -> what is in it and how it would be used, before anything is trained."""

from collections import Counter
from typing import Any

from prompts.errors import UserError
from prompts.rows import Table
from tuning.data.columns import Columns, conversations, guess, resolve
from tuning.data.split import FEW, fingerprint

SHOWN = 5


def inspection(table: Table, columns: Columns) -> dict[str, Any]:
    """{"data", "rows", "columns", "mapping", "problem", "fingerprint", "labels", "examples"}.

    "problem" is None, or the sentence that says why the table cannot be used with this mapping.
    """
    document: dict[str, Any] = {
        "data": table.name,
        "rows": len(table.rows),
        "columns": list(table.columns),
        "guess": guess(table.columns),
        "sample": table.rows[:SHOWN],
    }
    try:
        columns = resolve(columns, table)
        talks = conversations(table.rows, columns)
    except UserError as error:
        return {**document, "mapping": columns.to_json(), "problem": str(error)}
    answers = Counter(talk.answer for talk in talks)
    few = len(answers) <= min(FEW, len(talks) // 2)
    return {
        **document,
        "mapping": columns.to_json(),
        "problem": None,
        "fingerprint": fingerprint(talks),
        "labels": dict(answers.most_common()) if few else None,
        "examples": [{"messages": talk.prompt.as_dicts(), "answer": talk.answer} for talk in talks[:SHOWN]],
    }
