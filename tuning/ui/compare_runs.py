"""Several runs side by side: where their recipes differ, what they came to, and their losses."""

from typing import Any

import gradio as gr

from prompts.ui.forms import listen
from prompts.ui.visitor import Caller
from tuning import run as runs
from tuning.compare import compare_runs
from tuning.ui import views


class CompareRuns:
    """`build` fills the place."""

    def build(self) -> None:
        with gr.Accordion("Compare runs", open=False):
            self.several = gr.Dropdown([], label="Runs", multiselect=True, info="Two or more of yours.", min_width=280)
            self.compare = gr.Button("Compare them", size="md", scale=0, min_width=140)
            self.compared = gr.Markdown("", elem_classes="quiet")
            self.losses = gr.LinePlot(
                None, x="step", y="loss", color="run", x_title="Step", y_title="Loss", height=280, label="Training loss"
            )

    def connect(self, visitor: Any) -> None:
        listen(
            self.several.focus,
            _list,
            visitor,
            [self.several],
            self.several,
            name="ui_list_runs",
            show_progress="hidden",
        )
        emptied = listen(self.compare.click, lambda _who: None, visitor, [], self.losses, name="ui_empty_losses",
                         show_progress="hidden")  # fmt: skip
        listen(  # a plot draws no line that it does not know from its first value
            emptied.then, _compare, visitor, [self.several], [self.compared, self.losses], name="ui_compare_runs"
        )


def run_choices(who: Caller) -> list[tuple[str, str]]:
    """(label, id) of the visitor's runs, the newest first."""
    states = [runs.snapshot(run) for run in runs.runs(who.owner)]
    return [(views.run_label(state), state["run"]) for state in states]


def _list(who: Caller, chosen: list[str] | None) -> Any:
    """Where nothing has to go, what is chosen meanwhile stays."""
    choices = run_choices(who)
    known = [run for run in chosen or [] if run in dict(choices).values()]
    return gr.Dropdown(choices=choices) if known == (chosen or []) else gr.Dropdown(choices=choices, value=known)


def _compare(who: Caller, chosen: list[str] | None) -> Any:
    found = compare_runs([runs.find(who.owner, run) for run in chosen or []])
    return views.compared(found), views.compared_losses(found)
