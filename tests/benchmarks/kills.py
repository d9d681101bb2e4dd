"""Kills a training at random moments, resumes it, and compares what it ends with to an undisturbed one, bit for bit.

    python -m tests.benchmarks.kills [kills]

20 by default; a tiny model, the same process that the app starts. Every run is killed once, some before their first checkpoint.
"""

import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.tiny import tiny_llama
from tests.tuning.test_train import COLUMNS, command, losses, table
from tuning import run as runs
from tuning.launch.process import start
from tuning.recipe import Recipe
from tuning.work import ACTIVE


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as home:
        os.environ["PROMPT_OR_TUNE_HOME"] = home
        recipe = Recipe(
            model=str(tiny_llama(Path(home) / "model")), num_train_epochs=20, learning_rate=1e-2, held_out=0.0
        )
        whole = finished(recipe)
        steps = runs.snapshot(whole)["step"]  # it stops early
        same = 0
        for number in range(1, kills + 1):
            run = runs.create("local", table(), recipe, COLUMNS)
            start(run)
            wanted = rng.randint(0, steps - 1)
            while wanted and not any(event.get("step", 0) >= wanted for event in run.events()):
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.05))
            killed = kill(run)
            while run.status()["state"] in ACTIVE:
                time.sleep(0.1)
            step = runs.snapshot(run)["step"]
            if run.status()["state"] != "finished":
                start(runs.find("local", run.id).make_ready())
                wait(run)
            equal = outcome(run) == outcome(whole)
            same += equal
            print(f"kill {number}: at step {step} of {steps}{'' if killed else ' (it had ended)'}: "
                  f"{'the same ending' if equal else 'ANOTHER ENDING'}")  # fmt: skip
        print(f"{same} of {kills} endings are identical")


def finished(recipe: Recipe) -> runs.Run:
    run = runs.create("local", table(), recipe, COLUMNS)
    start(run)
    wait(run)
    return run


def wait(run: runs.Run) -> None:
    while (state := run.status()["state"]) in ACTIVE:
        time.sleep(0.1)
    assert state == "finished", run.status()


def kill(run: runs.Run) -> bool:
    """kill -9, wherever the process is just now."""
    found = [p for p in Path("/proc").iterdir() if p.name.isdigit() and run.id in command(p)]
    for process in found:
        os.kill(int(process.name), signal.SIGKILL)
    return bool(found)


def outcome(run: runs.Run) -> Any:
    """The adapter's bytes, and the loss of every step (the last time it was taken)."""
    taken = {event["step"]: event["loss"] for event in run.events() if event["event"] == "step"}
    assert losses(run)
    return (run.folder / "adapter" / "adapter_model.safetensors").read_bytes(), taken


if __name__ == "__main__":
    main()
