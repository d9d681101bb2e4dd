"""Trackers, as installed: what they kept of a run is what the run's events say."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prompts.errors import UserError
from tests.test_architecture import ROOT
from tests.tuning.test_train import COLUMNS, recipe, table
from tuning import run as runs
from tuning import trackers
from tuning.evaluate import evaluate
from tuning.execute import execute
from tuning.launch.trackio_space import send_to_space


def from_tensorboard(run: runs.Run) -> dict[str, list[float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    kept = EventAccumulator(str(run.folder / "tensorboard"))
    kept.Reload()
    return {name: [point.value for point in kept.Scalars(name)] for name in kept.Tags()["scalars"]}


def from_wandb(run: runs.Run) -> dict[str, list[float]]:
    from wandb.proto import wandb_internal_pb2

    found: dict[str, list[float]] = {}
    for data in leveldb_records(next((run.folder / "wandb").glob("offline-run-*/*.wandb")).read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        for item in record.history.item:
            found.setdefault("/".join(item.nested_key) or item.key, []).append(json.loads(item.value_json))
    return found


def leveldb_records(data: bytes) -> Iterator[bytes]:
    """W&B's file: 7 bytes of header, then LevelDB's log: blocks of 32 KiB with checksum, length and kind of each part."""
    at, record = 7, b""
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


def from_trackio(run: runs.Run) -> dict[str, list[float]]:
    from trackio.sqlite_storage import SQLiteStorage

    found: dict[str, list[float]] = {}
    for log in SQLiteStorage.get_logs(run.recipe.project, run.id):
        for name, value in log.items():
            found.setdefault(name, []).append(value)
    return found


READERS = {"tensorboard": from_tensorboard, "wandb": from_wandb, "trackio": from_trackio}


@pytest.mark.parametrize("name", READERS)
def test_a_tracker_keeps_what_the_events_say(name: str, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    settings = recipe(tiny, report_to=name, project="mine", num_train_epochs=2, validation=0.2)
    run = runs.create("local", table(), settings, COLUMNS)
    events = list(execute(run, then=evaluate))
    assert not [event["problem"] for event in events if event["event"] == "tracker" and "problem" in event]
    kept = READERS[name](run)
    steps = [event for event in events if event["event"] == "step"]
    assert kept["train/loss"] == pytest.approx([event["loss"] for event in steps])
    assert kept["train/grad_norm"] == pytest.approx([event["grad_norm"] for event in steps])
    losses = [event["loss"] for event in events if event["event"] == "evaluation" and event["part"] == "validation"]
    assert kept["validation/loss"] == pytest.approx(losses) and len(losses) == 2
    evaluated = next(event for event in events if event["event"] == "evaluated")
    assert kept["tuned/exact_match"] == [evaluated["tuned"]["exact_match"]]
    assert str(run.folder) in runs.snapshot(run)["tracker"] or name == "trackio"


def test_none_is_used_unless_asked_for(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "TRACKERS", {})
    run = runs.create("local", table(), recipe(tiny), COLUMNS)
    assert not [event for event in execute(run) if event["event"] == "tracker"]


@pytest.mark.parametrize("broken", ["__init__", "log", "finish"])
def test_a_broken_tracker_is_said_and_the_training_goes_on(
    broken: str, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fake:
        where = "there"

        def __init__(self, *_: Any) -> None: ...
        def log(self, *_: Any) -> None: ...
        def finish(self) -> str:
            return ""

    def fail(*_: Any) -> None:
        raise OSError("the tracker's disk is full")

    monkeypatch.setattr(Fake, broken, fail)
    monkeypatch.setitem(trackers.TRACKERS, "trackio", Fake)
    run = runs.create("local", table(), recipe(tiny, report_to="trackio"), COLUMNS)
    problems = [event["problem"] for event in execute(run) if event["event"] == "tracker" and "problem" in event]
    assert problems == ["OSError: the tracker's disk is full"]
    assert runs.snapshot(run)["status"] == "finished" and "disk is full" in runs.snapshot(run)["tracker"]


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `trackio` whose `sync` writes down what it was told and which token the Hub's library would use."""
    (tmp_path / "trackio.py").write_text(
        "import json, os\nfrom pathlib import Path\nfrom huggingface_hub import get_token\n"
        "def sync(project, space_id, private):\n"
        "    if 'refused' in space_id: raise PermissionError('403: you cannot write there')\n"
        "    found = [project, space_id, private, get_token(), os.environ['TRACKIO_DIR'], os.environ.get('SPACE_ID')]\n"
        "    Path(__file__).with_name('told.json').write_text(json.dumps(found))\n"
        "    return space_id\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    return tmp_path


def test_figures_go_to_a_space_with_the_visitors_token(stub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    monkeypatch.setenv("SPACE_ID", "owner/app")
    assert send_to_space("mine", "/there", "ann/board", "hf_ann") == "https://huggingface.co/spaces/ann/board"
    told = json.loads((stub / "told.json").read_text())
    assert told == ["mine", "ann/board", True, "hf_ann", "/there", None]
    with pytest.raises(UserError, match="your token"):
        send_to_space("mine", "/there", "ann/board", None)
    with pytest.raises(Exception, match="403: you cannot write there"):
        send_to_space("mine", "/there", "ann/refused", "hf_ann")


@pytest.mark.slow
def test_the_command_line_keeps_its_one_json_document(tiny: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,label\n" + "".join(f"item {n},{'red' if n % 2 else 'blue'}\n" for n in range(30)))
    command = [sys.executable, "-m", "tuning", "train", str(file), "--model", tiny, "--num-train-epochs", "1", "--json",
               "--max-length", "256", "--report-to", "trackio"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "trackio show" in json.loads(done.stdout)["tracker"]
