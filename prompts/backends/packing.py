"""Rows laid end to end instead of side by side: no layer computes padding, and the prefix that all rows share is read once.
Imported on first use: it needs torch.
"""

import copy
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface, DynamicCache

from prompts.backends.plan import common_prefix
from prompts.loading import Loaded

SHORTEST_PREFIX = 8  # tokens; a shorter one is not worth a cache
SHORT = 256  # tokens; the attention scores of longer rows are never held whole
ROOM = 32  # columns by which the memory of a growing reply is extended

# Architectures whose attention is plain and causal.
PACKABLE = {"llama", "qwen2", "qwen3", "mistral", "olmo2", "smollm3"}


def packs(model: Any) -> bool:
    """Whether rows of this model may be packed here; a GPU's kernels want them side by side."""
    config = model.config
    return model.device.type == "cpu" and config.model_type in PACKABLE and not getattr(config, "sliding_window", None)


def kept_as(model: Any) -> str:
    """What a model's call names the cache of keys and values: `cache` since transformers 5.24, before it `past_key_values`."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "cache" if "cache" in inspect.signature(type(base).forward).parameters else "past_key_values"


def cache_of(output: Any) -> Any:
    """The cache in a model's output, by either name."""
    return output["cache" if "cache" in output else "past_key_values"]


class Reader:
    """Reads prompts (token ids) with one model whose adapter is already chosen; the common start is read once."""

    def __init__(self, loaded: Loaded, model: Any, prompts: Sequence[Sequence[int]], *, share: bool = True) -> None:
        self._tokenizer, self.model, self.writes_apart = loaded.tokenizer, model, loaded.kind == "seq2seq"
        shared = common_prefix(prompts) if share else 0
        self.prefix = list(prompts[0][:shared]) if len(prompts) > 1 and shared >= SHORTEST_PREFIX else []
        self._read: Any = self._read_prefix() if self.prefix else None

    def _read_prefix(self) -> Any:
        cache = DynamicCache(config=self.model.config.get_text_config(decoder=True))
        ids = torch.tensor([self.prefix], device=self.model.device)
        self.model(input_ids=ids, use_cache=True, logits_to_keep=1, **{kept_as(self.model): cache})
        return cache

    def cache(self, rows: int) -> Any:
        """A copy of the prefix's cache for `rows` rows; None where there is no prefix."""
        if self._read is None:
            return None
        copied = copy.deepcopy(self._read)
        copied.batch_repeat_interleave(rows)
        return copied

    def layer(self, number: int) -> tuple[Any, Any] | None:
        """Keys and values of the prefix in one layer, each (1, heads, prefix, width); None where there is no prefix."""
        if self._read is None:
            return None
        found = self._read.layers[number]
        return found.keys, found.values

    def inputs(self, rows: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Whole prompts -> ids and mask (B, T): the prefix, then padding, then each row's own end."""
        own = [list(row[len(self.prefix) :]) for row in rows]
        width = max(map(len, own))
        pad = self._tokenizer.pad_token_id
        if self.writes_apart:
            ids = [[*row, *[pad] * (width - len(row))] for row in own]
            mask = [[*[1] * len(row), *[0] * (width - len(row))] for row in own]
            return self._tensors(ids, mask)
        ids = [[*self.prefix, *[pad] * (width - len(row)), *row] for row in own]
        mask = [[*[1] * len(self.prefix), *[0] * (width - len(row)), *[1] * len(row)] for row in own]
        return self._tensors(ids, mask)

    def _tensors(self, ids: list[list[int]], mask: list[list[int]]) -> dict[str, Any]:
        device = self.model.device
        return {"input_ids": torch.tensor(ids, device=device), "attention_mask": torch.tensor(mask, device=device)}


class Packed:
    """Rows of one batch end to end, (1, N). Attention alone lays them side by side, and every row sees the prefix before it.

    `tail`: tokens that follow every row; `depths`: how far each is from the row's end; `sees`: who sees whom among them.
    With `remember`, keys and values are kept and `step` reads one more token of each row.
    """

    def __init__(
        self, reader: Reader, rows: Sequence[Sequence[int]], tail: Sequence[int] = (), depths: Sequence[int] = (),
        sees: Any = None, *, remember: bool = False,
    ) -> None:  # fmt: skip
        self._reader, self._start = reader, len(reader.prefix)
        own = [list(row[self._start :]) for row in rows]
        self.own = torch.tensor([len(row) for row in own])
        lengths = self.own + len(tail)
        self._width = int(lengths.max())
        self._ids = [token for row in own for token in (*row, *tail)]
        self._positions = [
            self._start + at for row in own for at in (*range(len(row)), *(len(row) + depth for depth in depths))
        ]
        first = lengths.cumsum(0) - lengths
        column = torch.arange(self._width)
        self._real = column[None] < lengths[:, None]  # (rows, width)
        self._at = (first[:, None] + column).masked_fill(~self._real, 0).flatten()  # where in N a cell of it comes from
        self._tail, self._sees = len(tail), sees
        self._bias: Any = None
        self._kept: dict[int, tuple[Any, Any]] | None = {} if remember else None
        self._visible = self._real  # (rows, columns read so far)

    def _who_sees_whom(self, groups: int, dtype: Any) -> Any:
        """What is added to the scores, (rows, 1, groups * width, prefix + width): 0 for everything before in the row and, of
        the tail, for what `sees` allows; else minus infinity."""
        if self._bias is None:
            rows, width = len(self.own), self._width
            sees = torch.ones(width, width, dtype=torch.bool).tril().repeat(rows, 1, 1)
            if self._tail:
                for row, own in enumerate(self.own.tolist()):
                    end = own + self._tail
                    sees[row, own:end, own:end] = self._sees
            before = torch.ones(rows, width, self._start, dtype=torch.bool)
            hidden = ~torch.cat([before, sees], -1).repeat(1, groups, 1)[:, None]
            self._bias = torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, float("-inf"))
        return self._bias

    def read(self) -> Any:
        """The hidden states whose logits are wanted, (rows, 1 + tail, hidden): each row's last own token and its tail."""
        column = torch.arange(self._width)
        wanted = (column[None] >= self.own[:, None] - 1)[self._real]
        with self._attending(self._attention):
            hidden = self._hidden(self._ids, self._positions)
        return hidden[:, wanted].view(len(self.own), 1 + self._tail, -1)

    def step(self, tokens: Sequence[int]) -> Any:
        """Reads the next token of each row; hidden states (rows, 1, hidden)."""
        positions = (self._start + self.own).tolist()
        self.own = self.own + 1
        self._visible = torch.cat([self._visible, torch.ones(len(self.own), 1, dtype=torch.bool)], 1)
        with self._attending(self._attention_of_one):
            return self._hidden(tokens, positions).transpose(0, 1)

    def keep(self, rows: Sequence[int]) -> None:
        """Forgets all other rows: they are finished."""
        at = torch.tensor(rows)
        self.own, self._visible = self.own[at], self._visible[at]
        self._kept = {layer: (k[at], v[at]) for layer, (k, v) in (self._kept or {}).items()}

    def logits(self, hidden: Any) -> Any:
        return self._reader.model.get_output_embeddings()(hidden)

    def _hidden(self, ids: Sequence[int], positions: Sequence[int]) -> Any:
        model = self._reader.model
        body = (model.get_base_model() if hasattr(model, "get_base_model") else model).get_decoder()
        inputs = {"input_ids": torch.tensor([list(ids)]), "position_ids": torch.tensor([list(positions)])}
        return body(**inputs, use_cache=False).last_hidden_state

    @contextmanager
    def _attending(self, attention: Any) -> Iterator[None]:
        model = self._reader.model
        AttentionInterface.register("packed_rows_of_prompts", attention)
        usual = model.config._attn_implementation
        model.set_attn_implementation("packed_rows_of_prompts")
        try:
            yield
        finally:
            model.set_attn_implementation(usual)

    def _attention(
        self, module: Any, query: Any, key: Any, value: Any, _mask: Any, scaling: Any = None, **_: Any
    ) -> tuple[Any, None]:
        """query: (1, heads, N, width); returns (1, N, heads, width)."""
        shared, width = key.shape[1], self._width
        groups = query.shape[1] // shared
        query, key, value = (self._side_by_side(x) for x in (query, key, value))
        if self._kept is not None:
            self._kept[module.layer_idx] = (key, value)
        if read := self._reader.layer(module.layer_idx):
            key, value = (
                torch.cat([old.expand(len(x), -1, -1, -1), x], 2) for old, x in zip(read, (key, value), strict=True)
            )
        bias = self._who_sees_whom(groups, query.dtype)
        query = query.reshape(len(key), shared, groups * width, -1)
        found = (_short if width <= SHORT else _long)(query, key, value, bias, scaling)
        found = found.reshape(len(key), shared * groups, width, -1)
        return found.transpose(1, 2)[self._real][None], None

    def _side_by_side(self, packed: Any) -> Any:
        """(1, heads, N, d) -> (rows, heads, width, d)."""
        laid = packed[0].index_select(1, self._at)
        return laid.view(packed.shape[1], len(self.own), self._width, -1).transpose(0, 1)

    def _attention_of_one(
        self, module: Any, query: Any, key: Any, value: Any, _mask: Any, scaling: Any = None, **_: Any
    ) -> tuple[Any, None]:
        """One token a row, N rows. query: (1, heads, N, width); returns (1, N, heads, width)."""
        assert self._kept is not None
        heads, rows, width = query.shape[1:]
        shared = key.shape[1]
        groups, columns = heads // shared, self._visible.shape[1]
        keys, values = (
            _extended(old, new[0].transpose(0, 1), columns)
            for old, new in zip(self._kept[module.layer_idx], (key, value), strict=True)
        )
        self._kept[module.layer_idx] = (keys, values)
        keys, values = keys[:, :, :columns], values[:, :, :columns]
        by_row = query[0].view(shared, groups, rows, width).permute(2, 0, 1, 3)
        scores = (by_row @ keys.mT).masked_fill(~self._visible[:, None, None], float("-inf"))
        read = self._reader.layer(module.layer_idx)
        if read is None:
            found = torch.softmax(scores.float() * scaling, -1).to(query.dtype) @ values
        else:  # the prefix is the same for all rows: one product instead of a copy for each row
            by_head = query[0].reshape(shared, groups * rows, width)
            before = (by_head @ read[0][0].mT).view(shared, groups, rows, -1).permute(2, 0, 1, 3)
            weights = torch.softmax(torch.cat([before, scores], -1).float() * scaling, -1).to(query.dtype)
            start = before.shape[-1]
            over = weights[..., :start].permute(1, 2, 0, 3).reshape(shared, groups * rows, start) @ read[1][0]
            found = over.view(shared, groups, rows, width).permute(2, 0, 1, 3) + weights[..., start:] @ values
        return found.reshape(1, rows, heads, width), None


def _short(query: Any, key: Any, value: Any, bias: Any, scaling: float) -> Any:
    """Attention as two products, (rows, heads, n, d): for many short rows 2.5 times as fast as the kernel for long ones."""
    bias = bias.expand(-1, key.shape[1], -1, -1).flatten(0, 1)
    scores = torch.baddbmm(bias, query.flatten(0, 1), key.flatten(0, 1).mT, alpha=scaling)
    return torch.bmm(torch.softmax(scores, -1), value.flatten(0, 1)).view(query.shape)


def _long(query: Any, key: Any, value: Any, bias: Any, scaling: float) -> Any:
    return torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=scaling)


def _extended(old: Any, new: Any, columns: int) -> Any:
    """Memory (rows, heads, >= columns, d) with the new token's (rows, heads, d) in its last used column."""
    if old.shape[2] < columns:
        fresh = old.new_zeros(*old.shape[:2], columns - 1 + ROOM, old.shape[3])
        fresh[:, :, : old.shape[2]] = old
        old = fresh
    old[:, :, columns - 1] = new
    return old
