"""Classifiers: a text in, the name of its class out. Imported on first use: it needs torch."""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from prompts.backends import Sampling
from prompts.backends.plan import Batch
from prompts.kinds import BETWEEN, Labels
from prompts.loading import Loaded


def classify(
    loaded: Loaded,
    model: Any,
    prompts: Sequence[Sequence[int]],
    batches: Sequence[Batch],
    _sampling: Sampling,
    _seeds: Sequence[int],
    _ends: set[int],
    stop: threading.Event,
) -> Iterator[tuple[Batch, list[str], float]]:
    """(batch, the likeliest class of each of its rows, seconds); of a classifier of many, every class likelier than not."""
    assert loaded.labels
    for batch in batches:
        if stop.is_set():
            return
        started = time.perf_counter()
        with torch.inference_mode():
            logits = model(**padded([prompts[at] for at in batch], loaded.tokenizer, model.device)).logits.float()
        yield batch, names_of(logits, loaded.labels), time.perf_counter() - started


def names_of(logits: Any, labels: Labels) -> list[str]:
    """(B, classes) -> the likeliest class of each row; of a classifier of many, every class likelier than not."""
    if not labels.many:
        return [labels.names[at] for at in logits.argmax(-1).tolist()]
    return [BETWEEN.join(labels.names[at] for at in torch.nonzero(row > 0).flatten().tolist()) for row in logits]


def padded(rows: Sequence[Sequence[int]], tokenizer: Any, device: Any) -> dict[str, Any]:
    """Rows -> ids and mask (B, T), padded on the right."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = torch.tensor(list(row))
        mask[at, : len(row)] = 1
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
