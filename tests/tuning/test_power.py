"""Power cuts and full disks at many points: a run goes on from what had reached the disk, and ends as if nothing had happened."""

import errno
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.test_architecture import ROOT
from tests.tuning.test_train import COLUMNS, executed, losses, recipe, table
from tuning import run as runs
from tuning.execute import execute
from tuning.recipe import Recipe

# Trains a run and writes down, for each file that reached the disk, its size and time then.
CHILD = """
import json, os, sys
real = os.fsync
def fsync(descriptor):
    real(descriptor)
    found = os.fstat(descriptor)
    with open(sys.argv[1], "a") as file:
        file.write(json.dumps([found.st_ino, found.st_size, found.st_mtime_ns]) + "\\n")
os.fsync = fsync
from tuning import run as runs
from tuning.execute import execute
for event in execute(runs.find("local", sys.argv[2])):
    print(json.dumps(event), flush=True)
"""


def settings(tiny: str) -> Recipe:
    return recipe(tiny, num_train_epochs=4, per_device_train_batch_size=4, learning_rate=1e-3)


def weights(run: runs.Run) -> bytes:
    return (run.folder / "adapter" / "adapter_model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> runs.Run:
    """What the run comes to when nothing happens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROMPT_OR_TUNE_HOME", str(tmp_path_factory.mktemp("home")))
        run = executed(runs.create("local", table(), settings(tiny), COLUMNS))
        run.table  # noqa: B018 (read while the home is this one)
        return run


@pytest.mark.parametrize("step", [pytest.param(step, marks=pytest.mark.slow) for step in (17, 3)])
def test_a_power_cut_loses_at_most_what_had_not_reached_the_disk(
    step: int, tiny: str, home: Path, tmp_path: Path, whole: runs.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, real = tmp_path / "synced", os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        found = os.fstat(descriptor)
        with log.open("a") as file:
            file.write(json.dumps([found.st_ino, found.st_size, found.st_mtime_ns]) + "\n")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        run = runs.create("local", table(), settings(tiny), COLUMNS)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(log), run.id],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout
    for line in child.stdout:
        if json.loads(line).get("step") == step:
            time.sleep(random.Random(step).uniform(0, 0.05))
            break
    child.kill()
    child.wait()
    lost = cut_power(home, log)
    assert any("events.jsonl" in name for name in lost), "something had not reached the disk"
    assert run.status()["state"] == "dead"
    again = executed(runs.find("local", run.id).make_ready())
    assert again.status()["state"] == "finished"
    assert weights(again) == weights(whole) and losses(again)[-3:] == losses(whole)[-3:]


def cut_power(home: Path, log: Path) -> list[str]:
    """Empties every file that did not reach the disk as it is now."""
    reached = {tuple(json.loads(line)) for line in log.read_text().splitlines()}
    lost = []
    for path in (path for path in (home / "owners").rglob("*") if path.is_file() and not path.is_symlink()):
        found = path.stat()
        if found.st_size and (found.st_ino, found.st_size, found.st_mtime_ns) not in reached:
            path.write_bytes(b"")
            lost.append(str(path))
    return lost


def full(function: Callable[..., Any], after: int) -> Callable[..., Any]:
    """The function, that finds the disk full on one call."""
    calls = 0

    def failing(*args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == after:
            raise OSError(errno.ENOSPC, "No space left on device")
        return function(*args, **more)

    return failing


POINTS = {
    "an event": ("tuning.work.Work.append", 10), "an early event": ("tuning.work.Work.append", 1),
    "the state": ("tuning.work.Work.set_state", 2), "a checkpoint's weights": ("peft.peft_model.safe_save_file", 2),
    "a checkpoint's optimizer": ("torch.save", 3), "the end of a checkpoint": ("tuning.watch.complete", 2),
    "the adapter": ("tuning.train._save", 1), "the tokens": ("tuning.data.encode._write", 1),
}  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_a_disk_that_is_full_for_a_moment(
    point: str, tiny: str, whole: runs.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, after = POINTS[point]
    module, _, attribute = name.rpartition(".")
    owner = _named(module)
    run = runs.create("local", table(), settings(tiny), COLUMNS)
    with monkeypatch.context() as patch:
        patch.setattr(owner, attribute, full(getattr(owner, attribute), after))
        with pytest.raises(Exception, match="the disk is full; free some space, then resume"):
            list(execute(run))
    assert runs.snapshot(run)["status"] in ("failed", "dead")
    again = executed(runs.find("local", run.id).make_ready())
    assert again.status()["state"] == "finished" and weights(again) == weights(whole)


def _named(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(importlib.import_module(module), attribute)
