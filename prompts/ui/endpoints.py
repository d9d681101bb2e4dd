"""The public endpoints of the prompting side that belong to no single technique."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from prompts.asking import rendered_document
from prompts.backends import OnDevice
from prompts.comparison import run
from prompts.errors import UserError
from prompts.experiment import Experiment, Variant
from prompts.following import paced
from prompts.held_out import named_table
from prompts.rows import FORMATS, SAMPLE_TITLES, Table, read_table
from prompts.settings import build
from prompts.techniques import technique
from prompts.ui.forms import endpoint
from prompts.ui.technique_tab import opener
from prompts.ui.visitor import Caller


def uploaded(file: Any) -> Path:
    """The path of a file that came with this call. Raises UserError for any other path of this machine."""
    given = file if isinstance(file, dict) else file.model_dump()
    path = Path(str(given.get("path"))).resolve()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()):
        raise UserError("upload the file first; a path of this machine is not read", field="file")
    return path


def given_table(who: Caller, file: Any, rows: list[dict[str, Any]], sample: str) -> Table:
    """The rows of a call: of its file, its own, or a sample. Raises UserError."""
    if sum(map(bool, (file, rows, sample))) != 1:
        raise UserError("give one of file, rows and sample", field="file")
    if file:
        path = uploaded(file)
        table = read_table(path)
        path.unlink(missing_ok=True)  # the rows are read
        return table
    if sample:
        return named_table(sample, who.owner)
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return Table("rows", columns, [{name: row.get(name) for name in columns} for row in rows])


ROWS: dict[str, tuple[Any, Any, str]] = {
    "file": (gr.FileData | None, None, f"{FORMATS} with the columns that the slots name."),
    "rows": (list[dict[str, Any]], [], "Instead of a file: the rows themselves."),
    "sample": (
        str,
        "",
        f"Instead of a file: one of {', '.join(SAMPLE_TITLES)}; or run:<id>, the rows that your run holds out.",
    ),
}


def publish_prompt_endpoints(on_device: OnDevice) -> None:
    """Adds the endpoints to the current Blocks."""

    def compare_prompts(
        who: Caller, settings: Experiment, file: Any = None, rows: Any = None, sample: str = ""
    ) -> Iterator[dict[str, Any]]:
        table = given_table(who, file, rows or [], sample)
        yield from paced(run(settings, table, who.owner, opener(who, on_device)), moved=True)

    def render_prompt(who: Caller, settings: Variant, row: dict[str, Any]) -> dict[str, Any]:
        found = technique(settings.technique)
        return rendered_document(found, build(found.settings, settings.settings), opener(who, on_device), row)

    endpoint(Experiment, compare_prompts, name="compare_prompts", extra=ROWS,
             text="Compare prompt variants on the same rows: scores with 95 % intervals, and a verdict on every pair. Streams "
             "progress; the last document is the result.")  # fmt: skip
    endpoint(Variant, render_prompt, name="render_prompt", extra={"row": (dict[str, Any], {}, "Values for the slots.")},
             text="The exact string and token ids that a model would read, and where each part came from.")  # fmt: skip
