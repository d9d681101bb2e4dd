"""How long a training will take and how much memory, measured before it starts: real steps on the longest rows and on usual ones.

The steps run in a process of their own, so that the peak is theirs alone; nothing they learn is kept.
"""

import hashlib
import json
import math
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from prompts.backends import OnDevice, identity
from prompts.errors import WorldError
from prompts.following import Progress, told_to_nobody
from prompts.home import device_lock, models_folder, owner_folder
from prompts.loading import device
from prompts.models import locate
from prompts.rows import Table, store
from prompts.weights import fetch
from tuning.allowance import allowance, in_slices
from tuning.data.columns import Columns, resolve
from tuning.data.encode import Encoded
from tuning.launch.apart import Died, apart
from tuning.launch.measure import measured_apart
from tuning.launch.process import free_the_gpu
from tuning.line import FORECAST
from tuning.recipe import Recipe
from tuning.run import Run
from tuning.slices import RESERVE, lease_seconds
from tuning.train import prepared
from tuning.watch import peak_memory_gb, unwatched
from tuning.work import write_json

USUAL = 3  # steps on rows as they come; before them one that warms up, and one on the longest rows

# Hugging Face Spaces and Jobs: USD per hour (huggingface.co/pricing) and the bf16 matrix peak of the hardware in TFLOP/s. The time
# on another machine is an estimate: work divided by SHARE of the peak, but LAUNCHES for each layer of a pass at least.
TIERS = {
    "t4-small": (0.40, 65), "l4x1": (0.80, 121), "a10g-small": (1.00, 125), "l40sx1": (1.80, 362), "a100-large": (2.50, 312),
    "h200": (5.00, 989),
}  # fmt: skip
SHARE = 0.3
LAUNCHES = 0.008  # seconds, LoRA on an H200: a small model waits for the processor that starts its kernels


def forecast(
    owner: str,
    table: Table,
    recipe: Recipe,
    columns: Columns,
    *,
    token: str | None = None,
    on_device: OnDevice = identity,
    tell: Progress = told_to_nobody,
) -> dict[str, Any]:
    """{"steps", "seconds_per_step", "seconds", "peak_memory_gb", "tokens", "tokens_per_second", "measured_steps", "tiers": [...]}.

    Measured by a child process (tuning/launch/measure.py), which tells `tell` how many of its stages are done; what that raises
    ends it. A run of the same recipe and rows, created later, remembers it. Raises as training does: for rows too long, a model
    that cannot be had, too little memory.
    """
    columns = resolve(columns, table)
    fetch(locate(recipe.model, owner)[0], token)  # seen, where the child's would not be
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        store(table.name, table.rows, keep=folder)
        (folder / "models").symlink_to(models_folder())
        given = {"home": scratch, "lock": str(device_lock()), "name": table.name, "columns_of_rows": table.columns,
                 "recipe": recipe.to_json(), "columns": columns.to_json(), "token": token}  # fmt: skip
        lease = lease_seconds(on_device)
        document = _measured(given, tell) if lease is None else on_device(measured_apart)(given)
    if lease is not None:
        needed, loading = document["seconds"], document["loading_seconds"]
        slices = in_slices(needed, loading, lease, RESERVE)
        needed += (slices - 1) * loading
        document |= {"slices": slices, "gpu_seconds": needed, "allowance": allowance(owner, token, needed, slices)}
    file = kept(owner, recipe, columns, document.pop("fingerprint"))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, document)
    return document


def _measured(given: dict[str, Any], tell: Progress) -> dict[str, Any]:
    free_the_gpu()
    try:
        return apart(measured_apart, given, tell)
    except Died:
        raise WorldError(
            "the forecast's process ended without a word, most likely for want of memory; lower the batch size or max_length"
        ) from None


def kept(owner: str, recipe: Recipe, columns: Columns, fingerprint: str) -> Path:
    """Where an owner's forecast for this recipe and these rows is kept."""
    known = json.dumps([recipe.to_json(), columns.to_json(), fingerprint], sort_keys=True)
    return owner_folder(owner, "cache", "forecasts", f"{hashlib.sha256(known.encode()).hexdigest()[:20]}.json")


def steps_measured(run: Run, token: str | None, tell: Progress = told_to_nobody) -> dict[str, Any]:
    """The forecast itself, in the process that takes the steps."""
    from tuning.execute import encoded

    started = time.perf_counter()
    task, parts = encoded(run, token)
    work = _Steps(run, task, parts, token)
    loading = time.perf_counter() - started
    recipe, train = run.recipe, parts["train"]
    batches = [_usual(train, recipe, USUAL), _longest(train, recipe), *(_usual(train, recipe, n) for n in range(USUAL))]
    timed = []
    for done, batch in enumerate(batches, 1):
        tell(done, len(batches) + 2)
        timed.append(work.timed(batch))
    _first, longest, *usual = timed  # the first step is slower than all others
    tell(len(batches) + 1, len(batches) + 2)
    sampling = work.sampling() * math.ceil(recipe.num_train_epochs)
    steps = max(1, math.ceil(len(train.rows) / recipe.effective_batch_size) * recipe.num_train_epochs)
    rate = sum(step["tokens"] for step in usual) / sum(step["seconds"] for step in usual)
    tokens = train.tokens * recipe.num_train_epochs
    watching = (
        sum(part.tokens for name, part in parts.items() if name != "train") * recipe.num_train_epochs / (3 * rate)
    )
    return {
        "steps": round(steps), "tokens": round(tokens), "tokens_per_second": round(rate, 1),
        "seconds_per_step": round(tokens / rate / steps, 2), "longest_step_seconds": round(longest["seconds"], 2),
        "seconds": round(loading + tokens / rate + watching + sampling, 1), "peak_memory_gb": peak_memory_gb(),
        "measured_steps": USUAL + 2, "loading_seconds": round(loading, 1),
        "tiers": tiers(work.parameters, tokens, steps * recipe.gradient_accumulation_steps * work.layers),
        "fingerprint": run.about["fingerprint"],
    }  # fmt: skip


def tiers(parameters: int, tokens: float, layers: float) -> list[dict[str, Any]]:
    """Hours and dollars of each GPU tier: 6 operations for each parameter and token at SHARE of the tier's peak, or LAUNCHES for
    each of the `layers` of all passes where that is longer.
    """
    found = []
    for name, (dollars, peak) in TIERS.items():
        hours = max(6 * parameters * tokens / (SHARE * peak * 1e12), LAUNCHES * layers) / 3600
        found.append(
            {"tier": name, "hours": round(hours, 4), "dollars": round(hours * dollars, 4), "per_hour": dollars}
        )
    return found


def off(run: Run, seconds: float | None, memory: float | None) -> dict[str, float] | None:
    """How far a run's forecast was off, as fractions of what it came to; None where there was none."""
    file = run.folder / FORECAST
    if not file.is_file() or not seconds or not memory:
        return None
    said = json.loads(file.read_text("utf-8"))
    return {
        "seconds": round(said["seconds"] / seconds - 1, 3),
        "peak_memory_gb": round(said["peak_memory_gb"] / memory - 1, 3),
    }


def _longest(data: Encoded, recipe: Recipe) -> list[Any]:
    lengths = data.rows.lengths()
    return [data.rows[int(at)] for at in (-lengths).argsort()[: recipe.effective_batch_size]]


def _usual(data: Encoded, recipe: Recipe, number: int) -> list[Any]:
    """Rows by chance, as training takes them; another draw for each number."""
    count = min(recipe.effective_batch_size, len(data.rows))
    return [data.rows[at] for at in random.Random(number).sample(range(len(data.rows)), count)]


class _Steps:
    """The model of a run, ready to take steps that are thrown away."""

    def __init__(self, run: Run, task: Any, parts: Any, token: str | None) -> None:
        self._watch = unwatched()
        self.trainer, _ = prepared(run.recipe, task, parts, run.folder / "scratch", self._watch, run.owner, token)
        self.trainer.create_optimizer_and_scheduler(num_training_steps=100)
        self.parameters = sum(p.numel() for p in self.trainer.model.parameters())
        config = self.trainer.model.config
        writing = getattr(config, "num_decoder_layers", None) or getattr(config, "decoder_layers", None) or 0
        self.layers = writing + (getattr(config.get_text_config(), "num_hidden_layers", None) or 0)

    def sampling(self) -> float:
        """Seconds of the sample answers after an epoch."""
        started = time.perf_counter()
        self._watch.sample(told_to_nobody)
        return time.perf_counter() - started

    def timed(self, rows: list[Any]) -> dict[str, float]:
        """One step: its seconds, and its real tokens."""
        import torch

        started = time.perf_counter()
        self.trainer.training_step(self.trainer.model, {"rows": rows})
        self.trainer.optimizer.step()
        self.trainer.model.zero_grad(set_to_none=True)
        torch.get_device_module(device()).synchronize()  # a GPU is asked first and computes later
        return {"seconds": time.perf_counter() - started, "tokens": sum(len(row.ids) for row in rows)}
