"""Two processes train together under `accelerate launch`: same order, same losses and the same adapter as one alone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.test_architecture import ROOT
from tests.tuning.test_train import losses
from tuning import run as runs

LAUNCH = (sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", "--num_machines", "1",
          "--mixed_precision", "no", "--dynamo_backend", "no")  # fmt: skip
WAYS = {
    "ddp": (*LAUNCH, "--multi_gpu", "-m", "tuning"),
    "fsdp": (*LAUNCH, "--use_fsdp", "--fsdp_version", "2", "--fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP", "-m",
             "tests.fsdp_on_cpu"),
}  # fmt: skip


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.csv"
    lines = (f"item {n} {'x' * (n % 7) * 3},{'red' if n % 2 else 'blue'}\n" for n in range(43))
    file.write_text("text,label\n" + "".join(lines))
    return file


def trained(start: tuple[str, ...], rows: Path, model: str, *more: str) -> tuple[dict[str, Any], runs.Run]:
    words = [*start, "train", str(rows), "--model", model, "--num-train-epochs", "2", "--max-length", "256", "--lora-r", "4",
             "--learning-rate", "0.01", "--per-device-train-batch-size", "7", "--held-out", "0.1", "--json", *more]  # fmt: skip
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    document = json.loads(done.stdout)
    return document, runs.find("local", document["run"])


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_two_processes_end_as_one(way: str, rows: Path, tiny: str) -> None:
    import torch
    from safetensors.torch import load_file

    alone, first = trained((sys.executable, "-m", "tuning"), rows, tiny)
    together, second = trained(WAYS[way], rows, tiny, "--evaluate")
    assert together["steps"] == alone["steps"] == 10 and together["evaluation"]["rows"] == 4
    assert losses(second) == pytest.approx(losses(first), abs=2e-3), "bf16 weights, another order of sums"
    assert together["eval_loss"] == pytest.approx(alone["eval_loss"], abs=2e-3)
    one, two = (load_file(run.folder / "adapter" / "adapter_model.safetensors") for run in (first, second))
    assert one.keys() == two.keys()
    apart = max(float((one[name] - two[name]).abs().max()) for name in one)
    assert apart < 0.05 and any(float(weight.abs().max()) > 0.05 for weight in two.values()), apart
    assert all(torch.isfinite(weight).all() for weight in two.values())


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_stopped_training_of_two_is_resumed_by_two(way: str, rows: Path, tiny: str) -> None:
    whole, _ = trained(WAYS[way], rows, tiny, "--num-train-epochs", "16")
    words = [*WAYS[way], "train", str(rows), "--model", tiny, "--num-train-epochs", "16", "--max-length", "256", "--lora-r", "4",
             "--learning-rate", "0.01", "--per-device-train-batch-size", "7", "--held-out", "0.1", "--json"]  # fmt: skip
    started = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert started.stderr
    run = next(line.split()[1] for line in started.stderr if line.startswith("run "))
    next(line for line in started.stderr if line.startswith("step 12/"))
    runs.find("local", run).ask_to_stop()
    started.stderr.read()
    assert started.wait(60) == 0 and runs.find("local", run).status()["state"] == "cancelled"
    subprocess.run([*WAYS[way], "resume", run], cwd=ROOT, capture_output=True, text=True, check=True, timeout=240)
    again = runs.snapshot(runs.find("local", run))
    assert again["status"] == "finished" and again["steps"] == whole["steps"]
    assert again["eval_loss"] == whole["eval_loss"], "as if it had not been stopped"
