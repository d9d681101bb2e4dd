"""Taking a fine-tune along: a download, the Hub."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from prompts.home import adapter_folder
from prompts.ui.forms import Form, form, listen
from prompts.ui.visitor import Caller
from tuning import run as runs
from tuning.publish import Publish, publish
from tuning.ui import views
from tuning.ui.result_section import chosen


class PublishSection:
    """The adapter as a zip, and the Hub."""

    def __init__(self, visitor: Any) -> None:
        self.visitor = visitor

    def build(self) -> None:
        with gr.Accordion("Take it with you", open=False):
            self.download = gr.Button("Make the adapter's zip", size="md", scale=0, min_width=180)
            self.zip = gr.File(label="Adapter", interactive=False, visible=False)
        with gr.Accordion("Publish on the Hub", open=False):
            self.publish_form: Form = form(Publish)
            self.token = gr.Textbox(
                label="Token", type="password", info="A Hub token with write access; not needed when you are signed in. "
                "Used for this push, stored nowhere.",
            )  # fmt: skip
            self.push = gr.Button("Publish", size="md", scale=0, min_width=140)
            self.pushed = gr.Markdown("Not published.", elem_classes="quiet")

    def connect(self, run: Any) -> None:
        listen(self.download.click, self._download, self.visitor, [run], self.zip, name="ui_download")
        listen(self.push.click, self._push, self.visitor, [run, self.token, *self.publish_form.inputs],
               [self.pushed, self.token], name="ui_publish")  # fmt: skip

    def _download(self, who: Caller, run: str) -> Any:
        folder = adapter_folder(who.owner, chosen(run))
        name = Path(tempfile.gettempdir()) / f"adapter-{run}"  # one file a run, replaced each time
        return gr.File(value=shutil.make_archive(str(name), "zip", folder), visible=True)

    def _push(self, who: Caller, run: str, token: str, *values: Any) -> Any:
        settings = self.publish_form.read(values)
        publish(runs.find(who.owner, chosen(run)), settings, token=token.strip() or who.token)
        return views.published(runs.snapshot(runs.find(who.owner, run))), ""
