"""Commands on training: train, sweep, job, forecast, and the runs there are."""

import sys
from collections.abc import Callable
from typing import Any

from pydantic import Field
from pydantic_settings import CliPositionalArg

from prompts.commands import Command, Flags
from prompts.errors import UserError
from prompts.home import LOCAL
from tuning import ranks
from tuning import run as runs
from tuning import sweep as sweeps
from tuning.cli.common import (
    DATA,
    OwnerFlags,
    RunFlags,
    Show,
    followed,
    hub_token,
    lines,
    secret_from_pipe,
    sentence,
    table_of,
)
from tuning.compare import compare_runs
from tuning.data.columns import Columns
from tuning.evaluate import evaluate
from tuning.execute import assist, execute
from tuning.forecast import forecast
from tuning.launch.begin import begin, begin_job, made
from tuning.launch.jobs import JobSettings, price
from tuning.recipe import Recipe
from tuning.search import Search


class ForecastFlags(Flags, Recipe, Columns):
    file: CliPositionalArg[str] = Field(description=DATA)
    owner: str = Field(LOCAL, description="Whose run it will be; on your own machine: local.")


class ResumeFlags(RunFlags):
    evaluate: bool = Field(False, description="Measure base against tuned on the held-out rows afterwards.")


class CompareFlags(Flags):
    run: tuple[str, ...] = Field(description="The runs' ids: --run A --run B.")
    owner: str = Field(LOCAL, description="Whose runs; on your own machine: local.")


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


def _train(flags: TrainFlags, show: Show) -> Any:
    if bool(flags.file) == bool(flags.run):
        raise UserError("give a FILE to train on, or --run with the id of a run that was created before")
    if flags.run:
        token = secret_from_pipe() if ranks.rank() == 0 else hub_token()
        return _executed(
            lambda: runs.find(flags.owner, flags.run), flags.owner, show, token, then_evaluate=flags.evaluate
        )
    token = hub_token()

    def new() -> runs.Run:
        return made(flags.owner, table_of(flags.file), flags.only(Recipe), flags.only(Columns), token)

    return _executed(new, flags.owner, show, token, then_evaluate=flags.evaluate)


def _sweep(flags: SweepFlags, show: Show) -> Any:
    if bool(flags.file) == bool(flags.sweep):
        raise UserError("give a FILE to train on, or --sweep with the id of a sweep that was created before")
    if flags.sweep:
        token = secret_from_pipe()
        sweep = sweeps.find(flags.owner, flags.sweep)
        if sweep.status_written() != "starting":
            sweep.make_ready()
    else:
        table = table_of(flags.file)
        sweep = sweeps.create(flags.owner, table, flags.only(Recipe), flags.only(Columns), flags.only(Search))
        token = hub_token()
    show(f"sweep {sweep.id}")
    for event in lines(sweeps.sweep_events(sweep, token=token)):
        show(sentence(event))
    return sweeps.snapshot(sweep)


def _job(flags: JobFlags, show: Show) -> Any:
    settings, token = flags.only(JobSettings), hub_token()
    cost = price(settings, token)
    show(f"{cost['hardware']}: ${cost['dollars_per_minute']:.4f} a minute, at most ${cost['most_dollars']:.2f}")
    run = begin_job(flags.owner, table_of(flags.file), flags.only(Recipe), flags.only(Columns), settings, token)
    show(f"run {run.id}; it goes on when this command is stopped")
    return followed(run, show)


def _executed(make: Callable[[], runs.Run], owner: str, show: Show, token: str | None, *, then_evaluate: bool) -> Any:
    """Executes a run that this process makes; under `accelerate launch` the first one does, and the others train along."""
    ranks.join()
    run = runs.find(owner, ranks.first_says(make().id if ranks.rank() == 0 else ""))
    if ranks.rank() > 0:
        assist(run, token)
        sys.exit(0)  # the first process has the document
    show(f"run {run.id}")
    then = (lambda found: evaluate(found, token=token)) if then_evaluate else None
    for event in lines(execute(run, token=token, then=then)):
        show(sentence(event))
    document = runs.snapshot(runs.find(run.owner, run.id))
    return {key: value for key, value in document.items() if value is not None and value != ""}


def _resume(flags: ResumeFlags, show: Show) -> Any:
    if runs.find(flags.owner, flags.run).job:
        run = runs.find(flags.owner, flags.run).make_ready()
        begin(run, hub_token())
        return followed(run, show)
    return _executed(
        lambda: runs.find(flags.owner, flags.run).make_ready(),
        flags.owner,
        show,
        hub_token(),
        then_evaluate=flags.evaluate,
    )


def _runs(flags: OwnerFlags, show: Show) -> Any:
    return [runs.snapshot(run) for run in runs.runs(flags.owner)]


def _status(flags: RunFlags, show: Show) -> Any:
    return runs.snapshot(runs.find(flags.owner, flags.run))


def _forecast(flags: ForecastFlags, show: Show) -> Any:
    table = table_of(flags.file)
    return forecast(flags.owner, table, flags.only(Recipe), flags.only(Columns), token=hub_token())


def _compare(flags: CompareFlags, show: Show) -> Any:
    return compare_runs([runs.find(flags.owner, run) for run in flags.run])


def _follow(flags: RunFlags, show: Show) -> Any:
    return followed(runs.find(flags.owner, flags.run), show)


def _cancel(flags: RunFlags, show: Show) -> Any:
    run = runs.find(flags.owner, flags.run)
    run.ask_to_stop()
    return runs.snapshot(run)


def _delete(flags: RunFlags, show: Show) -> Any:
    runs.find(flags.owner, flags.run).delete()
    return {"run": flags.run, "status": "deleted"}


COMMANDS = {
    "train": Command(TrainFlags, _train, "Fine-tune a model with LoRA on a data file."),
    "sweep": Command(SweepFlags, _sweep, "Try several recipes on the same rows; the lowest validation loss wins."),
    "job": Command(JobFlags, _job, "Fine-tune on Hugging Face Jobs, in your own account (token: HF_TOKEN)."),
    "forecast": Command(ForecastFlags, _forecast, "Measure how long a training will take, its memory, and its cost."),
    "runs": Command(OwnerFlags, _runs, "List the runs, the newest first."),
    "compare": Command(CompareFlags, _compare, "Compare runs: recipes, results and losses."),
    "follow": Command(RunFlags, _follow, "Follow a run's events until it ends."),
    "status": Command(RunFlags, _status, "Say where a run stands."),
    "cancel": Command(RunFlags, _cancel, "Stop a run after its current step."),
    "resume": Command(ResumeFlags, _resume, "Continue a cancelled, failed or dead run from its last checkpoint."),
    "delete": Command(RunFlags, _delete, "Remove a run with its data and adapter."),
}
