"""After publication: scored again on new rows, compared with the first time, warned where it decisively dropped."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from prompts import hub_adapters
from prompts.errors import UserError
from prompts.held_out import named_table
from prompts.rows import Table
from tests.hub_server import Repo
from tests.serving import answers, free_port
from tests.tiny import tiny_bert, tiny_llama
from tests.tuning.test_train import COLUMNS, executed, recipe, table
from tuning import run as runs
from tuning.demo_space import write_space
from tuning.evaluate import evaluate
from tuning.export import Export, export
from tuning.monitor import Watched, document, dropped, history, score_again, watched


def record(passed: int, rows: int = 40, fingerprint: str = "a", scorer: str = "label") -> dict[str, Any]:
    values = [1.0] * passed + [0.0] * (rows - passed)
    return {
        "time": "2026-01-01T00:00:00", "rows": rows, "scorer": scorer, "score": passed / rows, "values": values,
        "interval": [0.0, 1.0], "fingerprint": fingerprint,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("first", "now", "warned"),
    [
        (record(38), record(20, fingerprint="b"), True),
        (record(38), record(36, fingerprint="b"), False),
        (record(20), record(38, fingerprint="b"), False),
        (record(38), record(30), True),
        (record(38), record(36), False),
        (record(38, scorer="chrf"), record(20, scorer="chrf", fingerprint="b"), True),
        (record(38, scorer="number"), record(5, fingerprint="b"), False),
    ],
)
def test_only_a_decisive_drop_is_a_warning(first: dict[str, Any], now: dict[str, Any], warned: bool) -> None:
    found = dropped([first, record(1)] if first["scorer"] == "label" else [first], now)
    assert bool(found["warning"]) is warned
    assert (found["against"] is None) == (first["scorer"] != now["scorer"])
    if warned:
        assert "It dropped" in found["warning"] and "2026-01-01" in found["warning"]


def test_a_run_is_scored_again_and_compared_with_its_held_out_rows(tiny: str) -> None:
    run = executed(runs.create("local", table(), recipe(tiny, num_train_epochs=8), COLUMNS), then=evaluate)
    name = f"run:{run.id}"
    new = Table(
        "new.csv", ("text", "label"), [{"text": f"new {n}", "label": "red" if n % 2 else "blue"} for n in range(20)]
    )
    *asking, found = score_again("local", Watched(model=name), new)
    assert asking[0]["done"] == 0, "told as soon as the model is there"
    assert asking[-1] == {"event": "asking", "done": 20, "of": 20, "remaining": None}
    assert found["rows"] == 20 and found["scorer"] == "label"
    assert found["against"]["rows"] == 8, "the first measurement is that of its held-out rows"
    assert found["against"]["how"] == "other rows"
    *_, same = score_again("local", Watched(model=name), named_table(name, "local"))
    assert same["against"]["how"] == "the same rows" and same["score"] == same["against"]["score"]
    *_, again = score_again("local", Watched(model=name), new)
    assert again["score"] == found["score"] and len(history("local", name)) == 3
    assert watched("local") == [name] and len(document("local", name)["measurements"]) == 3
    with pytest.raises(UserError, match="was trained on"):
        list(score_again("local", Watched(model=name), table()))
    with pytest.raises(UserError, match="was not measured yet"):
        document("local", "ana/x")
    with pytest.raises(UserError, match="has no column"):
        list(score_again("local", Watched(model=name, input=("nothing",)), new))


def test_an_adapter_on_the_hub_is_asked_with_its_base(
    tmp_path: Path, hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = str(tiny_llama(tmp_path / "base"))
    run = executed(runs.create("local", table(), recipe(base, num_train_epochs=8), COLUMNS))
    folder = tmp_path / "adapter"
    list(export(run, Export(), folder))
    monkeypatch.setattr(hub_adapters, "_look", lambda repo, token: (base, folder) if repo == "ana/tuned" else None)
    new = Table("new.csv", ("text", "label"), [{"text": f"new {n}", "label": "red"} for n in range(12)])
    scores = [
        list(score_again("local", Watched(model=name, output="label"), new))[-1]
        for name in ("ana/tuned", f"run:{run.id}")
    ]
    assert scores[0]["score"] == scores[1]["score"] and scores[0]["tokens_out"] == scores[1]["tokens_out"]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "form"), [(tiny_llama, "merged"), (tiny_bert, "adapter")])
def test_the_space_to_try_it_starts_and_answers(make: Any, form: str, tmp_path: Path, hub: Any) -> None:
    """Its own app.py, in a process of its own, with the model from the Hub."""
    from gradio_client import Client

    base = make(tmp_path / "base")
    run = executed(runs.create("local", table(), recipe(str(base)), COLUMNS.changed(instruction="Which colour?")))
    folder = tmp_path / "model"
    list(export(run, Export(form=form, check_rows=0), folder))  # type: ignore[arg-type]
    hub.repos["ana/base"] = Repo(False, [("a" * 40, {path.name: path.read_bytes() for path in base.iterdir()})])
    if form == "adapter":
        config = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "ana/base"}))
    hub.repos["ana/tuned"] = Repo(False, [("b" * 40, {path.name: path.read_bytes() for path in folder.iterdir()})])
    write_space(run, "ana/tuned", form, tmp_path / "space")
    assert "sdk: gradio" in (tmp_path / "space" / "README.md").read_text()
    port = free_port()
    given = {**os.environ, "HF_ENDPOINT": hub.url, "GRADIO_SERVER_PORT": str(port), "HF_HOME": str(tmp_path / "hf")}
    log = (tmp_path / "log.txt").open("w")
    process = subprocess.Popen([sys.executable, "app.py"], cwd=tmp_path / "space", env=given, stdout=log, stderr=log)
    try:
        while not answers(f"http://127.0.0.1:{port}"):
            assert process.poll() is None, (tmp_path / "log.txt").read_text()
            time.sleep(0.2)
        client = Client(f"http://127.0.0.1:{port}", verbose=False)
        found = client.predict("item 3", *([] if form == "adapter" else [8]), api_name="/answer")
        if form == "adapter":
            assert {one["label"] for one in found["confidences"]} == {"red", "blue"}
        else:
            assert isinstance(found, str)
    finally:
        process.terminate()
        process.wait(20)
