"""What an owner has here: how much, what is at work, and how all of it goes."""

import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from prompts.errors import UserError
from prompts.home import owner_folder
from prompts.quotas import check_stored, quotas_here, stored_bytes
from tuning.line import check_minutes
from tuning.recipe import Recipe
from tuning.work import ACTIVE, CANCEL, Work

KINDS = ("runs", "sweeps", "ladders")  # folders of what a process works on
WAIT = 30.0  # seconds that a process has to stop


def at_work(owner: str) -> Iterator[Work]:
    """What works or waits in line for this owner."""
    for kind in KINDS:
        for status in owner_folder(owner, kind).glob("*/status.json"):
            work = Work(owner, status.parent.name, status.parent)
            if work.status()["state"] in ACTIVE:
                yield work


@contextmanager
def may_start(owner: str, besides: str = "") -> Iterator[None]:
    """Around the start of a work, one at a time for each owner. Raises as `check_may_start`."""
    folder = owner_folder(owner)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "start.lock"):
        check_may_start(owner, besides)
        yield


def check_may_start(owner: str, besides: str = "") -> None:
    """Raises UserError where the owner has too much at work, `besides` aside, has had the device for too long or keeps too much."""
    most = quotas_here().at_work
    if most and (found := sum(work.id != besides for work in at_work(owner))) >= most:
        raise UserError(
            "{found} of your runs, sweeps and ladders are at work or in line, and {most} may be; wait, or cancel one",
            found=found,
            most=most,
        )
    check_minutes(owner)
    check_stored(owner)


def check_steps(recipe: Recipe, rows: int) -> None:
    """Raises UserError where a run on so many rows would take more steps than are allowed."""
    most, batch = quotas_here().steps, recipe.effective_batch_size
    steps = math.ceil(math.ceil(rows / batch) * recipe.num_train_epochs)
    if most and steps > most:
        raise UserError(
            "{steps:,} steps, and {most:,} are allowed; take fewer epochs, a larger batch or fewer rows",
            steps=steps,
            most=most,
            field="num_train_epochs",
        )


def my_data(owner: str) -> dict[str, Any]:
    """{"bytes", "at_work", "kept": {folder: how many}, "quotas"}."""
    folders = [path for path in owner_folder(owner).glob("*") if path.is_dir()]
    kept = {
        path.name: len([one for one in path.iterdir() if not one.name.endswith(".versions")])
        for path in sorted(folders)
    }
    return {
        "bytes": stored_bytes(owner), "at_work": len(list(at_work(owner))), "kept": kept, "quotas": quotas_here().to_json(),
    }  # fmt: skip


def forget(owner: str) -> dict[str, Any]:
    """Stops what is at work and removes everything of this owner: {"bytes"}. Raises UserError where something does not stop."""
    for work in at_work(owner):
        (work.folder / CANCEL).touch()
    until = time.monotonic() + WAIT
    while busy := list(at_work(owner)):
        if time.monotonic() > until:
            raise UserError("{busy} of your runs are still stopping; try again in a minute", busy=len(busy))
        time.sleep(0.2)
    size = stored_bytes(owner)
    folder: Path = owner_folder(owner)
    shutil.rmtree(folder, ignore_errors=True)
    return {"bytes": size, "deleted": not folder.exists()}
