"""A sweep: the same rows, several recipes, each a run of its own; the lowest validation loss wins.

owners/<owner>/sweeps/<id>/
  sweep.json                  what is searched, and the recipe and mapping that the trials share
  rows.jsonl rows.index about.json
  trials.json                 [{"values": {...}, "run": id or none}], in the order they are tried
  status.json events.jsonl alive.lock cancel        as in a run (tuning/work.py)
"""

import re
import shutil
import time
from collections.abc import Iterator, Sequence
from typing import Any

from prompts.backends import OnDevice, identity
from prompts.errors import NotFound, UserError, WorldError, reason_of
from prompts.events import Event
from prompts.home import new_id, owner_folder
from prompts.rows import Table, store, stored
from prompts.settings import build
from prompts.words import later, say
from tuning import run as runs
from tuning.data.columns import Columns, resolve
from tuning.evaluate import evaluate
from tuning.keeping import check_steps, may_start
from tuning.launch.start import start_run
from tuning.line import device
from tuning.methods import check_method
from tuning.recipe import Recipe
from tuning.search import Search, combinations
from tuning.work import ACTIVE, CANCEL, Work, durable, read_json, write_json

FAILED = ("failed", "dead")  # how a trial may have ended
_ID = re.compile(r"[0-9a-f]{20}")


class Sweep(Work):
    """A sweep's folder, read when asked."""

    what = later("sweep")

    @property
    def document(self) -> dict[str, Any]:
        return dict(read_json(self.folder / "sweep.json"))

    @property
    def search(self) -> Search:
        return build(Search, self.document["search"])

    @property
    def trials(self) -> list[dict[str, Any]]:
        return list(read_json(self.folder / "trials.json"))

    @property
    def table(self) -> Table:
        about = read_json(self.folder / "about.json")
        return stored(self.folder, about["data"], about["columns"])


def create(owner: str, table: Table, recipe: Recipe, columns: Columns, search: Search) -> Sweep:
    """Checks every recipe that will be tried, and writes the folder. Raises UserError, WorldError."""
    if not recipe.validation:
        raise UserError(
            "a sweep chooses by the validation loss; set the validation share (validation) above 0", field="validation"
        )
    if recipe.hub_model_id:
        raise UserError("a sweep publishes nothing by itself; publish its best run afterwards", field="hub_model_id")
    columns = resolve(columns, table)
    tried = combinations(search, recipe)
    for values in tried:
        one = recipe.changed(**values)
        check_method(one)
        check_steps(one, len(table.rows))
    with may_start(owner):
        return _written(owner, table, recipe, columns, search, tried)


def _written(
    owner: str, table: Table, recipe: Recipe, columns: Columns, search: Search, tried: list[dict[str, Any]]
) -> Sweep:
    name = new_id()
    sweep = Sweep(owner, name, owner_folder(owner, "sweeps", name))
    try:
        sweep.folder.mkdir(parents=True)
        used = runs.used_columns(columns)
        store(table.name, ({name: row[name] for name in used} for row in table.rows), keep=sweep.folder)
        write_json(sweep.folder / "about.json", {"data": table.name, "columns": used, "created": time.time()})
        write_json(sweep.folder / "trials.json", [{"values": values, "run": None} for values in tried])
        sweep.set_state("starting")
        durable(sweep.folder)
        write_json(sweep.folder / "sweep.json",
                   {"search": search.to_json(), "recipe": recipe.to_json(), "columns": columns.to_json()})  # fmt: skip
    except OSError as error:
        shutil.rmtree(sweep.folder, ignore_errors=True)
        raise WorldError(
            "the sweep cannot be written: {strerror}; free some disk space and try again", strerror=error.strerror
        ) from error
    return sweep


def find(owner: str, sweep: str) -> Sweep:
    """Raises NotFound for a sweep that does not exist or is another owner's."""
    folder = owner_folder(owner, "sweeps", sweep) if _ID.fullmatch(sweep) else None
    if folder is None or not (folder / "sweep.json").is_file():
        raise NotFound("there is no sweep {sweep!r}", sweep=sweep[:40], field="sweep")
    return Sweep(owner, sweep, folder)


def sweep_events(sweep: Sweep, *, token: str | None = None, on_device: OnDevice = identity) -> Iterator[Event]:
    """Tries one recipe after the other, each as a run of its own, and measures the best; events are written, then yielded."""
    with sweep.held():
        sweep.set_state("training")
        try:
            for event in _Trials(sweep, token, on_device).events():
                sweep.append(event)
                yield event
        except BaseException as error:
            sweep.set_state("cancelled" if isinstance(error, GeneratorExit) else "failed", reason_of(error))
            raise


class _Trials:
    def __init__(self, sweep: Sweep, token: str | None, on_device: OnDevice) -> None:
        self._sweep, self._token, self._on_device = sweep, token, on_device
        self._ends = time.time() + 60 * sweep.search.minutes

    def events(self) -> Iterator[Event]:
        trials = self._sweep.trials
        for at in range(len(trials)):
            if self._stopped or time.time() >= self._ends:
                break
            yield from self._trial(trials, at)
        if self._stopped:
            self._sweep.set_state("cancelled")
            yield {"event": "cancelled"}
            return
        if best := snapshot(self._sweep)["best"]:
            run = runs.find(self._sweep.owner, best)
            if run.numbers("held_out"):
                with device(self._sweep) as hold:
                    self._sweep.set_state("evaluating")
                    yield from evaluate(run, token=self._token, on_device=self._on_device) if hold.mine else ()
        self._sweep.set_state("finished", self._left_out())
        yield {"event": "finished", "best": best}

    def _left_out(self) -> str:
        """What failed and what there was no time for, in words."""
        trials = snapshot(self._sweep)["trials"]
        failed = [trial["reason"] for trial in trials if trial["status"] in FAILED]
        left = sum(trial["status"] in ("waiting", "cancelled") for trial in trials)
        about = {"failed": len(failed), "left": left, "trials": len(trials), "reason": next(iter(failed), "")}
        late = say("the time ended before {left} of {trials} trials did", **about) if left else ""
        if not failed:
            return late
        said = say("{failed} of {trials} trials failed; the first: {reason}", **about)
        return late + "; " + said if late else said

    def _trial(self, trials: list[dict[str, Any]], at: int) -> Iterator[Event]:
        """Starts the trial's run, or takes up one that was interrupted, and waits for its end, or for the end of the time."""
        run = self._run(trials, at)
        if run is None:
            return
        yield {"event": "trial", "trial": at + 1, "of": len(trials), "run": run.id, "values": trials[at]["values"]}
        while run.status()["state"] in ACTIVE:
            if self._stopped or time.time() >= self._ends:
                (run.folder / CANCEL).touch()
            time.sleep(0.5)
        state = runs.snapshot(run)
        yield {"event": "tried", "trial": at + 1, "run": run.id, "status": state["status"], "reason": state["reason"],
               "validation_loss": state["validation_loss"]}  # fmt: skip

    def _run(self, trials: list[dict[str, Any]], at: int) -> runs.Run | None:
        """The trial's run, started; None where it ended before."""
        owner = self._sweep.owner
        if known := trials[at]["run"]:
            run = runs.find(owner, known)
            if run.status()["state"] not in ("dead", "cancelled"):
                return run if run.status()["state"] in ACTIVE else None
            run = runs.find(owner, known).make_ready()
        else:
            document = self._sweep.document
            recipe = build(Recipe, document["recipe"]).changed(**trials[at]["values"])
            run = runs.create(owner, self._sweep.table, recipe, build(Columns, document["columns"]))
            (run.folder / "part_of").write_text(self._sweep.id, encoding="utf-8")
            trials[at]["run"] = run.id
            write_json(self._sweep.folder / "trials.json", trials)
        start_run(run, self._token, self._on_device, measure=False)
        return run

    @property
    def _stopped(self) -> bool:
        return self._sweep.asked_to_stop()


def snapshot(sweep: Sweep) -> dict[str, Any]:
    """{"sweep", "status", "reason", "vary", "trials": [{"trial", "run", "status", "reason", settings ..., losses}], "best",
    "remaining", "evaluation"}.

    `best` is the finished run of the lowest validation loss; `remaining`: as `_remaining`; returns at once.
    """
    status, lines = sweep.status(), []
    for at, trial in enumerate(sweep.trials, 1):
        line = {"trial": at, "run": trial["run"], "status": "waiting", "reason": "", "values": trial["values"],
                "validation_loss": None, "train_loss": None, "remaining": None}  # fmt: skip
        try:
            state = runs.snapshot(runs.find(sweep.owner, trial["run"])) if trial["run"] else {}
            line |= {name: state[name] for name in line if name in state and name != "run"}
        except NotFound:
            line["status"] = "deleted"
        lines.append(line)
    done = [line for line in lines if line["status"] == "finished" and line["validation_loss"] is not None]
    best = min(done, key=lambda line: line["validation_loss"])["run"] if done else None
    return {
        "sweep": sweep.id, "status": status["state"], "reason": status.get("reason", ""), **sweep.search.to_json(),
        "chosen_by": say('the lowest validation loss'), "trials": lines, "best": best,
        "remaining": _remaining(sweep.events(), lines, status["time"] + 60 * sweep.search.minutes)
        if status["state"] == "training" else None,
        "evaluation": runs.snapshot(runs.find(sweep.owner, best))["evaluation"] if best else None,
    }  # fmt: skip


def _remaining(events: Sequence[Event], trials: Sequence[dict[str, Any]], ends: float) -> float | None:
    """Seconds until all are tried, each as long as those before took, or as the first will take, but not after `ends`; None where
    that is not known.
    """
    began: dict[int, float] = {}
    took: dict[int, float] = {}
    for event in events:
        if event["event"] == "trial":
            began[event["trial"]] = event["time"]
        elif event["event"] == "tried" and event["status"] == "finished":
            took[event["trial"]] = event["time"] - began[event["trial"]]
    now = time.time()
    untried = [trial for trial in trials if trial["status"] in (*ACTIVE, "waiting", "cancelled")]
    at_work = sum(
        now - began[trial["trial"]] for trial in untried if trial["status"] in ACTIVE and trial["trial"] in began
    )
    first = next((at_work + trial["remaining"] for trial in untried if trial["remaining"] is not None), None)
    each = sum(took.values()) / len(took) if took else first
    left = 0.0 if each is None else min(each * len(untried) - at_work, ends - now)
    return round(left, 1) if left > 0 else None
