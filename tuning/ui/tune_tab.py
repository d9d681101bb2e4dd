"""The fine-tune tab: data, recipe, training, result. It follows the run's folder; it owns no facts about it."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr

from prompts.backends import OnDevice
from prompts.errors import NotFound, UserError
from prompts.following import Progress, told_meanwhile
from prompts.techniques import prompt_words
from prompts.ui.choice import choice
from prompts.ui.forms import Form, form, listen, stop_button, stops
from prompts.ui.intake import Intake, Shown
from prompts.ui.progress import TimeLeft, duration, time_left
from prompts.ui.technique_tab import TechniqueTab
from prompts.ui.visitor import Caller
from prompts.usual import left, remember
from prompts.words import say
from tuning import run as runs
from tuning.allowance import allowance
from tuning.data.columns import Columns
from tuning.data.sources import open_table
from tuning.forecast import forecast
from tuning.launch.begin import begin, begin_new
from tuning.recipe import Recipe
from tuning.slices import lease_seconds
from tuning.ui import views
from tuning.ui.compare_runs import CompareRuns, run_choices
from tuning.ui.data_section import DataSection
from tuning.ui.jobs_section import JobsSection
from tuning.ui.publish_section import PublishSection
from tuning.ui.publish_views import published
from tuning.ui.result_section import ResultSection, chosen
from tuning.ui.sweep_section import SweepSection
from tuning.work import ACTIVE

LESSON = """When no prompt is good enough, **teach the model with examples of your own**.

1. *Data*: clean, varied, representative; look at the rows before you train on them, and ask whom they leave out.
2. *Base*: start from the smallest model that could do it. *LoRA* trains a small adapter and leaves the base as it is.
3. *Recipe*: change one thing at a time: learning rate, epochs, batch size.
4. *Watch* the loss on held-out rows: when it rises while the training loss falls, the model learns by heart.
5. *Measure* base against tuned on rows that training never saw, publish what you measured, and keep measuring."""


EVERY = 4  # seconds: each time Gradio's page tells every component that ever waited; at 1 it took 0.8 of a core from the training
NO_RUN = "No run yet. Training runs on by itself: you may close or reload the page."


class TuneTab:
    """What the tab remembers is made at once, outside any tab, where the browser restores it on load; `build` fills the tab."""

    def __init__(self, visitor: Any, on_device: OnDevice) -> None:
        self.visitor, self.on_device = visitor, on_device
        self.data, self.sweep, self.jobs = DataSection(visitor), SweepSection(visitor, on_device), JobsSection()
        self.several = CompareRuns()
        self.result, self.publishing = ResultSection(visitor, on_device), PublishSection(visitor)
        self.run = gr.BrowserState("", storage_key="prompt-or-tune-run", secret="run")
        self.timer = gr.Timer(EVERY, active=False)

    def build(self) -> None:
        """Lays out the tab inside the current gr.Tab."""
        with gr.Accordion("What fine-tuning teaches", open=False):
            gr.Markdown(LESSON)
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                self.data.build()
                self._build_recipe()
            with gr.Column(scale=7, min_width=320, elem_classes="beside"):
                self._build_training()
        self._build_result()
        self._connect()

    @property
    def model(self) -> Any:
        return self.recipe.widgets["model"]

    def _build_recipe(self) -> None:
        gr.Markdown("## 2 · Recipe")
        self.recipe: Form = form(Recipe)

    def _build_training(self) -> None:
        gr.Markdown("## 3 · Training")
        with gr.Row(equal_height=True):
            self.start = gr.Button("Start training", variant="primary", min_width=140)
            self.cancel = gr.Button("Cancel", size="md", scale=0, min_width=90)
            self.resume = gr.Button("Resume", size="md", scale=0, min_width=90)
        with gr.Row():
            self.forecast = gr.Button("Forecast", size="md", scale=0, min_width=140)
            self.stop = stop_button()
        self.reading = Intake()
        self.foreseen = gr.Markdown("", elem_classes="quiet")
        self.progress = gr.Markdown(NO_RUN, elem_classes="quiet status")
        self.loss = gr.LinePlot(
            None, x="step", y="loss", color="part", x_title="Step", y_title="Loss", height=320,
            label="Loss (teal: training, amber: validation, purple: held-out rows)",
            color_map=views.LINES, elem_classes="colours-told",
        )  # fmt: skip
        with gr.Accordion("Learning rate, gradient norm, speed, memory", open=False), gr.Row():
            self.curves = [
                gr.LinePlot(
                    None, x="step", y="value", x_title="Step", y_title=unit, height=220, label=title, min_width=240
                )
                for title, unit in views.CURVES.values()
            ]
        with gr.Accordion("Answers while it learns", open=False):
            self.samples = gr.Dataframe(
                headers=["Epoch", "Answer", "Reference", "Given"], datatype="str", interactive=False, wrap=True, max_height=320,
                show_search="none", label="Rows that it does not learn from, after each epoch", elem_classes="rows",
                column_widths=["80px", "205px", "140px", "225px"],
            )  # fmt: skip
        self.mine = gr.Dropdown([], label="My runs", info="Choose an earlier run to look at it again.", min_width=280)
        self.delete = gr.Button("Delete this run", size="md", scale=0, min_width=140)
        self.several.build()
        self.sweep.build()
        self.jobs.build()

    def _build_result(self) -> None:
        gr.Markdown("## 4 · Result")
        self.result.build()
        self.publishing.build()

    def _connect(self) -> None:
        visitor, data = self.visitor, self.data
        data.connect(self.recipe)
        self.sweep.connect(data, self.recipe, self.mine, self._mine)
        measuring = listen(self.forecast.click, self._forecast, visitor, [data.source, *data.columns.inputs, *self.recipe.inputs],
                           self.foreseen, name="ui_forecast", line=self.foreseen)  # fmt: skip
        stops(self.stop, measuring, self.foreseen, name="forecast")
        started = listen(
            self.start.click, self._start, visitor, [data.source, *data.columns.inputs, *self.recipe.inputs],
            [self.run, self.mine, *self.reading.parts], name="ui_start", show_progress="hidden",
        )  # fmt: skip
        self.reading.stops([started], "start_training")
        self.several.connect(visitor)
        chosen = choice(self.mine, lambda _who, run: run, visitor, [], self.run, name="ui_choose_run")
        resumed = listen(self.resume.click, self._resume, visitor, [self.run], self.progress, name="ui_resume")
        deleted = listen(
            self.delete.click, self._delete, visitor, [self.run], [self.run, self.mine], name="ui_delete_run"
        )
        sent = self.jobs.connect(visitor, data, self.recipe, [self.run, self.mine], self._mine)
        for name, event in {
            "start": started,
            "job": sent,
            "choice": chosen,
            "resume": resumed,
            "delete": deleted,
        }.items():
            self._watch(event.success, f"ui_show_after_{name}")
        self._watch(self.timer.tick, "ui_tick", concurrency_limit=None)
        listen(self.cancel.click, self._cancel, visitor, [self.run], self.progress, name="ui_cancel")
        self.result.connect(self.run)
        self.publishing.connect(self.run)

    def start_from(self, tab: TechniqueTab, pages: Any) -> None:
        """Connects a technique tab's button: its prompt becomes what a soft prompt starts as."""
        widgets = self.recipe.widgets
        names = ("method", "soft_prompt", "num_virtual_tokens")

        def take(_who: Caller, *values: Any) -> list[Any]:
            words = prompt_words(tab.technique, tab.form.read(values))
            gr.Info(say("The prompt is what the virtual tokens start as; method is prompt tuning now."))
            return ["prompt_tuning", words, min(512, max(8, round(len(words) / 4))), gr.Tabs(selected="fine_tune")]

        listen(tab.tune.click, take, self.visitor, tab.form.inputs, [*(widgets[name] for name in names), pages],
               name=f"ui_tune_from_{tab.technique.name}")  # fmt: skip

    def _watch(self, trigger: Any, name: str, **more: Any) -> None:
        """Shows the run in hand after an event."""
        shown = [
            self.progress,
            self.loss,
            *self.curves,
            self.samples,
            self.timer,
            *self.result.shown,
            self.publishing.pushed,
        ]
        listen(trigger, self._tick, self.visitor, [self.run], shown, name=name, show_progress="hidden", **more)

    def on_opening(self, trigger: Any) -> None:
        """The runs that there are by now, those of commands too."""
        listen(trigger, lambda who: gr.Dropdown(choices=run_choices(who)), self.visitor, [], self.mine,
               name="ui_lists_fine_tune", show_progress="hidden")  # fmt: skip

    def on_load(self, demo: Any, after: Any) -> None:
        """After a reload: the run in hand comes back. The data do in the Start tab."""
        found = [self.mine, self.run]
        listen(after, self._reload, self.visitor, [self.run], found, name="ui_reload", show_progress="hidden")
        self._watch(demo.load, "ui_reload_run")
        if lease_seconds(self.on_device) is not None:
            listen(after, lambda who: allowance(who.owner, who.token)["sentence"], self.visitor, [], self.foreseen,
                   name="ui_allowance", show_progress="hidden")  # fmt: skip
        self.sweep.on_load(demo.load)

    # -- training

    def _read(self, source: str, values: tuple[Any, ...]) -> tuple[Columns, Recipe]:
        if not source:
            raise UserError("choose sample data or upload a file first", field="data")
        form = self.data.columns
        split = len(form.inputs)
        return form.read(values[:split]), self.recipe.read(values[split:])

    def _forecast(self, who: Caller, source: str, *values: Any) -> Iterator[str]:
        columns, recipe = self._read(source, values)
        yield say("Loading the model…")
        measured = partial(forecast, who.owner, open_table(who.owner, source), recipe, columns, token=who.token,
                           on_device=self.on_device)  # fmt: skip
        began: float | None = None
        progress: TimeLeft | None = None  # of the steps: the process and the model come first
        for told in told_meanwhile(lambda tell: measured(tell=tell)):
            began = began or time.monotonic()
            if "found" in told:
                yield views.foreseen(told["found"])
            elif not told["done"]:
                now = left(time.monotonic() - began, "forecast", recipe.model)
                so_far = say("Loading the model: {passed} so far", passed=duration(now["passed"]))
                yield so_far + time_left(now["remaining"])
            else:
                if progress is None:
                    progress = TimeLeft()
                    remember(time.monotonic() - began, "forecast", recipe.model)
                steps = {"done": told["done"] - 1, "of": told["of"] - 1}
                yield say("Measuring a few real steps: {done}", done=progress.line(steps))

    def _start(self, who: Caller, source: str, *values: Any) -> Iterator[Shown]:
        columns, recipe = self._read(source, values)

        def begun(tell: Progress) -> Shown:
            table = open_table(who.owner, source)
            run = begin_new(who.owner, table, recipe, columns, who.token, self.on_device, tell)
            return {self.run: run.id, self.mine: self._mine(who, run.id)}

        yield from self.reading.shown(begun)

    def _mine(self, who: Caller, chosen: str | None) -> Any:
        return gr.Dropdown(choices=run_choices(who), value=chosen or None)

    def _tick(self, who: Caller, run: str) -> dict[Any, Any]:
        try:
            found = runs.find(who.owner, run) if run else None
        except NotFound:
            found = None
        if found is None:
            return {
                self.progress: say(NO_RUN),
                **dict.fromkeys([self.loss, *self.curves]),
                self.samples: [],
                self.timer: gr.Timer(active=False),
                **self.result.values(None, active=False),
                self.publishing.pushed: say("Not published."),
            }
        state, events = runs.snapshot(found), found.events()
        active = state["status"] in ACTIVE
        return {
            self.progress: views.progress_line(state),
            self.loss: views.loss_points(events),
            **{plot: views.curve(events, name) for plot, name in zip(self.curves, views.CURVES, strict=True)},
            self.samples: views.sample_rows(events),
            self.timer: gr.Timer(active=active),
            **self.result.values(found, active=active),
            self.publishing.pushed: published(state),
        }

    def _cancel(self, who: Caller, run: str) -> str:
        found = runs.find(who.owner, chosen(run))
        found.ask_to_stop()
        return views.progress_line(runs.snapshot(found)) + say(" · stopping after this step…")

    def _resume(self, who: Caller, run: str) -> Any:
        found = runs.find(who.owner, chosen(run)).make_ready()
        begin(found, who.token, self.on_device)
        return views.progress_line(runs.snapshot(found))

    def _delete(self, who: Caller, run: str) -> list[Any]:
        runs.find(who.owner, chosen(run)).delete()
        return ["", self._mine(who, None)]

    def _reload(self, who: Caller, run: str) -> list[Any]:
        known = not run or run in {found.id for found in runs.runs(who.owner)}
        return [self._mine(who, run if known else None), gr.skip() if known else ""]
