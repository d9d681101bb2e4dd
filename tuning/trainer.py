"""transformers.Trainer with two seams of our own: micro-batches under a token budget, and the head on learned tokens only."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import Trainer

from prompts.loading import device
from tuning.data.encode import EncodedRow
from tuning.fast import packing_of

MICRO_TOKENS = {"cpu": 2048, "mps": 8192, "cuda": 32768}  # tokens of one forward pass


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


class MicroBatchTrainer(Trainer):
    """Trains on batches {"rows": [EncodedRow, ...]}; `micro_rows` is the most rows of one forward pass."""

    def __init__(self, model: Any, args: Any, micro_rows: int, **more: Any) -> None:
        super().__init__(model, args, data_collator=lambda rows: {"rows": rows}, **more)
        self.micro_rows, self.micro_tokens = micro_rows, MICRO_TOKENS[device()]
        self.tokens_seen = 0
        self._selected: Any = None
        self._packing = packing_of(model) if device() == "cpu" else None  # GPUs have padding-free kernels of their own
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
        rows = inputs["rows"]
        total = sum(row.learned for row in rows)
        loss = torch.zeros((), device=self.args.device)
        for batch in self._batches(rows):
            part = self.loss_sum(model, batch) / total
            self.accelerator.backward(part)
            loss += part.detach()
        self.tokens_seen += sum(len(row.ids) for row in rows)
        return loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """The mean cross-entropy of a learned token, over the rows that are watched."""
        metrics = {"eval_loss": self.mean_loss(self.eval_dataset)}
        self.log(metrics)
        self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def mean_loss(self, dataset: Any) -> float:
        rows = list(dataset)
        self.model.eval()
        with torch.inference_mode():
            total = sum(float(self.loss_sum(self.model, batch)) for batch in self._batches(rows))
        return total / sum(row.learned for row in rows)
