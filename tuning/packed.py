"""Training rows end to end, (1, N), without padding: every layer works on real tokens, attention on each row by itself."""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.utils import is_flash_attn_2_available

from prompts.backends.packing import PACKABLE
from prompts.loading import device

LONG = 1024  # tokens; the attention of longer rows is the kernel's
BLOCK = 192  # queries computed at once
ROUND = 128  # tokens of a packed batch are filled up to a multiple: few shapes, and the processor's plans are reused
PACKABLE_IN_TRAINING = PACKABLE | {"gpt2", "gpt_neox"}


class Packing:
    """Rows laid end to end without padding: every layer works on real tokens, attention on each row by itself.

    `lengths` are those of the batch in hand; `pack` sets them and the model's attention reads them.
    """

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def pack(self, rows: list[tuple[int, ...]]) -> tuple[Any, Any]:
        """Token ids of rows -> (ids, position ids), each of shape (1, N), N a multiple of ROUND; the last row is filling."""
        self.lengths = [len(row) for row in rows]
        if filling := -sum(self.lengths) % ROUND:
            rows, self.lengths = [*rows, (0,) * filling], [*self.lengths, filling]
        ids = torch.tensor([[token for row in rows for token in row]])
        return ids, torch.cat([torch.arange(length) for length in self.lengths])[None]

    def attention(
        self,
        module: Any,
        query: Any,
        key: Any,
        value: Any,
        mask: Any,
        scaling: Any = None,
        dropout: float = 0.0,
        **_: Any,
    ) -> tuple[Any, None]:
        """Causal attention within each row. query: (1, heads, N, width); returns (1, N, heads, width)."""
        rows = zip(*(x.split(self.lengths, dim=2) for x in (query, key, value)), strict=True)
        return torch.cat([_attend(q, k, v, dropout, scaling) for q, k, v in rows], dim=2).transpose(1, 2), None


def _attend(query: Any, key: Any, value: Any, dropout: float, scaling: float) -> Any:
    """Causal attention within a row, (1, heads, n, d); keys and values may have fewer heads."""
    shared, groups = key.shape[1], query.shape[1] // key.shape[1]
    if dropout or query.shape[2] > LONG:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        return scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True, scale=scaling)
    grouped = query[0].unflatten(0, (shared, groups))
    return _Causal.apply(grouped, key[0], value[0], scaling).flatten(0, 1)[None]


class _Causal(torch.autograd.Function):
    """Causal attention as plain products in blocks of queries, recomputed in the backward pass; on a CPU 1.4 to 2.5 times as
    fast as the kernel for long rows. query: (shared, groups, n, d); key, value: (shared, n, d).
    """

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any, scaling: float) -> Any:
        parts = [
            (_weights(q, key[:, : start + n], start, scaling) @ value[:, : start + n]).unflatten(1, (-1, n))
            for q, start, n in _blocks(query)
        ]
        found = torch.cat(parts, 2)
        ctx.save_for_backward(query, key, value, found)
        ctx.scaling = scaling
        return found

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        query, key, value, found = ctx.saved_tensors
        dot = (grad.float() * found.float()).sum(-1, keepdim=True).to(grad.dtype)
        to_query, to_key, to_value = [], torch.zeros_like(key), torch.zeros_like(value)
        for (q, start, n), (g, _, _), (d, _, _) in zip(_blocks(query), _blocks(grad), _blocks(dot), strict=True):
            seen = slice(0, start + n)
            weights = _weights(q, key[:, seen], start, ctx.scaling)
            to_value[:, seen] += weights.mT @ g
            scores = weights * (g @ value[:, seen].mT - d) * ctx.scaling
            to_query.append((scores @ key[:, seen]).unflatten(1, (-1, n)))
            to_key[:, seen] += scores.mT @ q
        return torch.cat(to_query, 2), to_key, to_value, None


def _blocks(x: Any) -> list[tuple[Any, int, int]]:
    """(shared, groups, n, d) -> blocks (shared, groups * m, d) of at most BLOCK places, with where they start and m."""
    return [(part.flatten(1, 2), at * BLOCK, part.shape[2]) for at, part in enumerate(x.split(BLOCK, 2))]


def _weights(query: Any, key: Any, start: int, scaling: float) -> Any:
    """Softmax of the scores of a block of queries, each of which sees the keys up to its own place."""
    width = key.shape[1]
    hidden = torch.ones(width - start, width, dtype=torch.bool).triu_(start + 1)
    bias = torch.zeros(hidden.shape, dtype=query.dtype).masked_fill_(hidden, float("-inf"))
    bias = bias.repeat(query.shape[1] // len(bias), 1).expand(len(query), -1, -1)
    return torch.softmax(torch.baddbmm(bias, query, key.mT, alpha=scaling), -1)


def packing_of(model: Any) -> Packing | None:
    """Switches a model's attention to packed rows; None where its attention is of a kind not known to allow it.

    On a CPU the attention is that of `Packing`; on a GPU it is FlashAttention's, where that is installed: it tells the rows
    apart by their positions, which start anew with each.
    """
    config = model.config
    if config.model_type not in PACKABLE_IN_TRAINING or getattr(config, "sliding_window", None):
        return None
    packing = Packing()
    if device() == "cpu":
        AttentionInterface.register("packed_rows", packing.attention)
        model.set_attn_implementation("packed_rows")
    elif is_flash_attn_2_available():
        model.set_attn_implementation("flash_attention_2")
    else:
        return None
    return packing
