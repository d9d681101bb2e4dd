"""The data part of the fine-tune tab: a source, its mapping, what is wrong with it, and what will be learned from it."""

import contextlib
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from prompts.errors import UserError
from prompts.following import Progress, told_meanwhile, told_to_nobody
from prompts.home import scratch_json
from prompts.rows import SAMPLE_TITLES, SUFFIXES
from prompts.settings import build
from prompts.ui.choice import choice
from prompts.ui.forms import Form, form, listen, stop_button, stops
from prompts.ui.intake import Intake, Shown
from prompts.ui.progress import TimeLeft
from prompts.ui.visitor import Caller
from prompts.uploads import save_upload
from prompts.words import say
from tuning.data.columns import Columns, resolve
from tuning.data.doctor import Finding, examine
from tuning.data.fixes import Fix
from tuning.data.hub import HubData, save_dataset
from tuning.data.preview import preview
from tuning.data.sources import SAMPLES, fix_source, inspected, mapping, open_table, patches
from tuning.recipe import Reading
from tuning.ui import data_views as views

AT_ONCE = 5000  # rows up to which the doctor looks without being asked


class DataSection:
    """`source` and `mapping` are made at once, outside any tab, where the browser restores them; `build` fills the tab."""

    def __init__(self, visitor: Any) -> None:
        self.visitor = visitor
        self.source = gr.BrowserState("sample:support_emails", storage_key="prompt-or-tune-data", secret="data")
        self.mapping = gr.BrowserState({}, storage_key="prompt-or-tune-mapping", secret="mapping")

    def build(self) -> None:
        gr.Markdown("## 1 · Data")
        self.sample = gr.Dropdown(
            [(title, f"sample:{name}") for name, title in SAMPLE_TITLES.items()], value=None, label="Sample data", min_width=280,
            info="Data of the app's own, to try the whole way in a few minutes.",
        )  # fmt: skip
        self.file = gr.File(label=f"Or your own file: {', '.join(s[1:].upper() for s in SUFFIXES)}", type="filepath",
                            height=180, elem_id="data-file")  # fmt: skip
        with gr.Accordion("Or a data set of the Hub", open=False):
            self.hub: Form = form(HubData)
            self.load = gr.Button("Load it", size="md", scale=0, min_width=120)
        self.intake = Intake()
        self.columns: Form = form(Columns)
        self.looking = Intake()  # below the fields: they stay where they are while somebody types
        self.found = gr.Markdown("Choose sample data or upload a file.", elem_classes="quiet")
        self.rows = gr.Dataframe(
            headers=["#", "Given", "To be learned"], datatype="str", interactive=False, wrap=True, max_height=320,
            show_search="none", label="What the model will see", visible=False, elem_classes="rows",
            column_widths=["44px", "58%", "31%"],
        )  # fmt: skip
        self._build_doctor()
        with gr.Accordion("Tokens: what will be learned, read and cut", open=False):
            gr.Markdown(
                "With the model, the longest row and the choice for long rows of the recipe below.",
                elem_classes="quiet",
            )
            with gr.Row():
                self.look = gr.Button("Show the tokens", size="md", scale=0, min_width=160)
                self.stop_look = stop_button()
            self.numbers = gr.Markdown("", elem_classes="quiet")
            self.tokens = gr.HighlightedText(
                [], label="The worst rows first", show_legend=True, show_inline_category=False, combine_adjacent=False,
                elem_classes="tokens",
            )  # fmt: skip

    def _build_doctor(self) -> None:
        with gr.Accordion("Data doctor: what is wrong with the rows", open=False):
            with gr.Row():
                self.check = gr.Button("Check the data", size="md", scale=0, min_width=160)
                self.stop_check = stop_button()
            self.health = gr.Markdown("Nothing was checked yet.", elem_classes="quiet")
            self.findings = gr.Markdown("")
            self.fixes = gr.Dropdown([], label="Fix", info="Nothing is changed unasked, and every fix can be taken back.",
                                     min_width=280)  # fmt: skip
            with gr.Row():
                self.apply = gr.Button("Apply the fix", size="md", min_width=140)
                self.undo = gr.Button("Take the last fix back", size="md", min_width=160)
            self.fixed = gr.Markdown("", elem_classes="quiet")
            self.report = gr.DownloadButton(
                "Download the report (JSON)", size="md", scale=0, min_width=220, visible=False
            )

    @property
    def shown(self) -> list[Any]:
        """What changes when other data are looked at."""
        return [self.source, self.sample, *self.columns.inputs, self.found, self.rows, self.mapping]

    @property
    def examined(self) -> list[Any]:
        return [self.health, self.findings, self.fixes, self.fixed, self.report]

    def connect(self, recipe: Form) -> None:
        """`recipe`: the form whose shares, model and length the data are shown with."""
        visitor, columns, widgets = self.visitor, self.columns.inputs, recipe.widgets
        shares = [widgets["held_out"], widgets["validation"]]
        used = choice(self.sample, self._use_sample, visitor, shares, self.shown, name="ui_use_sample")
        read = [*self.shown, *self.intake.parts]
        sent = listen(self.file.upload, self._use_file, visitor, [self.file, *shares], read, name="ui_use_file",
                      show_progress="hidden")  # fmt: skip
        loaded = listen(self.load.click, self._use_hub, visitor, [*shares, *self.hub.inputs], read, name="ui_use_hub",
                        show_progress_on=self.found)  # fmt: skip
        for name, event in {"sample": used, "file": sent, "hub": loaded}.items():
            listen(event.success, self._first_look, visitor, [self.source, *columns], self.examined,
                   name=f"ui_examine_{name}", show_progress="hidden")  # fmt: skip
        changes = partial(gr.on, [box.input for box in (*columns, *shares)])
        mapped = listen(
            changes, self._remap, visitor, [self.source, *shares, *columns],
            [self.found, self.rows, self.mapping, *self.looking.parts], name="ui_remap", costs=False,
            show_progress="hidden", trigger_mode="always_last",
        )  # fmt: skip
        self.intake.stops([sent, loaded], "data")
        self.looking.stops([mapped], "mapping")
        checked = listen(self.check.click, self._examine, visitor, [self.source, *columns], self.examined, name="ui_examine",
                         line=self.health)  # fmt: skip
        works = [checked]
        for button, change, name in ((self.apply, self._fix, "ui_fix"), (self.undo, self._unfix, "ui_unfix")):
            changed = listen(
                button.click, change, visitor, [self.source, self.fixes, *shares, *columns],
                [*self.shown, self.health, self.fixed], name=name, show_progress_on=self.health, line=self.health,
            )  # fmt: skip
            again = listen(changed.success, self._examine, visitor, [self.source, *columns], self.examined,
                           name=f"{name}_examine", line=self.health)  # fmt: skip
            works += [changed, again]
        stops(self.stop_check, works, self.health, name="examine")
        length = [widgets[name] for name in ("model", "max_length", "overlong")]
        looked = listen(self.look.click, self._tokens, visitor, [self.source, *length, *columns], [self.numbers, self.tokens],
                        name="ui_tokens", line=self.numbers)  # fmt: skip
        stops(self.stop_look, looked, self.numbers, name="tokens")

    # -- a source

    def _use_sample(self, who: Caller, source: str, *shares: float) -> Shown:
        return self.inspected(who, source, mapping(source, Columns()), *shares)

    def _use_file(self, who: Caller, path: str, *shares: float) -> Iterator[Shown]:
        def read(tell: Progress) -> Shown:
            source = save_upload(who.owner, Path(path), tell=tell)
            Path(path).unlink(missing_ok=True)  # the copy in the owner's folder is the one that is used
            return self.inspected(who, source, Columns(), *shares, tell=tell)

        yield from self.intake.shown(read)

    def _use_hub(self, who: Caller, held_out: float, validation: float, *values: Any) -> Iterator[Shown]:
        def read(tell: Progress) -> Shown:
            source = save_dataset(who.owner, self.hub.read(values), who.token, tell)
            return self.inspected(who, source, Columns(), held_out, validation, tell=tell)

        yield from self.intake.shown(read)

    def inspected(
        self, who: Caller, source: str, columns: Columns, *shares: float, tell: Progress = told_to_nobody
    ) -> Shown:
        """What `shown` shows of a source; `tell` is told its rows. Raises UserError."""
        found = inspected(who.owner, source, columns, tell)
        names = found["columns"]
        given = dict(zip(self.columns.widgets, self.columns.show(columns.changed(**found["mapping"])), strict=True))
        updates = [
            value if name == "instruction" else gr.Dropdown(choices=names, value=value or None)
            for name, value in given.items()
        ]
        chosen = {self.source: source, self.sample: source if source in SAMPLES else None}
        return {**chosen, **dict(zip(self.columns.inputs, updates, strict=True)), **self._looked(found, *shares)}

    def _looked(self, found: dict[str, Any], *shares: float) -> Shown:
        if None in shares:
            raise UserError("the held-out share and the validation share need a number")
        rows = gr.Dataframe(value=views.preview_rows(found), visible=True)
        return {self.found: views.inspected_line(found, *shares), self.rows: rows, self.mapping: found["mapping"]}

    def _remap(self, who: Caller, source: str, held_out: float, validation: float, *values: Any) -> Iterator[Shown]:
        if source:
            columns = self.columns.read(values)
            yield from self.looking.shown(
                lambda tell: self._looked(inspected(who.owner, source, columns, tell), held_out, validation)
            )

    def reload(self, who: Caller, source: str, columns: dict[str, Any], *shares: float) -> Shown:
        """What `shown` shows after a reload; what the browser remembers stays as it is."""
        found: dict[Any, Any] = {}
        if source:
            with contextlib.suppress(UserError):  # the upload is gone, or its columns are others now
                found = self.inspected(who, source, mapping(source, build(Columns, columns or {})), *shares)
        return {part: value for part, value in found.items() if part not in (self.source, self.mapping)}

    # -- the doctor

    def _first_look(self, who: Caller, source: str, *values: Any) -> Iterator[Any]:
        rows = len(open_table(who.owner, source).rows)
        if rows > AT_ONCE:
            told = say("{rows:,} rows: press “Check the data”, which takes a while.", rows=rows)
            yield {self.health: told}
            return
        with contextlib.suppress(UserError):  # no mapping yet: said above
            yield from self._examine(who, source, *values)

    def _examine(self, who: Caller, source: str, *values: Any) -> Iterator[Any]:
        columns = self.columns.read(values)
        table = open_table(who.owner, _some(source))
        columns = resolve(mapping(source, columns), table)
        yield {self.health: say("Looking at every row…")}
        found: list[Finding] = yield from self._counted(lambda tell: examine(table, columns, tell))
        documents = [finding.document(shown=None) for finding in found]
        done = patches(who.owner, source)
        report = {"data": table.name, "findings": documents, "fixed": done}
        yield {
            self.health: views.health(documents, len(table.rows)),
            self.findings: views.findings(documents),
            self.fixes: gr.Dropdown(choices=views.fix_choices(documents), value=None),
            self.fixed: views.fixes_done(done),
            self.report: gr.DownloadButton(value=scratch_json("data-report.json", report), visible=True),
        }

    def _counted(self, work: Callable[[Progress], Any]) -> Generator[Shown, None, Any]:
        """Says in the doctor's line how far `work(tell)` is; returns what it returns."""
        progress = TimeLeft()
        for told in told_meanwhile(work):
            if "found" in told:
                return told["found"]
            yield {self.health: progress.line(told)}

    def _fix(self, who: Caller, source: str, chosen: str | None, *rest: Any) -> Iterator[Shown]:
        if not chosen:
            raise UserError("choose a fix first", field="fix")
        finding, _, fix = chosen.partition(":")
        yield from self._changed(who, source, Fix(finding=finding, fix=fix), *rest)

    def _unfix(self, who: Caller, source: str, _chosen: str | None, *rest: Any) -> Iterator[Shown]:
        yield from self._changed(who, source, Fix(undo=True), *rest)

    def _changed(
        self, who: Caller, source: str, fix: Fix, held_out: float, validation: float, *values: Any
    ) -> Iterator[Shown]:
        columns = self.columns.read(values)
        yield {self.health: say("Looking at every row…")}
        source = yield from self._counted(lambda tell: fix_source(who.owner, _some(source), columns, fix, tell))
        yield {self.source: source, self.fixed: views.fixes_done(patches(who.owner, source))}
        yield (
            yield from self._counted(lambda tell: self.inspected(who, source, columns, held_out, validation, tell=tell))
        )

    # -- tokens

    def _tokens(self, who: Caller, source: str, model: str, length: int, overlong: Any, *values: Any) -> Iterator[Any]:
        yield {self.numbers: say("Rendering and tokenising every row…")}
        table = open_table(who.owner, _some(source))
        columns = mapping(source, self.columns.read(values))
        reading = build(Reading, {"model": model, "max_length": length, "overlong": overlong})
        found: dict[str, Any] = {}
        progress = TimeLeft()
        for told in told_meanwhile(
            lambda tell: preview(table, columns, reading, who.owner, token=who.token, progress=tell)
        ):
            if "done" in told:
                yield {self.numbers: progress.line(told)}
            else:
                found = told["found"]
        yield {self.numbers: views.token_numbers(found), self.tokens: gr.HighlightedText(**views.token_spans(found))}


def _some(source: str) -> str:
    if not source:
        raise UserError("choose sample data or upload a file first", field="data")
    return source
