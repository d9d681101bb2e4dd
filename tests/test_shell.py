"""The commands of the README, run as they stand there; each gets a tiny model and a few limits besides, so that it ends soon."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from prompts.__main__ import COMMANDS as PROMPTS
from prompts.commands import main
from prompts.refining.tree import trees
from prompts.rows import read_table, sample_table
from tests.test_readme import SHELL
from tuning.__main__ import COMMANDS as TUNING
from tuning.data.columns import Columns
from tuning.execute import execute
from tuning.ladder.work import ladders
from tuning.launch.begin import made
from tuning.recipe import Recipe
from tuning.run import runs

FEW = "--model TINY --most-rows 6 --max-new-tokens 4"
TRAINING = "--model TINY --max-length 512"
BESIDES = {
    "prompts ask": "--model TINY --max-new-tokens 4", "prompts context_ledger": FEW, "prompts few_shot_risk": FEW,
    "prompts reasoning_grid": FEW, "prompts optimise": f"{FEW} --most-rows 60 --budget 100", "prompts version_tree": FEW,
    "prompts export": "--model TINY", "prompts render": "--model TINY", "tuning preview": TRAINING,
    "tuning forecast": TRAINING, "tuning train": TRAINING,
    "tuning sweep": f"{TRAINING} --num-train-epochs 1 --input subject,email --output label",
    "tuning ladder": "--model embedded --rungs zero_shot --rungs lora_short --scorer exact_match",
    "tuning distil": "--temperature 0.001", "tuning export": "--check-rows 0", "tuning publish": "--check-rows 4",
}  # fmt: skip
ELSEWHERE = {  # what these need, and where it is run
    "accelerate": "two GPUs; on a CPU: tuning/test_ranks.py", "job": "Hugging Face Jobs: tuning/test_jobs.py",
    "hub:owner/name:train[:1000]": "a data set of the Hub: tuning/test_learned.py",
}  # fmt: skip


def write_files(tiny: str) -> None:
    """What the commands read."""
    rows = sample_table("support_emails").rows
    emails = [{**row, "email": row["email"][:60]} for row in rows]  # what a tiny model's window holds
    sums = sample_table("word_problems").rows
    emails[1]["email"] += " ana.soler@example.com"  # what the doctor finds: this, and a row twice
    for name, rows in {"emails": [*emails[:60], emails[0]], "new_rows": emails[60:70], "sums": sums[:6]}.items():
        with Path(f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    Path("reviews.csv").write_text("text,label\nI love it,positive\nI hate it,negative\n")
    settings = {"task": "Positive or negative?", "input": "{{ text }}", "max_new_tokens": 4, "model": tiny}
    variants = [{"name": name, "technique": "few_shot", "settings": settings} for name in ("one", "two")]
    Path("experiment.json").write_text(json.dumps({"variants": variants}))
    Path("promptfooconfig.yaml").write_text("prompts: ['Where is {{ town }}?']\ntests: [{vars: {town: Paris}}]\n")


def stopped_run(tiny: str) -> str:
    """The id of a run that was cancelled before it began."""
    columns = Columns(input=("subject", "email"), output="label")
    run = made("local", read_table(Path("emails.csv")), Recipe(model=tiny, max_length=512), columns, None)
    (run.folder / "cancel").touch()
    assert [event["event"] for event in execute(run)][-1] == "cancelled"
    return run.id


@pytest.mark.slow
@pytest.mark.usefixtures("hub", "embedded")
def test_the_commands_of_the_readme_run(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(tiny)
    names: dict[str, str] = {"TINY": tiny}
    for words in SHELL:
        if set(words) & set(ELSEWHERE):
            continue
        at = words.index("-m") + 1
        command = " ".join(words[at : at + 2])
        names |= _named(command, tiny)
        given = [*words[at + 1 :], *BESIDES.get(command, "").split()]
        if words[0].startswith("HF_TOKEN="):
            monkeypatch.setenv("HF_TOKEN", "hf_writer")
        called = [names.get(word, word).replace("run:RUN", f"run:{names.get('RUN')}") for word in given]
        code = main(words[at], {"prompts": PROMPTS, "tuning": TUNING}[words[at]], called)
        assert code == 0, (called, capfd.readouterr().err[-2000:])
        monkeypatch.delenv("HF_TOKEN", raising=False)


def _named(command: str, tiny: str) -> dict[str, Any]:
    """The ids that the README's words in capitals stand for, once there is something that they name."""
    if command == "prompts version_tree":
        return {"ID": trees("local")[0].id}
    if command == "tuning resume":
        first = next(run for run in runs("local") if run.status()["state"] == "finished")
        return {"RUN": stopped_run(tiny), "OTHER": first.id}
    if command == "tuning evaluate":
        return {"RUN": next(run.id for run in runs("local") if (run.folder / "evaluation.json").is_file())}
    if command == "tuning distil":
        return {"LADDER": ladders("local")[0].id}
    return {}
