"""What is fetched tells how far it is, to whoever waits for it and nobody else."""

import time
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from prompts.downloads import told_to
from prompts.weights import fetch
from tests.hub_server import Repo
from tests.tiny import tiny_llama
from tests.tuning.test_train import COLUMNS, recipe, table
from tuning import run as runs
from tuning.execute import execute
from tuning.ui.views import progress_line


@pytest.fixture(autouse=True)
def client(hub: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The Hub's client as if it had been imported with this Hub and an empty cache."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def on_hub(hub: Any, name: str, folder: Path) -> int:
    """A tiny model at this name, and its bytes."""
    files = {path.name: path.read_bytes() for path in tiny_llama(folder).iterdir()}
    hub.repos[name] = Repo(False, [("a" * 40, files)])
    return sum(map(len, files.values()))


def slow(hub: Any, seconds: float) -> None:
    """The weights come only after a while."""

    def wait(line: str) -> None:
        if "safetensors" in line and line.startswith("GET"):
            time.sleep(seconds)

    hub.fault = wait


def test_a_model_tells_its_bytes_while_it_is_fetched(hub: Any, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    size = on_hub(hub, "ana/told", tmp_path / "base")
    with told_to(lambda *how: told.append(how)):
        fetch("ana/told")
    assert told[-1] == (size, size) and [done for done, _ in told] == sorted(done for done, _ in told)
    told.clear()
    with told_to(lambda *how: told.append(how)):
        fetch("ana/told")
    on_hub(hub, "ana/untold", tmp_path / "base")
    fetch("ana/untold")
    assert told == [], "nothing is fetched twice, and of what nobody waits for nothing is told"


def test_a_training_tells_how_far_its_base_is_and_is_stopped_meanwhile(hub: Any, tmp_path: Path) -> None:
    size = on_hub(hub, "ana/base", tmp_path / "base")
    slow(hub, 1.2)
    run = runs.create("local", table(), recipe("ana/base"), COLUMNS)
    events = execute(run)
    fetching = next(event for event in events if event["event"] == "fetching")
    assert 0 < fetching["done"] <= fetching["of"] <= size and fetching["remaining"] >= 0
    assert "fetching the model: 0 of 0 MB" in progress_line(runs.snapshot(run))
    run.ask_to_stop()
    assert [event["event"] for event in events][-1] == "cancelled"
    assert runs.snapshot(run)["status"] == "cancelled"
