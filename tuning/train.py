"""(encoded data, recipe) -> adapter, as a stream of events. transformers.Trainer is the engine; PEFT makes the adapter.

Speed comes from three seams. One update's rows are split into micro-batches of like lengths under a token budget, so that
the order of rows and the effective batch do not depend on memory; the language-model head computes only the positions
whose next token is learned (both in tuning/trainer.py); and tuning/fast.py keeps less for the backward pass.
"""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from prompts.events import Event
from prompts.following import followed
from prompts.home import ADAPTER_CONFIG
from prompts.kinds import Kind
from prompts.loading import device, dtype, read_model
from prompts.models import BASE_FILE, hub_id, locate
from tuning import ranks
from tuning.autopilot import Relief
from tuning.base import fingerprint, keep
from tuning.data.encode import Encoded
from tuning.methods import METHODS, check_method, learning_rate, quantized, with_method
from tuning.recipe import Recipe
from tuning.task import Task
from tuning.watch import COMPLETE, Watch
from tuning.work import CANCEL, durable

CHECKPOINTS = "checkpoints"
Parts = Mapping[str, Encoded]  # "train", and where there are any "validation" and "held_out"


def train(
    recipe: Recipe, task: Task, parts: Parts, folder: Path, *, owner: str, token: str | None = None,
    seconds: float | None = None,
) -> Iterator[Event]:  # fmt: skip
    """Trains and saves `folder/adapter`; continues from the last checkpoint in `folder/checkpoints`, if any.

    Events: "step" (loss, learning rate, tokens/s ...), "evaluation" (part and loss, after each epoch and at the end) and last
    "trained" or "cancelled". Closing the iterator, or a file `folder/cancel`, stops after the current step. With `seconds` to do
    it in, "slice" is last where there is more to do (tuning/slices.py).
    """
    until = None if seconds is None else time.monotonic() + seconds
    closed = threading.Event()

    def work(emit: Callable[[Event], None]) -> None:
        _work(recipe, task, parts, folder, owner, token, emit, closed, until)

    yield from followed(work, closed)


def _work(
    recipe: Recipe, task: Task, parts: Parts, folder: Path, owner: str, token: str | None,
    emit: Callable[[Event], None], closed: threading.Event, until: float | None,
) -> None:  # fmt: skip
    watch = Watch(emit, lambda: closed.is_set() or (folder / CANCEL).exists(), until)
    trainer, tokenizer = prepared(recipe, task, parts, folder / CHECKPOINTS, watch, owner, token)
    model = trainer.model
    watch.last_rows = len(parts["held_out"].rows) if "held_out" in parts else 0
    last = last_checkpoint(folder / CHECKPOINTS)
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    if watch.stopped:
        emit({"event": "slice" if watch.paused else "cancelled", "step": trainer.state.global_step})
        return
    if "held_out" in parts and watched_part(parts) != "held_out":
        loss = trainer.mean_loss(parts["held_out"].rows, watch.measuring("held_out"))
        watch.measured(trainer.state, "held_out", loss)
    weights = _gathered(model)
    if ranks.rank() > 0:
        return
    _save(model, tokenizer, recipe, task, folder / "adapter", weights)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    emit({"event": "trained", **watch.summary(trainer)})


def prepared(
    recipe: Recipe, task: Task, parts: Parts, folder: Path, watch: Watch, owner: str, token: str | None
) -> tuple[Any, Any]:
    """(the trainer of a fresh model, its tokenizer)."""
    from tuning.objectives import objective_of

    check_method(recipe)
    source, _ = locate(recipe.model, owner)
    base, tokenizer = read_model(source, token, task.kind, task.labels, **quantized(recipe))
    before = None if quantized(recipe) else fingerprint(base, tokenizer, task.kind)
    model = _with_adapter(base, recipe, task.kind, tokenizer)
    soft, many = METHODS[recipe.method].soft, bool(task.labels and task.labels.many)
    objective = objective_of(model, tokenizer, kind=task.kind, soft=soft, many=many)
    trainer = _trainer(model, recipe, parts, folder, watch, objective)
    if before and ranks.rank() == 0 and folder.parent.is_dir():
        keep(folder.parent, before)
    if shown := list(parts[watched_part(parts) or "train"].rows[: recipe.sample_rows]):
        from tuning.samples import samples

        watch.samples = len(shown)
        watch.sample = lambda tell: samples(trainer.model, tokenizer, task, shown, tell, packed=objective.packed)
    return trainer, tokenizer


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; those that a kill or a power cut left incomplete are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True)
    for checkpoint in found:
        if (checkpoint / COMPLETE).is_file():
            return checkpoint
        shutil.rmtree(checkpoint, ignore_errors=True)
    return None


def _with_adapter(base: Any, recipe: Recipe, kind: Kind, tokenizer: Any) -> Any:
    from tuning.fast import speed_up

    model = with_method(base, recipe, kind, tokenizer)
    if recipe.gradient_checkpointing:
        from tuning.trainer import checkpointed

        checkpointed(model)
    if recipe.method == "lora":
        speed_up(model)
    return model


def _gathered(model: Any) -> dict[str, Any] | None:
    """What was learned, put together where FSDP shares it among processes; None where the model holds it itself."""
    learned = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    if not any(hasattr(weight, "full_tensor") for weight in learned.values()):
        return None
    return {name: weight.full_tensor().detach().cpu() for name, weight in learned.items()}


def _save(model: Any, tokenizer: Any, recipe: Recipe, task: Task, folder: Path, weights: Any = None) -> None:
    """The adapter (or whole model) with its tokenizer, classes and the name of its base, in one atomic step.

    `weights` where they are not the model's own, because several processes share them.
    """
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    if recipe.method == "full":
        if weights is None:
            weights = model.state_dict()
        model.save_pretrained(partial, state_dict={name: weight.to(dtype()) for name, weight in weights.items()})
    else:
        model.save_pretrained(partial, save_embedding_layers=False, state_dict=weights)
        config = json.loads((partial / ADAPTER_CONFIG).read_text("utf-8"))
        config["base_model_name_or_path"] = hub_id(recipe.model)  # never a path of this machine
        (partial / ADAPTER_CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")
    tokenizer.save_pretrained(partial)
    if task.labels:
        task.labels.write(partial)
    (partial / "README.md").unlink(missing_ok=True)  # PEFT's placeholder; tuning/card.py writes the real one
    (partial / BASE_FILE).write_text(recipe.model, encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    durable(partial)
    partial.rename(folder)


def _trainer(model: Any, recipe: Recipe, parts: Parts, folder: Path, watch: Watch, objective: Any) -> Any:
    from transformers import PrinterCallback, TrainingArguments
    from transformers.utils import is_liger_kernel_available

    watched = watched_part(parts)
    best = watched == "validation" and recipe.num_train_epochs >= 2  # of one epoch there is one checkpoint
    from tuning.trainer import MICRO_TOKENS, MicroBatchTrainer

    relief = Relief(
        recipe.per_device_train_batch_size, MICRO_TOKENS[device()], checkpointing=recipe.gradient_checkpointing,
        can_checkpoint=METHODS[recipe.method].checkpoints,
    )  # fmt: skip
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
        use_liger_kernel=device() == "cuda" and is_liger_kernel_available(),
        liger_kernel_config={
            "cross_entropy": False,
            "fused_linear_cross_entropy": False,
        },  # the objective's head does more
        dataloader_pin_memory=device() == "cuda",
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
        log_level="error",
    )
    trainer = MicroBatchTrainer(
        model, arguments, relief, objective, train_dataset=parts["train"].rows,
        eval_dataset=parts[watched].rows if watched else None, callbacks=[watch.callback()],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    watch.trainer, watch.part = trainer, watched or ""
    trainer.tell = lambda did: watch.emit({"event": "autopilot", "step": trainer.state.global_step, "did": did})
    trainer.measuring = lambda: watch.measuring(watch.part)
    watch.patience = recipe.early_stopping_patience if best else 0
    return trainer


def watched_part(parts: Parts) -> str | None:
    """The part whose loss is measured after each epoch: validation, else, as nothing is chosen by it, the held-out rows."""
    return next((part for part in ("validation", "held_out") if part in parts), None)
