"""Answers with transformers on this machine's device."""

import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from prompts.backends import OnDevice, Sampling, Thinking, identity, replies_of
from prompts.backends.plan import Batch, plan_batches
from prompts.errors import UserError
from prompts.home import lent_here
from prompts.hub_adapters import hub_adapter
from prompts.kinds import read_labels
from prompts.leases import Size
from prompts.loading import Loaded, adapter_type, is_soft, load
from prompts.messages import Finish, Prompt, Rendered, Reply
from prompts.models import locate, parse
from prompts.rendering import render
from prompts.words import say


class LocalBackend:
    """A base model or an adapter on it, loaded on first use."""

    def __init__(self, model: str, owner: str, *, token: str | None = None, on_device: OnDevice = identity) -> None:
        self.name, self._who = model, (model, owner, token)
        self._stream, self._batch, self._labels = (on_device(f) for f in (stream_replies, batch_replies, batch_labels))

    def _loaded(self) -> Loaded:
        return opened(*self._who, here=not lent_here())[0]

    def render(self, prompt: Prompt, thinking: Thinking = "default") -> Rendered:
        loaded = self._loaded()
        return replace(render(prompt, loaded.tokenizer, thinking), window=loaded.context)

    def switches_thinking(self) -> bool:
        """Can the model's chat template be told to think or not to?"""
        return "enable_thinking" in str(self._loaded().tokenizer.chat_template)

    def written_after(self, sampling: Sampling) -> int:
        """Tokens that a reply takes of the window: of those that write beside what they read, none."""
        return sampling.max_new_tokens if self._loaded().kind == "causal" else 0

    def fingerprint(self) -> str:
        """What decides this model's replies, for the cache: base, its revision or files, and the adapter's."""
        source, adapter = located(*self._who)
        revision = getattr(self._loaded().config, "_commit_hash", None) or stamp(Path(source))
        return f"{source}@{revision}+{stamp(adapter) if adapter else ''}"

    def plan(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Batch]:
        """The batches of these prompts; the same prompts give the same plan. Raises UserError for one too long."""
        lengths = [len(self.render(prompt, sampling.thinking).ids) for prompt in prompts]
        for at, length in enumerate(lengths):
            _check_length(length, sampling, self._loaded(), row=at)
        return plan_batches(lengths, sampling.max_new_tokens)

    def stream(self, prompt: Prompt, sampling: Sampling, stop: threading.Event) -> Iterator[Reply]:
        for reply in self._stream(*self._who, prompt, sampling):
            yield reply
            if stop.is_set() and reply.finish == "running":
                yield Reply(reply.text, reply.tokens_in, reply.tokens_out, reply.seconds, "cancelled")
                return

    def batch(
        self, prompts: Sequence[Prompt], sampling: Sampling, stop: threading.Event, plan: Sequence[Batch] | None = None
    ) -> Iterator[tuple[int, Reply] | float]:
        batches = plan if plan is not None else self.plan(prompts, sampling)
        for found in self._batch(*self._who, list(prompts), list(batches), sampling):
            yield found
            if stop.is_set():
                return

    def scores_labels(self) -> bool:
        """Can `labels` be asked? Of causal models it can."""
        loaded, adapter = opened(*self._who, here=not lent_here())
        return loaded.kind == "causal" and not is_soft(adapter)

    def labels(
        self,
        prompts: Sequence[Prompt],
        labels: Sequence[str],
        stop: threading.Event,
        plan: Sequence[Batch] | None = None,
    ) -> Iterator[tuple[int, Reply] | float]:
        """(position, the label that is likeliest as the whole reply) of every prompt, by log-probability; None as in `batch`."""
        batches = plan if plan is not None else self.plan(prompts, Sampling(max_new_tokens=64))
        for found in self._labels(*self._who, list(prompts), list(batches), list(labels)):
            yield found
            if stop.is_set():
                return


def stream_replies(model: str, owner: str, token: str | None, prompt: Prompt, sampling: Sampling) -> Iterator[Reply]:
    """Replies that grow. Runs inside the device's lease; closing it stops the generation at the next token."""
    from transformers import TextIteratorStreamer

    loaded, adapter = opened(model, owner, token)
    ids = render(prompt, loaded.tokenizer, sampling.thinking).ids
    _check_length(len(ids), sampling, loaded)
    if loaded.kind != "causal" or is_soft(adapter):
        yield from (reply for _, reply in replies_of(batch_replies(model, owner, token, [prompt], [[0]], sampling)))
        return
    streamer = TextIteratorStreamer(loaded.tokenizer, skip_prompt=True, skip_special_tokens=True)
    generation = _Generation(loaded, adapter, sampling, streamer)
    started = time.perf_counter()
    thread = threading.Thread(target=generation.run, args=(list(ids),), daemon=True)
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
    new = generation.new
    yield Reply(text.strip(), len(ids), len(new), time.perf_counter() - started, _finish(new, loaded))


def batch_replies(
    model: str, owner: str, token: str | None, prompts: list[Prompt], batches: list[Batch], sampling: Sampling
) -> Iterator[tuple[int, Reply] | float]:
    """(row, reply) of every row in `batches`, and now and then, so that closing it stops the work, how many rows' worth of the
    batch under way is written.
    """
    from prompts.backends.batching import generate, heartbeats
    from prompts.backends.classifying import classify

    loaded, adapter = opened(model, owner, token)
    ids = [render(prompt, loaded.tokenizer, sampling.thinking).ids for prompt in prompts]
    seeds = [row_seed(row, sampling.seed) for row in ids]
    answer = classify if loaded.kind == "classifier" else generate

    def work(stop: threading.Event) -> Iterator[Any]:
        with loaded.using(adapter) as found:
            yield from answer(loaded, found, ids, batches, sampling, seeds, _ends(loaded), stop)

    written = 0.0
    for done in heartbeats(work):
        if not isinstance(done, tuple):
            written = done or written
            yield written
            continue
        written = 0.0
        batch, replies, seconds = done
        for at, new in zip(batch, replies, strict=True):
            if isinstance(new, str):  # a classifier's answer
                yield at, Reply(new, len(ids[at]), 1, seconds / len(batch), "stop")
                continue
            text = loaded.tokenizer.decode(new, skip_special_tokens=True).strip()
            yield at, Reply(text, len(ids[at]), len(new), seconds / len(batch), _finish(new, loaded))


def batch_labels(
    model: str, owner: str, token: str | None, prompts: list[Prompt], batches: list[Batch], labels: list[str]
) -> Iterator[tuple[int, Reply] | float]:
    """(row, the likeliest label as a reply) of every row in `batches`, and 0 now and then."""
    from prompts.backends.batching import heartbeats
    from prompts.backends.labels import label_scores

    loaded, adapter = opened(model, owner, token)
    ids = [render(prompt, loaded.tokenizer).ids for prompt in prompts]
    end = loaded.tokenizer.eos_token_id
    tokens = [[*loaded.tokenizer(label, add_special_tokens=False)["input_ids"], end] for label in labels]

    def work(stop: threading.Event) -> Iterator[Any]:
        with loaded.using(adapter) as found:
            yield from label_scores(loaded, found, ids, batches, tokens, stop)

    for done in heartbeats(work):
        if done is None:
            yield 0.0
            continue
        batch, scores, seconds = done
        for at, row in zip(batch, scores, strict=True):
            best = max(range(len(labels)), key=row.__getitem__)
            yield at, Reply(labels[best], len(ids[at]), len(tokens[best]), seconds / len(batch), "stop", row)
        yield 0.0  # so that these are counted, where others of their batch are still read


def located(model: str, owner: str, token: str | None) -> tuple[str, Path | None]:
    """As `locate`; a Hub repository that holds an adapter is its base with the adapter. Raises as `locate` and `load` do."""
    source, adapter = locate(model, owner)
    if adapter is None and parse(model).kind == "hub" and (found := hub_adapter(source, token)):
        return found
    return source, adapter


def opened(model: str, owner: str, token: str | None, *, here: bool = True) -> tuple[Loaded, Path | None]:
    """A model's name -> what is loaded, and the adapter to switch on; not `here`: all but the model. Raises as `locate`, `load`."""
    source, adapter = located(model, owner, token)
    labels = read_labels(adapter or (Path(source) if Path(source).is_dir() else None))
    apart = adapter if adapter_type(adapter) not in ("", "LORA") else None  # PEFT puts one type on a base
    loaded = load(source, token=token, labels=labels, apart=apart)
    if here:
        loaded.read(token)
    return loaded, adapter


def stamp(folder: Path) -> str:
    """A fingerprint of a folder's weights by name, size and time of change; empty for what is no folder."""
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    return "|".join(f"{folder}/{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files)


def row_seed(ids: Sequence[int], seed: int) -> int:
    """A row's own seed from what is asked and the seed of the whole: where the row stands does not change its draw."""
    digest = hashlib.sha256(f"{seed}:{','.join(map(str, ids))}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


SIZES = {
    stream_replies: Size(lambda model, owner, token, prompt, sampling: sampling.max_new_tokens),
    batch_replies: Size(lambda *args: len(args[4]) * args[5].max_new_tokens, parts_at=4),
    batch_labels: Size(lambda *args: len(args[4]), parts_at=4),
}


class _Generation:
    """One streamed call of `generate`, which can be stopped from another thread."""

    def __init__(self, loaded: Loaded, adapter: Any, sampling: Sampling, streamer: Any) -> None:
        self._loaded, self._adapter, self._sampling, self._streamer = loaded, adapter, sampling, streamer
        self.stop = threading.Event()
        self.seen = 0
        self.new: list[int] = []
        self.failure: Exception | None = None

    def run(self, ids: list[int]) -> None:
        """Fills `new` with the reply's tokens, or `failure`."""
        try:
            self._run(ids)
        except Exception as error:
            self.failure = error
            self._streamer.end()

    def _run(self, ids: list[int]) -> None:
        import torch

        from prompts.backends.batching import SeededSampling, until

        draw = (
            [SeededSampling(self._sampling, [row_seed(ids, self._sampling.seed)])] if self._sampling.temperature else []
        )
        with self._loaded.using(self._adapter) as model, torch.inference_mode():
            inputs = torch.tensor([ids], device=model.device)
            output = model.generate(
                input_ids=inputs,
                attention_mask=torch.ones_like(inputs),
                max_new_tokens=self._sampling.max_new_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                logits_processor=draw,
                streamer=self._streamer,
                stopping_criteria=[self._stopped],
            )
        self.new = until(output[0, len(ids) :].tolist(), _ends(self._loaded))

    def _stopped(self, ids: Any, _scores: Any, **_: Any) -> Any:
        import torch

        self.seen += 1
        return torch.full((ids.shape[0],), self.stop.is_set(), dtype=torch.bool, device=ids.device)


def _ends(loaded: Loaded) -> set[int]:
    found = getattr(getattr(loaded.model, "generation_config", None), "eos_token_id", None)  # a classifier has none
    ends = set(found) if isinstance(found, list) else {found}
    return {end for end in (*ends, loaded.tokenizer.eos_token_id) if end is not None}


def _finish(new: list[int], loaded: Loaded) -> Finish:
    return "stop" if new and new[-1] in _ends(loaded) else "length"


def _check_length(tokens: int, sampling: Sampling, loaded: Loaded, row: int | None = None) -> None:
    writes = sampling.max_new_tokens if loaded.kind == "causal" else 0  # the others write beside what they read
    if tokens + writes > loaded.context:
        where = say("the prompt") if row is None else say("row {row}: the prompt", row=row + 1)
        raise UserError(
            "{where} has {tokens:,} tokens and the reply may have {max_new_tokens:,}, but the "
            "model's window holds {context:,}; shorten the text or lower max_new_tokens",
            where=where,
            tokens=tokens,
            max_new_tokens=sampling.max_new_tokens,
            context=loaded.context,
        )
