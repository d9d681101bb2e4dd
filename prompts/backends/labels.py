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
    """Rows of one batch end to end, (1, N), each followed by the tree: no layer computes padding. Attention alone lays the
    rows side by side, where every row sees the shared prefix before it.
    """

    def __init__(self, reader: Reader, tree: _Tree, rows: Sequence[Sequence[int]]) -> None:
        self._reader, self._leaves = reader, len(tree.tokens)
        start = len(reader.prefix)
        own = [list(row[start:]) for row in rows]
        self._own = torch.tensor([len(row) for row in own])
        lengths = self._own + self._leaves
        self._width = int(lengths.max())
        ids = [token for row in own for token in (*row, *tree.tokens)]
        positions = [
            start + at for row in own for at in (*range(len(row)), *(len(row) + depth for depth in tree.depths))
        ]
        self.inputs = {"input_ids": torch.tensor([ids]), "position_ids": torch.tensor([positions])}
        first = lengths.cumsum(0) - lengths
        column = torch.arange(self._width)
        self._real = column[None] < lengths[:, None]  # (rows, width)
        self._at = (first[:, None] + column).masked_fill(~self._real, 0).flatten()  # where in N a cell of it comes from
        self._mask = self._who_sees_whom(tree)

    def _who_sees_whom(self, tree: _Tree) -> Any:
        """(rows, 1, width, prefix + width): everything before in the row; of the tree, the own branch only."""
        rows, width = len(self._own), self._width
        sees = torch.ones(width, width, dtype=torch.bool).tril().repeat(rows, 1, 1) & self._real[:, None]
        for row, own in enumerate(self._own.tolist()):
            end = own + self._leaves
            sees[row, own:end, own:end] = tree.sees
        before = torch.ones(rows, width, len(self._reader.prefix), dtype=torch.bool)
        return torch.cat([before, sees], -1)[:, None]

    def wanted(self) -> Any:
        """The positions whose logits are needed: of each row the last of its own and all of the tree's. Shape (N,)."""
        column = torch.arange(self._width)
        return (column[None] >= self._own[:, None] - 1)[self._real]

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
        query, key, value = (self._side_by_side(x) for x in (query, key, value))
        if read := self._reader.layer(module.layer_idx):
            key, value = (
                torch.cat([old.expand(len(x), -1, -1, -1), x], 2) for old, x in zip(read, (key, value), strict=True)
            )
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        found = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=self._mask, scale=scaling)
        return found.transpose(1, 2)[self._real][None], None

    def _side_by_side(self, packed: Any) -> Any:
        """(1, heads, N, d) -> (rows, heads, width, d)."""
        laid = packed[0].index_select(1, self._at)
        return laid.view(packed.shape[1], len(self._own), self._width, -1).transpose(0, 1)


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
    packed = _Packed(reader, tree, rows)
    wanted = packed.wanted()
    AttentionInterface.register("packed_labels", packed.attention)
    usual = model.config._attn_implementation
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda _, args: (args[0][:, wanted],))
    model.set_attn_implementation("packed_labels")
    try:
        logits = model(**packed.inputs, use_cache=False).logits.view(len(rows), len(tree.tokens) + 1, -1)
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
