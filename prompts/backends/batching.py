"""Many prompts at once on this machine's device; each row draws from its own seed.
Imported on first use: it needs torch.
"""

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import torch
from transformers import LogitsProcessor

from prompts.backends import Sampling
from prompts.backends.packing import Packed, Reader, kept_as, packs
from prompts.backends.plan import Batch
from prompts.following import followed
from prompts.loading import Loaded

OFTEN = 0.5  # seconds between two signs of life


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

    def keep(self, rows: Sequence[int]) -> None:
        """The other rows are finished."""
        self._generators = [self._generators[at] for at in rows]


def generate(
    loaded: Loaded,
    model: Any,
    prompts: Sequence[Sequence[int]],
    batches: Sequence[Batch],
    sampling: Sampling,
    seeds: Sequence[int],
    ends: set[int],
    stop: threading.Event,
) -> Iterator[tuple[Batch, list[list[int]], float] | float]:
    """(batch, new tokens of its rows, seconds) of each batch in turn, and now and then how many rows' worth of it is written."""
    with torch.inference_mode():
        soft = bool(getattr(model, "active_peft_config", None) and model.active_peft_config.is_prompt_learning)
        reader = Reader(loaded, model, prompts, share=loaded.kind == "causal" and not soft)
        answer = _packed if packs(model) and not soft else _padded
        for batch in batches:
            started = time.perf_counter()
            draw = SeededSampling(sampling, [seeds[at] for at in batch]) if sampling.temperature > 0 else None
            replies = yield from answer(
                reader, [prompts[at] for at in batch], sampling.max_new_tokens, draw, ends, stop
            )
            if stop.is_set():
                return
            yield batch, replies, time.perf_counter() - started


def _packed(
    reader: Reader, rows: Sequence[Sequence[int]], longest: int, draw: Any, ends: set[int], stop: threading.Event
) -> Generator[float, None, list[list[int]]]:
    """The new tokens of each row; a finished row is computed no further. Rows that go on count as if they were to be `longest`."""
    packed, told = Packed(reader, rows, remember=True), time.perf_counter()
    replies: list[list[int]] = [[] for _ in rows]
    live, hidden = list(range(len(rows))), packed.read()
    while not stop.is_set():
        logits = packed.logits(hidden[:, -1])
        for row, token in zip(live, (draw(None, logits) if draw else logits).argmax(-1).tolist(), strict=True):
            replies[row].append(token)
        going = [at for at, row in enumerate(live) if replies[row][-1] not in ends and len(replies[row]) < longest]
        if not going:
            break
        if len(going) < len(live):
            packed.keep(going)
            live = [live[at] for at in going]
            if draw:
                draw.keep(going)
        if time.perf_counter() - told >= OFTEN:
            told = time.perf_counter()
            yield len(rows) - sum(1 - len(replies[row]) / longest for row in live)
        hidden = packed.step([replies[row][-1] for row in live])
    return replies


def _padded(
    reader: Reader, rows: Sequence[Sequence[int]], longest: int, draw: Any, ends: set[int], stop: threading.Event
) -> Generator[float, None, list[list[int]]]:
    """The new tokens of each row, by transformers' own loop, which tells nothing on its way."""
    yield from ()
    inputs = reader.inputs(rows)
    output = reader.model.generate(
        **inputs,
        **{kept_as(reader.model): reader.cache(len(rows))},
        max_new_tokens=longest,
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
        logits_processor=[draw] if draw else [],
        stopping_criteria=[lambda ids, _, **__: torch.full((len(ids),), stop.is_set(), device=ids.device)],
    )
    width = 1 if reader.writes_apart else inputs["input_ids"].shape[1]  # apart: the start token, then the reply
    return [until(row[width:].tolist(), ends) for row in output]


def until(row: list[int], ends: set[int]) -> list[int]:
    """The tokens up to and including the first end token."""
    return row[: next((at + 1 for at, token in enumerate(row) if token in ends), len(row))]


def heartbeats(work: Callable[[threading.Event], Iterator[Any]], every: float = OFTEN) -> Iterator[Any]:
    """What `work(stop)` yields, with None in between, so that closing this iterator stops the work at its next token."""
    stop = threading.Event()

    def told(say: Callable[[Any], None]) -> None:
        for item in work(stop):
            say(item)

    return followed(told, stop, every)
