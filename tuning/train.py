"""(encoded data, recipe) -> adapter, as a stream of events. transformers.Trainer is the engine; PEFT makes the adapter.

Speed comes from three seams. One update's rows are split into micro-batches of like lengths under a token budget, so that
the order of rows and the effective batch do not depend on memory; the language-model head computes only the positions
whose next token is learned (both in tuning/trainer.py); and tuning/fast.py keeps less for the backward pass.
"""

import json
import queue
import resource
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prompts.home import ADAPTER_CONFIG
from prompts.kinds import Kind
from prompts.loading import device, dtype, read_model
from prompts.models import BASE_FILE, hub_id, locate
from tuning.autopilot import check_losses
from tuning.data.encode import Encoded
from tuning.methods import METHODS, learning_rate, quantized, with_method
from tuning.recipe import Recipe
from tuning.run import Event
from tuning.task import Task

CHECKPOINTS = "checkpoints"
Parts = Mapping[str, Encoded]  # "train", and where there are any "validation" and "held_out"


def train(
    recipe: Recipe, task: Task, parts: Parts, folder: Path, *, owner: str, token: str | None = None
) -> Iterator[Event]:
    """Trains and saves `folder/adapter`; continues from the last checkpoint in `folder/checkpoints`, if any.

    Events: "step" (loss, learning rate, tokens/s ...), "evaluation" (part and loss, after each epoch and at the end) and last
    "trained" or "cancelled". Closing the iterator, or a file `folder/cancel`, stops after the current step.
    """
    found: queue.Queue[Event | BaseException | None] = queue.Queue()
    closed = threading.Event()

    def work() -> None:
        try:
            _work(recipe, task, parts, folder, owner, token, found.put, closed)
        except BaseException as error:
            found.put(error)
        finally:
            found.put(None)

    thread = threading.Thread(target=work, name="training")
    thread.start()
    try:
        while (event := found.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event
    finally:
        closed.set()
        thread.join()


def _work(
    recipe: Recipe, task: Task, parts: Parts, folder: Path, owner: str, token: str | None,
    emit: Any, closed: threading.Event,
) -> None:  # fmt: skip
    watch = _Watch(emit, lambda: closed.is_set() or (folder / "cancel").exists())
    trainer, tokenizer = prepared(recipe, task, parts, folder / CHECKPOINTS, watch, owner, token)
    model = trainer.model
    last = last_checkpoint(folder / CHECKPOINTS)
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    if watch.stopped:
        emit({"event": "cancelled", "step": trainer.state.global_step})
        return
    if "held_out" in parts and watched_part(parts) != "held_out":
        watch.measured(trainer.state, "held_out", trainer.mean_loss(parts["held_out"].rows))
    _save(model, tokenizer, recipe, task, folder / "adapter")
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    emit({"event": "trained", **watch.summary(trainer)})


def prepared(
    recipe: Recipe, task: Task, parts: Parts, folder: Path, watch: "_Watch", owner: str, token: str | None
) -> tuple[Any, Any]:
    """(the trainer of a fresh model, its tokenizer)."""
    from tuning.objectives import objective_of

    source, _ = locate(recipe.model, owner)
    base, tokenizer = read_model(source, token, task.kind, task.labels, **quantized(recipe))
    model = _with_adapter(base, recipe, task.kind, tokenizer)
    soft, many = METHODS[recipe.method].soft, bool(task.labels and task.labels.many)
    objective = objective_of(model, tokenizer, kind=task.kind, soft=soft, many=many)
    return _trainer(model, recipe, parts, folder, watch, objective), tokenizer


def unwatched() -> "_Watch":
    """A watch that tells nobody."""
    return _Watch(lambda _: None, lambda: False)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; those that a kill cut off are removed. trainer_state.json is what is written last."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True)
    for checkpoint in found:
        try:
            json.loads((checkpoint / "trainer_state.json").read_text("utf-8"))
            return checkpoint
        except (OSError, ValueError):
            shutil.rmtree(checkpoint, ignore_errors=True)
    return None


def _with_adapter(base: Any, recipe: Recipe, kind: Kind = "causal", tokenizer: Any = None) -> Any:
    from tuning.fast import speed_up

    model = with_method(base, recipe, kind, tokenizer)
    if recipe.gradient_checkpointing:
        from tuning.trainer import checkpointed

        checkpointed(model)
    if recipe.method == "lora":
        speed_up(model)
    return model


def _save(model: Any, tokenizer: Any, recipe: Recipe, task: Task, folder: Path) -> None:
    """The adapter (or whole model) with its tokenizer, classes and the name of its base, in one atomic step."""
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    if recipe.method == "full":
        model.to(dtype()).save_pretrained(partial)
    else:
        model.save_pretrained(partial, save_embedding_layers=False)
        config = json.loads((partial / ADAPTER_CONFIG).read_text("utf-8"))
        config["base_model_name_or_path"] = hub_id(recipe.model)  # never a path of this machine
        (partial / ADAPTER_CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")
    tokenizer.save_pretrained(partial)
    if task.labels:
        task.labels.write(partial)
    (partial / "README.md").unlink(missing_ok=True)  # PEFT's placeholder; tuning/card.py writes the real one
    (partial / BASE_FILE).write_text(recipe.model, encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _trainer(model: Any, recipe: Recipe, parts: Parts, folder: Path, watch: "_Watch", objective: Any) -> Any:
    from transformers import EarlyStoppingCallback, PrinterCallback, TrainingArguments

    watched = watched_part(parts)
    best = watched == "validation" and recipe.num_train_epochs >= 2  # of one epoch there is one checkpoint
    from tuning.trainer import MicroBatchTrainer

    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.num_train_epochs,
        learning_rate=learning_rate(recipe),
        per_device_train_batch_size=recipe.effective_batch_size,  # split into micro-batches by the trainer
        warmup_steps=recipe.warmup_ratio,
        lr_scheduler_type=recipe.lr_scheduler_type,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        seed=recipe.seed,
        eval_strategy="epoch" if watched else "no",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=best,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=1,
        use_cpu=device() == "cpu",
        dataloader_pin_memory=device() == "cuda",
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
        log_level="error",
    )
    trainer = MicroBatchTrainer(
        model, arguments, recipe.per_device_train_batch_size, objective, train_dataset=parts["train"].rows,
        eval_dataset=parts[watched].rows if watched else None, callbacks=[watch.callback()],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    watch.trainer, watch.part = trainer, watched or ""
    trainer.tell = lambda did: watch.emit({"event": "autopilot", "step": trainer.state.global_step, "did": did})
    if best and recipe.early_stopping_patience:
        trainer.add_callback(EarlyStoppingCallback(recipe.early_stopping_patience))
    return trainer


def watched_part(parts: Parts) -> str | None:
    """The part whose loss is measured after each epoch: validation, else, as nothing is chosen by it, the held-out rows."""
    return next((part for part in ("validation", "held_out") if part in parts), None)


class _Watch:
    """Turns the trainer's callbacks into events, and asks it to stop."""

    def __init__(self, emit: Any, should_stop: Any) -> None:
        self.emit, self._should_stop = emit, should_stop
        self.trainer: Any = None
        self.stopped = False
        self._began = self._step_began = self._busy = 0.0
        self._first_step = self._tokens_before = 0
        self._losses: list[float] = []
        self._gradients: list[float] = []
        self.part = ""
        self.losses_of: dict[str, float] = {}

    def callback(self) -> Any:
        from transformers import TrainerCallback

        watch = self

        class Callback(TrainerCallback):
            def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
                watch._began, watch._first_step = time.perf_counter(), state.global_step
                watch.emit({"event": "training", "step": state.global_step, "steps": state.max_steps})

            def on_step_begin(self, *_: Any, **__: Any) -> None:
                watch._step_began, watch._tokens_before = time.perf_counter(), watch.trainer.tokens_seen

            def on_step_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> None:
                watch._busy += time.perf_counter() - watch._step_began
                if watch._should_stop():
                    watch.stopped = control.should_training_stop = True
                    control.should_save = True

            def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
                if "loss" in (logs or {}):
                    watch._step(state, logs)

            def on_evaluate(self, _args: Any, state: Any, _control: Any, metrics: Any = None, **_: Any) -> None:
                watch.measured(state, watch.part, metrics["eval_loss"])

        return Callback()

    def measured(self, state: Any, part: str, loss: float) -> None:
        """A part's loss: kept for the summary, and told."""
        self.losses_of[part] = loss
        self.emit({"event": "evaluation", "step": state.global_step, "epoch": state.epoch, "part": part, "loss": loss})

    def _step(self, state: Any, logs: dict[str, float]) -> None:
        now = time.perf_counter()
        done = state.global_step - self._first_step
        elapsed = now - self._began
        tokens = self.trainer.tokens_seen - self._tokens_before
        self._losses.append(logs["loss"])
        self._gradients.append(float(logs.get("grad_norm") or 0))
        self.emit(
            {
                "event": "step", "step": state.global_step, "steps": state.max_steps, "epoch": round(logs["epoch"], 3),
                "loss": logs["loss"], "grad_norm": self._gradients[-1],
                "learning_rate": logs["learning_rate"], "tokens": tokens,
                "tokens_per_second": round(tokens / max(now - self._step_began, 1e-9), 1),
                "elapsed": round(elapsed, 2), "remaining": round(elapsed / done * (state.max_steps - state.global_step), 1),
                "memory_gb": peak_memory_gb(),
            }
        )  # fmt: skip
        check_losses(self._losses, self._gradients, logs["learning_rate"])

    def summary(self, trainer: Any) -> Event:
        last = self._losses[-max(1, len(self._losses) // 5) :]
        return {
            "step": trainer.state.global_step,
            "train_loss": round(sum(last) / max(1, len(last)), 4),
            "validation_loss": _rounded(self.losses_of.get("validation")),
            "eval_loss": _rounded(self.losses_of.get("held_out")),
            "tokens_per_second": round(trainer.tokens_seen / max(self._busy, 1e-9), 1),
            "peak_memory_gb": peak_memory_gb(),
            "seconds": round(time.perf_counter() - self._began, 1),
        }


def _rounded(loss: float | None) -> float | None:
    return None if loss is None else round(loss, 4)


def peak_memory_gb() -> float:
    """The most memory this process has held: the GPU's where it trains on one, else the process's. In 1e9 bytes."""
    import torch

    if device() == "cuda":
        return round(torch.cuda.max_memory_allocated() / 1e9, 2)
    status = Path("/proc/self/status")
    if status.is_file():  # not ru_maxrss, which starts with the memory of the process that started this one
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return round(int(peak.split()[1]) * 1024 / 1e9, 2)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, 2)
