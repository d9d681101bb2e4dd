"""Labels scored by log-probability: a prompt is read once, and all labels follow it as branches of a tree that do not see one
another. Imported on first use: it needs torch.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import AttentionInterface

from prompts.backends.batching import Reader
from prompts.backends.plan import Batch
from prompts.loading import Loaded


class _Tree:
    """The labels' tokens side by side (without their last, which is only predicted), and who sees whom."""

    def __init__(self, labels: Sequence[Sequence[int]], device: Any) -> None:
        self.labels = [list(label) for label in labels]
        flat = [(at, token, depth) for at, label in enumerate(self.labels) for depth, token in enumerate(label[:-1])]
        self.tokens = [token for _, token, _ in flat]
        self.depths = [depth for *_, depth in flat]
        owner = torch.tensor([at for at, *_ in flat], device=device)
        depth = torch.tensor(self.depths, device=device)
        self.sees = (owner[:, None] == owner[None]) & (depth[:, None] >= depth[None])

    def scores(self, first: Any, rest: Any) -> Any:
        """Log-probabilities of the labels, shape (rows, labels), from the logits before the first token, (rows, V), and
        after each token of the tree, (rows, tokens, V)."""
        start, then = torch.log_softmax(first.float(), -1), torch.log_softmax(rest.float(), -1)
        scores = start[:, [label[0] for label in self.labels]]
        at = 0
        for number, label in enumerate(self.labels):
            for token in label[1:]:
                scores[:, number] += then[:, at, token]
                at += 1
        return scores


class _Packed:
    """Rows of one batch end to end, (1, N), each followed by the tree: nothing is padded. Attention is row by row, and every
    row sees the shared prefix."""

    def __init__(self, reader: Reader, tree: _Tree) -> None:
        self._prefix, self._tree = reader, tree
        self._rows: list[int] = []
        self._masks: dict[int, Any] = {}

    def inputs(self, rows: Sequence[Sequence[int]]) -> dict[str, Any]:
        own = [list(row[len(self._prefix.prefix) :]) for row in rows]
        self._rows = [len(row) for row in own]
        ids = [token for row in own for token in (*row, *self._tree.tokens)]
        start = len(self._prefix.prefix)
        positions = [
            start + at for row in own for at in (*range(len(row)), *(len(row) + depth for depth in self._tree.depths))
        ]
        return {"input_ids": torch.tensor([ids]), "position_ids": torch.tensor([positions])}

    def wanted(self) -> Any:
        """The positions whose logits are needed: of each row the last of its own and all of the tree's. Shape (N,)."""
        picked = [at >= row - 1 for row in self._rows for at in range(row + len(self._tree.tokens))]
        return torch.tensor(picked)

    def attention(
        self,
        module: Any,
        query: Any,
        key: Any,
        value: Any,
        _mask: Any,
        scaling: Any = None,
        dropout: float = 0.0,
        **_: Any,
    ) -> tuple[Any, None]:
        """query: (1, heads, N, width); returns (1, N, heads, width)."""
        groups = query.shape[1] // key.shape[1]
        read = self._prefix.layer(module.layer_idx)
        lengths = [row + len(self._tree.tokens) for row in self._rows]
        parts = []
        for q, k, v in zip(*(x.split(lengths, dim=2) for x in (query, key, value)), strict=True):
            k, v = (torch.cat([old, new], 2) for old, new in zip(read, (k, v), strict=True)) if read else (k, v)
            k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
            mask = self._mask_of(q.shape[2])
            parts.append(torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scaling))
        return torch.cat(parts, dim=2).transpose(1, 2), None

    def _mask_of(self, length: int) -> Any:
        """Who sees whom among a row's `length` tokens and the prefix before them; (length, prefix + length)."""
        if length not in self._masks:
            leaves = len(self._tree.tokens)
            own = torch.ones(length, length, dtype=torch.bool).tril()
            if leaves:
                own[-leaves:, -leaves:] = self._tree.sees
            before = torch.ones(length, len(self._prefix.prefix), dtype=torch.bool)
            self._masks[length] = torch.cat([before, own], 1)
        return self._masks[length]


PACKABLE = {
    "llama",
    "qwen2",
    "qwen3",
    "mistral",
    "olmo2",
    "smollm3",
}  # architectures whose attention is plain and causal


def label_scores(
    loaded: Loaded,
    model: Any,
    prompts: Sequence[Sequence[int]],
    batches: Sequence[Batch],
    labels: Sequence[Sequence[int]],
    stop: threading.Event,
) -> Iterator[tuple[Batch, list[list[float]], float]]:
    """(batch, log-probability of each label as the whole reply, seconds).

    `labels`: token ids of each label with its end token. A prompt is read once; all labels follow it as branches of a tree
    that do not see one another.
    """
    with torch.inference_mode():
        reader, tree = Reader(loaded, model, prompts), _Tree(labels, model.device)
        config = model.config
        packs = (
            model.device.type == "cpu" and config.model_type in PACKABLE and not getattr(config, "sliding_window", None)
        )
        score = _packed_scores if packs else _padded_scores
        for batch in batches:
            if stop.is_set():
                return
            started = time.perf_counter()
            found = score(model, reader, tree, [prompts[at] for at in batch])
            yield batch, found.tolist(), time.perf_counter() - started


def _packed_scores(model: Any, reader: Reader, tree: _Tree, rows: Sequence[Sequence[int]]) -> Any:
    """One pass over rows without padding."""
    packed = _Packed(reader, tree)
    inputs = packed.inputs(rows)
    wanted = packed.wanted()
    AttentionInterface.register("packed_labels", packed.attention)
    usual = model.config._attn_implementation
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda _, args: (args[0][:, wanted],))
    model.set_attn_implementation("packed_labels")
    try:
        logits = model(**inputs, use_cache=False).logits.view(len(rows), len(tree.tokens) + 1, -1)
    finally:
        hook.remove()
        model.set_attn_implementation(usual)
    return tree.scores(logits[:, 0], logits[:, 1:])


def _padded_scores(model: Any, reader: Reader, tree: _Tree, rows: Sequence[Sequence[int]]) -> Any:
    """Two passes over rows side by side: the prompts, then the tree."""
    inputs = reader.inputs(rows)
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    position = (mask.cumsum(-1) - 1).clamp(min=0)
    prefix, leaves = len(reader.prefix), len(tree.tokens)
    first = model(
        input_ids=ids[:, prefix:], attention_mask=mask, position_ids=position[:, prefix:],
        past_key_values=reader.cache(len(rows)), use_cache=True, logits_to_keep=1,
    )  # fmt: skip
    if not leaves:
        return tree.scores(first.logits[:, -1], first.logits[:, :0])
    sees = torch.cat([mask.bool()[:, None].expand(-1, leaves, -1), tree.sees.expand(len(rows), -1, -1)], -1)
    bias = torch.zeros(sees.shape, dtype=model.dtype, device=ids.device).masked_fill(
        ~sees, torch.finfo(model.dtype).min
    )
    branches = torch.tensor(tree.tokens, device=ids.device).expand(len(rows), -1)
    then = model(
        input_ids=branches, attention_mask=bias[:, None],
        position_ids=position[:, -1:] + 1 + torch.tensor(tree.depths, device=ids.device),
        past_key_values=first.past_key_values, use_cache=True,
        cache_position=torch.arange(mask.shape[1], mask.shape[1] + leaves, device=ids.device),
    )  # fmt: skip
    return tree.scores(first.logits[:, -1], then.logits)
