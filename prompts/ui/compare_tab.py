"""The Compare tab: rows, variants, a scorer; scores with intervals, and a verdict under each pair."""

import itertools
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from prompts import imports
from prompts.backends import OnDevice
from prompts.comparison import run
from prompts.errors import UserError
from prompts.experiment import Experiment, Variant
from prompts.following import paced
from prompts.home import scratch_json
from prompts.settings import build
from prompts.start import Beginning
from prompts.ui import compare_views as views
from prompts.ui.forms import Form, form, listen, stop_button, stops
from prompts.ui.progress import TimeLeft
from prompts.ui.rows_picker import RowsPicker, choices_of, picked_table
from prompts.ui.technique_tab import TechniqueTab, opener
from prompts.ui.visitor import Caller
from prompts.words import later, say

LESSON = """Two outputs side by side prove nothing. **Ask every variant the same rows, and let the numbers speak.**

1. Bring rows with a right answer; twenty tell little, two hundred tell a lot.
2. Change one thing between two variants, or you will not know what helped.
3. The interval says how far luck alone could move a score; the verdict says whether the difference is more than that.
4. "No measurable difference" is a result: take the cheaper prompt.
5. Rows that you looked at while improving a prompt cannot judge it: set them aside as development rows."""

CLICK = later("Click a reply and say whether it is right: you see how often the scorer, or the judge, agrees with you.")


class CompareTab:
    """`variants` is made at once, so that every technique tab can add to it; `build` fills the tab."""

    def __init__(self, visitor: Any, on_device: OnDevice, first: Beginning) -> None:
        self.visitor, self.on_device, self._first = visitor, on_device, first
        self.first = gr.State(pretty(first.variants))  # of the task in hand
        self.kept = gr.BrowserState(pretty(first.variants), storage_key="prompt-or-tune-variants", secret="variants")

    def build(self) -> None:
        with gr.Accordion("What a comparison teaches", open=False):
            gr.Markdown(LESSON)
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                self._build_question()
            with gr.Column(scale=7, min_width=320):
                self._build_result()
        self._connect()

    def _build_question(self) -> None:
        gr.Markdown("## Rows")
        self.rows = RowsPicker("compare")
        with gr.Accordion("Import from promptfoo or OpenAI", open=False):
            self.imported = gr.File(label="promptfoo .yaml, OpenAI chat or Evals .jsonl", type="filepath", height=150)
            self.not_imported = gr.Markdown("Variants and rows go into the fields here.", elem_classes="quiet")
        gr.Markdown("## Variants")
        self.variants = gr.Code(
            pretty(self._first.variants), language="json", max_lines=18,
            label="Variants: add from any technique's tab, edit here",
        )  # fmt: skip
        self.reset = gr.Button("Start over with two", size="md", scale=0, min_width=160)
        gr.Markdown("## Scoring")
        start = Experiment(variants=tuple(build(Variant, variant) for variant in self._first.variants), scorer="auto")
        self.form: Form = form(Experiment, start, leave_out=("variants",))
        with gr.Accordion("Model server", open=False):
            self.key = gr.Textbox(label="Server key", type="password", info="Only for <url>#<model>; stored nowhere.")

    def _build_result(self) -> None:
        with gr.Row(equal_height=True):
            self.go = gr.Button("Compare", variant="primary", min_width=140)
            self.stop = stop_button()
        self.status = gr.Markdown("Nothing compared yet.", elem_classes="quiet status")
        self.verdict = gr.Markdown("The verdict appears here.", container=True, elem_classes="verdict")
        self.chart = gr.HTML("")
        self.picked = gr.State(None)  # (row's number, variant) of the cell that was clicked
        self.thumbs = gr.State({})
        self.document = gr.State(None)
        with gr.Column(visible=False) as self.found:
            self.scores = gr.Dataframe(
                headers=views.SCORES, datatype="str", interactive=False, wrap=True, show_search="none", label="Scores",
                elem_classes="rows", column_widths=views.WIDTHS,
            )  # fmt: skip
            self.matrix = gr.HTML("")
            self.only = gr.Radio([views.ALL, views.DIFFERENT], value=views.ALL, label="Replies side by side",
                                 info="Which rows are listed.")  # fmt: skip
            self.replies = gr.Dataframe(headers=["#", "Reference"], datatype="str", interactive=False, wrap=True, max_height=520,
                                        show_search="none", label="Replies", elem_classes="rows")  # fmt: skip
            with gr.Row():
                self.right = gr.Button("I call it right", size="md", scale=0, min_width=150)
                self.wrong = gr.Button("I call it wrong", size="md", scale=0, min_width=150)
            self.agreement = gr.Markdown(CLICK, elem_classes="quiet")
            self.file_out = gr.DownloadButton("Download the result (JSON)", size="md", scale=0, min_width=220)

    def _connect(self) -> None:
        shown = [
            self.status,
            self.verdict,
            self.chart,
            self.scores,
            self.matrix,
            self.replies,
            self.document,
            self.found,
            self.file_out,
            self.picked,
            self.thumbs,
            self.agreement,
        ]
        going = listen(
            self.go.click, self._compare, self.visitor,
            [*self.rows.inputs, self.variants, self.key, self.only, *self.form.inputs], shown,
            name="ui_compare", line=self.status, show_progress="minimal",
        )  # fmt: skip
        kept = later("Stopped; what was answered is kept, so that Compare goes on from here.")
        stops(self.stop, going, self.status, kept, name="compare")
        scoring = [self.form.widgets[name] for name in ("scorer", "pattern", "reference")]
        listen(self.imported.upload, self._import, self.visitor, [self.imported],
               [self.variants, self.kept, self.rows.pasted, *scoring, self.not_imported], name="ui_import")  # fmt: skip
        listen(self.only.input, lambda _who, *shown: views.replies(*shown), self.visitor, [self.document, self.only],
               self.replies, name="ui_filter_replies")  # fmt: skip
        listen(self.variants.blur, lambda _who, text: text, self.visitor, [self.variants], self.kept, name="ui_keep_variants",
               show_progress="hidden")  # fmt: skip
        listen(self.reset.click, lambda _who, text: [text] * 2, self.visitor, [self.first], [self.variants, self.kept],
               name="ui_reset_variants")  # fmt: skip

        self._connect_thumbs()

    def _connect_thumbs(self) -> None:
        def pick(event: gr.SelectData, document: dict[str, Any] | None, only: str) -> Any:
            column = event.index[1] - 2
            names = [v["name"] for v in document["variants"]] if document else []
            if not 0 <= column < len(names) or document is None:
                return None, say("Click on a variant's reply.")
            row = views.shown_rows(document, only)[event.index[0]]
            return (row["row"], names[column]), say(
                "Row {row}, {names}: is this reply right?", row=row["row"], names=names[column]
            )

        self.replies.select(pick, [self.document, self.only], [self.picked, self.agreement], api_name="ui_pick_reply",
                            api_visibility="private", show_progress="hidden")  # fmt: skip
        for button, name, passed in ((self.right, "right", True), (self.wrong, "wrong", False)):
            listen(button.click, partial(views.thumb, passed), self.visitor, [self.document, self.picked, self.thumbs],
                   [self.thumbs, self.agreement], name=f"ui_thumb_{name}")  # fmt: skip

    def on_load(self, demo: Any) -> Any:
        """After a reload the variants come back, by the page itself. Returns the event that lists the visitor's rows."""
        demo.load(
            None, self.kept, self.variants, js="text => text", api_name="ui_reload_variants", api_visibility="private"
        )
        return self.rows.on_load(demo, self.visitor, "ui_list_rows")

    def on_opening(self, trigger: Any) -> None:
        """The rows that there are by now."""
        listen(trigger, lambda who: gr.Dropdown(choices=choices_of(who)), self.visitor, [], self.rows.sample,
               name="ui_lists_compare", show_progress="hidden")  # fmt: skip

    def add_from(self, tab: TechniqueTab) -> None:
        """Connects a technique tab's button: its settings become one more variant."""

        def add(_who: Caller, text: str, *values: Any) -> list[str]:
            known, given = _parsed(text), tab.form.read(values).plain().to_json()
            names = [variant.get("name") for variant in known]
            name = next(n for n in (f"{tab.technique.title} {i}" for i in itertools.count(1)) if n not in names)
            made = pretty([*known, {"name": name, "technique": tab.technique.name, "settings": given}])
            gr.Info(say("Added to Compare as {name!r}.", name=name))
            return [made, made]

        listen(tab.add.click, add, self.visitor, [self.kept, *tab.form.inputs], [self.variants, self.kept],
               name=f"ui_add_{tab.technique.name}")  # fmt: skip

    def _import(self, _who: Caller, path: str) -> list[Any]:
        found = imports.read(Path(path)).document()
        experiment, skipped = found["experiment"], found["not_imported"]
        rows = "\n".join(json.dumps(row, ensure_ascii=False) for row in found["rows"])
        note = say(
            "{variants} variants and {rows} rows imported.",
            variants=len(experiment["variants"]),
            rows=len(found["rows"]),
        )
        if skipped:
            note += say(" Not imported:\n") + "\n".join(f"- {line}" for line in skipped)
        made = pretty(experiment["variants"])
        return [made, made, rows, experiment["scorer"], experiment["pattern"], experiment["reference"], note]

    def _compare(
        self, who: Caller, sample: str, path: str | None, pasted: str, variants: str, key: str, only: str, *values: Any
    ) -> Iterator[Any]:
        made = [build(Variant, variant) for variant in _parsed(variants)]
        settings = self.form.read(values, variants=made)
        table = picked_table(who, sample, path, pasted)
        progress = TimeLeft()
        for event in paced(run(settings, table, who.owner, opener(who, self.on_device, key))):
            if event["event"] == "asking":
                yield {self.status: progress.line(event)}
        document = {name: value for name, value in event.items() if name != "event"}
        file = scratch_json(f"comparison-{document['id'][:8]}.json", document)
        yield {
            self.status: say("{rows} rows, seed {seed}, data fingerprint {fingerprint}.", **document),
            self.verdict: views.verdict_text(document),
            self.chart: views.chart(document),
            self.scores: views.score_rows(document),
            self.matrix: views.matrices(document),
            self.replies: views.replies(document, only),
            self.document: document,
            self.picked: None,
            self.thumbs: {},
            self.agreement: say(CLICK),
            self.found: gr.Column(visible=True),
            self.file_out: file,
        }


def _parsed(text: str) -> list[dict[str, Any]]:
    if not text.strip():
        return []
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            "the variants are not valid JSON, line {lineno}: {msg}",
            lineno=error.lineno,
            msg=error.msg,
            field="variants",
        ) from None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise UserError("the variants are a list of objects with name, technique and settings", field="variants")
    return found


def pretty(variants: Any) -> str:
    """Variants as the JSON that a person edits."""
    return json.dumps(variants, indent=1, ensure_ascii=False)
