"""A sweep on the page: what varies, the trials as they come, the best one. It follows the sweep's folder."""

from typing import Any

import gradio as gr

from prompts.backends import OnDevice
from prompts.errors import NotFound, UserError
from prompts.ui.forms import Form, form, listen
from prompts.ui.visitor import Caller
from prompts.words import say
from tuning import sweep as sweeps
from tuning.data.columns import Columns
from tuning.data.sources import open_table
from tuning.launch.start import start_sweep
from tuning.recipe import Recipe
from tuning.search import Search
from tuning.ui import views
from tuning.work import ACTIVE

NONE = (
    "No sweep yet. It uses the data and the recipe above, changes what you name, and keeps the best by validation loss."
)


class SweepSection:
    """Made outside any tab, where the browser restores the sweep in hand; `build` fills the place."""

    def __init__(self, visitor: Any, on_device: OnDevice) -> None:
        self.visitor, self.on_device = visitor, on_device
        self.sweep = gr.BrowserState("", storage_key="prompt-or-tune-sweep", secret="sweep")
        self.timer = gr.Timer(2, active=False)

    def build(self) -> None:
        with gr.Accordion("Sweep: try several recipes", open=False):
            self.form: Form = form(Search)
            with gr.Row():
                self.start = gr.Button("Start sweep", size="md", min_width=120)
                self.cancel = gr.Button("Cancel", size="md", scale=0, min_width=90)
                self.resume = gr.Button("Resume", size="md", scale=0, min_width=90)
                self.delete = gr.Button("Delete", size="md", scale=0, min_width=90)
            self.status = gr.Markdown(NONE, elem_classes="quiet")
            self.trials = gr.Dataframe(
                headers=["#", "State", "Settings", "Validation loss", "Training loss", "Run"], datatype="str", interactive=False,
                wrap=True, max_height=320, show_search="none", label="Trials, best first", elem_classes="rows", visible=False,
                column_widths=["44px", "95px", "170px", "95px", "125px", "124px"],
            )  # fmt: skip

    def connect(self, data: Any, recipe: Form, listed: Any, list_runs: Any) -> None:
        """`data` and `recipe` are what the trials share; `list_runs` fills the list of runs `listed` again as trials come."""
        split = len(data.columns.inputs)

        def started(who: Caller, source: str, *values: Any) -> Any:
            if not source:
                raise UserError("choose sample data or upload a file first", field="data")
            columns: Columns = data.columns.read(values[:split])
            middle = split + len(recipe.inputs)
            chosen: Recipe = recipe.read(values[split:middle])
            search: Search = self.form.read(values[middle:])
            sweep = sweeps.create(who.owner, open_table(who.owner, source), chosen, columns, search)
            start_sweep(sweep, who.token, self.on_device)
            return sweep.id

        inputs = [data.source, *data.columns.inputs, *recipe.inputs, *self.form.inputs]
        begun = listen(self.start.click, started, self.visitor, inputs, self.sweep, name="ui_start_sweep")
        stopped = listen(self.cancel.click, _cancel, self.visitor, [self.sweep], self.status, name="ui_cancel_sweep")
        resumed = listen(
            self.resume.click, self._resume, self.visitor, [self.sweep], self.status, name="ui_resume_sweep"
        )
        shown = [self.status, self.trials, self.timer, listed]

        def look(who: Caller, sweep: str, run: str) -> list[Any]:
            return [*_shown(who, sweep), list_runs(who, run)]

        deleted = listen(self.delete.click, _delete, self.visitor, [self.sweep], self.sweep, name="ui_delete_sweep")
        for name, event in {"start": begun, "cancel": stopped, "resume": resumed, "delete": deleted}.items():
            listen(
                event.success,
                look,
                self.visitor,
                [self.sweep, listed],
                shown,
                name=f"ui_sweep_after_{name}",
                show_progress="hidden",
            )
        listen(self.timer.tick, look, self.visitor, [self.sweep, listed], shown, name="ui_sweep_tick", show_progress="hidden",
               concurrency_limit=None)  # fmt: skip

    def _resume(self, who: Caller, sweep: str) -> str:
        found = sweeps.find(who.owner, _chosen(sweep)).make_ready()
        start_sweep(found, who.token, self.on_device)
        return views.swept(sweeps.snapshot(found))

    def on_load(self, after: Any) -> None:
        """After a reload: the sweep in hand comes back."""
        listen(after, _shown, self.visitor, [self.sweep], [self.status, self.trials, self.timer], name="ui_reload_sweep",
               show_progress="hidden")  # fmt: skip


def _cancel(who: Caller, sweep: str) -> str:
    found = sweeps.find(who.owner, _chosen(sweep))
    found.ask_to_stop()
    return views.swept(sweeps.snapshot(found)) + say(" · stopping…")


def _delete(who: Caller, sweep: str) -> str:
    sweeps.find(who.owner, _chosen(sweep)).delete()
    return ""


def _chosen(sweep: str) -> str:
    if not sweep:
        raise UserError("there is no sweep yet; start one")
    return sweep


def _shown(who: Caller, sweep: str) -> list[Any]:
    try:
        found = sweeps.snapshot(sweeps.find(who.owner, sweep))
    except NotFound:
        return [say(NONE), gr.Dataframe(visible=False), gr.Timer(active=False)]
    rows = gr.Dataframe(value=views.trial_rows(found), visible=True)
    return [views.swept(found), rows, gr.Timer(active=found["status"] in ACTIVE)]
