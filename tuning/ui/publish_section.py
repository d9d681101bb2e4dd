"""Taking a fine-tune along: as a file in any form, or to the Hub."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from prompts.home import scratch
from prompts.ui.forms import Form, form, listen, stop_button, stops
from prompts.ui.visitor import Caller
from prompts.words import later, say
from tuning import run as runs
from tuning.export import Export, exported_file
from tuning.publish import Publish, publishing
from tuning.ui import publish_views as views
from tuning.ui.result_section import chosen


class PublishSection:
    """A download, and the Hub."""

    def __init__(self, visitor: Any) -> None:
        self.visitor = visitor

    def build(self) -> None:
        with gr.Accordion("Take it with you", open=False):
            self.export_form: Form = form(Export)
            with gr.Row():
                self.download = gr.Button("Make the file", size="md", scale=0, min_width=180)
                self.stop = stop_button()
            self.exported = gr.Markdown("", elem_classes="quiet")
            self.zip = gr.File(label="Your fine-tune", interactive=False, visible=False)
        with gr.Accordion("Publish on the Hub", open=False):
            self.publish_form: Form = form(Publish)
            self.token = gr.Textbox(
                label="Token", type="password", info="A Hub token with write access; not needed when you are signed in. "
                "Used for this push, stored nowhere.",
            )  # fmt: skip
            with gr.Row():
                self.push = gr.Button("Publish", size="md", scale=0, min_width=140)
                self.stop_push = stop_button()
            self.pushed = gr.Markdown("Not published.", elem_classes="quiet")

    def connect(self, run: Any) -> None:
        going = listen(self.download.click, self._download, self.visitor, [run, *self.export_form.inputs],
                       [self.exported, self.zip], name="ui_download", line=self.exported)  # fmt: skip
        stops(self.stop, going, self.exported, name="download")
        pushing = listen(self.push.click, self._push, self.visitor, [run, self.token, *self.publish_form.inputs],
                         [self.pushed, self.token], name="ui_publish", line=self.pushed)  # fmt: skip
        kept = later("Stopped; nothing here is lost. What was sent already is on the Hub: publish again.")
        stops(self.stop_push, pushing, self.pushed, kept, name="publish")

    def _download(self, who: Caller, run: str, *values: Any) -> Iterator[Any]:
        found, settings = runs.find(who.owner, chosen(run)), self.export_form.read(values)
        folder, steps = scratch() / f"{settings.form}-{found.id[:6]}", views.Steps()
        for event in exported_file(found, settings, folder, token=who.token):
            if event["event"] == "exported":
                yield views.exported(event), gr.File(value=event["file"], visible=True)
            else:
                yield {self.exported: steps.line(event)}

    def _push(self, who: Caller, run: str, token: str, *values: Any) -> Iterator[Any]:
        settings = self.publish_form.read(values)
        found = runs.find(who.owner, chosen(run))
        event: dict[str, Any] = {}
        steps = views.Steps()
        for event in publishing(found, settings, token=token.strip() or who.token):
            if event["event"] != "published":
                yield {self.pushed: steps.line(event)}
        gone = say(" The run was deleted here.") if event["deleted"] else ""
        yield views.published({"published": event}) + gone, ""
