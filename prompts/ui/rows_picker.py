"""Which rows: a sample of the app's own, the held-out rows of a run, an uploaded file, or pasted rows."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from prompts.following import Progress
from prompts.held_out import named_table
from prompts.home import adapters
from prompts.rows import SAMPLE_TITLES, Table, read_table
from prompts.ui.forms import listen
from prompts.ui.intake import Intake, Shown
from prompts.ui.visitor import Caller
from prompts.uploads import save_upload, uploads
from prompts.words import say


class RowsPicker:
    """Sample or run, file, pasted; `inputs` are what `picked_table` takes."""

    def __init__(self, name: str) -> None:
        titles = [(title, sample) for sample, title in SAMPLE_TITLES.items()]
        self.sample = gr.Dropdown(titles, value=titles[0][1], label="Sample data", min_width=280,
                                  info="Data of the app's own, or what a run of yours holds out; your file takes its place.",
                                  allow_custom_value=True)  # fmt: skip
        self.file = gr.File(label="Or your own file", type="filepath", height=150, elem_id=f"{name}-file")
        self.intake = Intake()
        self.pasted = gr.Textbox(
            label="Or paste rows", lines=3, max_lines=10, min_width=280,
            info="CSV with a header line, or one JSON object a line. Pasted rows take the place of a file.",
        )  # fmt: skip

    @property
    def inputs(self) -> list[Any]:
        return [self.sample, self.file, self.pasted]

    def on_load(self, demo: Any, visitor: Any, name: str) -> Any:
        """After a load: the visitor's runs are in the list. Returns that event."""
        listed = listen(demo.load, lambda who: gr.Dropdown(choices=choices_of(who)), visitor, [], self.sample, name=name,
                        show_progress="hidden")  # fmt: skip
        kept = listen(self.file.upload, self._keep, visitor, [self.file], [self.sample, self.file, *self.intake.parts],
                      name=f"{name}_file", cancels=[listed], show_progress="hidden")  # fmt: skip
        self.intake.stops([kept], f"{name}_file")
        return listed

    def _keep(self, who: Caller, path: str) -> Iterator[Shown]:
        """The file becomes the visitor's data, under its name in the list; Gradio's copy goes."""

        def kept(tell: Progress) -> Shown:
            source = save_upload(who.owner, Path(path), tell=tell)
            Path(path).unlink(missing_ok=True)
            return {self.sample: gr.Dropdown(choices=choices_of(who), value=source), self.file: None}

        yield from self.intake.shown(kept)


def choices_of(who: Caller) -> list[tuple[str, str]]:
    """(label, name) of all rows that a visitor may pick."""
    return [
        *((say(title), name) for name, title in SAMPLE_TITLES.items()),
        *((say("Your data: {name}", name=name), source) for name, source in uploads(who.owner)),
        *((say("Held-out rows of {name}", name=name), name) for name in adapters(who.owner)),
    ]


def picked_table(who: Caller, sample: str, path: str | None, pasted: str | None) -> Table:
    """The rows of a picker's inputs. Raises UserError."""
    if pasted and pasted.strip():
        suffix = ".jsonl" if pasted.lstrip().startswith("{") else ".csv"
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"pasted{suffix}"
            file.write_text(pasted, encoding="utf-8")
            return read_table(file)
    return read_table(Path(path)) if path else named_table(sample, who.owner)
