"""python -m tuning: the fine-tuning side from the shell."""

import json
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
from prompts.rows import FORMATS, Table, read_table
from tuning import ranks
from tuning import run as runs
from tuning import sweep as sweeps
from tuning.compare import compare_runs, follow
from tuning.data.columns import Columns, resolve
from tuning.data.fixes import Fix, fixed, patched
from tuning.data.fixes import sentence as patch_sentence
from tuning.data.hub import hub_data, save_dataset
from tuning.data.inspect import examined
from tuning.data.preview import SHOWN, Shown, preview
from tuning.data.sources import open_table
from tuning.evaluate import evaluate
from tuning.execute import assist, execute
from tuning.forecast import forecast
from tuning.launch.begin import begin, begin_job
from tuning.launch.jobs import JobSettings, price
from tuning.publish import Publish, publish
from tuning.recipe import Reading, Recipe
from tuning.search import Search
from tuning.work import Event

Show = Callable[[str], None]
HUB = "hub:"
DATA = f"{FORMATS}; or a data set of the Hub, hub:owner/name[:config][:part][@revision]."


class RunFlags(Flags):
    run: CliPositionalArg[str] = Field(description="The run's id.")
    owner: str = Field(LOCAL, description="Whose run it is; on your own machine: local.")


class ForecastFlags(Flags, Recipe, Columns):
    file: CliPositionalArg[str] = Field(description=DATA)
    owner: str = Field(LOCAL, description="Whose run it will be; on your own machine: local.")


class CompareFlags(Flags):
    run: tuple[str, ...] = Field(description="The runs' ids: --run A --run B.")
    owner: str = Field(LOCAL, description="Whose runs; on your own machine: local.")


class OwnerFlags(Flags):
    owner: str = Field(LOCAL, description="Whose runs; on your own machine: local.")


class InspectFlags(Flags, Columns):
    file: CliPositionalArg[str] = Field(description=DATA)


class PreviewFlags(Flags, Reading, Columns):
    file: CliPositionalArg[str] = Field(description=DATA)
    shown: int = Field(SHOWN, description="So many rows are shown, the worst first.")
    owner: str = Field(LOCAL, description="Whose adapters and cache; on your own machine: local.")


class FixFlags(Flags, Columns):
    file: CliPositionalArg[str] = Field(description=DATA)
    fix: tuple[str, ...] = Field(
        (), description="What to fix, as finding:fix, e.g. duplicates:drop personal:mask, in turn."
    )
    to: str = Field(description="The fixed rows are written there, as JSONL.")


class TrainFlags(Flags, Recipe, Columns):
    file: CliPositionalArg[str] = Field("", description=f"{DATA} Not needed with --run.")
    run: str = Field("", description="Execute this run, which was created before, instead of a new one.")
    owner: str = Field(LOCAL, description="Whose run it is; on your own machine: local.")
    evaluate: bool = Field(False, description="Measure base against tuned on the held-out rows afterwards.")


class SweepFlags(Flags, Search, Recipe, Columns):
    file: CliPositionalArg[str] = Field("", description=f"{DATA} Not needed with --sweep.")
    sweep: str = Field("", description="Go on with this sweep, which was created before, instead of a new one.")
    owner: str = Field(LOCAL, description="Whose sweep it is; on your own machine: local.")


class JobFlags(Flags, JobSettings, Recipe, Columns):
    file: CliPositionalArg[str] = Field(description=DATA)
    owner: str = Field(LOCAL, description="Whose run it is; on your own machine: local.")


class PublishFlags(Flags, Publish):
    run: CliPositionalArg[str] = Field(description="The run's id.")
    owner: str = Field(LOCAL, description="Whose run it is; on your own machine: local.")


def _table(name: str, token: str | None = None) -> Table:
    """A file's rows, or those of a data set of the Hub."""
    if not name.startswith(HUB):
        return read_table(Path(name))
    return open_table(LOCAL, save_dataset(LOCAL, hub_data(name.removeprefix(HUB)), token or _hub_token()))


def _hub_token() -> str | None:
    return os.environ.get("HF_TOKEN") or None


def _progress(show: Show) -> Callable[[int, int], None]:
    return lambda done, of: show(f"{done:,} of {of:,} rows")


def _inspect(flags: InspectFlags, show: Show) -> Any:
    return examined(_table(flags.file), flags.of(Columns), _progress(show))


def _preview(flags: PreviewFlags, show: Show) -> Any:
    table, shown = _table(flags.file), Shown(most=flags.shown)
    return preview(table, flags.of(Columns), flags.of(Reading), flags.owner, token=_hub_token(), shown=shown,
                   progress=_progress(show))  # fmt: skip


def _fix(flags: FixFlags, show: Show) -> Any:
    table = _table(flags.file)
    columns, done = resolve(flags.of(Columns), table), []
    for text in flags.fix:
        finding, _, fix = text.partition(":")
        done.append(fixed(table, columns, Fix(finding=finding, fix=fix)))
        table = patched(table, done[-1:])
        show(patch_sentence(done[-1]))
    with Path(flags.to).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in table.rows)
    return {"rows": len(table.rows), "written": flags.to, "fixed": [patch_sentence(one) for one in done]}


def _train(flags: TrainFlags, show: Show) -> Any:
    if bool(flags.file) == bool(flags.run):
        raise UserError("give a FILE to train on, or --run with the id of a run that was created before")
    if flags.run:
        token = _token_from_pipe() if ranks.rank() == 0 else _hub_token()
        return _executed(
            lambda: runs.find(flags.owner, flags.run), flags.owner, show, token, then_evaluate=flags.evaluate
        )
    return _executed(lambda: runs.create(flags.owner, _table(flags.file), flags.of(Recipe), flags.of(Columns)), flags.owner, show,
                     None, then_evaluate=flags.evaluate)  # fmt: skip


def _sweep(flags: SweepFlags, show: Show) -> Any:
    if bool(flags.file) == bool(flags.sweep):
        raise UserError("give a FILE to train on, or --sweep with the id of a sweep that was created before")
    if flags.sweep:
        token = _token_from_pipe()
        sweep = sweeps.find(flags.owner, flags.sweep)
        if sweep.status_written() != "starting":
            sweep.make_ready()
    else:
        table = _table(flags.file)
        sweep = sweeps.create(flags.owner, table, flags.of(Recipe), flags.of(Columns), flags.of(Search))
        token = _hub_token()
    show(f"sweep {sweep.id}")
    for event in sweeps.sweep_events(sweep, token=token):
        show(sentence(event))
    return sweeps.snapshot(sweep)


def _job(flags: JobFlags, show: Show) -> Any:
    settings, token = flags.of(JobSettings), _hub_token()
    cost = price(settings, token)
    show(f"{cost['hardware']}: ${cost['dollars_per_minute']:.4f} a minute, at most ${cost['most_dollars']:.2f}")
    run = begin_job(flags.owner, _table(flags.file), flags.of(Recipe), flags.of(Columns), settings, token)
    show(f"run {run.id}; it goes on when this command is stopped")
    return _followed(run, show)


def _token_from_pipe() -> str | None:
    """The first line of standard input, where the app started this process; never from a terminal."""
    return (sys.stdin.readline().strip() or None) if sys.stdin and not sys.stdin.isatty() else None


def _executed(make: Callable[[], runs.Run], owner: str, show: Show, token: str | None, *, then_evaluate: bool) -> Any:
    """Executes a run that this process makes; under `accelerate launch` the first one does, and the others train along."""
    ranks.join()
    run = runs.find(owner, ranks.first_says(make().id if ranks.rank() == 0 else ""))
    if ranks.rank() > 0:
        assist(run, token)
        sys.exit(0)  # the first process has the document
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
        return f"epoch {event['epoch']:.0f}: loss on the {event['part'].replace('_', '-')} rows {event['loss']:.4f}"
    if kind == "evaluated":
        return str(event["verdict"])
    if kind == "sample":
        return "\n".join(f"  {one['answer']!r} where {one['reference']!r} is right" for one in event["answers"])
    return kind + "".join(f"  {key} {value}" for key, value in event.items() if key != "event")


def _resume(flags: RunFlags, show: Show) -> Any:
    if runs.find(flags.owner, flags.run).job:
        run = runs.prepare_again(flags.owner, flags.run)
        begin(run, _hub_token())
        return _followed(run, show)
    return _executed(lambda: runs.prepare_again(flags.owner, flags.run), flags.owner, show, None, then_evaluate=False)


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


def _forecast(flags: ForecastFlags, show: Show) -> Any:
    table = _table(flags.file)
    return forecast(flags.owner, table, flags.of(Recipe), flags.of(Columns), token=_hub_token())


def _compare(flags: CompareFlags, show: Show) -> Any:
    return compare_runs([runs.find(flags.owner, run) for run in flags.run])


def _follow(flags: RunFlags, show: Show) -> Any:
    return _followed(runs.find(flags.owner, flags.run), show)


def _followed(run: runs.Run, show: Show) -> Any:
    event: Event = {}
    for event in follow(run):
        show(sentence(event) if event["event"] != "status" else event["status"])
    return {key: value for key, value in event.items() if key != "event"}


def _cancel(flags: RunFlags, show: Show) -> Any:
    return runs.cancel(flags.owner, flags.run)


def _delete(flags: RunFlags, show: Show) -> Any:
    runs.delete(flags.owner, flags.run)
    return {"run": flags.run, "status": "deleted"}


def _publish(flags: PublishFlags, show: Show) -> Any:
    return publish(runs.find(flags.owner, flags.run), flags.of(Publish), token=_hub_token())


COMMANDS = {
    "inspect": Command(
        InspectFlags, _inspect, "Say what is in a data file, how it would be used and what is wrong with it."
    ),
    "fix": Command(FixFlags, _fix, "Fix what inspect found, into a new file."),
    "preview": Command(
        PreviewFlags, _preview, "Show which tokens will be learned, read and cut, the worst rows first."
    ),
    "train": Command(TrainFlags, _train, "Fine-tune a model with LoRA on a data file."),
    "sweep": Command(SweepFlags, _sweep, "Try several recipes on the same rows; the lowest validation loss wins."),
    "job": Command(JobFlags, _job, "Fine-tune on Hugging Face Jobs, in your own account (token: HF_TOKEN)."),
    "forecast": Command(ForecastFlags, _forecast, "Measure how long a training will take, its memory, and its cost."),
    "runs": Command(OwnerFlags, _runs, "List the runs, the newest first."),
    "compare": Command(CompareFlags, _compare, "Compare runs: recipes, results and losses."),
    "follow": Command(RunFlags, _follow, "Follow a run's events until it ends."),
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
