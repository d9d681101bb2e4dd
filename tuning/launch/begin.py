"""Starts a run where it belongs: here (tuning/launch/start.py), or as a Job on Hugging Face that a child process follows."""

from collections.abc import Callable

from prompts.backends import OnDevice, identity
from prompts.errors import UserError
from prompts.following import Progress, told_to_nobody
from prompts.home import shared_here
from prompts.rows import Table
from tuning.data.columns import Columns
from tuning.keeping import check_steps, may_start
from tuning.launch.jobs import JobSettings, prepare
from tuning.launch.process import spawn
from tuning.launch.start import start_run
from tuning.publish import reserve
from tuning.recipe import Recipe
from tuning.run import Run, create
from tuning.work import Work


def begin(run: Run, token: str | None = None, on_device: OnDevice = identity) -> None:
    """Starts a new run, or one made ready to be resumed, and returns at once; a sweep's trial is not measured: that is for its
    sweep to do. Raises UserError where a Job has no token.
    """
    if run.job is None:
        start_run(run, token, on_device, measure=not run.part_of())
        return
    _follow(run, _own(token))


def begin_new(
    owner: str, table: Table, recipe: Recipe, columns: Columns, token: str | None, on_device: OnDevice = identity,
    tell: Progress = told_to_nobody,
) -> Run:  # fmt: skip
    """A new run, started here; `tell` is told its rows. Raises as `create` and `reserve` do; nothing is left of one that is
    refused.
    """
    run = made(owner, table, recipe, columns, token, tell)
    _still_wanted(run, tell)
    begin(run, token, on_device)
    return run


def made(
    owner: str, table: Table, recipe: Recipe, columns: Columns, token: str | None, tell: Progress = told_to_nobody
) -> Run:
    """A new run, whose repository is made first where its recipe names one. Raises as `begin_new`."""
    with may_start(owner):
        run = create(owner, table, recipe, columns, tell)
    _or_nothing(run, lambda: check_steps(recipe, len(run.numbers("train"))))
    if recipe.hub_model_id:
        _or_nothing(run, lambda: reserve(run, token))
    return run


def _or_nothing(run: Run, do: Callable[[], None]) -> None:
    """Does it, or removes the run and raises."""
    try:
        do()
    except BaseException:
        run.set_state("failed")
        run.delete()
        raise


def _still_wanted(run: Run, tell: Progress) -> None:
    """Where the one who is told stopped it while it was made, nothing is left of the run, and nothing starts."""
    rows = len(run.table.rows)
    _or_nothing(run, lambda: tell(rows, rows))


def begin_job(
    owner: str, table: Table, recipe: Recipe, columns: Columns, job: JobSettings, token: str | None,
    tell: Progress = told_to_nobody,
) -> Run:  # fmt: skip
    """A new run that trains on Hugging Face Jobs; `tell` is told its rows. Raises as `create` and `prepare` do; nothing is left
    of one that is refused.
    """
    token = _own(token)
    run = made(owner, table, recipe, columns, token, tell)
    _or_nothing(run, lambda: prepare(run, job, token))
    _still_wanted(run, tell)
    _follow(run, token)
    return run


def _own(token: str | None) -> str:
    """The token given, or on one's own machine the one that `hf auth login` left there. Raises UserError where there is none."""
    if not token and not shared_here():
        from huggingface_hub import get_token

        token = get_token()
    if not token:
        raise UserError(
            "a Job runs in your own account: give a token of yours that may run Jobs and write repos (a sign-in may not)",
            field="token",
        )
    return token


def _follow(run: Work, token: str) -> None:
    spawn(run, ["-m", "tuning.launch.follow_job", run.id, run.owner], token)
