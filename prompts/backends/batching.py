"""Many prompts at once on this machine's device: a shared prefix is read once, and each row draws from its own seed.
Imported on first use: it needs torch.
"""

import copy
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers import DynamicCache, LogitsProcessor

from prompts.backends import Sampling
from prompts.backends.plan import Batch, common_prefix
from prompts.loading import Loaded

SHORTEST_PREFIX = 8  # tokens; a shorter one is not worth a cache


class SeededSampling(LogitsProcessor):
    """Temperature, top-p and the draw itself (Gumbel-max), each row from its own seed: a batch does not change a draw."""

    def __init__(self, sampling: Sampling, seeds: Sequence[int]) -> None:
        self._temperature, self._top_p = sampling.temperature, sampling.top_p
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, ids: Any, scores: Any) -> Any:
        scores = torch.log_softmax(scores.float() / self._temperature, dim=-1)
        if self._top_p < 1:
            ordered, at = scores.sort(dim=-1, descending=True)
            beyond = ordered.exp().cumsum(-1) - ordered.exp() >= self._top_p
            scores = scores.masked_fill(beyond.scatter(-1, at, beyond), float("-inf"))
        noise = torch.stack([torch.rand(scores.shape[-1], generator=g) for g in self._generators]).to(scores.device)
        return scores - torch.log(-torch.log(noise.clamp(1e-20, 1 - 1e-7)))


class Reader:
    """Reads prompts (token ids) with one model whose adapter is already chosen; the common start is read once."""

    def __init__(self, loaded: Loaded, model: Any, prompts: Sequence[Sequence[int]]) -> None:
        self._tokenizer, self._model = loaded.tokenizer, model
        shared = common_prefix(prompts)
        self.prefix = list(prompts[0][:shared]) if len(prompts) > 1 and shared >= SHORTEST_PREFIX else []
        self._read: Any = self._read_prefix() if self.prefix else None

    def _read_prefix(self) -> Any:
        cache = DynamicCache(config=self._model.config.get_text_config(decoder=True))
        ids = torch.tensor([self.prefix], device=self._model.device)
        self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
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
        ids = [[*self.prefix, *[pad] * (width - len(row)), *row] for row in own]
        mask = [[*[1] * len(self.prefix), *[0] * (width - len(row)), *[1] * len(row)] for row in own]
        device = self._model.device
        return {"input_ids": torch.tensor(ids, device=device), "attention_mask": torch.tensor(mask, device=device)}


def generate(
    loaded: Loaded,
    model: Any,
    prompts: Sequence[Sequence[int]],
    batches: Sequence[Batch],
    sampling: Sampling,
    seeds: Sequence[int],
    ends: set[int],
    stop: threading.Event,
) -> Iterator[tuple[Batch, list[list[int]], float]]:
    """(batch, new tokens of its rows, seconds) of each batch in turn."""
    with torch.inference_mode():
        reader = Reader(loaded, model, prompts)
        for batch in batches:
            if stop.is_set():
                return
            started = time.perf_counter()
            inputs = reader.inputs([prompts[at] for at in batch])
            draw = [SeededSampling(sampling, [seeds[at] for at in batch])] if sampling.temperature > 0 else []
            output = model.generate(
                **inputs,
                past_key_values=reader.cache(len(batch)),
                max_new_tokens=sampling.max_new_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                logits_processor=draw,
                stopping_criteria=[lambda ids, _, **__: torch.full((len(ids),), stop.is_set(), device=ids.device)],
            )
            if stop.is_set():
                return
            width = inputs["input_ids"].shape[1]
            yield batch, [until(row[width:].tolist(), ends) for row in output], time.perf_counter() - started


def until(row: list[int], ends: set[int]) -> list[int]:
    """The tokens up to and including the first end token."""
    return row[: next((at + 1 for at, token in enumerate(row) if token in ends), len(row))]


def heartbeats(work: Callable[[threading.Event], Iterator[Any]], every: float = 0.5) -> Iterator[Any]:
    """What `work(stop)` yields, with None in between, so that closing this iterator stops the work at its next token."""
    import queue

    found: queue.Queue[Any] = queue.Queue()
    stop = threading.Event()

    def run() -> None:
        try:
            for item in work(stop):
                found.put(("item", item))
            found.put(("end", None))
        except BaseException as error:
            found.put(("error", error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while True:
            try:
                kind, item = found.get(timeout=every)
            except queue.Empty:
                yield None
                continue
            if kind == "error":
                raise item
            if kind == "end":
                return
            yield item
    finally:
        stop.set()
        thread.join()
