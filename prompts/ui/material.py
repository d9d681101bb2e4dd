"""Uploaded files as the documents or the examples of a prompt."""

from pathlib import Path
from typing import Any

import gradio as gr

from prompts.errors import UserError
from prompts.experiment import USUAL_REFERENCES
from prompts.files.encoding import detect
from prompts.rows import as_text, read_table
from prompts.ui.visitor import Caller
from prompts.words import say

MOST_BYTES = 2_000_000  # of one document
MOST_EXAMPLES = 500


def fill_documents(_who: Caller, files: list[str], rows: Any) -> list[list[str]]:
    """The documents so far with the uploaded ones. Raises UserError for a file that is no text."""
    found = _filled(rows)
    for path in map(Path, files):
        if path.stat().st_size > MOST_BYTES:
            raise UserError(
                "{name} has more than {most_bytes:,} bytes; attach the part that matters",
                name=path.name,
                most_bytes=MOST_BYTES,
                field="documents",
            )
        found.append([path.name, path.read_text(encoding=detect(path).name)])
    return found


def fill_examples(_who: Caller, files: list[str], rows: Any) -> list[list[str]]:
    """The examples so far with the rows of the uploaded files: the usual column of answers, and the others as input."""
    found = _filled(rows)
    for path in map(Path, files):
        table = read_table(path)
        output = next((name for name in USUAL_REFERENCES if name in table.columns), "")
        inputs = [name for name in table.columns if name != output]
        if not output or not inputs:
            raise UserError(
                "{name}: name the column of the answers one of {names}, beside one with the text",
                name=path.name,
                names=", ".join(USUAL_REFERENCES),
                field="examples",
            )
        if len(found) + len(table.rows) > MOST_EXAMPLES:
            raise UserError(
                "{name}: at most {most_examples} examples; upload a part of them",
                name=path.name,
                most_examples=MOST_EXAMPLES,
                field="examples",
            )
        made = [[_text(row, inputs), as_text(row[output]).strip()] for row in table.rows]
        if empty := [number for number, (text, answer) in enumerate(made, 1) if not text or not answer]:
            rows_named = ", ".join(map(str, empty[:5]))
            raise UserError(
                "{name}: {empty} rows lack a text or an answer (rows {rows_named})",
                name=path.name,
                empty=len(empty),
                rows_named=rows_named,
                field="examples",
            )
        found += made
    gr.Info(say("{found} examples; “which examples” says how they are chosen for a question.", found=len(found)))
    return found


def _text(row: dict[str, Any], columns: list[str]) -> str:
    return "\n\n".join(str(row[name]) for name in columns if row[name] not in (None, ""))


def _filled(rows: Any) -> list[list[str]]:
    return [
        ["" if cell is None else str(cell) for cell in row]
        for row in rows or []
        if any(str(cell or "").strip() for cell in row)
    ]
