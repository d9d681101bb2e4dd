"""A long prompt distilled into a short one: teacher, base and student on the same held-out rows.

    python -m tests.benchmarks.distil

The sample e-mails: 45 held out; of the 180 others the teacher knows the labels of 100, which are its examples. It answers all 180,
none with the row itself among its examples, and nothing is checked against a label. The student is trained on those answers.
"""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.conftest import SESSION_MODELS

LABELLED = 100


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["PROMPT_OR_TUNE_HOME"] = scratch
        SESSION_MODELS.mkdir(parents=True, exist_ok=True)
        (Path(scratch) / "models").symlink_to(SESSION_MODELS)
        print(json.dumps(measured(), indent=1))


def measured() -> dict[str, Any]:
    """{"teacher", "short_prompt", "student", "share", "tokens", "kept", "label_accuracy", "seconds"}."""
    from prompts.rows import Table
    from tests.tuning.test_train import executed
    from tuning import run as runs
    from tuning.data.columns import Columns
    from tuning.data.sources import SAMPLES, open_table
    from tuning.distil import Distil, distil
    from tuning.ladder import work
    from tuning.ladder.report import snapshot
    from tuning.ladder.settings import LadderSettings
    from tuning.recipe import Recipe

    started = time.time()
    columns, table = SAMPLES["sample:support_emails"], open_table("local", "sample:support_emails")
    rows = list(table.rows)
    few = Table("few.jsonl", (*table.columns, "part"), _parts(rows))
    recipe = Recipe(num_train_epochs=1, sample_rows=0)
    pilot = executed(runs.create("local", few, recipe, columns.changed(split="part")))
    ladder = work.create(pilot, LadderSettings(rungs=("zero_shot", "k_shot_similar"), k=4))
    for _ in work.ladder_events(ladder):
        pass
    lines = {line["rung"]: line for line in snapshot(ladder)["rungs"]}
    taught = {row["email"]: row["label"] for row in rows}
    held = {few.rows[at]["email"] for at in pilot.numbers("held_out")}
    blank = [{"subject": row["subject"], "email": row["email"]} for row in rows if row["email"] not in held]
    teaching = Distil(rung="k_shot_similar", samples=5, agree=4)
    *_, found = distil(ladder, teaching, Table("blank.jsonl", ("subject", "email"), blank))
    chats = open_table("local", found["source"])
    right = sum(row["messages"][-1]["content"] == taught[_email(row, taught)] for row in chats.rows)
    student = executed(
        runs.create(
            "local",
            chats,
            Recipe(held_out=0, validation=0, num_train_epochs=4, sample_rows=0),
            Columns(messages="messages"),
        )
    )
    score, tokens = asked(pilot, f"run:{student.id}")
    teacher, short = lines["k_shot_similar"], lines["zero_shot"]
    return {
        "held_out": len(pilot.numbers("held_out")), "teacher": teacher["score"], "short_prompt": short["score"], "student": score,
        "share": round(score / teacher["score"], 3), "tokens": {"teacher": teacher["tokens_in"], "student": tokens},
        "token_share": round(tokens / teacher["tokens_in"], 3), "asked": found["rows"], "kept": found["kept"],
        "pairs": found["pairs"], "label_accuracy": round(right / found["kept"], 3), "seconds": round(time.time() - started),
    }  # fmt: skip


def _parts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """45 rows to hold out and LABELLED to show, drawn by chance; the others are not in the table."""
    import random

    drawn = random.Random(0).sample(rows, 45 + LABELLED)
    return [{**row, "part": "test" if at < 45 else "train"} for at, row in enumerate(drawn)]


def _email(row: dict[str, Any], taught: dict[str, str]) -> str:
    text = row["messages"][0]["content"]
    return max((email for email in taught if email in text), key=len)


def asked(run: Any, model: str) -> tuple[float, float]:
    """(score, input tokens a row) of a model on the run's held-out rows, with the prompt that the run was trained with."""
    from prompts.asking import Open
    from prompts.backends import open_backend
    from prompts.comparison import run as compare
    from prompts.experiment import Experiment, Variant
    from prompts.held_out import named_table
    from tuning.data.columns import asking

    settings = {**asking(run.columns).to_json(), "model": model, "max_new_tokens": 8}
    experiment = Experiment(
        variants=(Variant(name="student", technique="few_shot", settings=settings),), scorer="label"
    )
    opener: Open = lambda name: open_backend(name, "local")  # noqa: E731
    *_, found = compare(experiment, named_table(f"run:{run.id}", "local"), "local", opener)
    side = found["variants"][0]
    return side["score"], round(side["tokens_in"] / found["rows"], 1)


if __name__ == "__main__":
    main()
