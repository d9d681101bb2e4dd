"""Training on Hugging Face Jobs from the page: the price beforehand, then a run like any other."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from prompts.errors import UserError
from prompts.following import Progress
from prompts.ui.forms import Form, form, listen
from prompts.ui.intake import Intake, Shown
from prompts.ui.visitor import Caller
from prompts.words import say
from tuning.data.sources import open_table
from tuning.launch.begin import begin_job
from tuning.launch.jobs import JobSettings, price

ABOUT = (
    "Train on Hugging Face's hardware, in your own account and from your own credit. The rows and the recipe go to a private data "
    "set of yours, the adapter comes back here. Your token goes to the Job as its secret; it needs the rights to run Jobs and to "
    "write repositories."
)


class JobsSection:
    """`build` fills the place; the run that starts is shown as any other."""

    def build(self) -> None:
        with gr.Accordion("Train on Hugging Face Jobs", open=False):
            gr.Markdown(ABOUT, elem_classes="quiet")
            self.form: Form = form(JobSettings)
            self.token = gr.Textbox(
                label="Token", type="password", info="Not needed when you are signed in. Stored nowhere here."
            )
            with gr.Row():
                self.ask = gr.Button("What does it cost?", size="md", min_width=140)
                self.start = gr.Button("Start the Job", size="md", min_width=120)
            self.reading = Intake()
            self.price = gr.Markdown("", elem_classes="quiet")

    def connect(
        self, visitor: Any, data: Any, recipe: Form, started: list[Any], listed: Callable[[Caller, str], Any]
    ) -> Any:
        """Returns the event after which the run in `started` (its id, the list) is there."""
        split = len(data.columns.inputs)
        chosen_run, list_of_runs = started

        def cost(who: Caller, token: str, *values: Any) -> str:
            found = price(self.form.read(values), token.strip() or who.token)
            return say(
                "{hardware}: ${dollars_per_minute:.4f} a minute, at most **${most_dollars:.2f}** for the longest "
                "time. You pay for what it uses.",
                **found,
            )

        def begin(who: Caller, source: str, token: str, *values: Any) -> Iterator[Shown]:
            if not source:
                raise UserError("choose sample data or upload a file first", field="data")
            middle = split + len(recipe.inputs)
            columns, chosen = data.columns.read(values[:split]), recipe.read(values[split:middle])
            job = self.form.read(values[middle:])

            def begun(tell: Progress) -> Shown:
                table = open_table(who.owner, source)
                run = begin_job(who.owner, table, chosen, columns, job, token.strip() or who.token, tell)
                return {chosen_run: run.id, list_of_runs: listed(who, run.id), self.token: ""}

            yield from self.reading.shown(begun)

        listen(self.ask.click, cost, visitor, [self.token, *self.form.inputs], self.price, name="ui_job_price")
        inputs = [data.source, self.token, *data.columns.inputs, *recipe.inputs, *self.form.inputs]
        shown = [*started, self.token, *self.reading.parts]
        sent = listen(self.start.click, begin, visitor, inputs, shown, name="ui_start_job", show_progress="hidden")
        self.reading.stops([sent], "start_job")
        return sent
