"""Rows a second of an experiment: one row at a time, in batches, labels by log-probability, and from the cache.

    python -m tests.benchmarks.experiments [rows.jsonl]

200 rows with the columns text and label (default: ../shared/data/sentiment_vader.jsonl), the embedded model, "One
at a time" is transformers' own `generate` on 40 of the rows.
"""

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prompts.backends import open_backend, replies_of
from prompts.backends.local import LocalBackend
from prompts.comparison import run
from prompts.experiment import Experiment
from prompts.loading import Loaded, load
from prompts.messages import Prompt
from prompts.models import locate
from prompts.rendering import render
from prompts.rows import Table, read_table
from prompts.settings import build
from prompts.techniques import technique

ROWS, ALONE, ROUNDS = 200, 40, 3
SETTINGS = {
    "task": "Is this text positive or negative? Answer with one word: positive or negative.", "input": "{{ text }}",
    "max_new_tokens": 6,
}  # fmt: skip


SHOTS = [
    {"input": "The film was wonderful from the first minute to the last.", "output": "positive"},
    {"input": "Cold food, rude waiter and a long wait.", "output": "negative"},
    {"input": "Best purchase I have made this year.", "output": "positive"},
    {"input": "It broke the first time I used it.", "output": "negative"},
]


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data/sentiment_vader.jsonl")
    table = read_table(path)
    table = Table(table.name, table.columns, table.rows[:ROWS])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "models").symlink_to(Path(".cache/models").resolve())
        os.environ["PROMPT_OR_TUNE_HOME"] = folder
        measure(table, "zero-shot", SETTINGS)
        measure(table, "4-shot", {**SETTINGS, "examples": SHOTS})
        again(table)


def measure(table: Table, name: str, given: dict[str, Any]) -> None:
    found = technique("few_shot")
    settings = build(found.settings, given)
    prompts = [found.build(settings, row) for row in table.rows]
    loaded = load(locate("embedded", "local")[0])
    backend, stop = open_backend("embedded", "local"), threading.Event()
    assert isinstance(backend, LocalBackend)
    rounds = [
        (
            pace(lambda: one_by_one(loaded, prompts[:ALONE], settings.max_new_tokens), ALONE),
            pace(lambda: dict(replies_of(backend.batch(prompts, settings, stop))), len(prompts)),
            pace(lambda: dict(replies_of(backend.labels(prompts, ["positive", "negative"], stop))), len(prompts)),
        )
        for _ in range(ROUNDS + 1)
    ][1:]  # the first one warms up
    alone, batched, labelled = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"{name}: one at a time {alone:.1f} rows/s; batches {batched:.1f} ({batched / alone:.1f}x); "
          f"labels by log-probability {labelled:.1f} ({labelled / alone:.1f}x); medians of {ROUNDS} rounds")  # fmt: skip


def pace(work: Callable[[], object], rows: int) -> float:
    """Rows a second."""
    started = time.perf_counter()
    work()
    return rows / (time.perf_counter() - started)


def one_by_one(loaded: Loaded, prompts: Sequence[Prompt], new_tokens: int) -> None:
    for prompt in prompts:
        inputs = loaded.tokenizer(render(prompt, loaded.tokenizer).text, add_special_tokens=False, return_tensors="pt")
        loaded.model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)


def again(table: Table) -> None:
    variants = [{"name": "a", "technique": "few_shot", "settings": SETTINGS}]
    experiment = build(Experiment, {"variants": variants, "scorer": "label"})
    for name in ("first time", "from the cache"):
        started = time.perf_counter()
        *_, last = run(experiment, table, "local", lambda model: open_backend(model, "local"))
        print(f"the experiment {name}: {time.perf_counter() - started:.2f} s, score {last['variants'][0]['score']:.2f}")


if __name__ == "__main__":
    main()
