"""What is minimised: the summed cross-entropy of what a batch of rows has to learn, for each kind of model."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch.nn import functional

from prompts.backends.classifying import padded as side_by_side
from tuning.data.encode import EncodedRow
from tuning.fast import head_loss
from tuning.packed import PACKABLE_IN_TRAINING, Packing, packing_of

Rows = Sequence[EncodedRow]


class Objective(Protocol):
    """`packed`: rows lie end to end, so that padding counts for nothing."""

    packed: bool

    def weight(self, rows: Rows) -> int:
        """What the sum is divided by to give the mean loss."""

    def loss_sum(self, model: Any, batch: Rows) -> Any: ...


def objective_of(model: Any, tokenizer: Any, *, kind: str, soft: bool, many: bool) -> Objective:
    """`soft`: the model is called as it is, behind virtual tokens or only to be measured."""
    if kind == "classifier":
        return Classes(tokenizer, many)
    if kind == "seq2seq":
        return Answers(tokenizer)
    return WholeRows(tokenizer) if soft else NextTokens(model)


def learned_tokens(rows: Rows) -> int:
    return sum(row.learned for row in rows)


class NextTokens:
    """A causal model: the head computes only the positions whose next token is learned; rows are packed where the attention can."""

    def __init__(self, model: Any) -> None:
        self._packing = packing_of(model)
        self.packed = self._packing is not None
        self._selected: Any = None
        head = model.get_output_embeddings()
        plain = type(head) is torch.nn.Linear and head.bias is None and not head.weight.requires_grad
        self._head = head.weight if plain and model.config.model_type in PACKABLE_IN_TRAINING else None
        model.get_output_embeddings().register_forward_pre_hook(self._only_selected)

    weight = staticmethod(learned_tokens)

    def _only_selected(self, _module: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Hidden states (B, T, H) -> those of the selected positions (N, H), before the head multiplies them."""
        return None if self._selected is None else (args[0][self._selected],)

    def loss_sum(self, model: Any, batch: Rows) -> Any:
        inputs, learned = _packed(self._packing, batch, model.device) if self._packing else _padded(batch, model.device)
        before = torch.roll(learned, -1, dims=1)  # a position predicts the token after it
        if self._head is not None:
            body = (model.get_base_model() if hasattr(model, "get_base_model") else model).get_decoder()
            hidden = body(**inputs, use_cache=False).last_hidden_state[before]
            return head_loss(hidden, self._head, inputs["input_ids"][learned])
        self._selected = before
        try:
            logits = model(**inputs, use_cache=False).logits
        finally:
            self._selected = None
        return functional.cross_entropy(logits.float(), inputs["input_ids"][learned], reduction="sum")


class WholeRows:
    """A causal model that computes every position, also behind virtual tokens, which PEFT puts before every row."""

    packed = False
    weight = staticmethod(learned_tokens)

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def loss_sum(self, model: Any, batch: Rows) -> Any:
        inputs, learned = _padded(batch, model.device)
        labels = inputs["input_ids"].masked_fill(~learned, -100)
        return model(**inputs, labels=labels, use_cache=False).loss * learned_tokens(batch)


class Answers:
    """An encoder-decoder: reads the row's context, writes the rest."""

    packed = False
    weight = staticmethod(learned_tokens)

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def loss_sum(self, model: Any, batch: Rows) -> Any:
        inputs = side_by_side([row.ids[: row.context] for row in batch], self._tokenizer, model.device)
        answers = side_by_side([row.ids[row.context :] for row in batch], self._tokenizer, model.device)
        labels = answers["input_ids"].masked_fill(answers["attention_mask"] == 0, -100)
        logits = model(**inputs, labels=labels, use_cache=False).logits
        return functional.cross_entropy(
            logits.float().flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="sum"
        )


class Classes:
    """A classifier: cross-entropy of the row's class; of `many`, the mean over the classes of the binary one."""

    packed = False

    def __init__(self, tokenizer: Any, many: bool) -> None:
        self._tokenizer, self._many = tokenizer, many

    def weight(self, rows: Rows) -> int:
        return len(rows)

    def loss_sum(self, model: Any, batch: Rows) -> Any:
        inputs = side_by_side([row.ids[: row.context] for row in batch], self._tokenizer, model.device)
        logits = model(**inputs).logits.float()
        if not self._many:
            target = torch.tensor([row.ids[row.context] for row in batch], device=logits.device)
            return functional.cross_entropy(logits, target, reduction="sum")
        target = torch.zeros_like(logits)
        for at, row in enumerate(batch):
            target[at, list(row.ids[row.context :])] = 1
        return functional.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(-1).sum()


def _padded(batch: Rows, where: Any) -> tuple[dict[str, Any], Any]:
    """Rows side by side, (B, T), padded at the end."""
    ids = torch.zeros((len(batch), max(len(row.ids) for row in batch)), dtype=torch.long)
    attention, learned = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
    for at, row in enumerate(batch):
        ids[at, : len(row.ids)] = torch.tensor(row.ids)
        attention[at, : len(row.ids)] = 1
        learned[at, row.context : len(row.ids)] = True
    return {"input_ids": ids.to(where), "attention_mask": attention.to(where)}, learned.to(where)


def _packed(packing: Packing, batch: Rows, where: Any) -> tuple[dict[str, Any], Any]:
    """Rows end to end, (1, N)."""
    ids, positions = packing.pack([row.ids for row in batch])
    learned = torch.zeros_like(ids, dtype=torch.bool)
    start = 0
    for row in batch:
        learned[0, start + row.context : start + len(row.ids)] = True
        start += len(row.ids)
    return {"input_ids": ids.to(where), "position_ids": positions.to(where)}, learned.to(where)
