"""Training on a tiny model: the fast path is the plain one, runs are folders that tell the truth, nothing made is lost."""

import errno
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prompts.errors import NotFound, UserError, WorldError
from prompts.home import adapters
from prompts.rows import Table
from tests.test_architecture import ROOT
from tuning import run as runs
from tuning.data import encode
from tuning.data.columns import Columns
from tuning.data.encode import EncodedRow
from tuning.evaluate import evaluate
from tuning.execute import execute
from tuning.launch import process
from tuning.launch.process import cool, start, warm
from tuning.objectives import NextTokens
from tuning.recipe import Recipe
from tuning.trainer import micro_batches
from tuning.watch import unwatched

COLUMNS = Columns(input=("text",), output="label")


def table(count: int = 40) -> Table:
    rows = [{"text": f"item {n} " + "x" * (n % 7) * 3, "label": "red" if n % 2 else "blue"} for n in range(count)]
    return Table("toy.csv", ("text", "label"), rows)


def recipe(tiny: str, **more: Any) -> Recipe:
    return Recipe(
        **{"model": tiny, "num_train_epochs": 1, "learning_rate": 1e-2, "lora_r": 4, "max_length": 256, **more}
    )


def losses(run: runs.Run) -> list[float]:
    return [event["loss"] for event in run.events() if event["event"] == "step"]


def executed(run: runs.Run, **more: Any) -> runs.Run:
    for _ in execute(run, **more):
        pass
    return runs.find(run.owner, run.id)


def model_and_rows(tiny: str) -> tuple[Any, list[EncodedRow]]:
    import torch

    from prompts.loading import read_model

    generator = torch.Generator().manual_seed(1)
    lengths = [9, 30, 17, 4, 25, 12]
    rows = [EncodedRow(tuple(torch.randint(5, 200, (n,), generator=generator).tolist()), n // 2) for n in lengths]
    return read_model(tiny)[0].float(), rows


def plain_loss_and_gradients(model: Any, rows: list[EncodedRow]) -> tuple[float, dict[str, Any]]:
    """One row at a time, with transformers' own loss."""
    import torch

    total = sum(row.learned for row in rows)
    loss = 0.0
    for row in rows:
        ids = torch.tensor([row.ids])
        labels = ids.clone()
        labels[0, : row.context] = -100
        part = model(input_ids=ids, labels=labels).loss * row.learned / total
        part.backward()
        loss += float(part.detach())
    return loss, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    ("micro_rows", "layout"), [(1, "packed"), (6, "packed"), (6, "padded"), (2, "padded"), (6, "positions")]
)
def test_the_fast_path_gives_the_plain_loss_and_gradients(
    tiny: str, tmp_path: Path, micro_rows: int, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    import tuning.train as train
    from prompts import loading

    monkeypatch.setattr(loading, "dtype", lambda: torch.float32)
    base, rows = model_and_rows(tiny)
    plain = train._with_adapter(base, recipe(tiny), "causal", None)
    for name, parameter in plain.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(len(name)))
    state = {name: p.detach().clone() for name, p in plain.named_parameters()}
    monkeypatch.setattr("tuning.fast.speed_up", lambda model: 0)
    reference = train._with_adapter(model_and_rows(tiny)[0], recipe(tiny), "causal", None)
    reference.load_state_dict(state, strict=False)
    loss, gradients = plain_loss_and_gradients(reference, rows)
    if layout == "padded":
        monkeypatch.setattr("tuning.objectives.packing_of", lambda model: None)
    elif layout == "positions":
        _as_on_a_gpu(type(base), monkeypatch)
    watch = unwatched()
    fast = train._trainer(
        plain,
        recipe(tiny, per_device_train_batch_size=micro_rows),
        {"train": SimpleNamespace(rows=rows)},
        tmp_path,
        watch,
        NextTokens(plain),
    )
    found = fast.training_step(plain, {"rows": rows})
    assert float(found) == pytest.approx(loss, rel=1e-5)
    for name, parameter in plain.named_parameters():
        if parameter.grad is not None:
            assert torch.allclose(parameter.grad, gradients[name], atol=1e-5), name


def _as_on_a_gpu(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are told apart by their positions alone; the attention is the CPU's instead of FlashAttention's."""
    switch = kind.set_attn_implementation
    monkeypatch.setattr("tuning.packed.device", lambda: "cuda")
    monkeypatch.setattr("tuning.packed.is_flash_attn_2_available", lambda: True)
    monkeypatch.setattr(
        kind, "set_attn_implementation", lambda self, name: switch(self, {"flash_attention_2": "sdpa"}[name])
    )


def test_micro_batches_hold_every_row_within_the_budget() -> None:
    rows = [EncodedRow(tuple(range(n)), 1) for n in (5, 50, 7, 8, 100, 3, 9)]
    for padded in (True, False):
        batches = micro_batches(rows, 3, 60, padded=padded)
        assert sorted(len(r.ids) for b in batches for r in b) == sorted(len(r.ids) for r in rows)
        for batch in batches:
            size = max(len(r.ids) for r in batch) * len(batch) if padded else sum(len(r.ids) for r in batch)
            assert len(batch) <= 3 and (size <= 60 or len(batch) == 1)


def test_batch_1x8_is_8x1(tiny: str) -> None:
    found = []
    for rows, accumulation in ((8, 1), (1, 8), (4, 2)):
        settings = recipe(tiny, per_device_train_batch_size=rows, gradient_accumulation_steps=accumulation)
        found.append(losses(executed(runs.create("local", table(), settings, COLUMNS))))
    assert found[0] == pytest.approx(found[1], rel=5e-2)
    assert found[0] == pytest.approx(found[2], rel=5e-2)


def test_a_run_learns_measures_and_explains_itself(tiny: str) -> None:
    run = executed(runs.create("local", table(), recipe(tiny, num_train_epochs=10), COLUMNS), then=evaluate)
    assert run.status()["state"] == "finished"
    found = losses(run)
    assert found[-1] < found[0] - 0.2  # its frozen weights are random: little can be learned
    kinds = [event["event"] for event in run.events()]
    assert [k for k in kinds if k not in ("step", "sample", "evaluation", "evaluating")] == [
        "queued", "loading", "data", "training", "trained", "evaluated", "finished",
    ]  # fmt: skip
    state = runs.snapshot(run)
    assert state["rows"] == {"train": 28, "validation": 4, "held_out": 8}
    assert state["evaluation"]["rows"] == 8
    assert 0 <= state["evaluation"]["tuned"]["interval"][0] <= state["evaluation"]["tuned"]["exact_match"]
    assert set(run.about["versions"]) >= {"torch", "peft", "transformers"}
    assert adapters("local") == [f"run:{run.id}"]
    assert not (run.folder / "checkpoints").exists()


def test_a_cancelled_run_is_resumed_to_the_same_end(tiny: str) -> None:
    settings = recipe(tiny, num_train_epochs=3)
    whole = executed(runs.create("local", table(), settings, COLUMNS))
    run = runs.create("local", table(), settings, COLUMNS)
    for event in execute(run):
        if event["event"] == "step" and event["step"] == 5:
            runs.find("local", run.id).ask_to_stop()
    assert run.status()["state"] == "cancelled"
    assert runs.snapshot(run)["step"] < 12
    again = executed(runs.find("local", run.id).make_ready())
    assert again.status()["state"] == "finished"
    assert losses(again)[-3:] == losses(whole)[-3:], "bit for bit on CPU"
    with pytest.raises(UserError, match="only a cancelled, failed or dead run"):
        runs.find("local", run.id).make_ready()


def test_a_run_is_its_owners_alone(tiny: str) -> None:
    run = executed(runs.create("ana", table(), recipe(tiny), COLUMNS))
    assert [found.id for found in runs.runs("ana")] == [run.id]
    assert runs.runs("ben") == [] and adapters("ben") == []
    with pytest.raises(NotFound):
        runs.find("ben", run.id)
    from prompts.backends import Sampling, open_backend
    from prompts.messages import message, prompt

    asked = open_backend(f"run:{run.id}", "ben").stream(
        prompt(message("user", ("x", "task"))), Sampling(max_new_tokens=1), None
    )
    with pytest.raises(NotFound):
        next(asked)
    for owner in ("../ana", "Ana", "", "a/b"):
        with pytest.raises(NotFound):
            runs.runs(owner)
    runs.find("ana", run.id).delete()
    assert runs.runs("ana") == []


def test_a_child_process_trains_and_a_killed_one_is_shown_dead(tiny: str) -> None:
    run = runs.create("local", table(), recipe(tiny, num_train_epochs=50), COLUMNS)
    start(run, "hf_secret")
    wait(
        lambda: any(event["event"] == "step" and event["step"] > 6 for event in run.events()), run
    )  # epoch 2 of 4 steps
    with pytest.raises(UserError, match="still working"):
        runs.find("local", run.id).delete()
    pid = next(p for p in Path("/proc").iterdir() if p.name.isdigit() and run.id in command(p))
    assert b"hf_secret" not in (pid / "cmdline").read_bytes() + (pid / "environ").read_bytes()
    os.kill(int(pid.name), 9)
    wait(lambda: run.status()["state"] == "dead", run)
    assert "resume continues" in run.status()["reason"]
    before = runs.snapshot(run)["step"]
    half = run.folder / "checkpoints" / "checkpoint-9999"  # as if the kill had come while it was written
    half.mkdir()
    (half / "adapter_model.safetensors").write_bytes(b"half")
    again = executed(runs.find("local", run.id).make_ready())
    assert again.status()["state"] == "finished"
    assert [e["step"] for e in again.events() if e["event"] == "training"][-1] > 0, "it went on from a checkpoint"
    assert before < runs.snapshot(again)["step"]
    assert b"hf_secret" not in b"".join(path.read_bytes() for path in run.folder.rglob("*") if path.is_file())


@pytest.mark.slow
def test_a_process_that_waits_takes_the_next_training(tiny: str) -> None:
    warm()
    try:
        spare = process._SPARE._process
        assert spare
        waiting = Path(f"/proc/{spare.pid}")
        run = runs.create("local", table(), recipe(tiny), COLUMNS)
        start(run, "hf_secret")
        assert b"hf_secret" not in (waiting / "cmdline").read_bytes() + (waiting / "environ").read_bytes()
        wait(lambda: run.status()["state"] == "finished", run)
        assert (
            f"run {run.id}" in (run.folder / "log.txt").read_text()
            and b"hf_secret" not in (run.folder / "log.txt").read_bytes()
        )
        wait(lambda: "waiting" not in command(waiting), run)
    finally:
        cool()


def command(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""


def wait(condition: Any, run: runs.Run, seconds: float = 90) -> None:
    until = time.time() + seconds
    while not condition():
        assert time.time() < until, (run.status(), (run.folder / "log.txt").read_text()[-2000:])
        time.sleep(0.1)


@pytest.mark.slow
def test_two_runs_take_turns(tiny: str) -> None:
    first, second = (runs.create("local", table(), recipe(tiny, num_train_epochs=20), COLUMNS) for _ in range(2))
    start(first)
    wait(lambda: first.status()["state"] in ("loading", "training"), first)
    start(second)
    wait(lambda: second.status()["state"] == "queued", second)
    assert runs.snapshot(second)["place_in_line"] == 1
    runs.find("local", second.id).ask_to_stop()
    wait(lambda: second.status()["state"] == "cancelled", second)
    runs.find("local", first.id).ask_to_stop()
    wait(lambda: first.status()["state"] in ("cancelled", "finished"), first)


def test_a_full_disk_is_a_sentence_and_the_run_resumes(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import tuning.train as train

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = runs.create("local", table(), recipe(tiny), COLUMNS)
    with monkeypatch.context() as patch:
        patch.setattr(train, "_save", full)
        with pytest.raises(WorldError, match="the disk is full; free some space, then resume"):
            executed(run)
    assert run.status() == {**run.status(), "state": "failed"}
    assert "disk is full" in runs.snapshot(run)["reason"]
    assert executed(runs.find("local", run.id).make_ready()).status()["state"] == "finished"


def test_a_model_that_is_none_fails_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no model"):
        executed(runs.create("local", table(), recipe(str(tmp_path)), COLUMNS))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be loaded"):
        executed(runs.create("local", table(), recipe(str(tmp_path)), COLUMNS))


def shell(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_the_shell_does_the_whole_way(tiny: str, tmp_path: Path, home: Path) -> None:
    file = tmp_path / "toy.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in table().rows))
    inspected = json.loads(shell("tuning", "inspect", str(file), "--json", home=home).stdout)
    assert inspected["rows"] == 40 and inspected["problem"] is None
    trained = shell(
        "tuning", "train", str(file), "--model", tiny, "--num-train-epochs", "1", "--lora-r", "4", "--json", home=home
    )
    assert trained.returncode == 0, trained.stderr
    document = json.loads(trained.stdout)
    assert document["status"] == "finished"
    assert {"run", "tokens_per_second", "peak_memory_gb", "train_loss", "eval_loss"} <= set(document)
    measured = json.loads(shell("tuning", "evaluate", document["run"], "--json", home=home).stdout)
    assert measured["rows"] == 8 and "interval" in measured["tuned"] and measured["verdict"]
    listed = json.loads(shell("tuning", "runs", "--json", home=home).stdout)
    assert [found["run"] for found in listed] == [document["run"]]
    asked = shell("prompts", "ask", "few_shot", "--model", f"run:{document['run']}", "--task", "item", "--max-new-tokens", "4",
                  "--json", home=home)  # fmt: skip
    assert json.loads(asked.stdout)["tokens_out"] <= 4


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["tuning", "inspect", "nowhere.csv"], 2, "there is no file nowhere.csv"),
        (["tuning", "train"], 2, "give a FILE to train on"),
        (["tuning", "evaluate", "abcd"], 2, "there is no run"),
        (["tuning", "train", "x.csv", "--lora-r", "0"], 2, "lora_r"),
        (["tuning", "train", "x.csv", "--lora-rank", "4"], 2, "unrecognized arguments"),
        (["tuning", "nonsense"], 2, "usage"),
        (["prompts", "ask", "few_shot"], 2, "task"),
        (["prompts", "ask", "few_shot", "--task", "x", "--model", "http://127.0.0.1:9/v1#m"], 1, "cannot be"),
    ],
)
def test_exit_codes_say_who_has_to_act(words: list[str], code: int, message: str, home: Path) -> None:
    done = shell(*words, home=home)
    assert done.returncode == code, done.stderr
    assert message in done.stderr


def test_odd_line_breaks_in_the_data_survive(tiny: str) -> None:
    rows = [{"text": f"a\u2028b\x85c {n}", "label": "x"} for n in range(10)]
    run = runs.create("local", Table("t", ("text", "label"), rows), recipe(tiny), COLUMNS)
    assert runs.find("local", run.id).table.rows == rows


def test_an_event_that_a_crash_cut_off_hides_nothing_else(tiny: str) -> None:
    run = runs.create("local", table(), recipe(tiny), COLUMNS)
    run.append({"event": "loading"})
    with (run.folder / "events.jsonl").open("a") as file:
        file.write('{"event": "step", "loss": 1')
    run.append({"event": "queued"})
    assert [event["event"] for event in run.events()] == ["loading", "queued"]
    assert runs.snapshot(run)["step"] is None


def test_a_finished_run_is_not_trained_again(tiny: str) -> None:
    run = executed(runs.create("local", table(), recipe(tiny), COLUMNS))
    with pytest.raises(UserError, match="is finished; only a new or resumed run"):
        executed(run)
    assert run.status()["state"] == "finished"


def test_a_run_stopped_while_it_was_measured_keeps_its_adapter(tiny: str) -> None:
    def broken(run: runs.Run) -> Any:
        raise WorldError("no")
        yield

    run = runs.create("local", table(), recipe(tiny), COLUMNS)
    with pytest.raises(WorldError):
        executed(run, then=broken)
    assert run.status()["state"] == "failed"
    again = executed(runs.find("local", run.id).make_ready(), then=evaluate)
    assert again.status()["state"] == "finished"
    assert [event["event"] for event in again.events()].count("trained") == 1
    assert runs.snapshot(again)["evaluation"]["rows"] == 8


@pytest.mark.parametrize("model", ["run:abcdef", "http://127.0.0.1:1/v1#m"])
def test_only_bases_are_trained(model: str) -> None:
    with pytest.raises(UserError, match="train on a base model"):
        runs.create("local", table(), Recipe(model=model), COLUMNS)


def test_memory_that_runs_out_is_found_elsewhere(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass of more than two rows fails: the run goes on with smaller ones, says so, and ends with the same losses."""
    from tuning.objectives import NextTokens

    expected = losses(executed(runs.create("local", table(), recipe(tiny), COLUMNS)))
    plain = NextTokens.loss_sum

    def small(self: Any, model: Any, batch: Any) -> Any:
        if len(batch) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return plain(self, model, batch)

    monkeypatch.setattr(NextTokens, "loss_sum", small)
    run = executed(runs.create("local", table(), recipe(tiny), COLUMNS))
    did = [event["did"] for event in run.events() if event["event"] == "autopilot"]
    assert len(did) == 2 and "at most 2 rows" in did[-1]
    assert losses(run) == pytest.approx(expected, rel=5e-2)


def test_when_no_memory_is_left_the_run_says_what_to_change(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tuning.objectives import NextTokens

    def full(*_: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(NextTokens, "loss_sum", full)
    run = runs.create("local", table(), recipe(tiny), COLUMNS)
    with pytest.raises(UserError, match=r"even with one row at a time and gradient checkpointing.*Lower max_length"):
        executed(run)
    assert any("gradient checkpointing is on now" in event.get("did", "") for event in run.events())
    assert run.status()["state"] == "failed"
    monkeypatch.setattr("tuning.trainer.MicroBatchTrainer._step", full)
    run = runs.create("local", table(), recipe(tiny, method="prefix_tuning"), COLUMNS)
    with pytest.raises(UserError, match=r"even with one row at a time: the longest row.*Lower max_length"):
        executed(run)
    with pytest.raises(UserError, match="prefix_tuning does not work with gradient checkpointing; switch that off"):
        runs.create("local", table(), recipe(tiny, method="prefix_tuning", gradient_checkpointing=True), COLUMNS)


def test_every_method_but_prefix_tuning_computes_its_passes_again(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tuning import trainer
    from tuning.methods import METHODS

    checkpoints: list[Any] = []
    switch = trainer.checkpointed
    monkeypatch.setattr(trainer, "checkpointed", lambda model: checkpoints.append(switch(model)))
    for method in set(METHODS) - {"qlora", "prefix_tuning"}:
        plain, again = (
            executed(runs.create("local", table(), recipe(tiny, method=method, gradient_checkpointing=on), COLUMNS))
            for on in (False, True)
        )
        assert losses(again) == pytest.approx(losses(plain), rel=1e-3), method
        assert len(checkpoints) == 1, method
        checkpoints.clear()


def test_a_gpu_tier_takes_its_time_for_every_layer_of_a_small_model() -> None:
    from tuning.forecast import LAUNCHES, TIERS, tiers

    small, large = tiers(10**6, 10**4, 300), tiers(10**9, 10**9, 300)
    assert {tier["hours"] for tier in small} == {round(LAUNCHES * 300 / 3600, 4)}
    assert len({tier["hours"] for tier in large}) == len(TIERS) and min(tier["hours"] for tier in large) > 1


@pytest.mark.parametrize(
    ("losses_seen", "gradients", "message"),
    [
        ([2.0, float("nan")], [1, 1], "not a number at step 2.*0.03"),
        ([2.0, 0.0, 0.0, 0.0], [1] * 4, "zero since step 2"),
        ([1.0] * 8 + [4.0] * 5, [1] * 13, "exploded, from 1.00 to 4.00"),
        ([1.0] * 25, [0.0] * 25, "no gradient has arrived"),
    ],
)
def test_hopeless_losses_stop_the_run(losses_seen: list[float], gradients: list[float], message: str) -> None:
    from tuning.autopilot import check_losses

    with pytest.raises(UserError, match=message):
        check_losses(losses_seen, gradients, 0.1)
    check_losses([2.0, 1.5, 1.7, 0.4] * 10, [1.0] * 40, 0.1)


def test_the_best_epoch_is_kept_and_training_stops_early(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tuning.trainer import MicroBatchTrainer

    found = iter([3.0, 1.0, 2.0, 2.5, 2.6, 2.7, 9.0, 9.0, 9.0, 9.0, 9.0])
    monkeypatch.setattr(MicroBatchTrainer, "mean_loss", lambda *_: next(found))
    run = executed(runs.create("local", table(), recipe(tiny, num_train_epochs=9, early_stopping_patience=2), COLUMNS))
    epochs = [event for event in run.events() if event["event"] == "evaluation" and event["part"] == "validation"]
    assert [event["loss"] for event in epochs] == [3.0, 1.0, 2.0, 2.5], "two epochs without improvement, and no more"
    assert run.status()["state"] == "finished"


@pytest.mark.parametrize(
    "before", [2, pytest.param(1, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.slow)]
)
def test_early_stopping_counts_on_after_a_resume(before: int, tiny: str) -> None:
    settings = recipe(tiny, num_train_epochs=20, learning_rate=1.0, validation=0.2, lora_dropout=0.5)
    whole = executed(runs.create("local", table(), settings, COLUMNS))
    steps, epoch = runs.snapshot(whole)["step"], runs.snapshot(whole)["steps"] // 20
    assert steps < 20 * epoch, "it stops early"
    run = runs.create("local", table(), settings, COLUMNS)
    for event in execute(run):
        if event["event"] == "step" and event["step"] == steps - before:  # mostly after an epoch without a better loss
            runs.find("local", run.id).ask_to_stop()
    again = run if run.status()["state"] == "finished" else executed(runs.find("local", run.id).make_ready())
    assert runs.snapshot(again)["step"] == steps and losses(again)[-2:] == losses(whole)[-2:]
    one, two = ((each.folder / "adapter" / "adapter_model.safetensors").read_bytes() for each in (again, whole))
    assert one == two


def test_a_run_in_the_making_counts_its_rows_and_leaves_nothing_where_it_is_stopped(tiny: str) -> None:
    told: list[tuple[int, int]] = []
    run = runs.create("local", table(), recipe(tiny), COLUMNS, lambda done, of: told.append((done, of)))
    rows = len(table().rows)
    assert {of for _, of in told} == {rows} and told == sorted(told) and told[-1] == (rows, rows)
    kept = set(run.folder.parent.iterdir())

    def stop(done: int, of: int) -> None:
        if done > 0.8 * of:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runs.create("local", table(), recipe(tiny), COLUMNS, stop)
    assert set(run.folder.parent.iterdir()) == kept


def test_reading_many_rows_is_told_and_can_be_cancelled(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tuning.ui.views import progress_line

    told, known = 0, encode.tokenise

    def slow(*given: Any) -> Any:
        for done in (1000, 2000, 3000):
            time.sleep(1.1)
            given[-1](done, 4000)
        return known(*given)

    monkeypatch.setattr("tuning.execute.tokenise", slow)
    run = runs.create("local", table(), recipe(tiny), COLUMNS)
    for event in execute(run):
        if event["event"] == "reading":
            told += 1
            assert re.search(r"rows…\*\* · 1,000 of 4,000 rows · about \d+ s left", progress_line(runs.snapshot(run)))
            (run.folder / "cancel").touch()
    assert told == 1 and run.status()["state"] == "cancelled" and event["event"] == "cancelled"
    monkeypatch.undo()
    assert [event["event"] for event in execute(run.make_ready())][-1] == "finished"


def test_rows_whose_loss_is_measured_are_told(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tuning.trainer import MicroBatchTrainer
    from tuning.ui.views import progress_line

    known = MicroBatchTrainer._loss_sum

    def slow(self: Any, model: Any, batch: Any) -> Any:
        time.sleep(0 if model.training else 0.4)
        return known(self, model, batch)

    monkeypatch.setattr(MicroBatchTrainer, "_loss_sum", slow)
    settings = recipe(tiny, num_train_epochs=1, per_device_train_batch_size=1, gradient_accumulation_steps=8)
    run = runs.create("local", table(), settings, COLUMNS)
    for event in execute(run):
        if event["event"] == "measuring":
            part, rows = event["part"].replace("_", "-"), runs.snapshot(run)["rows"][event["part"]]
            said = rf"step \d+ of .* measuring the loss on {part} rows, {event['done']} of {rows} · about \d+ s left"
            assert re.search(said, progress_line(runs.snapshot(run)))
    told = [(event["part"], event["done"]) for event in run.events() if event["event"] == "measuring"]
    assert {part for part, _ in told} == {"validation", "held_out"} and told[0] == ("validation", 3)
    assert "measuring" not in progress_line(runs.snapshot(run))


def test_runs_are_compared_and_followed(tiny: str) -> None:
    from tuning.compare import compare_runs, follow
    from tuning.ui.views import loss_points

    first, second = (executed(runs.create("local", table(), recipe(tiny, lora_r=r), COLUMNS)) for r in (4, 8))
    found = compare_runs([first, second])
    assert found["differences"] == {"lora_r": {first.id: 4, second.id: 8}}
    assert [line["status"] for line in found["runs"]] == ["finished", "finished"]
    assert {point["part"] for point in found["losses"][first.id]} == {"training", "validation", "held_out"}
    points = loss_points(first.events())
    assert points is not None and min(points.groupby("part").size()) >= 2, "a line of one point is not seen"
    assert points["step"].max() == max(event["step"] for event in first.events() if event["event"] == "step")
    with pytest.raises(UserError, match="choose 2 to 20 runs"):
        compare_runs([first])
    events = list(follow(first))
    assert events[:-1] == first.events() and events[-1]["status"] == "finished"


@pytest.mark.slow
def test_a_forecast_is_measured_remembered_and_compared_with_what_came(tiny: str) -> None:
    from filelock import FileLock

    from prompts.home import home
    from tuning.forecast import forecast

    settings = recipe(tiny, num_train_epochs=4)
    stages: list[tuple[int, int]] = []
    found = forecast("local", table(), settings, COLUMNS, tell=lambda *how: stages.append(how))
    assert stages[0] == (0, 1) and stages == sorted(stages) and {of for _, of in stages} <= {1, 7}
    assert found["steps"] == 16 and found["seconds"] > 0 and 0.1 < found["peak_memory_gb"] < 4
    assert {tier["tier"] for tier in found["tiers"]} >= {"t4-small", "h200"}
    assert runs.runs("local") == [], "a forecast is no run"
    run = executed(runs.create("local", table(), settings, COLUMNS))
    assert runs.snapshot(run)["step"] == found["steps"]
    assert set(runs.snapshot(run)["forecast_off"]) == {"seconds", "peak_memory_gb"}
    other = runs.create("local", table(), settings.changed(lora_r=2), COLUMNS)
    assert runs.snapshot(other)["forecast_off"] is None
    with pytest.raises(UserError, match="holds no model"):
        forecast("local", table(), settings.changed(model="/tmp"), COLUMNS)
    with FileLock(home() / "device.lock"), pytest.raises(UserError, match="a training is at work"):
        forecast("local", table(), settings, COLUMNS)
