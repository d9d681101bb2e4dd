"""One tab a technique: its form, its reply as it grows, the exact prompt, the plain prompt, and the saved prompts."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from prompts import library
from prompts.asking import Asked, ask, rendered_prompt
from prompts.backends import OnDevice, open_backend
from prompts.errors import UserError
from prompts.exports import FORMS, export
from prompts.techniques import Technique
from prompts.ui.forms import Form, endpoint, form, listen, stops
from prompts.ui.lens import lens
from prompts.ui.visitor import Caller


def opener(who: Caller, on_device: OnDevice, key: str = "") -> Any:
    """A model's name -> its backend, for this caller."""
    return lambda name: open_backend(name, who.owner, token=who.token, key=key or who.key, on_device=on_device)


class TechniqueTab:
    """Builds the tab inside the current Blocks."""

    def __init__(self, technique: Technique, visitor: Any, on_device: OnDevice) -> None:
        self.technique, self.visitor, self.on_device = technique, visitor, on_device
        self.starters = library.starters(technique.name)
        with gr.Accordion("What this technique teaches", open=False):
            gr.Markdown(technique.lesson)
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                self._build_form()
            with gr.Column(scale=7, min_width=320):
                self._build_result()
        self._connect()
        self._publish()

    @property
    def model(self) -> Any:
        """The model's widget."""
        return self.form.widgets["model"]

    def _build_form(self) -> None:
        names = [entry.name for entry in self.starters]
        self.starter = gr.Dropdown(names, value=names[0], label="Start from an example", min_width=280)
        self.form: Form = form(self.technique.settings, self.starters[0].settings)
        with gr.Accordion("Model server", open=False):
            self.key = gr.Textbox(
                label="Server key",
                type="password",
                info="Only for <url>#<model>. Used for this request, stored nowhere.",
            )
        with gr.Row():
            self.go = gr.Button("Ask the model", variant="primary", min_width=140)
            self.stop = gr.Button("Stop", size="md", scale=0, min_width=90)
            self.preview = gr.Button("Show the prompt", size="md", scale=0, min_width=140)
            self.add = gr.Button("Add to Compare", size="md", scale=0, min_width=140)
            self.tune = gr.Button("Fine-tune from this", size="md", scale=0, min_width=150)
            self.climb = gr.Button("Take to the ladder", size="md", scale=0, min_width=150)
        with gr.Accordion("My saved prompts", open=False):
            self.saved = gr.Dropdown([], label="Saved prompt", allow_custom_value=True, min_width=280,
                                     info="Choose one to load, or type a new name to save under.")  # fmt: skip
            with gr.Row():
                self.save = gr.Button("Save", size="md", scale=0, min_width=90)
                self.load = gr.Button("Load", size="md", scale=0, min_width=90)
                self.delete = gr.Button("Delete", size="md", scale=0, min_width=90)

    def _build_result(self) -> None:
        self.reply = gr.Textbox(
            label="Reply",
            lines=8,
            max_lines=24,
            interactive=False,
            buttons=["copy"],
            placeholder="The reply appears here.",
        )
        self.answer = gr.Textbox(
            label="Answer, apart from the reasoning", interactive=False, buttons=["copy"],
            visible=self.technique.name == "chain_of_thought",
        )  # fmt: skip
        self.status = gr.Markdown("Nothing asked yet.", elem_classes="quiet status")
        self.versions: Any = None
        if self.technique.revise:
            self._build_versions()
        with gr.Accordion("The exact prompt", open=False):
            self.exact = gr.HTML("<p>Ask, or press “Show the prompt”.</p>")
        with gr.Accordion("Plain prompt to copy", open=False):
            self.plain = gr.Textbox(label="Plain prompt", lines=4, max_lines=20, interactive=False, buttons=["copy"])

    def _build_versions(self) -> None:
        self.versions = gr.BrowserState([], storage_key="prompt-or-tune-versions", secret="versions")
        self.version = gr.Dropdown(
            [], label="Versions", info="Every version is kept; choose one to go back to it.", min_width=280
        )
        self.history = gr.Dataframe(
            headers=["No.", "Feedback", "Prompt", "Output"], datatype="str", interactive=False, wrap=True, max_height=360,
            show_search="none", label="All versions", elem_classes="rows",
        )  # fmt: skip

    def _connect(self) -> None:
        name, shown = self.technique.name, [self.reply, self.answer, self.status, self.exact, self.plain]
        inputs = [self.key, *self.form.inputs]
        if self.technique.revise:
            extra = [
                self.versions,
                self.version,
                self.history,
                self.form.widgets["task"],
                self.form.widgets["feedback"],
            ]
            going = listen(
                self.go.click, self._ask_version, self.visitor, [self.versions, *inputs], [*shown, *extra], name=f"ui_ask_{name}",
                show_progress="minimal",
            )  # fmt: skip
            listen(self.version.input, self._go_back, self.visitor, [self.versions, self.version],
                   [self.form.widgets["task"], self.reply], name=f"ui_version_{name}")  # fmt: skip
        else:
            going = listen(
                self.go.click, self._ask, self.visitor, inputs, shown, name=f"ui_ask_{name}", show_progress="minimal"
            )
        with gr.Accordion("Export for use elsewhere", open=False):
            self.export_form = gr.Dropdown(list(FORMS), value="transformers", label="As", min_width=280)
            self.export = gr.Button("Export", size="md", scale=0, min_width=90)
            self.exported = gr.Code(label="Export", interactive=False, max_lines=20)
        stops(self.stop, going, self.status, "Stopped.", name=name)
        listen(self.preview.click, self._preview, self.visitor, inputs, [self.exact, self.plain, self.status],
               name=f"ui_preview_{name}")  # fmt: skip
        listen(self.export.click, lambda _who, kind, *values: export(self.technique, self.form.read(values), kind),
               self.visitor, [self.export_form, *self.form.inputs], self.exported, name=f"ui_export_{name}")  # fmt: skip
        listen(
            self.starter.input,
            self._start_from,
            self.visitor,
            [self.starter],
            self.form.inputs,
            name=f"ui_starter_{name}",
        )
        listen(
            self.save.click,
            self._save,
            self.visitor,
            [self.saved, *self.form.inputs],
            self.saved,
            name=f"ui_save_{name}",
        )
        listen(self.load.click, self._load, self.visitor, [self.saved], self.form.inputs, name=f"ui_load_{name}")
        listen(self.delete.click, self._delete, self.visitor, [self.saved], self.saved, name=f"ui_delete_{name}")

    def _publish(self) -> None:
        def run(who: Caller, settings: Any) -> Iterator[dict[str, Any]]:
            for asked in ask(self.technique, settings, opener(who, self.on_device), owner=who.owner):
                yield asked.document()

        endpoint(
            self.technique.settings, run, name=self.technique.name,
            text=f"{self.technique.title}: {self.technique.settings.__doc__} Streams documents with messages, rendered prompt, "
            "reply, answer, tokens and seconds; the last one is complete. A server's key goes in the header X-Model-Key.",
        )  # fmt: skip

    def _asked(self, who: Caller, key: str, settings: Any) -> Iterator[tuple[Asked, list[Any]]]:
        yielded = False
        for asked in ask(self.technique, settings, opener(who, self.on_device, key), owner=who.owner):
            exact = [gr.skip(), gr.skip()] if yielded else [lens(asked.rendered, asked.notes), asked.prompt.plain()]
            yielded = True
            text = asked.reply.text if asked.reply else ""
            yield asked, [text, _answer(asked), status_line(asked), *exact]

    def _ask(self, who: Caller, key: str, *values: Any) -> Iterator[Any]:
        for _, shown in self._asked(who, key, self.form.read(values)):
            yield shown

    def _ask_version(self, who: Caller, versions: list[dict[str, str]], key: str, *values: Any) -> Iterator[Any]:
        settings = written = self.form.read(values)
        if settings.feedback and all(version["task"] != settings.task for version in versions or []):
            settings = settings.changed(feedback="")  # feedback is on an output one has seen: first ask as is
        last: Asked | None = None
        for last, shown in self._asked(who, key, settings):
            yield [*shown, *[gr.skip()] * 5]
        if last is None or last.reply is None:
            return
        made = {"feedback": settings.feedback, "task": last.settings.task, "output": last.reply.text}
        versions = [*(versions or []), made]
        yield [
            *[gr.skip()] * 5,
            versions,
            *version_views(versions),
            last.settings.task,
            written.feedback if not settings.feedback else "",
        ]

    def _go_back(self, _who: Caller, versions: list[dict[str, str]], chosen: str) -> Any:
        at = _labels(versions).index(chosen)
        return versions[at]["task"], versions[at]["output"]

    def _preview(self, who: Caller, key: str, *values: Any) -> Any:
        asked = rendered_prompt(self.technique, self.form.read(values), opener(who, self.on_device, key))
        count = f"{len(asked.rendered.ids):,} tokens; nothing was asked." if asked.rendered else "Nothing was asked."
        return lens(asked.rendered, asked.notes), asked.prompt.plain(), f"The prompt is below: {count}"

    def _start_from(self, _who: Caller, name: str) -> list[Any]:
        entry = next(entry for entry in self.starters if entry.name == name)
        return self.form.show(entry.settings)

    def _save(self, who: Caller, name: str | None, *values: Any) -> Any:
        library.save(who.owner, name or "", self.technique.name, self.form.read(values))
        gr.Info(f"Saved as {name!r}.")
        return gr.Dropdown(choices=self.saved_names(who.owner), value=name)

    def _load(self, who: Caller, name: str | None) -> list[Any]:
        entry = library.load(who.owner, name or "")
        if entry.technique != self.technique.name:
            raise UserError(f"{name!r} is a prompt of the {entry.technique.replace('_', ' ')} tab; load it there")
        return self.form.show(entry.settings)

    def _delete(self, who: Caller, name: str | None) -> Any:
        library.delete(who.owner, name or "")
        gr.Info(f"Deleted {name!r}.")
        return gr.Dropdown(choices=self.saved_names(who.owner), value=None)

    def saved_names(self, owner: str) -> list[str]:
        """This owner's saved prompts of this technique."""
        return library.names(owner, self.technique.name)


def _answer(asked: Asked) -> str:
    if asked.answer is None:
        return ""
    return "No answer could be found in the reply." if asked.answer.text is None else asked.answer.text


def status_line(asked: Asked) -> str:
    """Tokens, seconds and how it ended."""
    reply = asked.reply
    if reply is None:
        return "Asking…"
    ended = {
        "running": "writing…",
        "stop": "finished",
        "length": "cut off at the longest reply you allow",
        "cancelled": "stopped",
    }[reply.finish]
    spent = [f"{reply.tokens_in:,} tokens in"] if reply.tokens_in is not None else []
    spent += [f"{reply.tokens_out:,} tokens out"] if reply.tokens_out is not None else []
    return " · ".join([*spent, f"{reply.seconds:.1f} s", ended])


def _labels(versions: list[dict[str, str]]) -> list[str]:
    return [f"{number}: {version['feedback'] or 'first request'}"[:80] for number, version in enumerate(versions, 1)]


def version_views(versions: list[dict[str, str]]) -> tuple[Any, list[list[str]]]:
    """The dropdown and the table of all versions, the newest first."""
    labels = _labels(versions)
    rows = [[str(n), v["feedback"] or "(first request)", v["task"], v["output"]] for n, v in enumerate(versions, 1)]
    return gr.Dropdown(choices=labels[::-1], value=labels[-1] if labels else None), rows[::-1]
