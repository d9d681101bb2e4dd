"""Labels scored by log-probability: a prompt is read once, and all labels follow it as branches of a tree that do not see one
another. Imported on first use: it needs torch.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from typing import Any

import torch

from prompts.backends.packing import Packed, Reader, cache_of, kept_as, packs
from prompts.backends.plan import Batch
from prompts.loading import Loaded

LOGITS = 256  # positions whose logits over the whole vocabulary are held at once
AT_ONCE = 1024  # tokens of packed rows in one pass: more are no faster, and what is done is counted later


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


def label_scores(
    loaded: Loaded,
    model: Any,
    prompts: Sequence[Sequence[int]],
    batches: Sequence[Batch],
    labels: Sequence[Sequence[int]],
    stop: threading.Event,
) -> Iterator[tuple[Batch, list[list[float]], float]]:
    """(rows of a batch, log-probability of each label as their whole reply, seconds), a part of the batch at a time.

    `labels`: token ids of each label with its end token. A prompt is read once; all labels follow it as branches of a tree
    that do not see one another.
    """
    with torch.inference_mode():
        reader, tree = Reader(loaded, model, prompts), _Tree(labels, model.device)
        score = _packed_scores if packs(model) else _padded_scores
        width = [len(prompt) - len(reader.prefix) + len(tree.tokens) for prompt in prompts]
        for part in (part for batch in batches for part in (_parts(batch, width) if packs(model) else [batch])):
            if stop.is_set():
                return
            started = time.perf_counter()
            found = score(reader, tree, [prompts[at] for at in part])
            yield part, found.tolist(), time.perf_counter() - started


def _parts(batch: Batch, tokens: Sequence[int]) -> list[Batch]:
    """The rows of a batch in turn, about AT_ONCE of their tokens a part."""
    ends = list(accumulate(tokens[at] for at in batch))
    return [[at for at, _ in rows] for _, rows in groupby(zip(batch, ends, strict=True), lambda row: row[1] // AT_ONCE)]


def _packed_scores(reader: Reader, tree: _Tree, rows: Sequence[Sequence[int]]) -> Any:
    """One pass over rows without padding."""
    packed = Packed(reader, rows, tree.tokens, tree.depths, tree.sees)
    parts = (packed.logits(part) for part in packed.read().split(max(1, LOGITS // (1 + len(tree.tokens)))))
    return torch.cat([tree.scores(logits[:, 0], logits[:, 1:]) for logits in parts])


def _padded_scores(reader: Reader, tree: _Tree, rows: Sequence[Sequence[int]]) -> Any:
    """Two passes over rows side by side: the prompts, then the tree."""
    model = reader.model
    inputs = reader.inputs(rows)
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    position = (mask.cumsum(-1) - 1).clamp(min=0)
    prefix, leaves = len(reader.prefix), len(tree.tokens)
    kept = kept_as(model)
    first = model(
        input_ids=ids[:, prefix:], attention_mask=mask, position_ids=position[:, prefix:],
        use_cache=True, logits_to_keep=1, **{kept: reader.cache(len(rows))},
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
        use_cache=True, cache_position=torch.arange(mask.shape[1], mask.shape[1] + leaves, device=ids.device),
        **{kept: cache_of(first)},
    )  # fmt: skip
    return tree.scores(first.logits[:, -1], then.logits)
