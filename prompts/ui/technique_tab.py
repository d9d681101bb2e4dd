"""One tab a technique: its form, its reply as it grows, the exact prompt, the plain prompt, saved prompts, and its study."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from prompts import library
from prompts.asking import Asked, ask, rendered_prompt
from prompts.backends import OnDevice, open_backend
from prompts.experiment import Rated, first_row
from prompts.exports import FORMS, export
from prompts.studies import study_of
from prompts.techniques import AskSettings, Technique
from prompts.techniques.base import slots
from prompts.techniques.refinement import RefinementSettings
from prompts.ui.choice import choice
from prompts.ui.feedback_section import FeedbackSection
from prompts.ui.forms import Form, endpoint, form, listen, stop_button, stops
from prompts.ui.lens import lens
from prompts.ui.library_section import LibrarySection
from prompts.ui.material import fill_documents, fill_examples
from prompts.ui.rows_picker import RowsPicker, picked_table
from prompts.ui.study_section import StudySection
from prompts.ui.study_views import steps
from prompts.ui.tree_section import TreeSection, tree_views
from prompts.ui.visitor import Caller
from prompts.words import later, say


def opener(who: Caller, on_device: OnDevice, key: str = "") -> Any:
    """A model's name -> its backend, for this caller."""
    return lambda name: open_backend(name, who.owner, token=who.token, key=key or who.key, on_device=on_device)


class TechniqueTab:
    """Builds the tab inside the current Blocks."""

    def __init__(self, technique: Technique, visitor: Any, on_device: OnDevice, first: AskSettings) -> None:
        self.technique, self.visitor, self.on_device, self.first = technique, visitor, on_device, first
        self.starters = library.starters(technique.name)
        self.tree: TreeSection | None = None
        with gr.Accordion("What this technique teaches", open=False):
            gr.Markdown(technique.lesson)
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                self._build_form()
            with gr.Column(scale=7, min_width=320, elem_classes="beside"):
                self._build_result()
        study = study_of(technique.name)
        self.study = StudySection(study, self) if study else None
        self.rows = self.study.rows if self.study else self._build_rows()
        if self.tree and self.study:
            FeedbackSection(self, self.tree)
        self._connect()
        self._publish()

    @property
    def model(self) -> Any:
        """The model's widget."""
        return self.form.widgets["model"]

    def opener(self, who: Caller, key: str) -> Any:
        """A model's name -> its backend, for this caller."""
        return opener(who, self.on_device, key)

    def _build_form(self) -> None:
        names = [entry.name for entry in self.starters]
        self.starter = gr.Dropdown(names, value=None, label="See an example of this technique", min_width=280,
                                   info="It fills the form; what you wrote is replaced.")  # fmt: skip
        self.form: Form = form(self.technique.settings, self.first)
        self._build_material()
        with gr.Accordion("Model server", open=False):
            self.key = gr.Textbox(
                label="Server key",
                type="password",
                info="Only for <url>#<model>. Used for this request, stored nowhere.",
            )
        with gr.Row(equal_height=True):
            self.go = gr.Button("Ask the model", variant="primary", min_width=140)
            self.stop = stop_button()
        with gr.Row(equal_height=True, elem_classes="actions"):
            self.preview = gr.Button("Show the prompt", size="md", scale=0, min_width=140)
            self.add = gr.Button("Add to Compare", size="md", scale=0, min_width=130)
            self.tune = gr.Button("Fine-tune from this", size="md", scale=0, min_width=170)
            self.climb = gr.Button("Take to the ladder", size="md", scale=0, min_width=145)
        self.library = LibrarySection(self)

    def _build_material(self) -> None:
        """Files that fill a field: documents, examples."""
        for field, label, fill in (
            ("documents", "Attach documents (text files)", fill_documents), ("examples", "Examples from a file", fill_examples),
        ):  # fmt: skip
            if field in self.form.widgets:
                with gr.Accordion(label, open=False):
                    files = gr.File(label=label, type="filepath", file_count="multiple", height=150)
                widget = self.form.widgets[field]
                listen(files.upload, fill, self.visitor, [files, widget], widget,
                       name=f"ui_{field}_{self.technique.name}")  # fmt: skip

    def _build_rows(self) -> RowsPicker:
        """What fills the slots where no study has rows."""
        with gr.Accordion("Rows that fill the slots", open=False):
            return RowsPicker(self.technique.name)

    def _build_result(self) -> None:
        self.reply = gr.Textbox(
            label="Reply",
            lines=8,
            max_lines=24,
            interactive=False,
            buttons=["copy"],
            placeholder="The reply appears here.",
        )
        reasons = not self.technique.whole
        self.answer = gr.Textbox(
            label="Answer, apart from the reasoning", interactive=False, buttons=["copy"], visible=reasons
        )
        self.steps = gr.HTML("", visible=reasons)
        self.status = gr.Markdown("Nothing asked yet.", elem_classes="quiet status")
        if issubclass(self.technique.settings, RefinementSettings):
            self.tree = TreeSection(self)
        with gr.Accordion("The exact prompt", open=False) as self.below:
            self.exact = gr.HTML("<p>Ask, or press “Show the prompt”.</p>")
        with gr.Accordion("Plain prompt to copy", open=False):
            self.plain = gr.Textbox(label="Plain prompt", lines=4, max_lines=20, interactive=False, buttons=["copy"])
        with gr.Accordion("Export for use elsewhere", open=False):
            self.export_form = gr.Dropdown(list(FORMS), value="transformers", label="As", min_width=280,
                                           info="A script, a request, or a file for another tool.")  # fmt: skip
            self.export = gr.Button("Export", size="md", scale=0, min_width=90)
            self.exported = gr.Code(label="Export", interactive=False, max_lines=20)

    def _connect(self) -> None:
        name, visitor = self.technique.name, self.visitor
        shown = [self.reply, self.answer, self.steps, self.status, self.exact, self.plain]
        inputs = [self.key, *self.form.inputs, *(self.study or self.rows).inputs]
        started = self.form.inputs
        if tree := self.tree:
            extra = [tree.tree, *tree.shown, *(self.form.widgets[field] for field in ("task", "feedback", "notes"))]
            going = listen(self.go.click, self._ask_version, visitor, [tree.tree, tree.version, *inputs], [*shown, *extra],
                           name=f"ui_ask_{name}", line=self.status, show_progress="minimal")  # fmt: skip
            tree.connect()
            started = [*self.form.inputs, tree.tree, *tree.shown]
        else:
            going = listen(
                self.go.click, self._ask, visitor, inputs, shown, name=f"ui_ask_{name}", line=self.status,
                show_progress="minimal",
            )  # fmt: skip
        stops(self.stop, going, self.status, name=name)
        listen(
            self.preview.click,
            self._preview,
            visitor,
            inputs,
            [self.exact, self.plain, self.status, self.below],
            name=f"ui_preview_{name}",
        )
        listen(self.export.click, lambda _who, kind, *values: export(self.technique, self.form.read(values), kind),
               visitor, [self.export_form, *self.form.inputs], self.exported, name=f"ui_export_{name}")  # fmt: skip
        choice(self.starter, self._start_from, visitor, [], [self.starter, *started], name=f"ui_starter_{name}")
        self.library.connect()

    def _publish(self) -> None:
        def run(who: Caller, settings: Any) -> Iterator[dict[str, Any]]:
            for asked in ask(self.technique, settings, opener(who, self.on_device), owner=who.owner):
                yield asked.document()

        endpoint(
            self.technique.settings, run, name=self.technique.name,
            text=f"{self.technique.title}: {self.technique.settings.__doc__} Streams documents with messages, rendered prompt, "
            "reply, answer, tokens and seconds; the last one is complete. A server's key goes in the header X-Model-Key.",
        )  # fmt: skip

    def _read(self, who: Caller, values: tuple[Any, ...]) -> tuple[Any, dict[str, Any]]:
        """(the settings, what fills their slots: a row of those chosen below; {} where there are no slots)."""
        own = len(self.form.inputs)
        settings = self.form.read(values[:own])
        if not slots(settings):
            return settings, {}
        if self.study:
            return settings, self.study.first_row(who, values[own:])
        return settings, dict(first_row(Rated(), picked_table(who, *values[own:])))

    def _asked(
        self, who: Caller, key: str, settings: Any, row: dict[str, Any]
    ) -> Iterator[tuple[Asked, dict[Any, Any]]]:
        """(how far it is, what to show of it): the prompt as it was read only at first."""
        first = say(" · asked with the first row below that may be looked at") if row else ""
        for number, asked in enumerate(ask(self.technique, settings, self.opener(who, key), row=row, owner=who.owner)):
            shown = {
                self.reply: asked.reply.text if asked.reply else "",
                self.answer: _answer(asked),
                self.steps: steps(asked.answer.reasoning) if asked.answer and not self.technique.whole else "",
                self.status: status_line(asked) + first,
            }
            if number == 0:
                shown |= {self.exact: lens(asked.rendered, asked.notes), self.plain: asked.prompt.plain()}
            yield asked, shown

    def _ask(self, who: Caller, key: str, *values: Any) -> Iterator[Any]:
        for _, shown in self._asked(who, key, *self._read(who, values)):
            yield shown

    def _ask_version(self, who: Caller, tree: str, version: int | None, key: str, *values: Any) -> Iterator[Any]:
        assert self.tree is not None
        settings, row = self._read(who, values)
        written = settings
        if settings.plain() != settings and not self.tree.knows(who, tree, settings.task):
            settings = settings.plain()  # feedback is on an output one has seen
            gr.Info(say("This prompt was not asked yet: it is asked as it is. Ask again to work your feedback in."))
        last: Asked | None = None
        for last, shown in self._asked(who, key, settings, row):
            yield shown
        if last is None or last.reply is None:
            return
        views = self.tree.asked(who, tree, version, settings, last)
        left = written if settings is not written else last.settings
        shown_left = dict(zip(self.form.widgets, self.form.show(left), strict=True))
        yield {
            **dict(zip([self.tree.tree, *self.tree.shown], views, strict=True)),
            self.form.widgets["task"]: last.settings.task,
            **{self.form.widgets[name]: shown_left[name] for name in ("feedback", "notes")},
        }

    def _preview(self, who: Caller, key: str, *values: Any) -> Any:
        settings, row = self._read(who, values)
        asked = rendered_prompt(self.technique, settings, self.opener(who, key), row)
        count = (
            say("{ids:,} tokens; nothing was asked.", ids=len(asked.rendered.ids))
            if asked.rendered
            else say("Nothing was asked.")
        )
        told = say("The prompt is below: {count}", count=count)
        return lens(asked.rendered, asked.notes), asked.prompt.plain(), told, gr.Accordion(open=True)

    def _start_from(self, who: Caller, name: str) -> list[Any]:
        entry = next(entry for entry in self.starters if entry.name == name)
        shown = self.form.show(entry.settings)
        return [None, *shown, *(["", *tree_views(who, "")] if self.tree else ())]


def _answer(asked: Asked) -> str:
    if asked.answer is None:
        return ""
    return say("No answer could be found in the reply.") if asked.answer.text is None else asked.answer.text


ENDED = later({
    "running": "writing…", "stop": "finished", "length": "cut off at the longest reply you allow", "cancelled": "stopped",
})  # fmt: skip


def status_line(asked: Asked) -> str:
    """Tokens, seconds and how it ended."""
    reply = asked.reply
    if reply is None:
        return say("Asking…")
    ended = say(ENDED[reply.finish])
    spent = [say("{tokens_in:,} tokens in", tokens_in=reply.tokens_in)] if reply.tokens_in is not None else []
    spent += [say("{tokens_out:,} tokens out", tokens_out=reply.tokens_out)] if reply.tokens_out is not None else []
    return " · ".join([*spent, f"{reply.seconds:.1f} s", ended])
