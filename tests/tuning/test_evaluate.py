"""Evaluation that cannot lie: the base is the model that training began with, scored as prompts are, for every family."""

import json
import re
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

from prompts import loading
from prompts.backends.local import opened
from prompts.errors import UserError
from tests.tiny import tiny_bert, tiny_llama, tiny_t5
from tests.tuning.test_train import COLUMNS, executed, recipe, table
from tuning import run as runs
from tuning.base import FILE
from tuning.data.encode import EncodedRow
from tuning.evaluate import Measure, evaluate
from tuning.execute import execute
from tuning.ui.views import progress_line


def measured(run: runs.Run, **settings: Any) -> dict[str, Any]:
    return list(evaluate(run, Measure(**settings)))[-1]


@pytest.fixture
def trained(tmp_path: Path) -> runs.Run:
    """On a base of its own, which a test may change."""
    model = str(tiny_llama(tmp_path / "llama"))
    return executed(runs.create("local", table(), recipe(model, num_train_epochs=8), COLUMNS))


@pytest.mark.parametrize("make", [tiny_llama, tiny_bert, tiny_t5])
def test_every_family_has_scores_losses_and_a_checked_base(make: Any, tmp_path: Path) -> None:
    model = str(make(tmp_path / "model"))
    run = executed(runs.create("local", table(), recipe(model, num_train_epochs=8), COLUMNS))
    found = measured(run)
    assert found["scorer"] == "label" and found["rows"] == 8 and {"macro_f1", "matrix"} <= set(found)
    assert found["base_check"] == "the base's logits are bit for bit those from before the training"
    assert found["won"] + found["lost"] <= 8
    tuned = found["tuned"]
    assert tuned["score_interval"][0] <= tuned["score"] <= tuned["score_interval"][1]
    assert tuned["tokens_in"] > 0 and tuned["seconds"] > 0 and tuned["characters"] > 0
    assert found["losses"]["tuned"]["loss"] == pytest.approx(runs.snapshot(run)["eval_loss"], rel=0.03)
    if make is not tiny_bert:
        assert found["losses"]["tuned"]["loss"] < found["losses"]["base"]["loss"]


@pytest.mark.parametrize(("make", "sides"), [(tiny_llama, 2), (tiny_bert, 1)])
def test_rows_that_are_read_and_answered_are_counted(make: Any, sides: int, tmp_path: Path) -> None:
    run = executed(runs.create("local", table(), recipe(str(make(tmp_path / "model"))), COLUMNS))
    told = [event for event in evaluate(run) if event["event"] == "evaluating"]
    counts = [event["done"] for event in told]
    assert counts == sorted(set(counts)) and counts[-1] == told[0]["of"] == sides * (8 + 8)
    assert 1 <= counts[0] <= 8, "told once the first rows are read"
    assert told[-1]["remaining"] == 0 <= told[0]["remaining"]


def test_each_loss_may_be_asked_for_by_another_thread(trained: runs.Run) -> None:
    """As Gradio does; between two of them the model is free for others."""
    from tuning.losses import held_out_losses, text_losses

    rows = [EncodedRow(tuple(range(4, 9)), 1)] * 9
    name = f"run:{trained.id}"
    for losses in (text_losses(name, "local", None, ["one", "two"]), held_out_losses(name, "local", None, rows, None)):
        found: list[Any] = []
        for _ in range(2):
            thread = Thread(target=lambda losses=losses, found=found: found.append(next(losses)))
            thread.start()
            thread.join()
        assert len(found) == 2 and not torch.is_inference_mode_enabled()
        asked = opened(name, "local", None)[0].lock
        assert asked.acquire(blocking=False)
        asked.release()
        assert next(losses, None) is None


def test_measuring_can_be_cancelled_while_rows_are_read(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuning.evaluate.seconds_left", lambda *_: 9.0)  # a tiny model has no second left
    run = runs.create("local", table(), recipe(tiny), COLUMNS)
    for event in execute(run, then=evaluate):
        if event["event"] == "evaluating":
            state = runs.snapshot(run)
            assert re.search(r"held-out rows…\*\* · \d+% · about 9 s left", progress_line(state))
            (run.folder / "cancel").touch()
    assert (event["event"], event["done"]) == ("evaluating", 8)
    assert "measuring was cancelled" in progress_line(runs.snapshot(run)) and run.status()["state"] == "finished"
    assert "left" not in progress_line(runs.snapshot(run))


def test_the_base_side_is_the_base_also_after_the_adapter_was_asked(trained: runs.Run) -> None:
    first, second = measured(trained), measured(trained)
    assert first["base"]["score"] == second["base"]["score"] and first["losses"] == second["losses"]


def test_a_base_that_moved_is_caught(trained: runs.Run) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    file = Path(trained.recipe.model) / "model.safetensors"
    weights = load_file(file)
    measured(trained)
    loading.clear()
    save_file({name: torch.randn_like(weight) * 0.2 for name, weight in weights.items()}, file, {"format": "pt"})
    with pytest.raises(UserError, match="no longer the model that this run was trained on"):
        measured(trained)
    loading.clear()
    save_file({name: weight * (1 + 1e-4) for name, weight in weights.items()}, file, {"format": "pt"})
    assert "within rounding" in measured(trained)["base_check"]
    (trained.folder / FILE).unlink()
    assert "not fingerprinted" in measured(trained)["base_check"]


def test_a_scorer_of_ones_own(trained: runs.Run) -> None:
    found = measured(trained, scorer="regex", pattern=".*")
    assert found["base"]["score"] == found["tuned"]["score"] == 1 and found["verdict"].startswith("No measurable")
    assert measured(trained, scorer="chrf")["scorer"] == "chrf"
    with pytest.raises(UserError, match="needs a pattern"):
        measured(trained, scorer="regex")
    judged = measured(trained, scorer="judge", pattern="Is it a colour?", judge_model=trained.recipe.model)
    assert judged["tuned"]["unparsed"] == 8, "a judge that babbles is counted as unread"
    kept = json.loads((trained.folder / "evaluation.json").read_text())
    assert [row["tuned_score"] - row["base_score"] for row in kept["examples"]] == sorted(
        row["tuned_score"] - row["base_score"] for row in kept["examples"]
    )
