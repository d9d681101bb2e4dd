"""transformers.Trainer with two seams of our own: micro-batches under a token budget, and an objective (tuning/objectives.py).

Where several processes train together, each takes its share of every update's rows, so that rows, order and effective batch are
those of one process.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader
from transformers import Trainer

from prompts.errors import is_out_of_memory
from prompts.following import Progress, told_to_nobody
from tuning import ranks
from tuning.autopilot import Relief
from tuning.data.encode import EncodedRow
from tuning.objectives import Objective

MICRO_TOKENS = {"cpu": 1536, "mps": 8192, "cuda": 32768}  # tokens of one forward pass


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


def checkpointed(model: Any) -> None:
    """Switches gradient checkpointing on."""
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if hasattr(model, "enable_input_require_grads"):
        model.enable_input_require_grads()


class MicroBatchTrainer(Trainer):
    """Trains on batches {"rows": [EncodedRow, ...]}; `relief` holds the most rows and tokens of one forward pass."""

    def __init__(self, model: Any, args: Any, relief: Relief, objective: Objective, **more: Any) -> None:
        super().__init__(model, args, data_collator=lambda rows: {"rows": rows}, **more)
        self.relief, self.objective = relief, objective
        self.tokens_seen = 0
        self.tell: Callable[[str], None] = lambda _: None  # what the autopilot did
        self.measuring: Callable[[], Progress] = lambda: told_to_nobody  # told rows while the watched part is measured
        if ranks.count() > 1:
            _answer_for(model, objective)

    def get_train_dataloader(self) -> Any:
        """Every process gets all rows of an update, in the order of one process."""
        if ranks.count() == 1:
            return super().get_train_dataloader()
        loader = DataLoader(self.train_dataset, self._train_batch_size, sampler=self._get_train_sampler(),
                            collate_fn=self.data_collator)  # fmt: skip
        return prepare_data_loader(
            loader, num_processes=1, process_index=0, put_on_device=False, use_seedable_sampler=True
        )

    def _batches(self, rows: Sequence[EncodedRow]) -> list[tuple[list[EncodedRow], int]]:
        """This process's micro-batches with their weights, as many as in every other process: those too few have weight 0."""
        mine = sorted(rows, key=lambda row: -len(row.ids))[ranks.rank() :: ranks.count()]
        made = micro_batches(mine, self.relief.rows, self.relief.tokens, padded=not self.objective.packed)
        missing = int(ranks.most(len(made))) - len(made)
        return [(batch, 1) for batch in made] + [([min(rows, key=lambda row: len(row.ids))], 0)] * missing

    def _loss_sum(self, model: Any, batch: list[EncodedRow]) -> Any:
        if ranks.count() > 1:  # through the wrapper, which brings the processes together
            return model(training_rows=batch)
        return self.objective.loss_sum(model, batch)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        model.train()
        while (loss := self._tried(model, inputs["rows"])) is None:
            model.zero_grad(set_to_none=True)
        return loss

    def _tried(self, model: Any, rows: list[EncodedRow]) -> Any:
        """The loss of a step; None where memory ran out and there is something to do about it. Raises UserError where not."""
        try:
            return self._step(model, rows)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or ranks.count() > 1:  # the others have gone on
                raise
        longest = max(len(row.ids) for row in rows)
        before = self.relief.checkpointing
        self.tell(self.relief.next(longest))
        if self.relief.checkpointing and not before:
            checkpointed(model)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None

    def _step(self, model: Any, rows: list[EncodedRow]) -> Any:
        total = self.objective.weight(rows)
        loss = torch.zeros((), device=self.args.device)
        batches = self._batches(rows)
        for at, (batch, weight) in enumerate(batches, 1):
            with self.accelerator.no_sync(model) if at < len(batches) else nullcontext():
                part = self._loss_sum(model, batch) * (weight * ranks.count() / total)  # processes are averaged
                self.accelerator.backward(part)
            loss += part.detach()
        self.tokens_seen += sum(len(row.ids) for row in rows)
        return loss

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # Trainer knows a best checkpoint by its folder, which FSDP's shards make too late
        Path(self.args.output_dir, f"checkpoint-{self.state.global_step}").mkdir(parents=True, exist_ok=True)
        super()._save_checkpoint(model, trial)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """The mean loss over the rows that are watched."""
        metrics = {"eval_loss": self.mean_loss(self.eval_dataset, self.measuring())}
        self.log(metrics)
        self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def mean_loss(self, dataset: Any, tell: Progress) -> float:
        rows, total, done = list(dataset), 0.0, 0
        self.model.eval()
        with torch.inference_mode():
            for batch, weight in self._batches(rows):
                total += weight * float(self._loss_sum(self.model, batch))
                done = min(len(rows), done + len(batch) * ranks.count())
                tell(done, len(rows))
        return ranks.total(total) / self.objective.weight(rows)


def _answer_for(model: Any, objective: Objective) -> None:
    """`model(training_rows=rows)` is their summed loss: DDP and FSDP see calls of the model alone."""
    forward = model.forward

    def answer(*args: Any, training_rows: Any = None, **more: Any) -> Any:
        return forward(*args, **more) if training_rows is None else objective.loss_sum(model, training_rows)

    model.forward = answer
