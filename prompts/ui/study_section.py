"""A technique on one's own rows: the study of its tab."""

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from prompts.errors import UserError
from prompts.events import Event
from prompts.experiment import Rated, first_row
from prompts.following import paced
from prompts.home import scratch_json
from prompts.refining.optimise import OptimiseSettings, optimising
from prompts.settings import build
from prompts.studies import Study
from prompts.studies.work import forecast, run
from prompts.ui import study_views as views
from prompts.ui.forms import Form, form, listen, stop_button, stops
from prompts.ui.progress import TimeLeft
from prompts.ui.rows_picker import RowsPicker, picked_table
from prompts.ui.tree_section import found_tree
from prompts.ui.visitor import Caller
from prompts.words import later, say, spelled

SPLIT = ("reference", "development", "seed")  # what tells development rows from held-out rows


class StudySection:
    """Built inside a technique's tab; `tab` is its TechniqueTab."""

    def __init__(self, study: Study, tab: Any) -> None:
        self.study, self.tab, self.visitor = study, tab, tab.visitor
        self.searches = tab.tree is not None  # versions of the prompt can be made by themselves
        with gr.Accordion(f"On your own rows · {study.title}", open=False):
            gr.Markdown(study.help, elem_classes="quiet")
            with gr.Row():
                with gr.Column(scale=5, min_width=320):
                    self.rows = RowsPicker(study.name)
                    settings = OptimiseSettings if self.searches else study.settings
                    leave = ("tree",) if self.searches else ()
                    self.form: Form = form(settings, settings(scorer="auto"), leave_out=leave)
                with gr.Column(scale=7, min_width=320):
                    self._build_result()
        self.connect()

    def _build_result(self) -> None:
        with gr.Row(equal_height=True):
            self.cost = gr.Button("What will it take?", size="md", scale=0, min_width=160)
            self.go = gr.Button("Measure", variant="primary", min_width=140)
            self.search = gr.Button("Optimise", min_width=110, visible=self.searches)
            self.stop = stop_button()
        self.status = gr.Markdown("Nothing measured yet.", elem_classes="quiet status")
        self.advice = gr.Markdown(self.study.empty, container=True, elem_classes="verdict")
        self.charts = gr.HTML("")
        self.table = gr.Dataframe(
            headers=["Result"], datatype="str", interactive=False, wrap=True, show_search="none", label="In numbers",
            elem_classes="rows", max_height=420, visible=False,
        )  # fmt: skip
        with gr.Accordion("Verdicts and details", open=False):
            self.details = gr.HTML("<p>They come with the result.</p>")
        self.document = gr.State(None)
        self.file = gr.DownloadButton("Download the result (JSON)", size="md", scale=0, min_width=220, visible=False)

    @property
    def shown(self) -> list[Any]:
        return [self.status, self.advice, self.charts, self.table, self.details, self.document, self.file]

    @property
    def inputs(self) -> list[Any]:
        """What `first_row` takes."""
        return [*self.rows.inputs, *(self.form.widgets[name] for name in SPLIT)]

    def first_row(self, who: Caller, values: Sequence[Any]) -> dict[str, Any]:
        """The first row that may be looked at. Raises UserError."""
        picked, split = values[:3], dict(zip(SPLIT, values[3:], strict=True))
        given = build(Rated, {**split, "reference": split["reference"] or ""})
        return dict(first_row(given, picked_table(who, *picked)))

    def connect(self) -> None:
        name = self.study.name
        tree = [self.tab.tree.tree] if self.searches else []
        self._inputs = [*tree, self.tab.key, *self.rows.inputs, *self.tab.form.inputs, *self.form.inputs]
        counting = listen(self.cost.click, self._forecast, self.visitor, self._inputs, self.status, name=f"ui_forecast_{name}",
                          line=self.status)  # fmt: skip
        going = listen(self.go.click, self._run, self.visitor, self._inputs, self.shown, name=f"ui_{name}", cancels=[counting],
                       line=self.status, show_progress="minimal")  # fmt: skip
        kept = later("Stopped; what was answered is kept, so that it goes on from here.")
        stops(self.stop, [going, counting], self.status, kept, name=name)
        if self.searches:
            found = listen(self.search.click, self._optimise, self.visitor, self._inputs, [*self.shown, self.tab.tree.tree],
                           name="ui_optimise", cancels=[counting], line=self.status, show_progress="minimal")  # fmt: skip
            stops(self.stop, found, self.status, kept, name="optimise")
            self.tab.tree.follow(found, self.stop)

    def _read(self, who: Caller, values: tuple[Any, ...]) -> tuple[Any, Any, Any, Any]:
        """(the technique's settings, the study's, the rows, what opens a model)."""
        given = list(values)
        tree = given.pop(0) if self.searches else None
        key, sample, path, pasted, *rest = given
        split = len(self.tab.form.inputs)
        more = {"tree": tree if found_tree(who, tree or "") else ""} if self.searches else {}
        return (
            self.tab.form.read(rest[:split]).plain(),
            self.form.read(rest[split:], **more),
            picked_table(who, sample, path, pasted),
            self.tab.opener(who, key),
        )

    def _forecast(self, who: Caller, *values: Any) -> Iterator[str]:
        settings, study, table, opened = self._read(who, values)
        yield say("Counting, and timing a few answers…")
        found = forecast(self.study, settings, study, table, who.owner, opened)
        more = ""
        if self.searches:
            more = say(
                " Optimising asks at most {budget:,} more, and the held-out rows of every version that it finds.",
                budget=study.budget,
            )
        yield " ".join([views.taken(found) + more, *found["notes"]])

    def _run(self, who: Caller, *values: Any) -> Iterator[Any]:
        settings, study, table, opened = self._read(who, values)
        yield from self._follow(run(self.study, settings, study, table, who.owner, opened))

    def _optimise(self, who: Caller, *values: Any) -> Iterator[Any]:
        settings, study, table, opened = self._read(who, values)
        known: dict[Any, str] = {}

        def events() -> Iterator[Event]:
            for event in optimising(settings, study, table, who.owner, opened):
                if "tree" in event:  # as soon as its first version is there
                    known[self.tab.tree.tree] = event["tree"]
                yield event

        for shown in self._follow(events()):
            yield {**shown, **known}

    def _follow(self, events: Iterator[Event]) -> Iterator[dict[Any, Any]]:
        progress = TimeLeft()
        event: Event = {}
        for event in paced(events):
            if event["event"] == "proposed":
                yield {self.status: views.proposed(event)}
            elif event["event"] == "asking":
                yield {self.status: progress.line(event)}
        if event.get("event") != "studied":
            raise UserError("nothing was measured")
        document = {name: value for name, value in event.items() if name != "event"}
        status = " ".join(
            [
                say(
                    "{rows} rows, scored by {scorer}, seed {seed}.",
                    **{**document, "scorer": say(spelled(document["scorer"]))},
                ),
                *document["notes"],
            ]
        )
        file = gr.DownloadButton(value=scratch_json(f"{document['study']}.json", document), visible=True)
        values = [status, *views.VIEWS[self.study.name](document), document, file]
        yield dict(zip(self.shown, values, strict=True))
