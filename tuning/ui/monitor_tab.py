"""The monitor tab: any model scored again on new rows, its history, and a warning where it decisively dropped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from prompts.backends import OnDevice
from prompts.errors import UserError
from prompts.following import paced
from prompts.held_out import named_table
from prompts.home import adapters
from prompts.rows import SAMPLE_TITLES, Table, read_table
from prompts.statistics import span
from prompts.ui.forms import Form, form, listen, stop_button, stops
from prompts.ui.progress import TimeLeft
from prompts.ui.rows_picker import choices_of
from prompts.ui.visitor import Caller
from prompts.words import say, spelled
from tuning.monitor import Watched, history, score_again, watched

LESSON = """A model that was good is not good for ever. **Measure it again, on rows that are new.**

1. Publish a score together with its rows, its interval and its date; later scores are compared with the first.
2. New rows should be like those that people send *today*; ask again when the world changes: new products, new words, new people.
3. One bad day is luck, a decisive drop is not: the warning comes when luck alone would rarely do it.
4. When it drops, look at the rows it lost, add rows like them to the training data, and train again."""
NONE = "Nothing was measured yet."
HEADERS = ["When", "Score", "95 % interval", "Rows", "Data", "Scorer", "Tokens in / out a row", "s a row"]
WIDTHS = ["102px", "73px", "110px", "55px", "95px", "75px", "105px", "62px"]


class MonitorTab:
    """`build` fills the tab."""

    def __init__(self, visitor: Any, on_device: OnDevice) -> None:
        self.visitor, self.on_device = visitor, on_device

    def build(self) -> None:
        with gr.Accordion("What monitoring teaches", open=False):
            gr.Markdown(LESSON)
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                gr.Markdown("## Model and new rows")
                self.form: Form = form(Watched)
                titles = [(title, name) for name, title in SAMPLE_TITLES.items()]
                self.sample = gr.Dropdown(
                    titles, value=None, label="Sample data", min_width=280, allow_custom_value=True,
                    info="Data of the app's own, or run:<id> for what a run holds out; your file takes its place.",
                )  # fmt: skip
                self.file = gr.File(
                    label="Or your own file of new rows", type="filepath", height=150, elem_id="monitor-file"
                )
                self.key = gr.Textbox(
                    label="Server key", type="password", info="Only for <url>#<model>; stored nowhere."
                )
                with gr.Row(equal_height=True):
                    self.start = gr.Button("Score it now", variant="primary")
                    self.stop = stop_button()
            with gr.Column(scale=7, min_width=320):
                gr.Markdown("## History")
                self.status = gr.Markdown("", elem_classes="quiet status")
                self.verdict = gr.Markdown(NONE, container=True, elem_classes="verdict")
                self.chart = gr.LinePlot(
                    None, x="number", y="score", color="scorer", x_title="Measurement", y_title="Score", y_lim=[0, 1], height=280,
                    tooltip=["when", "score", "rows"], label="Score, measurement by measurement",
                )  # fmt: skip
                self.table = gr.Dataframe(
                    headers=HEADERS, datatype="str", interactive=False, wrap=True, max_height=420, show_search="none",
                    label="Measurements, the latest first", elem_classes="rows", column_widths=WIDTHS, visible=False,
                )  # fmt: skip
        self._connect()

    def _connect(self) -> None:
        shown = [self.verdict, self.chart, self.table]
        model = self.form.widgets["model"]
        going = listen(self.start.click, self._score, self.visitor, [self.sample, self.file, self.key, *self.form.inputs],
                       [self.status, *shown], name="ui_score_again", line=self.status)  # fmt: skip
        stops(self.stop, going, self.status, name="score_again")
        emptied = listen(model.change, lambda _who: None, self.visitor, [], self.chart, name="ui_empty_history",
                         show_progress="hidden")  # fmt: skip
        listen(emptied.then, lambda who, name: _shown(who, name or ""), self.visitor, [model], shown, name="ui_show_history",
               show_progress="hidden")  # fmt: skip

    def on_load(self, after: Any) -> None:
        """After a page load: the models and the rows to choose among."""
        self._fills(after, "ui_fill_monitor")

    def on_opening(self, trigger: Any) -> None:
        """The models and the rows that there are by now."""
        self._fills(trigger, "ui_lists_monitor")

    def _fills(self, trigger: Any, name: str) -> None:
        model = self.form.widgets["model"]
        listen(trigger, _lists, self.visitor, [model], [model, self.sample], name=name, show_progress="hidden")

    def _score(self, who: Caller, sample: str | None, path: str | None, key: str, *values: Any) -> Iterator[Any]:
        settings = self.form.read(values)
        yield {self.status: say("Loading the model…"), self.chart: None}
        events = score_again(who.owner, settings, _table(who, sample, path), token=who.token, key=key or who.key,
                             on_device=self.on_device)  # fmt: skip
        progress = TimeLeft()
        for event in paced(events):
            if event["event"] == "asking":
                yield {self.status: progress.line(event)}
        yield "", *_shown(who, settings.model)


def _lists(who: Caller, chosen: str | None) -> list[Any]:
    """Where no model is chosen: the one that was measured last, else the newest of theirs. What is chosen meanwhile stays."""
    known = watched(who.owner)
    models = [*known, *(name for name in adapters(who.owner) if name not in known)]
    first = {} if chosen else {"value": next(iter(models), None)}
    return [gr.Dropdown(choices=models, **first), gr.Dropdown(choices=choices_of(who))]


def _table(who: Caller, sample: str | None, path: str | None) -> Table:
    if path:
        return read_table(Path(path))
    if not sample:
        raise UserError("choose sample data, or upload a file of new rows", field="data")
    return named_table(sample, who.owner)


def _shown(who: Caller, model: str) -> list[Any]:
    found = history(who.owner, model) if model else []
    if not found:
        return [say(NONE), None, _listed([])]
    points = [
        (number, one["score"], one["scorer"], one["time"][:16], one["rows"]) for number, one in enumerate(found, 1)
    ]
    chart = None if len(points) < 2 else pd.DataFrame(points, columns=["number", "score", "scorer", "when", "rows"])
    return [verdict(found[-1]), chart, _listed(found)]


def _listed(found: list[dict[str, Any]]) -> Any:
    """The table, once there is something in it."""
    return gr.Dataframe(value=[_row(one) for one in reversed(found)], visible=bool(found))


def verdict(found: dict[str, Any]) -> str:
    """The latest measurement in words."""
    score = say("{score:.0%} (95 % interval {span})", score=found["score"], span=span(*found["interval"]))
    text = say(
        "**{model}**: {said} of {rows} rows, {scorer}.",
        said=score,
        **{**found, "scorer": say(spelled(found["scorer"]))},
    )
    if found["warning"]:
        warning = say("Warning. {warning}", warning=found["warning"])
        return f"**{warning}**\n\n{text}"
    against = found["against"]
    if not against:
        return text + say(" It is the first measurement; later ones are compared with it.")
    return text + say(
        " No decisive drop against {score:.0%} of {rows} rows on {day} ({how}; p = {p:.2g}).", day=against["time"][:10],
        **{**against, "how": say(against["how"])},
    )  # fmt: skip


def _row(one: dict[str, Any]) -> list[str]:
    tokens = [one[name] for name in ("tokens_in", "tokens_out")]
    told = say("not told") if None in tokens else " / ".join(f"{count / one['rows']:.0f}" for count in tokens)
    return [
        one["time"][:16].replace("T", " "), f"{one['score']:.0%}", span(*one["interval"]), str(one["rows"]), one["data"],
        one["scorer"], told, f"{one['seconds'] / one['rows']:.2f}",
    ]  # fmt: skip
