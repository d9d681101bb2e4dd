"""What a training tells of itself while it runs: the trainer's callbacks as events, and the wish to stop."""

import math
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prompts.events import Event
from prompts.following import Progress, seconds_left
from prompts.loading import device
from tuning import ranks
from tuning.autopilot import check_losses
from tuning.work import durable

SLOWER = 1.5  # than the slowest step so far, the next one may be
SAVING = 3.0  # seconds for a checkpoint, besides what is written
SAVED, DISK = 16, 2e8  # bytes for a learned number (with optimizer and copy), bytes a second
COMPLETE = "complete"  # the file that is written last
Sample = Callable[[Progress], list[dict[str, str]]]


class Watch:
    """Turns the trainer's callbacks into events, and asks it to stop."""

    def __init__(self, emit: Any, should_stop: Any, until: float | None = None) -> None:
        self.emit, self._should_stop = emit, should_stop
        self.trainer: Any = None
        self.stopped = False
        self.paused = False  # stopped because the time is over, by time.monotonic()
        self._until, self._longest, self.last_rows = until, 0.0, 0
        self._sampling, self.samples = 0.0, 0  # seconds that sample answers took, and how many there are
        self._began = self._step_began = self._busy = 0.0
        self._left = 0.0  # seconds for the steps that are left
        self._first_step = self._tokens_before = 0
        self._losses: list[float] = []
        self._gradients: list[float] = []
        self.part = ""
        self.losses_of: dict[str, float] = {}
        self.sample: Sample = lambda _tell: []
        self.patience = 0  # epochs without a better loss, after which it stops; 0: never

    def callback(self) -> Any:
        from transformers import TrainerCallback

        watch = self

        class Callback(TrainerCallback):
            def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
                watch._began, watch._first_step = time.perf_counter(), state.global_step
                watch.emit({"event": "training", "step": state.global_step, "steps": state.max_steps})

            def on_step_begin(self, *_: Any, **__: Any) -> None:
                watch._step_began, watch._tokens_before = time.perf_counter(), watch.trainer.tokens_seen

            def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
                took = time.perf_counter() - watch._step_began
                watch._busy += took
                watch._longest = max(watch._longest, took)
                watch.paused = watch._time_is_over(state)
                if ranks.most(watch._should_stop() or watch.paused):
                    watch.stopped = control.should_training_stop = True
                    control.should_save = not _epoch_is_over(state)  # else it is saved with the epoch's measurement

            def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
                if "loss" in (logs or {}):
                    watch._step(state, logs)

            def on_epoch_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
                if watch.stopped and not _epoch_is_over(state):  # measured now, it would not go on as if uninterrupted
                    control.should_evaluate = control.should_save = False
                    return
                began = time.perf_counter()
                answers = watch.sample(watch.measuring("samples"))
                watch._sampling = max(watch._sampling, time.perf_counter() - began)
                if answers:
                    watch.emit({"event": "sample", "step": state.global_step, "epoch": state.epoch, "answers": answers})

            def on_save(self, args: Any, state: Any, _control: Any, **_: Any) -> None:
                ranks.most(0)  # all processes have written their part
                if state.is_world_process_zero:
                    complete(Path(args.output_dir) / f"checkpoint-{state.global_step}")

            def on_evaluate(self, _args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
                watch.measured(state, watch.part, metrics["eval_loss"])
                if watch.patience and since_best(state) >= watch.patience:
                    control.should_training_stop = True
                    watch.stopped = False  # it has come to its end by itself

        return Callback()

    def measured(self, state: Any, part: str, loss: float) -> None:
        """A part's loss: kept for the summary, and told."""
        self.losses_of[part] = loss
        self.emit({"event": "evaluation", "step": state.global_step, "epoch": state.epoch, "part": part, "loss": loss})

    def measuring(self, part: str) -> Progress:
        """What is told the rows of a part whose loss is measured, or of "samples", which are answered: an event a second."""
        began = told = time.monotonic()

        def tell(done: int, of: int) -> None:
            nonlocal told
            if (now := time.monotonic()) - told < 1:
                return
            told = now
            self.emit({"event": "measuring", "step": self.trainer.state.global_step, "part": part, "done": done, "of": of,
                       "remaining": round(self._left + seconds_left(began, done, of), 1)})  # fmt: skip

        return tell

    def _time_is_over(self, state: Any) -> bool:
        """Is there too little time for the next step, what is measured after it, and a checkpoint?"""
        if self._until is None or state.global_step >= state.max_steps:
            return False
        batch, step = self.trainer.args.per_device_train_batch_size, state.global_step + 1
        learned = sum(weight.numel() for weight in self.trainer.model.parameters() if weight.requires_grad)
        needed = SLOWER * self._longest + SAVING + learned * SAVED / DISK
        ends_epoch = step % math.ceil(len(self.trainer.train_dataset) / batch) == 0
        if ends_epoch or step == state.max_steps:
            rows = len(self.trainer.eval_dataset or ()) + (self.last_rows if step == state.max_steps else 0)
            needed += self._longest * rows / batch + (self._sampling or self._longest * self.samples)
        return time.monotonic() + needed > self._until

    def _step(self, state: Any, logs: dict[str, float]) -> None:
        now = time.perf_counter()
        done = state.global_step - self._first_step
        elapsed = now - self._began
        tokens = self.trainer.tokens_seen - self._tokens_before
        self._losses.append(logs["loss"])
        self._gradients.append(float(logs.get("grad_norm") or 0))
        self._left = elapsed / done * (state.max_steps - state.global_step)
        self.emit(
            {
                "event": "step", "step": state.global_step, "steps": state.max_steps, "epoch": round(logs["epoch"], 3),
                "loss": logs["loss"], "grad_norm": self._gradients[-1],
                "learning_rate": logs["learning_rate"], "tokens": tokens,
                "tokens_per_second": round(tokens / max(now - self._step_began, 1e-9), 1),
                "elapsed": round(elapsed, 2), "remaining": round(self._left, 1),
                "memory_gb": peak_memory_gb(),
            }
        )  # fmt: skip
        check_losses(self._losses, self._gradients, logs["learning_rate"])

    def summary(self, trainer: Any) -> Event:
        last = self._losses[-max(1, len(self._losses) // 5) :]
        return {
            "step": trainer.state.global_step,
            "train_loss": round(sum(last) / max(1, len(last)), 4),
            "validation_loss": _rounded(trainer.state.best_metric or self.losses_of.get("validation")),
            "eval_loss": _rounded(self.losses_of.get("held_out")),
            "tokens_per_second": round(trainer.tokens_seen / max(self._busy, 1e-9), 1),
            "peak_memory_gb": peak_memory_gb(),
            "seconds": round(time.perf_counter() - self._began, 1),
        }


def _epoch_is_over(state: Any) -> bool:
    return abs(state.epoch - round(state.epoch)) < 1e-6


def since_best(state: Any) -> int:
    """How many measurements ago the loss was best, by the history that checkpoints keep, so that a resumed run counts on."""
    losses = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
    return len(losses) - 1 - losses.index(min(losses))


def complete(checkpoint: Path) -> None:
    """Marks a checkpoint as whole, once all of it would survive a power cut."""
    durable(checkpoint)
    (checkpoint / COMPLETE).touch()
    durable(checkpoint)


def unwatched() -> Watch:
    """A watch that tells nobody."""
    return Watch(lambda _: None, lambda: False)


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
