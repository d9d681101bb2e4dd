"""The techniques on real rows with the embedded model: python -m tests.benchmarks.techniques [risk] [gepa]

risk: what was published on few-shot prompts, in direction, on 100 sentiment rows of ../shared/data. The score hangs on the
order of the examples (Lu et al. 2022), the last label pulls, calibration takes part of it back (Zhao et al. 2021). Three draws.

gepa: a better prompt for the support e-mails, searched on some 60 development rows and measured on the others. Two first prompts,
three seeds.
"""

import os
import sys
import tempfile
import time
from typing import Any

os.environ.setdefault("PROMPT_OR_TUNE_HOME", tempfile.mkdtemp())

from prompts.backends import open_backend
from prompts.refining.optimise import OptimiseSettings, optimising
from prompts.rows import Table, read_table
from prompts.studies import STUDIES
from prompts.studies.risk import RiskSettings
from prompts.studies.work import run
from prompts.techniques.few_shot import FewShotSettings
from prompts.techniques.refinement import RefinementSettings
from tests.conftest import SESSION_MODELS, SHARED

STARTS = ("What does this e-mail want?", "Classify the e-mail.")
SEEDS = (0, 1, 2)


def opened(name: str) -> Any:
    return open_backend(name, "local")


def rows(name: str) -> Table:
    return read_table(SHARED / "data" / name)


def risk() -> None:
    """The whole panel: k = 0, 1, 2, 4, 8 and 12 orders, 100 rows."""
    study = next(one for one in STUDIES if one.name == "few_shot_risk")
    settings = FewShotSettings(task="Is the text positive or negative?", input="{{ text }}", max_new_tokens=4)
    for seed in SEEDS:
        started = time.perf_counter()
        given = RiskSettings(scorer="label", reference="label", most_rows=100, seed=seed)
        *_, found = run(study, settings, given, rows("sentiment_vader.jsonl"), "local", opened)
        seconds = time.perf_counter() - started
        curve = ", ".join(f"{p['k']}: {p['score']:.0%} ({p['calibrated']['score']:.0%} calibrated)" for p in found["k"])
        orders, pull = found["orders"], found["last_label"]
        print(f"draw {seed}: {seconds:.0f} s; k {curve}")
        after = orders["calibrated"]
        print(
            f"  12 orders of 4: {orders['low']:.0%} to {orders['high']:.0%}; calibrated {min(after):.0%} to {max(after):.0%}"
        )
        print(
            f"  last label: {pull['effect']:+.1%} {pull['interval']}; {found['calibration']}"
            if pull
            else "  one last label"
        )


def gepa() -> None:
    """60 development rows, 1,500 calls, edits without a model."""
    table = rows("support_emails.jsonl")
    for start in STARTS:
        for seed in SEEDS:
            started = time.perf_counter()
            settings = RefinementSettings(task=start, input="{{ subject }}\n\n{{ email }}", max_new_tokens=8)
            given = OptimiseSettings(scorer="label", reference="label", development=0.3, budget=1500, seed=seed)
            *_, found = optimising(settings, given, table, "local", opened)
            first, best = found["versions"][0], found["versions"][found["best"] - 1]
            took, gain = (
                time.perf_counter() - started,
                f"{first['held_out']['score']:.0%} -> {best['held_out']['score']:.0%}",
            )
            print(f"{start!r}, seed {seed}: {found['calls']} calls, {took:.0f} s; held out {gain}; {best['verdict']}")
            print(f"  {found['notes'][0]}")


if __name__ == "__main__":
    models = os.path.join(os.environ["PROMPT_OR_TUNE_HOME"], "models")
    if SESSION_MODELS.is_dir() and not os.path.exists(models):
        os.symlink(SESSION_MODELS, models)
    for part in sys.argv[1:] or ["risk", "gepa"]:
        {"risk": risk, "gepa": gepa}[part]()
