"""Parameters that several endpoints share: a call's data, a run."""

import shutil
from inspect import Parameter
from typing import Any

import gradio as gr

from prompts.errors import UserError
from prompts.home import scratch
from prompts.rows import FORMATS
from prompts.ui.endpoints import uploaded
from prompts.ui.visitor import Caller
from prompts.uploads import save_upload
from tuning.data.hub import hub_data, save_dataset

DATA = {
    "file": (gr.FileData | None, None, f"{FORMATS}; leave empty to use data or dataset."),
    "data": (str, "", "Instead of a file: the source that an earlier call returned, or sample:support_emails."),
    "dataset": (
        str,
        "",
        "Instead of a file: a data set of the Hub as owner/name, or owner/name:config:train@revision.",
    ),
}
RUN = {"run": (str, Parameter.empty, "The run's id, as /start_run and /list_runs return it.")}


def to_download(path: str | None) -> str | None:
    """A copy of an owner's file where Gradio may serve it from: a folder of its own, under the system's temporary one."""
    return str(shutil.copy(path, scratch())) if path else None


def source_of(who: Caller, file: Any, data: str, dataset: str) -> str:
    """The source of a call's data; a file or a data set of the Hub is copied into the caller's folder first. Raises UserError."""
    if sum(map(bool, (file, data, dataset))) != 1:
        raise UserError("give one of a file, the name of data, and a data set of the Hub", field="file")
    if data:
        return data
    if dataset:
        return save_dataset(who.owner, hub_data(dataset), who.token)
    path = uploaded(file)
    source = save_upload(who.owner, path, file["orig_name"] if isinstance(file, dict) else file.orig_name)
    path.unlink(missing_ok=True)  # the copy in the caller's folder is the one that is used
    return source
