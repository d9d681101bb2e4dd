"""Hugging Face Jobs, against the Hub's protocol on loopback: the Job is a real process that gets nothing but what was sent."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from prompts.errors import UserError
from tests.hub_server import Repo
from tests.tuning.test_trackers import from_tensorboard
from tests.tuning.test_train import COLUMNS, command, losses, recipe, table
from tuning import run as runs
from tuning.launch.begin import begin, begin_job, begin_new
from tuning.launch.jobs import REPO, JobSettings, price
from tuning.work import ACTIVE

MODEL = "ana/tiny"


@pytest.fixture
def model(hub: Any, tiny: str) -> str:
    """A model of the Hub, as a Job cannot see this machine's folders."""
    files = {path.name: path.read_bytes() for path in Path(tiny).iterdir() if path.is_file()}
    hub.repos[MODEL] = Repo(private=False, commits=[("a" * 40, files)])
    return MODEL


def ended(run: runs.Run, seconds: float = 240) -> dict[str, Any]:
    until = time.time() + seconds
    while (state := runs.snapshot(run))["status"] in ACTIVE:
        assert time.time() < until, (run.status(), (run.folder / "log.txt").read_text()[-2000:])
        time.sleep(0.2)
    return state


def test_the_hub_says_the_price(hub: Any) -> None:
    found = price(JobSettings(flavor="t4-small", minutes=30), "hf_writer")
    assert found["dollars_per_minute"] == 0.006667 and found["most_dollars"] == 0.2
    with pytest.raises(UserError, match="no hardware 'b200'; there are cpu-basic, t4-small"):
        price(JobSettings(flavor="b200"), "hf_writer")


def test_what_cannot_run_as_a_job_is_refused_and_leaves_nothing(hub: Any, tiny: str, model: str) -> None:
    with pytest.raises(UserError, match="cannot see a folder"):
        begin_job("local", table(), recipe(tiny), COLUMNS, JobSettings(), "hf_writer")
    with pytest.raises(UserError, match="your own account"):
        begin_job("local", table(), recipe(model), COLUMNS, JobSettings(), None)
    assert runs.runs("local") == []


@pytest.mark.parametrize("start", ["here", "job"])
def test_one_stopped_while_it_is_made_does_not_start(start: str, hub: Any, model: str) -> None:
    whole: list[int] = []

    def stop(done: int, of: int) -> None:
        whole.extend([done] * (done == of))
        if len(whole) > 1:  # it was made: the last telling
            raise KeyboardInterrupt

    given: tuple[Any, ...] = (table(), recipe(model), COLUMNS)
    begun = {
        "here": lambda: begin_new("local", *given, None, tell=stop),
        "job": lambda: begin_job("local", *given, JobSettings(), "hf_writer", stop),
    }
    with pytest.raises(KeyboardInterrupt):
        begun[start]()
    assert len(whole) == 2 and runs.runs("local") == [] and sent(hub) == {}


@pytest.mark.slow
def test_a_run_goes_to_a_job_and_comes_back(hub: Any, model: str) -> None:
    settings = recipe(model, num_train_epochs=2, report_to="tensorboard")
    run = begin_job("local", table(), settings, COLUMNS, JobSettings(flavor="t4-small"), "hf_writer")
    state = ended(run)
    assert state["status"] == "finished", (state["reason"], (run.folder / "log.txt").read_text()[-3000:])
    assert (run.folder / "adapter" / "adapter_model.safetensors").is_file() and state["evaluation"]["rows"] == 8
    assert state["job"]["flavor"] == "t4-small" and state["job"]["dollars"] > 0
    kinds = [event["event"] for event in run.events()]
    assert kinds.count("step") == state["steps"] == 8 and kinds.count("evaluated") == 1
    assert from_tensorboard(run)["train/loss"] == pytest.approx(losses(run)), "the tracker here has the figures"
    assert hub.repos[f"datasets/ana/{REPO}"].private
    everything = b"".join(path.read_bytes() for path in run.folder.rglob("*") if path.is_file())
    assert b"hf_writer" not in everything + b"".join(hub.files(f"datasets/ana/{REPO}").values())


@pytest.mark.slow
def test_a_job_is_cancelled_and_goes_on_from_its_checkpoint(hub: Any, model: str) -> None:
    settings = recipe(model, num_train_epochs=40, per_device_train_batch_size=2)
    run = begin_job("local", table(), settings, COLUMNS, JobSettings(), "hf_writer")
    _wait(lambda: any(name.startswith(f"{run.id}/checkpoints/") for name in sent(hub)), run)
    runs.find("local", run.id).ask_to_stop()
    assert ended(run)["status"] == "cancelled"
    begin(runs.find("local", run.id).make_ready(), "hf_writer")
    _wait(lambda: [e["step"] for e in run.events() if e["event"] == "training"][1:] != [], run)
    assert [e["step"] for e in run.events() if e["event"] == "training"][-1] > 0, "it went on from a checkpoint"
    runs.find("local", run.id).ask_to_stop()
    ended(run)


@pytest.mark.slow
def test_a_follower_that_is_killed_finds_its_job_again(hub: Any, model: str) -> None:
    run = begin_job("local", table(), recipe(model, num_train_epochs=30), COLUMNS, JobSettings(), "hf_writer")
    _wait(lambda: any(event["event"] == "step" for event in run.events()), run)
    pid = next(p for p in Path("/proc").iterdir() if p.name.isdigit() and f"follow_job\x00{run.id}" in command(p))
    assert b"hf_writer" not in (pid / "cmdline").read_bytes() + (pid / "environ").read_bytes()
    os.kill(int(pid.name), 9)
    _wait(lambda: run.status()["state"] == "dead", run)
    begin(runs.find("local", run.id).make_ready(), "hf_writer")
    state = ended(run)
    steps = [event["step"] for event in run.events() if event["event"] == "step"]
    assert state["status"] == "finished" and steps == list(range(1, state["step"] + 1)), "each event once"
    assert len(json.loads((run.folder / "job.json").read_text())["job"]) == 24


@pytest.mark.slow
def test_a_job_that_ended_unseen_is_brought_back_and_not_paid_twice(hub: Any, model: str) -> None:
    run = begin_job("local", table(), recipe(model), COLUMNS, JobSettings(), "hf_writer")
    _wait(lambda: any(event["event"] == "training" for event in run.events()), run)
    pid = next(p for p in Path("/proc").iterdir() if p.name.isdigit() and f"follow_job\x00{run.id}" in command(p))
    os.kill(int(pid.name), 9)
    _wait(lambda: any(name.startswith(f"{run.id}/out/adapter/") for name in sent(hub)), run)
    _wait(lambda: run.status()["state"] == "dead", run)
    first = runs.snapshot(run)["job"]["job"]
    begin(runs.find("local", run.id).make_ready(), "hf_writer")
    state = ended(run)
    assert state["status"] == "finished" and state["job"]["job"] == first and state["evaluation"]["rows"] == 8


@pytest.mark.slow
def test_rows_go_to_no_public_data_set(hub: Any, model: str) -> None:
    hub.repos[f"datasets/ana/{REPO}"] = Repo(private=False)
    run = begin_job("local", table(), recipe(model), COLUMNS, JobSettings(), "hf_writer")
    assert ended(run)["status"] == "failed" and "make it private first" in run.status()["reason"]
    assert not hub.files(f"datasets/ana/{REPO}")


@pytest.mark.slow
def test_a_job_that_fails_says_why(hub: Any, model: str) -> None:
    del hub.repos[MODEL]
    run = begin_job("local", table(), recipe(model), COLUMNS, JobSettings(), "hf_writer")
    state = ended(run)
    assert state["status"] == "failed" and "ana/tiny" in state["reason"], state["reason"]


def sent(hub: Any) -> dict[str, bytes]:
    repo = f"datasets/ana/{REPO}"
    return hub.files(repo) if repo in hub.repos else {}


def _wait(condition: Any, run: runs.Run, seconds: float = 120) -> None:
    until = time.time() + seconds
    while not condition():
        assert time.time() < until, (run.status(), (run.folder / "log.txt").read_text()[-2000:])
        time.sleep(0.2)
