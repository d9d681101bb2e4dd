"""python -m tuning: the fine-tuning side from the shell."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import CliPositionalArg

from prompts.commands import Command, Flags, main
from prompts.errors import UserError
from prompts.home import LOCAL
from prompts.rows import read_table
from tuning import run as runs
from tuning.data.columns import Columns
from tuning.data.inspect import inspection
from tuning.evaluate import evaluate
from tuning.execute import execute
from tuning.publish import Publish, publish
from tuning.recipe import Recipe
from tuning.run import Event

Show = Callable[[str], None]


class RunFlags(Flags):
    run: CliPositionalArg[str] = Field(description="The run's id.")
    owner: str = Field(LOCAL, description="Whose run it is; on your own machine: local.")


class OwnerFlags(Flags):
    owner: str = Field(LOCAL, description="Whose runs; on your own machine: local.")


class InspectFlags(Flags, Columns):
    file: CliPositionalArg[str] = Field(description="CSV, TSV, JSONL or JSON.")


class TrainFlags(Flags, Recipe, Columns):
    file: CliPositionalArg[str] = Field("", description="CSV, TSV, JSONL or JSON; not needed with --run.")
    run: str = Field("", description="Execute this run, which was created before, instead of a new one.")
    owner: str = Field(LOCAL, description="Whose run it is; on your own machine: local.")
    evaluate: bool = Field(False, description="Measure base against tuned on the held-out rows afterwards.")


class PublishFlags(Flags, Publish):
    run: CliPositionalArg[str] = Field(description="The run's id.")
    owner: str = Field(LOCAL, description="Whose run it is; on your own machine: local.")


def _inspect(flags: InspectFlags, show: Show) -> Any:
    return inspection(read_table(Path(flags.file)), flags.of(Columns))


def _train(flags: TrainFlags, show: Show) -> Any:
    if bool(flags.file) == bool(flags.run):
        raise UserError("give a FILE to train on, or --run with the id of a run that was created before")
    token = None
    if flags.run:
        run = runs.find(flags.owner, flags.run)
        token = _token_from_pipe()
    else:
        run = runs.create(flags.owner, read_table(Path(flags.file)), flags.of(Recipe), flags.of(Columns))
    return _executed(run, show, token, then_evaluate=flags.evaluate)


def _token_from_pipe() -> str | None:
    """The first line of standard input, where the app started this process; never from a terminal."""
    return (sys.stdin.readline().strip() or None) if sys.stdin and not sys.stdin.isatty() else None


def _executed(run: runs.Run, show: Show, token: str | None, *, then_evaluate: bool) -> Any:
    show(f"run {run.id}")
    then = (lambda found: evaluate(found, token=token)) if then_evaluate else None
    for event in execute(run, token=token, then=then):
        show(sentence(event))
    document = runs.snapshot(runs.find(run.owner, run.id))
    return {key: value for key, value in document.items() if value is not None and value != ""}


def sentence(event: Event) -> str:
    """An event as a line for a person."""
    kind = event["event"]
    if kind == "step":
        return (
            f"step {event['step']}/{event['steps']}  loss {event['loss']:.4f}  lr {event['learning_rate']:.2e}  "
            f"{event['tokens_per_second']:.0f} tokens/s  {event['remaining']:.0f} s left"
        )
    if kind == "evaluation":
        return f"epoch {event['epoch']:.0f}: loss on the held-out rows {event['held_out_loss']:.4f}"
    if kind == "evaluated":
        return str(event["verdict"])
    return kind + "".join(f"  {key} {value}" for key, value in event.items() if key != "event")


def _resume(flags: RunFlags, show: Show) -> Any:
    return _executed(runs.prepare_again(flags.owner, flags.run), show, None, then_evaluate=False)


def _evaluate(flags: RunFlags, show: Show) -> Any:
    document: Event = {}
    for document in evaluate(runs.find(flags.owner, flags.run)):
        if document["event"] == "evaluating":
            show(f"{document['done']} of {document['of']} answers")
    return {key: value for key, value in document.items() if key != "event"}


def _runs(flags: OwnerFlags, show: Show) -> Any:
    return [runs.snapshot(run) for run in runs.runs(flags.owner)]


def _status(flags: RunFlags, show: Show) -> Any:
    return runs.snapshot(runs.find(flags.owner, flags.run))


def _cancel(flags: RunFlags, show: Show) -> Any:
    return runs.cancel(flags.owner, flags.run)


def _delete(flags: RunFlags, show: Show) -> Any:
    runs.delete(flags.owner, flags.run)
    return {"run": flags.run, "status": "deleted"}


def _publish(flags: PublishFlags, show: Show) -> Any:
    return publish(runs.find(flags.owner, flags.run), flags.of(Publish), token=os.environ.get("HF_TOKEN") or None)


COMMANDS = {
    "inspect": Command(InspectFlags, _inspect, "Read a data file and say what is in it and how it would be used."),
    "train": Command(TrainFlags, _train, "Fine-tune a model with LoRA on a data file."),
    "runs": Command(OwnerFlags, _runs, "List the runs, the newest first."),
    "status": Command(RunFlags, _status, "Say where a run stands."),
    "cancel": Command(RunFlags, _cancel, "Stop a run after its current step."),
    "resume": Command(RunFlags, _resume, "Continue a cancelled, failed or dead run from its last checkpoint."),
    "evaluate": Command(RunFlags, _evaluate, "Measure base against tuned on the held-out rows."),
    "publish": Command(
        PublishFlags, _publish, "Push a run's adapter with its model card to the Hub (token: HF_TOKEN)."
    ),
    "delete": Command(RunFlags, _delete, "Remove a run with its data and adapter."),
}

if __name__ == "__main__":
    sys.exit(main("tuning", COMMANDS, sys.argv[1:]))
