"""Sweeps: what is varied is checked, the best validation loss wins, time and kills end nothing for good."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from prompts.errors import NotFound, UserError
from tests.test_architecture import ROOT
from tests.tuning.test_train import COLUMNS, command, recipe, table
from tuning import run as runs
from tuning import sweep as sweeps
from tuning.launch import process
from tuning.launch.begin import begin
from tuning.launch.process import start_sweep
from tuning.launch.start import start_run
from tuning.recipe import Recipe
from tuning.search import Search, combinations
from tuning.sweep import _remaining
from tuning.ui.views import trial_rows
from tuning.work import ACTIVE, write_json


def test_a_grid_is_every_combination_and_chance_repeats() -> None:
    grid = combinations(Search(vary="learning_rate = 1e-4, 5e-4; lora_r=8,16"), Recipe())
    assert grid == [{"learning_rate": rate, "lora_r": rank} for rate in (1e-4, 5e-4) for rank in (8, 16)]
    settings = Search(
        vary="learning_rate = 1e-5 .. 1e-3\nmethod = lora, dora; lora_r = 4 .. 64", search="random", trials=6
    )
    drawn = combinations(settings, Recipe())
    assert drawn == combinations(settings, Recipe()) != combinations(settings, Recipe(seed=1))
    assert len({repr(values) for values in drawn}) == 6
    assert all(
        1e-5 <= v["learning_rate"] <= 1e-3 and 4 <= v["lora_r"] <= 64 and v["method"] in ("lora", "dora") for v in drawn
    )
    assert len(combinations(Search(vary="lora_r = 4, 8", search="random", trials=9), Recipe())) == 2, (
        "there are no more"
    )


@pytest.mark.parametrize(
    ("vary", "search", "message"),
    [
        ("lora_r", "grid", "name = value"),
        ("rank = 4, 8", "grid", "no setting of the recipe"),
        ("held_out = 0.1, 0.2", "grid", "changes more than the recipe"),
        ("seed = 1, 2", "grid", "changes more than the recipe"),
        ("lora_r = 4, none", "grid", "lora_r: "),
        ("learning_rate = 3, 1e-4", "grid", "learning_rate: "),
        ("lora_r = 4 .. 8", "grid", "a grid needs values"),
        ("lora_r = a .. b", "random", "two numbers"),
        ("lora_r = 1,2,3; lora_alpha = 1,2,3", "grid", "9 combinations, and at most 8 are tried"),
        (" ; ", "grid", "at least one setting"),
    ],
)
def test_what_cannot_be_varied_is_refused(vary: str, search: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        combinations(Search(vary=vary, search=search), Recipe())


def sweep(tiny: str, owner: str = "local", **more: Any) -> sweeps.Sweep:
    settings = {"vary": "learning_rate = 1e-5, 3e-2", "minutes": 5, **more}
    return sweeps.create(owner, table(), recipe(tiny, num_train_epochs=3, validation=0.2), COLUMNS, Search(**settings))


def test_a_trial_whose_run_was_deleted_is_shown_as_such(tiny: str) -> None:
    found = sweep(tiny)
    write_json(found.folder / "trials.json", [{"values": {"learning_rate": 1e-5}, "run": "0" * 20}])
    assert trial_rows(sweeps.snapshot(found))[0][1] == "Deleted"


def test_a_trial_that_is_begun_by_itself_does_not_meet_the_held_out_rows(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    monkeypatch.setattr(process, "start", lambda run, token, evaluate: measured.append(evaluate))
    run = runs.create("local", table(), recipe(tiny), COLUMNS)
    begin(run)
    (run.folder / "part_of").write_text("0" * 20)
    begin(run)
    assert measured == [True, False]


def test_a_sweep_whose_trials_fail_says_why(tiny: str) -> None:
    found = sweep(tiny)
    run = runs.create("local", table(), recipe(tiny), COLUMNS)
    run.set_state("failed", "max_length: 5 rows are longer")
    write_json(found.folder / "trials.json", [{"values": {"learning_rate": rate}, "run": run.id} for rate in (1, 2)])
    list(sweeps.sweep_events(found))
    document = sweeps.snapshot(found)
    assert document["reason"] == "2 of 2 trials failed; the first: max_length: 5 rows are longer"
    assert document["best"] is None and document["trials"][1]["reason"] == "max_length: 5 rows are longer"


def test_what_is_left_is_as_long_as_the_trials_before_took() -> None:
    now = time.time()

    def left(events: list[dict[str, Any]], *states: str, first: float | None = None, ends: float = 999) -> float | None:
        lines = [{"trial": at, "status": state, "remaining": None} for at, state in enumerate(states, 1)]
        lines[0]["remaining"] = first
        return _remaining(events, lines, now + ends)

    begun = [{"event": "trial", "trial": 1, "time": now - 30}]
    assert left([], "waiting", "waiting") is None
    assert left(begun, "training", "waiting", "waiting") is None
    assert left(begun, "training", "waiting", "waiting", first=10.0) == pytest.approx(90, abs=1), (
        "10 s, and two of 40 s"
    )
    assert left(begun, "training", "waiting", "waiting", first=10.0, ends=50) == pytest.approx(50, abs=1), (
        "its time ends"
    )
    ended = [*begun, {"event": "tried", "trial": 1, "status": "finished", "time": now - 10},
             {"event": "trial", "trial": 2, "time": now - 5}]  # fmt: skip
    assert left(ended, "finished", "training", "waiting") == pytest.approx(35, abs=1), "15 s, and one of 20 s"
    again = [*ended, {"event": "tried", "trial": 2, "status": "cancelled", "time": now - 4},
             {"event": "trial", "trial": 2, "time": now - 1}]  # fmt: skip
    assert left(again, "finished", "training", "cancelled") == pytest.approx(39, abs=1), "19 s, and one of 20 s"


@pytest.mark.slow
def test_the_lowest_validation_loss_wins_and_alone_is_measured(tiny: str) -> None:
    found = sweep(tiny)
    list(sweeps.sweep_events(found))
    document = sweeps.snapshot(found)
    assert document["status"] == "finished" and [t["status"] for t in document["trials"]] == ["finished"] * 2
    low, high = document["trials"]
    assert high["validation_loss"] < low["validation_loss"] and document["best"] == high["run"]
    assert document["evaluation"]["rows"] == 8
    first, second = (runs.find("local", trial["run"]) for trial in document["trials"])
    assert runs.evaluation(first) is None and second.recipe.learning_rate == 3e-2
    assert first.numbers("held_out") == second.numbers("held_out")
    with pytest.raises(UserError, match="only a cancelled, failed or dead sweep"):
        sweeps.find("local", found.id).make_ready()
    with pytest.raises(NotFound):
        sweeps.find("ana", found.id)
    sweeps.find("local", found.id).delete()
    assert not found.folder.exists() and len(runs.runs("local")) == 2


@pytest.mark.slow
def test_time_ends_a_sweep_and_what_was_measured_counts(tiny: str) -> None:
    settings, started = recipe(tiny, num_train_epochs=1, validation=0.2, per_device_train_batch_size=1), time.time()
    one = runs.create("local", table(), settings, COLUMNS)
    # A process of its own, as a trial is: what that takes differs ten times between machines.
    start_run(one, None, measure=False)
    wait(lambda: runs.snapshot(one)["status"] not in ACTIVE)
    seconds = 2 * (time.time() - started)
    found = sweeps.create("local", table(), settings, COLUMNS,
                          Search(vary="num_train_epochs = 1, 50; lora_r = 2, 4, 8", minutes=seconds / 60))  # fmt: skip
    started = time.time()
    list(sweeps.sweep_events(found))
    assert time.time() - started < seconds + 15, "the trial in hand is stopped after its step"
    states = [trial["status"] for trial in sweeps.snapshot(found)["trials"]]
    assert "the time ended before" in sweeps.snapshot(found)["reason"]
    assert states[0] == "finished" and states[-1] == "waiting" and sweeps.snapshot(found)["best"]


@pytest.mark.slow
def test_a_killed_sweep_is_shown_dead_and_goes_on(tiny: str) -> None:
    found = sweep(tiny)
    start_sweep(found)
    wait(lambda: any(trial["run"] for trial in found.trials))
    pid = next(p for p in Path("/proc").iterdir() if p.name.isdigit() and f"--sweep\x00{found.id}" in command(p))
    os.kill(int(pid.name), 9)
    wait(lambda: sweeps.snapshot(found)["status"] == "dead")
    first = found.trials[0]["run"]
    start_sweep(sweeps.find("local", found.id).make_ready())
    wait(lambda: sweeps.snapshot(found)["status"] not in ACTIVE)
    document = sweeps.snapshot(found)
    assert document["status"] == "finished" and document["trials"][0]["run"] == first
    assert len(runs.runs("local")) == 2


def wait(condition: Any, seconds: float = 120) -> None:
    until = time.time() + seconds
    while not condition():
        assert time.time() < until
        time.sleep(0.1)


def test_a_sweep_needs_rows_to_choose_by(tiny: str) -> None:
    with pytest.raises(UserError, match=r"validation\) above 0"):
        sweeps.create("local", table(), recipe(tiny, validation=0), COLUMNS, Search())


def test_a_sweep_is_refused_for_one_recipe_that_cannot_be(tiny: str) -> None:
    settings = recipe(tiny, validation=0.2, gradient_checkpointing=True)
    with pytest.raises(UserError, match="prefix_tuning does not work with gradient checkpointing"):
        sweeps.create("local", table(), settings, COLUMNS, Search(vary="method = lora, prefix_tuning"))


@pytest.mark.slow
def test_the_shell_sweeps(tiny: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,label\n" + "".join(f"item {n},{'red' if n % 2 else 'blue'}\n" for n in range(40)))
    words = [sys.executable, "-m", "tuning", "sweep", str(file), "--model", tiny, "--num-train-epochs", "1", "--max-length", "256",
             "--vary", "lora_r = 2, 4", "--minutes", "5", "--json"]  # fmt: skip
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert document["best"] in [trial["run"] for trial in document["trials"]] and document["status"] == "finished"
    assert "trial" in done.stderr
