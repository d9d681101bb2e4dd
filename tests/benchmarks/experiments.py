"""Rows a second of an experiment: one row at a time, in batches, labels by log-probability, and from the cache.

    python -m tests.benchmarks.experiments [rows.jsonl]

200 rows with the columns text and label (default: ../shared/data/sentiment_vader.jsonl), the embedded model, one run. "One
at a time" is transformers' own `generate` on 40 of the rows.
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from prompts.backends import open_backend
from prompts.backends.local import LocalBackend
from prompts.comparison import run
from prompts.experiment import Experiment
from prompts.loading import load
from prompts.models import locate
from prompts.rendering import render
from prompts.rows import Table, read_table
from prompts.settings import build
from prompts.techniques import technique

ROWS, ALONE = 200, 40
SETTINGS = {
    "task": "Is this text positive or negative? Answer with one word: positive or negative.", "input": "{{ text }}",
    "max_new_tokens": 6,
}  # fmt: skip


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data/sentiment_vader.jsonl")
    table = read_table(path)
    table = Table(table.name, table.columns, table.rows[:ROWS])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "models").symlink_to(Path(".cache/models").resolve())
        os.environ["PROMPT_OR_TUNE_HOME"] = folder
        measure(table)


def measure(table: Table) -> None:
    found = technique("few_shot")
    settings = build(found.settings, SETTINGS)
    prompts = [found.build(settings, row) for row in table.rows]
    loaded = load(locate("embedded", "local")[0])
    backend, stop = open_backend("embedded", "local"), threading.Event()
    assert isinstance(backend, LocalBackend)
    dict(backend.batch(prompts[:4], settings, stop))  # warm
    started = time.perf_counter()
    for prompt in prompts[:ALONE]:
        inputs = loaded.tokenizer(render(prompt, loaded.tokenizer).text, add_special_tokens=False, return_tensors="pt")
        loaded.model.generate(**inputs, max_new_tokens=settings.max_new_tokens, do_sample=False)
    alone = ALONE / (time.perf_counter() - started)
    started = time.perf_counter()
    dict(backend.batch(prompts, settings, stop))
    batched = len(prompts) / (time.perf_counter() - started)
    started = time.perf_counter()
    dict(backend.labels(prompts, ["positive", "negative"], stop))
    labelled = len(prompts) / (time.perf_counter() - started)
    print(f"one at a time {alone:.1f} rows/s; batches {batched:.1f} ({batched / alone:.1f}x); "
          f"labels by log-probability {labelled:.1f} ({labelled / alone:.1f}x)")  # fmt: skip
    variants = [{"name": "a", "technique": "few_shot", "settings": SETTINGS}]
    experiment = build(Experiment, {"variants": variants, "scorer": "label"})
    for name in ("first time", "from the cache"):
        started = time.perf_counter()
        *_, last = run(experiment, table, "local", lambda model: open_backend(model, "local"))
        print(f"the experiment {name}: {time.perf_counter() - started:.2f} s, score {last['variants'][0]['score']:.2f}")


if __name__ == "__main__":
    main()
