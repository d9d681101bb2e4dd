"""The public endpoints of the fine-tuning side; the tab uses the same core functions."""

from collections.abc import Iterator
from inspect import Parameter
from typing import Any

import gradio as gr

from prompts.backends import OnDevice
from prompts.errors import UserError
from prompts.ui.endpoints import uploaded
from prompts.ui.forms import endpoint
from prompts.ui.visitor import Caller
from tuning import run as runs
from tuning.asking import Ask, ask_text
from tuning.data.columns import Columns
from tuning.data.inspect import inspection
from tuning.data.sources import mapping, open_table, save_upload
from tuning.evaluate import evaluate
from tuning.launch.process import start
from tuning.publish import Publish, publish
from tuning.recipe import Recipe


class RunSettings(Recipe, Columns):
    """A recipe with the mapping of its data."""


DATA = {
    "file": (gr.FileData | None, None, "CSV, TSV, JSONL or JSON in UTF-8; leave empty to use data."),
    "data": (str, "", "Instead of a file: the source that an earlier call returned, or sample:support_emails."),
}
RUN = {"run": (str, Parameter.empty, "The run's id, as /start_run and /list_runs return it.")}


def source_of(who: Caller, file: Any, data: str) -> str:
    """The source of a call's data, an uploaded file copied into the caller's folder first. Raises UserError."""
    if bool(file) == bool(data):
        raise UserError("give either a file or the name of data", field="file")
    if not file:
        return data
    return save_upload(who.owner, uploaded(file), file["orig_name"] if isinstance(file, dict) else file.orig_name)


def inspect_data(who: Caller, columns: Columns, file: Any = None, data: str = "") -> dict[str, Any]:
    source = source_of(who, file, data)
    return {"source": source, **inspection(open_table(who.owner, source), mapping(source, columns))}


def start_run(who: Caller, settings: RunSettings, file: Any = None, data: str = "") -> dict[str, Any]:
    source = source_of(who, file, data)
    recipe, columns = (
        model(**{name: getattr(settings, name) for name in model.model_fields}) for model in (Recipe, Columns)
    )
    run = runs.create(who.owner, open_table(who.owner, source), recipe, mapping(source, columns))  # type: ignore[arg-type]
    start(run, who.token)
    return runs.snapshot(run)


def publish_endpoints(on_device: OnDevice) -> None:
    """Adds every endpoint to the current Blocks."""

    def ask_model(who: Caller, settings: Ask) -> Iterator[dict[str, Any]]:
        yield from ask_text(who.owner, settings, token=who.token, key=who.key, on_device=on_device)

    def evaluate_run(who: Caller, run: str) -> Iterator[dict[str, Any]]:
        yield from evaluate(runs.find(who.owner, run), token=who.token, on_device=on_device)

    def resume_run(who: Caller, run: str) -> dict[str, Any]:
        found = runs.prepare_again(who.owner, run)
        start(found, who.token)
        return runs.snapshot(found)

    def delete_run(who: Caller, run: str) -> dict[str, Any]:
        runs.delete(who.owner, run)
        return {"run": run, "status": "deleted"}

    endpoint(
        Ask, ask_model, name="ask_model", text="Ask any model a plain text, for instance your fine-tune (run:<id>)."
    )
    endpoint(Columns, inspect_data, name="inspect_data", personal=True, extra=DATA,
             text="Read a data file: rows, columns, how they would be used, and what is wrong with them.")  # fmt: skip
    endpoint(RunSettings, start_run, name="start_run", personal=True, extra=DATA,
             text="Fine-tune a model with LoRA on a data file. Returns at once; follow it with /run_status.")  # fmt: skip
    endpoint(None, lambda who, run: runs.snapshot(runs.find(who.owner, run)), name="run_status", personal=True, extra=RUN,
             text="Where a run stands: state, step, loss, tokens per second, time left, scores. Returns at once.")  # fmt: skip
    endpoint(None, lambda who, run: runs.cancel(who.owner, run), name="cancel_run", personal=True, extra=RUN,
             text="Stop a run after its current step; its checkpoint stays.")  # fmt: skip
    endpoint(None, resume_run, name="resume_run", personal=True, extra=RUN,
             text="Continue a cancelled, failed or dead run from its last checkpoint.")  # fmt: skip
    endpoint(None, lambda who: [runs.snapshot(run) for run in runs.runs(who.owner)], name="list_runs", personal=True,
             text="Your runs, the newest first.")  # fmt: skip
    endpoint(None, evaluate_run, name="evaluate_run", personal=True, extra=RUN,
             text="Measure base against tuned on the run's held-out rows; the last document has scores and verdict.")  # fmt: skip
    endpoint(
        None, delete_run, name="delete_run", personal=True, extra=RUN, text="Remove a run with its data and adapter."
    )
    endpoint(Publish, lambda who, settings, run: publish(runs.find(who.owner, run), settings, token=who.token),
             name="publish_run", personal=True, extra=RUN,
             text="Push a run's adapter with a model card to the Hub, read it back and compare. Give your token "
                  "(oauth_token, or the header X-HF-Token).")  # fmt: skip
