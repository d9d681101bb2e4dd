"""Answers with transformers on this machine's device."""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from prompts.backends import OnDevice, Sampling, identity
from prompts.errors import UserError
from prompts.loading import Loaded, load
from prompts.messages import Finish, Prompt, Rendered, Reply
from prompts.models import locate
from prompts.rendering import render

BATCH_TOKENS = 8192  # prompt and reply tokens of one batch, padding included
BATCH_ROWS = 64


class LocalBackend:
    """A base model or an adapter on it, loaded on first use."""

    def __init__(self, model: str, owner: str, *, token: str | None = None, on_device: OnDevice = identity) -> None:
        self.name, self._owner, self._token = model, owner, token
        self._stream, self._batch = on_device(stream_replies), on_device(batch_replies)

    def render(self, prompt: Prompt) -> Rendered:
        source, _ = locate(self.name, self._owner)
        return render(prompt, load(source, token=self._token).tokenizer)

    def stream(self, prompt: Prompt, sampling: Sampling, stop: threading.Event) -> Iterator[Reply]:
        for reply in self._stream(self.name, self._owner, self._token, prompt, sampling):
            yield reply
            if stop.is_set() and reply.finish == "running":
                yield Reply(reply.text, reply.tokens_in, reply.tokens_out, reply.seconds, "cancelled")
                return

    def batch(
        self, prompts: Sequence[Prompt], sampling: Sampling, stop: threading.Event
    ) -> Iterator[tuple[int, Reply]]:
        for found in self._batch(self.name, self._owner, self._token, list(prompts), sampling):
            yield found
            if stop.is_set():
                return


def stream_replies(model: str, owner: str, token: str | None, prompt: Prompt, sampling: Sampling) -> Iterator[Reply]:
    """Replies that grow. Runs inside the device's lease; closing it stops the generation at the next token."""
    from transformers import TextIteratorStreamer

    source, adapter = locate(model, owner)
    loaded = load(source, token=token)
    ids = render(prompt, loaded.tokenizer).ids
    _check_length(len(ids), sampling, loaded)
    streamer = TextIteratorStreamer(loaded.tokenizer, skip_prompt=True, skip_special_tokens=True)
    generation = _Generation(loaded, adapter, sampling, streamer)
    started = time.perf_counter()
    thread = threading.Thread(target=generation.run, args=([list(ids)],), daemon=True)
    thread.start()
    text = ""
    try:
        for piece in streamer:
            text += piece
            if piece:
                yield Reply(text, len(ids), generation.seen, time.perf_counter() - started, "running")
    finally:
        generation.stop.set()
        thread.join()
    if generation.failure:
        raise generation.failure
    new = generation.replies[0]
    yield Reply(text.strip(), len(ids), len(new), time.perf_counter() - started, _finish(new, loaded))


def batch_replies(
    model: str, owner: str, token: str | None, prompts: list[Prompt], sampling: Sampling
) -> Iterator[tuple[int, Reply]]:
    """(position, reply) of every prompt, longest first, in left-padded batches under a token budget."""
    source, adapter = locate(model, owner)
    loaded = load(source, token=token)
    ids = [list(render(prompt, loaded.tokenizer).ids) for prompt in prompts]
    for at, row in enumerate(ids):
        _check_length(len(row), sampling, loaded, row=at)
    for rows in plan_batches([len(row) for row in ids], sampling.max_new_tokens):
        started = time.perf_counter()
        generation = _Generation(loaded, adapter, sampling, None)
        generation.run([ids[at] for at in rows])
        if generation.failure:
            raise generation.failure
        each = (time.perf_counter() - started) / len(rows)
        for at, new in zip(rows, generation.replies, strict=True):
            text = loaded.tokenizer.decode(new, skip_special_tokens=True).strip()
            yield at, Reply(text, len(ids[at]), len(new), each, _finish(new, loaded))


def plan_batches(lengths: Sequence[int], new_tokens: int) -> list[list[int]]:
    """Row numbers grouped so that similar lengths share a batch and padded tokens stay under the budget."""
    order = sorted(range(len(lengths)), key=lambda at: -lengths[at])
    batches: list[list[int]] = []
    for at in order:
        if batches:
            widest = lengths[batches[-1][0]] + new_tokens
            if len(batches[-1]) < BATCH_ROWS and widest * (len(batches[-1]) + 1) <= BATCH_TOKENS:
                batches[-1].append(at)
                continue
        batches.append([at])
    return batches


class _Generation:
    """One call of `generate`, which can be stopped from another thread."""

    def __init__(self, loaded: Loaded, adapter: Any, sampling: Sampling, streamer: Any) -> None:
        self._loaded, self._adapter, self._sampling, self._streamer = loaded, adapter, sampling, streamer
        self.stop = threading.Event()
        self.seen = 0
        self.replies: list[list[int]] = []
        self.failure: Exception | None = None

    def run(self, prompts: list[list[int]]) -> None:
        """`prompts`: token ids, one list a row. Fills `replies` (without padding), or `failure`."""
        try:
            self._run(prompts)
        except Exception as error:
            self.failure = error
            if self._streamer:
                self._streamer.end()

    def _run(self, prompts: list[list[int]]) -> None:
        import torch

        tokenizer = self._loaded.tokenizer
        with self._loaded.using(self._adapter) as model, torch.inference_mode():
            inputs = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt").to(model.device)
            torch.manual_seed(self._sampling.seed)
            output = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                streamer=self._streamer,
                stopping_criteria=[self._stopped],
                **_arguments(self._sampling),
            )
        width = inputs["input_ids"].shape[1]
        ends = _ends(self._loaded)
        self.replies = [_until(row[width:].tolist(), ends) for row in output]

    def _stopped(self, ids: Any, _scores: Any, **_: Any) -> Any:
        import torch

        self.seen += 1
        return torch.full((ids.shape[0],), self.stop.is_set(), dtype=torch.bool, device=ids.device)


def _arguments(sampling: Sampling) -> dict[str, Any]:
    draw = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    greedy = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return {"max_new_tokens": sampling.max_new_tokens, **(draw if sampling.temperature > 0 else greedy)}


def _ends(loaded: Loaded) -> set[int]:
    found = loaded.model.generation_config.eos_token_id
    ends = set(found) if isinstance(found, list) else {found}
    return {end for end in (*ends, loaded.tokenizer.eos_token_id) if end is not None}


def _until(row: list[int], ends: set[int]) -> list[int]:
    """The tokens up to and including the first end token."""
    return row[: next((at + 1 for at, token in enumerate(row) if token in ends), len(row))]


def _finish(new: list[int], loaded: Loaded) -> Finish:
    return "stop" if new and new[-1] in _ends(loaded) else "length"


def _check_length(tokens: int, sampling: Sampling, loaded: Loaded, row: int | None = None) -> None:
    if tokens + sampling.max_new_tokens > loaded.context:
        where = "the prompt" if row is None else f"row {row + 1}: the prompt"
        raise UserError(
            f"{where} has {tokens:,} tokens and the reply may have {sampling.max_new_tokens:,}, but the model's window "
            f"holds {loaded.context:,}; shorten the text or lower max_new_tokens"
        )
