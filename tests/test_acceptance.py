"""The promise itself, with the real model: e-mails to labels, from about nothing to at least nine in ten, in every form."""

import importlib.util
from pathlib import Path

import pytest

from prompts.rows import read_table
from tests.conftest import SHARED
from tests.tuning.test_train import executed
from tuning import run as runs
from tuning.data.columns import Columns
from tuning.data.sources import SAMPLES, open_table
from tuning.evaluate import evaluate
from tuning.export import Export, export
from tuning.recipe import Recipe


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("embedded")
def test_support_emails_are_learned(tmp_path: Path) -> None:
    shared: Path = SHARED / "data" / "support_emails.jsonl"
    if shared.is_file():
        table, columns = read_table(shared), Columns(input=("subject", "email"), output="label")
    else:
        table, columns = open_table("local", "sample:support_emails"), SAMPLES["sample:support_emails"]
    run = executed(
        runs.create("local", table, Recipe(num_train_epochs=1, per_device_train_batch_size=2, sample_rows=0), columns),
        then=evaluate,
    )
    found = runs.snapshot(run)["evaluation"]
    assert found["rows"] >= 40
    assert found["base"]["exact_match"] <= 0.1
    assert found["tuned"]["exact_match"] >= 0.9
    assert found["verdict"].startswith("tuned is better than base")
    assert found["base_check"].startswith("the base's logits are bit for bit")
    for form in ("merged", "gguf"):
        *_, exported = export(run, Export(form=form), tmp_path / form)  # type: ignore[arg-type]
        check = exported["check"]
        assert (check["rows"], check["same"]) == (40, 40), check["differ"]
        assert form == "merged" or not importlib.util.find_spec("xllamacpp") or check["by"] == "llama.cpp"
