"""The run folder and its one owner: create, follow, cancel, make ready to resume, list, delete.

owners/<owner>/runs/<id>/
  recipe.json columns.json    the settings
  rows.jsonl rows.index       the rows; split.json says which are for training, validation, and held out
  held_out.jsonl *.keys       the held-out rows by themselves, and what rows are known by (prompts/held_out.py)
  about.json                  data name and fingerprint, versions, time of creation
  status.json                 state and, where there is one, the reason
  events.jsonl                everything that happened, a JSON object a line
  checkpoints/ adapter/       what training saved
  evaluation.json published.json
  alive.lock                  held by the process that executes the run: the system frees it if that process dies
"""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from typing import Any

from prompts.errors import UserError, WorldError
from prompts.events import Event
from prompts.following import Progress, part, told_to_nobody
from prompts.home import new_id, owner_folder, run_folder
from prompts.models import parse
from prompts.rows import Table, store, stored
from prompts.settings import build
from tuning import waits
from tuning.data.columns import Columns, Conversation, Conversations, conversations, resolve
from tuning.data.lock import lock
from tuning.data.split import fingerprint, split_table
from tuning.line import FORECAST, in_line
from tuning.methods import check_method
from tuning.recipe import Recipe
from tuning.work import ACTIVE, Work, durable, read_json, write_json

JOB = "job.json"
_PACKAGES = ("transformers", "torch", "peft", "accelerate", "datasets", "huggingface-hub")


class Run(Work):
    """A run's folder, read when asked."""

    @cached_property
    def recipe(self) -> Recipe:
        return build(Recipe, read_json(self.folder / "recipe.json"))

    @cached_property
    def columns(self) -> Columns:
        return build(Columns, read_json(self.folder / "columns.json"))

    @property
    def job(self) -> dict[str, Any] | None:
        """Of a run on Hugging Face Jobs: settings, price, id and, once they are known, time and cost."""
        return dict(read_json(self.folder / JOB)) if (self.folder / JOB).is_file() else None

    @cached_property
    def about(self) -> dict[str, Any]:
        return read_json(self.folder / "about.json")

    @cached_property
    def table(self) -> Table:
        return stored(self.folder, self.about["data"], used_columns(self.columns))

    @cached_property
    def conversations(self) -> Conversations:
        return Conversations(self.table.rows, self.columns)

    def part(self, name: str) -> Conversations:
        """The "train", the "validation" or the "held_out" rows."""
        return Conversations(self.table.rows, self.columns, self.numbers(name))

    def numbers(self, name: str) -> list[int]:
        """Row numbers of a part, from 0."""
        return list(read_json(self.folder / "split.json")[name])


def create(owner: str, table: Table, recipe: Recipe, columns: Columns, tell: Progress = told_to_nobody) -> Run:
    """Checks everything that can be checked without a model, and writes the folder; `tell` is told rows. Raises UserError,
    WorldError.
    """
    if parse(recipe.model).kind in ("run", "server"):
        raise UserError("train on a base model: embedded, a Hub id or a folder", field="model")
    check_method(recipe)
    columns = resolve(columns, table)
    talks = conversations(table.rows, columns, part(tell, 0.0, 0.2))
    parts = split_table(table, talks, columns, recipe.held_out, recipe.validation, recipe.seed, part(tell, 0.2, 0.5))
    name = new_id()
    folder = owner_folder(owner, "runs", name)
    run = Run(owner, name, folder)
    try:
        folder.mkdir(parents=True)
        used = used_columns(columns)
        store(table.name, ({name: row[name] for name in used} for row in table.rows), keep=folder)
        write_json(folder / "columns.json", columns.to_json())
        write_json(folder / "split.json", parts.document())
        lock(folder, table, columns, parts)
        write_json(folder / "about.json", _about(table, talks, part(tell, 0.7, 0.3)))
        run.set_state("starting")
        _remember_forecast(run, recipe, columns)
        durable(folder)
        write_json(folder / "recipe.json", recipe.to_json())  # last: with it, the folder is a run
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise WorldError(
            "the run cannot be written: {strerror}; free some disk space and start again", strerror=error.strerror
        ) from error
    return run


def _remember_forecast(run: Run, recipe: Recipe, columns: Columns) -> None:
    from tuning.forecast import kept

    if (file := kept(run.owner, recipe, columns, run.about["fingerprint"])).is_file():
        shutil.copyfile(file, run.folder / FORECAST)


def used_columns(columns: Columns) -> tuple[str, ...]:
    """The columns that a run keeps."""
    return (columns.messages,) if columns.messages else (*columns.input, columns.output)


def _about(table: Table, talks: Conversations, tell: Progress) -> dict[str, Any]:
    def counted() -> Iterator[Conversation]:
        for number, talk in enumerate(talks, 1):
            tell(number, len(talks))
            yield talk

    return {
        "data": table.name,
        "rows": len(talks),
        "fingerprint": fingerprint(counted()),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in _PACKAGES},
    }


def find(owner: str, run: str) -> Run:
    """Raises NotFound for a run that does not exist or is another owner's."""
    folder = run_folder(owner, run)
    return Run(owner, folder.name, folder)


def runs(owner: str) -> list[Run]:
    """This owner's runs, the newest first."""
    folder = owner_folder(owner, "runs")
    found = [Run(owner, path.parent.name, path.parent) for path in folder.glob("*/recipe.json")]
    return sorted(found, key=lambda run: run.about["created"], reverse=True)


def snapshot(run: Run) -> dict[str, Any]:
    """What is known of a run now; returns at once."""
    events = run.events()
    last = _last(events, "step") or {}
    done = _last(events, "trained") or {}
    status = run.status()
    starting = status["time"] if status["state"] == "starting" else None
    at = waits.at(events if status["state"] in ACTIVE else [], run.recipe, starting, here=run.job is None)
    document = {
        "run": run.id,
        "status": status["state"],
        "reason": status.get("reason", ""),
        "model": run.recipe.model,
        "data": run.about["data"],
        "created": run.about["created"],
        **in_line(run, status["state"]),
        "rows": {name: len(run.numbers(name)) for name in ("train", "validation", "held_out")},
        **{key: last.get(key) for key in ("step", "steps", "epoch", "loss", "learning_rate", "elapsed")},
        **at,
        "tokens_per_second": done.get("tokens_per_second", last.get("tokens_per_second")),
        "peak_memory_gb": done.get("peak_memory_gb", last.get("memory_gb")),
        "train_loss": done.get("train_loss"),
        "tracker": _told(_last(events, "tracker")),
        "validation_loss": _kept_loss(run, events),
        "eval_loss": _loss(events, "held_out"),
    }
    from tuning.forecast import off

    document["forecast_off"] = off(run, done.get("seconds"), done.get("peak_memory_gb"))
    evaluation, published = run.folder / "evaluation.json", run.folder / "published.json"
    document["job"] = run.job
    document["evaluation"] = _without_rows(read_json(evaluation)) if evaluation.is_file() else None
    document["published"] = read_json(published) if published.is_file() else None
    refused = None if document["published"] else _last(events, "not_published")
    document["not_published"] = refused["reason"] if refused else ""
    return document


def evaluation(run: Run) -> dict[str, Any] | None:
    """What was measured, with every row; None before it was."""
    file = run.folder / "evaluation.json"
    return dict(read_json(file)) if file.is_file() else None


def _without_rows(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "examples"}


def _last(events: list[Event], kind: str) -> Event | None:
    return next((event for event in reversed(events) if event["event"] == kind), None)


def _kept_loss(run: Run, events: list[Event]) -> float | None:
    """The validation loss of the weights that are kept: the best epoch's where there are several, else the last."""
    found = [event["loss"] for event in events if event["event"] == "evaluation" and event["part"] == "validation"]
    return None if not found else min(found) if run.recipe.num_train_epochs >= 2 else found[-1]


def _told(tracker: Event | None) -> str:
    """Where a tracker keeps the figures, or why it does not."""
    return str(tracker.get("where") or tracker.get("problem")) if tracker else ""


def _loss(events: list[Event], part: str) -> float | None:
    """The last loss measured on a part."""
    return next((e["loss"] for e in reversed(events) if e["event"] == "evaluation" and e["part"] == part), None)
