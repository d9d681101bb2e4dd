"""What a run came to: scores, every held-out row, asking it, taking it along, publishing it."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from prompts.backends import OnDevice
from prompts.errors import UserError
from prompts.following import paced
from prompts.ui.forms import Form, form, listen, stop_button, stops
from prompts.ui.progress import TimeLeft
from prompts.ui.visitor import Caller
from prompts.words import say
from tuning import run as runs
from tuning.asking import Ask, ask_text
from tuning.evaluate import Measure, evaluate
from tuning.harm.report import as_markdown, kept
from tuning.harm.screen import screen
from tuning.ui import views


class ResultSection:
    """Shows one run's result; `values` is what the page shows of a run: what goes into each part of `shown`."""

    def __init__(self, visitor: Any, on_device: OnDevice) -> None:
        self.visitor, self.on_device = visitor, on_device

    def build(self) -> None:
        self.verdict = gr.Markdown(views.verdict(None), container=True, elem_classes="verdict")
        with gr.Accordion("How it is scored", open=False):
            self.measure: Form = form(Measure)
            with gr.Row():
                self.again = gr.Button("Measure again", size="md", scale=0, min_width=140)
                self.stop_again = stop_button()
            self.measuring = gr.Markdown("", elem_classes="quiet")
        with gr.Accordion("Every held-out row, before and after", open=False):
            self.examples = gr.Dataframe(
                headers=["#", "Tuned", "Base", "Reference", "Tuned says", "Base says", "Given"], datatype="str", interactive=False,
                wrap=True, max_height=420, show_search="none", label="Held-out rows, those lost first", elem_classes="rows",
                column_widths=["50px", "85px", "70px", "130px", "150px", "220px", "625px"],
            )  # fmt: skip
            self.matrix = gr.HTML("")
        with gr.Accordion("Harm and forgetting", open=False):
            gr.Markdown(
                "General text, instructions, pairs of sentences that differ in the group named, and your rows with the people in "
                "them exchanged: before and after.", elem_classes="quiet",
            )  # fmt: skip
            with gr.Row():
                self.screen = gr.Button("Screen it", size="md", scale=0, min_width=140)
                self.stop_screen = stop_button()
            self.harm = gr.Markdown("Not screened.")
        with gr.Accordion("Ask the tuned model", open=False):
            self.question = gr.Textbox(label="Text", lines=4, info="What a row's input would look like.", min_width=280)
            self.ask = gr.Button("Ask the tuned model", size="md", scale=0, min_width=180)
            self.reply = gr.Textbox(label="Reply of the tuned model", lines=3, interactive=False, buttons=["copy"])

    @property
    def shown(self) -> list[Any]:
        return [self.verdict, self.examples, self.matrix, self.harm, self.question]

    def values(self, run: runs.Run | None, *, active: bool) -> dict[Any, Any]:
        """What `shown` shows of a run."""
        evaluation = None if run is None or active else runs.evaluation(run)
        example = "" if run is None else evaluation["examples"][0]["text"] if evaluation else gr.skip()
        return {
            self.verdict: views.verdict(evaluation),
            self.examples: views.example_rows(evaluation),
            self.matrix: views.matrix(evaluation),
            self.harm: as_markdown(kept(run) if run else None),
            self.question: example,
        }

    def connect(self, run: Any) -> None:
        visitor = self.visitor
        measured = listen(self.again.click, self._measure, visitor, [run, *self.measure.inputs],
                          [self.measuring, self.verdict, self.examples, self.matrix], name="ui_measure",
                          line=self.measuring)  # fmt: skip
        stops(self.stop_again, measured, self.measuring, name="measure")
        screened = listen(self.screen.click, self._screen, visitor, [run], self.harm, name="ui_screen", line=self.harm)
        stops(self.stop_screen, screened, self.harm, name="screen")
        listen(self.ask.click, self._ask, visitor, [run, self.question], self.reply, name="ui_ask_tuned",
               show_progress="minimal")  # fmt: skip

    def _measure(self, who: Caller, run: str, *values: Any) -> Iterator[Any]:
        found = runs.find(who.owner, chosen(run))
        yield {self.measuring: say("Reading the held-out rows…")}
        progress = TimeLeft()
        measured = evaluate(found, self.measure.read(values), token=who.token, key=who.key, on_device=self.on_device)
        for event in paced(measured):
            if event["event"] == "evaluating":
                yield {self.measuring: progress.line(event)}
        evaluation = runs.evaluation(found)
        yield {
            self.measuring: "",
            self.verdict: views.verdict(evaluation),
            self.examples: views.example_rows(evaluation),
            self.matrix: views.matrix(evaluation),
        }

    def _screen(self, who: Caller, run: str) -> Iterator[str]:
        found, progress, part = runs.find(who.owner, chosen(run)), TimeLeft(), None
        for event in paced(screen(found, token=who.token, on_device=self.on_device)):
            if event["event"] == "screening":
                if event["what"] != part:
                    progress, part = TimeLeft(), event["what"]
                yield progress.line({**event, "variant": say("Asking both: {what}", what=event["what"])})
            else:
                yield as_markdown(event)

    def _ask(self, who: Caller, run: str, text: str) -> Iterator[str]:
        for document in ask_text(
            who.owner, Ask(model=f"run:{chosen(run)}", text=text or " "), token=who.token, on_device=self.on_device
        ):
            yield document["reply"]


def chosen(run: str) -> str:
    """Raises UserError where no run is in hand."""
    if not run:
        raise UserError("there is no run yet; start one, or choose one of yours")
    return run
