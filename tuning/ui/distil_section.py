"""Distilling on the page: the best prompt of the ladder in hand answers rows, and what it agrees on becomes training data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from prompts.backends import OnDevice
from prompts.errors import UserError
from prompts.following import paced
from prompts.rows import read_table
from prompts.ui.forms import Form, form, listen, stop_button, stops
from prompts.ui.progress import TimeLeft
from prompts.ui.visitor import Caller
from prompts.words import say
from tuning.data.columns import Columns
from tuning.distil import Distil, distil
from tuning.ladder import work
from tuning.ui.parameters import to_download
from tuning.ui.tune_tab import TuneTab


class DistilSection:
    """`build` fills the place."""

    def __init__(self, visitor: Any, on_device: OnDevice) -> None:
        self.visitor, self.on_device = visitor, on_device

    def build(self) -> None:
        with gr.Accordion("Distil the winner into a short prompt", open=False):
            gr.Markdown(
                "The best prompt (or another rung) answers rows several times; where its answers agree, the row becomes training "
                "data with the short prompt. Rows that a run holds out are left aside.", elem_classes="quiet",
            )  # fmt: skip
            self.rows = gr.File(label="Rows to ask, with the run's input columns; none: its training rows", type="filepath",
                                height=150, elem_id="distil-file")  # fmt: skip
            self.form: Form = form(Distil)
            with gr.Row():
                self.start = gr.Button("Distil", size="md", scale=0, min_width=140)
                self.stop = stop_button()
            self.status = gr.Markdown("", elem_classes="quiet")
            self.files = gr.File(label="Training data and preference pairs", interactive=False, visible=False)
            self.take = gr.Button("Fine-tune on it", variant="primary", visible=False)
            self.source = gr.State("")

    def connect(self, ladder: Any, key: Any) -> None:
        """`ladder` holds the id of the ladder in hand, `key` a model server's key."""
        shown = [self.status, self.files, self.take, self.source]
        going = listen(self.start.click, self._distil, self.visitor, [ladder, key, self.rows, *self.form.inputs], shown,
                       name="ui_distil", line=self.status)  # fmt: skip
        stops(self.stop, going, self.status, name="distil")

    def lead_to(self, tune: TuneTab, pages: Any) -> None:
        """Connects the button: what was distilled becomes the data of the fine-tune tab."""
        data, widgets = tune.data, tune.recipe.widgets

        def take(who: Caller, source: str, *shares: float) -> dict[Any, Any]:
            shown = data.inspected(who, source, Columns(messages="messages"), *shares)
            gr.Info(say("The distilled rows are the data now; check them, then start the training."))
            return {**shown, pages: gr.Tabs(selected="fine_tune")}

        listen(self.take.click, take, self.visitor, [self.source, widgets["held_out"], widgets["validation"]],
               [*data.shown, pages], name="ui_tune_from_distilled")  # fmt: skip

    def _distil(self, who: Caller, ladder: str, key: str, path: str | None, *values: Any) -> Iterator[Any]:
        if not ladder:
            raise UserError("climb a ladder first, or choose one of yours")
        table = read_table(Path(path)) if path else None
        events = distil(work.find(who.owner, ladder), self.form.read(values), table, token=who.token, key=key or who.key,
                        on_device=self.on_device)  # fmt: skip
        yield {self.status: say("Making the teacher's prompts…")}
        event: dict[str, Any] = {}
        progress = TimeLeft()
        for event in paced(events):
            if event["event"] == "asking":
                yield {self.status: progress.line(event)}
        files = [copy for file in (event["file"], event["pairs_file"]) if (copy := to_download(file))]
        yield {
            self.status: said(event),
            self.files: gr.File(value=files, visible=True),
            self.take: gr.Button(visible=True),
            self.source: event["source"],
        }


def said(found: dict[str, Any]) -> str:
    """What was kept, as Markdown."""
    dropped = ", ".join(f"{count} {say(why)}" for why, count in found["dropped"].items() if count) or say("none")
    kept = say("**{kept} of {rows} rows kept**, {pairs} preference pairs.", **found)
    hint = say(
        "After the training, score the student in Monitor on the held-out rows of the first run (data: run:<its id>)."
    )
    return say("{kept} Left out: {dropped}. {note} {hint}", kept=kept, dropped=dropped, note=found["note"], hint=hint)
