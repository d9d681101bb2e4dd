"""(encoded data, recipe) -> adapter, as a stream of events. transformers.Trainer is the engine; PEFT makes the adapter.

Speed comes from three seams. One update's rows are split here into micro-batches of like lengths under a token budget, so
that the order of rows and the effective batch do not depend on memory; the language-model head computes only the
positions whose next token is learned; and tuning/fast.py keeps less for the backward pass.
"""

import queue
import resource
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from prompts.models import BASE_FILE, device, hub_id, locate, read_model
from tuning.data.encode import Encoded, EncodedRow
from tuning.fast import packing_of, speed_up
from tuning.recipe import Recipe

Event = dict[str, Any]
MICRO_TOKENS = {"cpu": 2048, "mps": 8192, "cuda": 32768}  # padded tokens of one forward pass
CHECKPOINTS = "checkpoints"


def train(
    recipe: Recipe, data: Encoded, held_out: Encoded | None, folder: Path, *, owner: str, token: str | None = None
) -> Iterator[Event]:
    """Trains and saves `folder/adapter`; continues from the last checkpoint in `folder/checkpoints`, if any.

    Events: "step" (loss, learning rate, tokens/s ...), "evaluation" (loss on the held-out rows after each epoch) and last
    "trained" or "cancelled". Closing the iterator, or a file `folder/cancel`, stops after the current step.
    """
    found: queue.Queue[Event | BaseException | None] = queue.Queue()
    closed = threading.Event()

    def work() -> None:
        try:
            _work(recipe, data, held_out, folder, owner, token, found.put, closed)
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
    recipe: Recipe, data: Encoded, held_out: Encoded | None, folder: Path, owner: str, token: str | None,
    emit: Any, closed: threading.Event,
) -> None:  # fmt: skip
    from transformers.trainer_utils import get_last_checkpoint

    source, _ = locate(recipe.model, owner)
    base, tokenizer = read_model(source, token)
    model = _with_adapter(base, recipe)
    watch = _Watch(emit, lambda: closed.is_set() or (folder / "cancel").exists())
    trainer = _trainer(model, recipe, data, held_out, folder / CHECKPOINTS, watch)
    last = get_last_checkpoint(str(folder / CHECKPOINTS)) if (folder / CHECKPOINTS).is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    if watch.stopped:
        emit({"event": "cancelled", "step": trainer.state.global_step})
        return
    _save(model, tokenizer, recipe, folder / "adapter")
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    emit({"event": "trained", **watch.summary(trainer)})


def _with_adapter(base: Any, recipe: Recipe) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(recipe.seed)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.lora_r,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout,
        # None is PEFT's own choice for the architecture: query and value projections
        target_modules="all-linear" if recipe.target_modules == "all-linear" else None,
    )
    model = get_peft_model(base, config)
    speed_up(model)
    return model


def _save(model: Any, tokenizer: Any, recipe: Recipe, folder: Path) -> None:
    """The adapter with its tokenizer and the name of its base, in one atomic step."""
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for config in model.peft_config.values():
        config.base_model_name_or_path = hub_id(recipe.model)  # never a path of this machine
    model.save_pretrained(partial, save_embedding_layers=False)
    tokenizer.save_pretrained(partial)
    (partial / "README.md").unlink(missing_ok=True)  # PEFT's placeholder; tuning/card.py writes the real one
    (partial / BASE_FILE).write_text(recipe.model, encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _trainer(model: Any, recipe: Recipe, data: Encoded, held_out: Encoded | None, folder: Path, watch: "_Watch") -> Any:
    from transformers import PrinterCallback, TrainingArguments

    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.num_train_epochs,
        learning_rate=recipe.learning_rate,
        per_device_train_batch_size=recipe.effective_batch_size,  # split into micro-batches by the trainer
        warmup_steps=recipe.warmup_ratio,
        lr_scheduler_type=recipe.lr_scheduler_type,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        seed=recipe.seed,
        eval_strategy="epoch" if held_out else "no",
        save_strategy="epoch",
        save_total_limit=2,
        logging_steps=1,
        use_cpu=device() == "cpu",
        dataloader_pin_memory=device() == "cuda",
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
        log_level="error",
    )
    trainer = _trainer_class()(
        model, arguments, recipe.per_device_train_batch_size, train_dataset=_dataset(data),
        eval_dataset=_dataset(held_out) if held_out else None, callbacks=[watch.callback()],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    watch.trainer = trainer
    return trainer


def _dataset(data: Encoded) -> Any:
    from datasets import Dataset

    return Dataset.from_dict({"ids": [row.ids for row in data.rows], "context": [row.context for row in data.rows]})


def micro_batches(
    rows: Sequence[EncodedRow], most_rows: int, most_tokens: int, *, padded: bool = True
) -> list[list[EncodedRow]]:
    """`rows` by falling length, at most `most_rows` and `most_tokens` together, padding counted where there is any.

    A row that is longer than `most_tokens` makes a batch of its own.
    """
    batches: list[list[EncodedRow]] = []
    for row in sorted(rows, key=lambda row: -len(row.ids)):
        last = batches[-1] if batches else []
        used = len(last[0].ids) * len(last) if last and padded else sum(len(other.ids) for other in last)
        more = len(last[0].ids) if last and padded else len(row.ids)
        if last and len(last) < most_rows and used + more <= most_tokens:
            last.append(row)
        else:
            batches.append([row])
    return batches


def _trainer_class() -> Any:
    """The class, made on first use: its base needs torch."""
    import torch
    from transformers import Trainer

    class MicroBatchTrainer(Trainer):
        """Trains on {"rows": [{ids, context}, ...]}; `micro_rows` is the most rows of one forward pass."""

        def __init__(self, model: Any, args: Any, micro_rows: int, **more: Any) -> None:
            super().__init__(model, args, data_collator=lambda rows: {"rows": rows}, **more)
            self.micro_rows, self.micro_tokens = micro_rows, MICRO_TOKENS[device()]
            self.tokens_seen = 0
            self._selected: Any = None
            self._packing = (
                packing_of(model) if device() == "cpu" else None
            )  # GPUs have padding-free kernels of their own
            model.get_output_embeddings().register_forward_pre_hook(self._only_selected)

        def _only_selected(self, _module: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
            """Hidden states (B, T, H) -> those of the selected positions (N, H), before the head multiplies them."""
            return None if self._selected is None else (args[0][self._selected],)

        def _batches(self, rows: Sequence[EncodedRow]) -> list[list[EncodedRow]]:
            return micro_batches(rows, self.micro_rows, self.micro_tokens, padded=self._packing is None)

        def loss_sum(self, model: Any, batch: Sequence[EncodedRow]) -> Any:
            """The summed cross-entropy of the learned tokens of `batch`."""
            inputs, learned = self._packed(self._packing, batch) if self._packing else self._padded(batch)
            self._selected = torch.roll(learned, -1, dims=1)  # a position predicts the token after it
            try:
                logits = model(**inputs, use_cache=False).logits
            finally:
                self._selected = None
            return torch.nn.functional.cross_entropy(logits.float(), inputs["input_ids"][learned], reduction="sum")

        def _padded(self, batch: Sequence[EncodedRow]) -> tuple[dict[str, Any], Any]:
            """Rows side by side, (B, T), padded at the end."""
            ids = torch.zeros((len(batch), max(len(row.ids) for row in batch)), dtype=torch.long)
            attention, learned = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
            for at, row in enumerate(batch):
                ids[at, : len(row.ids)] = torch.tensor(row.ids)
                attention[at, : len(row.ids)] = 1
                learned[at, row.context : len(row.ids)] = True
            ids, attention, learned = (x.to(self.args.device) for x in (ids, attention, learned))
            return {"input_ids": ids, "attention_mask": attention}, learned

        def _packed(self, packing: Any, batch: Sequence[EncodedRow]) -> tuple[dict[str, Any], Any]:
            """Rows end to end, (1, N)."""
            ids, positions = packing.pack([row.ids for row in batch])
            learned = torch.zeros_like(ids, dtype=torch.bool)
            start = 0
            for row in batch:
                learned[0, start + row.context : start + len(row.ids)] = True
                start += len(row.ids)
            return {"input_ids": ids, "position_ids": positions}, learned

        def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
            model.train()
            rows = _rows(inputs)
            total = sum(row.learned for row in rows)
            loss = torch.zeros((), device=self.args.device)
            for batch in self._batches(rows):
                part = self.loss_sum(model, batch) / total
                self.accelerator.backward(part)
                loss += part.detach()
            self.tokens_seen += sum(len(row.ids) for row in rows)
            return loss

        def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
            """The mean cross-entropy of a learned token, over the held-out rows."""
            metrics = {"eval_loss": self.mean_loss(self.eval_dataset)}
            self.log(metrics)
            self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
            return metrics

        def mean_loss(self, dataset: Any) -> float:
            rows = _rows({"rows": list(dataset)})
            self.model.eval()
            with torch.inference_mode():
                total = sum(float(self.loss_sum(self.model, batch)) for batch in self._batches(rows))
            return total / sum(row.learned for row in rows)

    return MicroBatchTrainer


def _rows(inputs: Any) -> list[EncodedRow]:
    return [EncodedRow(tuple(row["ids"]), row["context"]) for row in inputs["rows"]]


class _Watch:
    """Turns the trainer's callbacks into events, and asks it to stop."""

    def __init__(self, emit: Any, should_stop: Any) -> None:
        self._emit, self._should_stop = emit, should_stop
        self.trainer: Any = None
        self.stopped = False
        self._began = self._step_began = self._busy = 0.0
        self._first_step = self._tokens_before = 0
        self._losses: list[float] = []
        self.held_out_loss: float | None = None

    def callback(self) -> Any:
        from transformers import TrainerCallback

        watch = self

        class Callback(TrainerCallback):
            def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
                watch._began, watch._first_step = time.perf_counter(), state.global_step
                watch._emit({"event": "training", "step": state.global_step, "steps": state.max_steps})

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
                watch.held_out_loss = metrics["eval_loss"]
                watch._emit(
                    {
                        "event": "evaluation",
                        "step": state.global_step,
                        "epoch": state.epoch,
                        "held_out_loss": watch.held_out_loss,
                    }
                )

        return Callback()

    def _step(self, state: Any, logs: dict[str, float]) -> None:
        now = time.perf_counter()
        done = state.global_step - self._first_step
        elapsed = now - self._began
        tokens = self.trainer.tokens_seen - self._tokens_before
        self._losses.append(logs["loss"])
        self._emit(
            {
                "event": "step", "step": state.global_step, "steps": state.max_steps, "epoch": round(logs["epoch"], 3),
                "loss": logs["loss"], "grad_norm": float(logs.get("grad_norm") or 0),
                "learning_rate": logs["learning_rate"], "tokens": tokens,
                "tokens_per_second": round(tokens / max(now - self._step_began, 1e-9), 1),
                "elapsed": round(elapsed, 2), "remaining": round(elapsed / done * (state.max_steps - state.global_step), 1),
                "memory_gb": peak_memory_gb(),
            }
        )  # fmt: skip

    def summary(self, trainer: Any) -> Event:
        last = self._losses[-max(1, len(self._losses) // 5) :]
        return {
            "step": trainer.state.global_step,
            "train_loss": round(sum(last) / max(1, len(last)), 4),
            "eval_loss": None if self.held_out_loss is None else round(self.held_out_loss, 4),
            "tokens_per_second": round(trainer.tokens_seen / max(self._busy, 1e-9), 1),
            "peak_memory_gb": peak_memory_gb(),
            "seconds": round(time.perf_counter() - self._began, 1),
        }


def peak_memory_gb() -> float:
    """The most memory this process has held: the GPU's where it trains on one, else the process's. In 1e9 bytes."""
    import torch

    if device() == "cuda":
        return round(torch.cuda.max_memory_allocated() / 1e9, 2)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, 2)
