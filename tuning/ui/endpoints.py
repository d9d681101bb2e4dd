"""The public endpoints of the fine-tuning side; the tab uses the same core functions."""

from collections.abc import Iterator
from functools import partial
from inspect import Parameter
from typing import Any

from prompts.backends import OnDevice
from prompts.settings import knob
from prompts.ui.calls import told_to_client
from prompts.ui.forms import endpoint
from prompts.ui.visitor import Caller
from prompts.words import later
from tuning import run as runs
from tuning import sweep as sweeps
from tuning.asking import Ask, ask_text
from tuning.compare import compare_runs, follow
from tuning.data.columns import Columns
from tuning.data.fixes import Fix
from tuning.data.inspect import examined
from tuning.data.preview import SHOWN, preview
from tuning.data.sources import fix_source, mapping, open_table, patches
from tuning.forecast import forecast
from tuning.launch.begin import begin, begin_job, begin_new
from tuning.launch.jobs import JobSettings, price
from tuning.launch.start import start_sweep as begin_sweep
from tuning.recipe import Reading, Recipe
from tuning.search import Search
from tuning.ui.parameters import DATA, RUN, source_of
from tuning.ui.work_endpoints import Kind, work_endpoints

ROWS = later(("Reading rows", "rows"))  # what is counted, and its unit
STEPS = later(("Measuring a few real steps", "steps"))


class RunSettings(Recipe, Columns):
    """A recipe with the mapping of its data."""


class SweepSettings(Search, Recipe, Columns):
    """What a sweep tries, with the recipe and the mapping that its trials share."""


def inspect_data(who: Caller, columns: Columns, file: Any = None, data: str = "", dataset: str = "") -> dict[str, Any]:
    source = source_of(who, file, data, dataset)
    return {"source": source, **checked(who, source, columns)}


def checked(who: Caller, source: str, columns: Columns) -> dict[str, Any]:
    """An inspection with what the doctor found and what was fixed."""
    found = examined(open_table(who.owner, source), mapping(source, columns), told_to_client(*ROWS))
    return {**found, "fixed": patches(who.owner, source)}


class FixSettings(Fix, Columns):
    """A fix, with the mapping of its data."""


class PreviewSettings(Reading, Columns):
    """The mapping of the data, and what the recipe says of the model and of long rows."""

    shown: int = knob(SHOWN, title="Rows shown", help="So many rows are shown, the worst first.", ge=0, le=100)


def fix_data(who: Caller, settings: FixSettings, data: str) -> dict[str, Any]:
    columns = settings.only(Columns)
    source = fix_source(who.owner, data, columns, settings.only(Fix), told_to_client(*ROWS))
    return {"source": source, **checked(who, source, mapping(data, columns))}


def preview_tokens(
    who: Caller, settings: PreviewSettings, file: Any = None, data: str = "", dataset: str = ""
) -> dict[str, Any]:
    source = source_of(who, file, data, dataset)
    columns = mapping(source, settings.only(Columns))
    table, reading, tell = open_table(who.owner, source), settings.only(Reading), told_to_client(*ROWS)
    found = preview(table, columns, reading, who.owner, token=who.token, shown=settings.shown, progress=tell)
    return {"source": source, **found}


def forecast_run(
    on_device: OnDevice, who: Caller, settings: RunSettings, file: Any = None, data: str = "", dataset: str = ""
) -> dict[str, Any]:
    source = source_of(who, file, data, dataset)
    recipe, columns = settings.only(Recipe), mapping(source, settings.only(Columns))
    table = open_table(who.owner, source)
    steps = told_to_client(*STEPS)

    def tell(done: int, of: int) -> None:
        if done:  # the first is that the model is there
            steps(done - 1, of - 1)

    found = forecast(who.owner, table, recipe, columns, token=who.token, on_device=on_device, tell=tell)
    return {"source": source, **found}


def start_run(
    on_device: OnDevice, who: Caller, settings: RunSettings, file: Any = None, data: str = "", dataset: str = ""
) -> dict[str, Any]:
    source = source_of(who, file, data, dataset)
    recipe, columns = settings.only(Recipe), settings.only(Columns)
    table, columns = open_table(who.owner, source), mapping(source, columns)
    return runs.snapshot(begin_new(who.owner, table, recipe, columns, who.token, on_device, told_to_client(*ROWS)))


def start_sweep(
    on_device: OnDevice, who: Caller, settings: SweepSettings, file: Any = None, data: str = "", dataset: str = ""
) -> dict[str, Any]:
    source = source_of(who, file, data, dataset)
    recipe, columns = settings.only(Recipe), mapping(source, settings.only(Columns))
    sweep = sweeps.create(who.owner, open_table(who.owner, source), recipe, columns, settings.only(Search))
    begin_sweep(sweep, who.token, on_device)
    return sweeps.snapshot(sweep)


class JobRun(JobSettings, Recipe, Columns):
    """A recipe with the mapping of its data, and where it runs."""


def start_job(who: Caller, settings: JobRun, file: Any = None, data: str = "", dataset: str = "") -> dict[str, Any]:
    source = source_of(who, file, data, dataset)
    recipe, columns = settings.only(Recipe), mapping(source, settings.only(Columns))
    job = settings.only(JobSettings)
    table, tell = open_table(who.owner, source), told_to_client(*ROWS)
    return runs.snapshot(begin_job(who.owner, table, recipe, columns, job, who.token, tell))


def _data_endpoints() -> None:
    endpoint(Columns, inspect_data, name="inspect_data", personal=True, extra=DATA,
             text="Read a data file: rows, columns, how they would be used, and what is wrong with them: duplicates, personal "
                  "data, labels, bias and more, with the fixes there are.")  # fmt: skip
    endpoint(FixSettings, fix_data, name="fix_data", personal=True,
             extra={"data": (str, Parameter.empty, "The source that /inspect_data returned, or a sample, which is copied.")},
             text="Fix what inspection found (drop, merge, mask ...) or take the last fix back. Returns what is left.")  # fmt: skip
    endpoint(PreviewSettings, preview_tokens, name="preview_tokens", personal=True, costs=True, extra=DATA,
             text="Show which tokens will be learned, read and cut, the worst rows first, and what that costs.")  # fmt: skip


def _sweep_endpoints(on_device: OnDevice) -> None:
    endpoint(
        SweepSettings,
        partial(start_sweep, on_device),
        name="start_sweep",
        personal=True,
        extra=DATA,
        text="Try several recipes on the same rows, each as a run of its own. Returns at once; follow it with /sweep_status.",
    )
    work_endpoints(Kind(
        what="sweep", find=sweeps.find, snapshot=sweeps.snapshot,
        begin=lambda who, sweep: begin_sweep(sweep, who.token, on_device),
        id="The sweep's id, as /start_sweep returns it.",
        status="Where a sweep stands: its trials with their losses or why they failed, the seconds left, and the best one's "
        "scores. Returns at once.",
        cancel="Stop a sweep after the current step of its current trial.",
        resume="Go on with a cancelled, failed or dead sweep: what was interrupted is resumed.",
        delete="Remove a sweep; its runs stay.",
    ))  # fmt: skip


def _job_endpoints() -> None:
    endpoint(JobSettings, lambda who, settings: price(settings, who.token), name="job_price", personal=True,
             text="What a Job on Hugging Face costs a minute, and at most, as the Hub says now.")  # fmt: skip
    endpoint(JobRun, start_job, name="start_job", personal=True, extra=DATA,
             text="Fine-tune on Hugging Face Jobs, in your own account (give your token). Returns at once; follow it with "
                  "/run_status or /follow_run, stop it with /cancel_run, resume it with /resume_run.")  # fmt: skip


def publish_endpoints(on_device: OnDevice) -> None:
    """Adds every endpoint to the current Blocks."""
    _data_endpoints()
    _sweep_endpoints(on_device)
    _job_endpoints()

    def ask_model(who: Caller, settings: Ask) -> Iterator[dict[str, Any]]:
        yield from ask_text(who.owner, settings, token=who.token, key=who.key, on_device=on_device)

    def follow_run(who: Caller, run: str) -> Iterator[dict[str, Any]]:
        yield from follow(runs.find(who.owner, run))

    endpoint(
        Ask, ask_model, name="ask_model", text="Ask any model a plain text, for instance your fine-tune (run:<id>)."
    )
    endpoint(RunSettings, partial(forecast_run, on_device), name="forecast", personal=True, costs=True, extra=DATA,
             text="Measure, by a few real steps, how long a run will take, its peak memory and its cost elsewhere.")  # fmt: skip
    endpoint(RunSettings, partial(start_run, on_device), name="start_run", personal=True, extra=DATA,
             text="Fine-tune a model with LoRA on a data file. Returns at once; follow it with /run_status.")  # fmt: skip
    work_endpoints(Kind(
        what="run", find=runs.find, snapshot=runs.snapshot, begin=lambda who, run: begin(run, who.token, on_device),
        id=RUN["run"][2],
        status="Where a run stands: state, step, loss, tokens per second, time left, scores. Returns at once.",
        cancel="Stop a run after its current step; its checkpoint stays.",
        resume="Continue a cancelled, failed or dead run from its last checkpoint.",
        delete="Remove a run with its data and adapter.",
    ))  # fmt: skip
    endpoint(None, follow_run, name="follow_run", personal=True, costs=False, extra=RUN,
             text="Stream a run's events from its first: steps, losses, decisions, scores. Ends when the run does.")  # fmt: skip
    endpoint(None, lambda who, chosen: compare_runs([runs.find(who.owner, run) for run in chosen]), name="compare_runs",
             personal=True, extra={"chosen": (list[str], Parameter.empty, "The runs' ids, two or more.")},
             text="Compare runs: where their recipes differ, what they came to, and their losses step by step.")  # fmt: skip
    endpoint(None, lambda who: [runs.snapshot(run) for run in runs.runs(who.owner)], name="list_runs", personal=True,
             text="Your runs, the newest first.")  # fmt: skip
