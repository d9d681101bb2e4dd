"""The app on an emulated ZeroGPU (tests/zerogpu.py): forked workers, grants that end, quotas, over HTTP as visitors come."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SESSION_MODELS
from tests.hub_server import Repo, Server
from tests.serving import serving
from tests.tiny import tiny_llama
from tests.tuning.test_train import COLUMNS, executed, table
from tests.zerogpu import Device, visitor
from tuning import run as runs
from tuning.recipe import Recipe
from tuning.work import ACTIVE

pytestmark = pytest.mark.slow
LEASE = 11  # seconds
RECIPE = {"model": "ana/tiny", "num_train_epochs": 30, "learning_rate": 1e-3, "lora_r": 4, "max_length": 256,
          "per_device_train_batch_size": 1, "gradient_accumulation_steps": 1, "early_stopping_patience": 0,
          "sample_rows": 0}  # fmt: skip


@pytest.fixture(scope="module")
def device() -> Iterator[Device]:
    with Device(most=LEASE) as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("zero")
    (found / "models").symlink_to(SESSION_MODELS)
    tiny_llama(found / "tiny")
    rows = "".join(json.dumps(row) + "\n" for row in table(60).rows)
    (found / "rows.jsonl").write_text(rows)
    return found


@pytest.fixture(scope="module")
def url(device: Device, folder: Path) -> Iterator[str]:
    with Server() as hub:
        hub.repos["ana/tiny"] = Repo(
            False, [("a" * 40, {file.name: file.read_bytes() for file in (folder / "tiny").iterdir()})]
        )
        given = {**device.environment(folder), "HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf")}
        with serving(folder, "tests/zerogpu.py", PROMPT_OR_TUNE_LEASE_SECONDS=str(LEASE), **given) as found:
            yield found


def client(url: str, name: str) -> Any:
    from gradio_client import Client

    return Client(url, verbose=False, headers=visitor(name))


def ended(ana: Any, run: str, seconds: float = 150) -> dict[str, Any]:
    until = time.monotonic() + seconds
    while (state := ana.predict(run=run, api_name="/run_status"))["status"] in ACTIVE:
        assert time.monotonic() < until, state
        time.sleep(0.3)
    return dict(state)


def started(ana: Any, folder: Path, **more: Any) -> str:
    from gradio_client import handle_file

    given = {**RECIPE, **more, "input": ["text"], "output": "label"}
    file = handle_file(folder / "rows.jsonl")
    return str(ana.predict(file=file, api_name="/start_run", **given)["run"])


def events(folder: Path, run: str) -> list[dict[str, Any]]:
    files = folder.glob(f"owners/*/runs/{run}/events.jsonl")
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_a_training_in_slices_ends_as_one_piece_does_and_a_lost_grant_costs_its_slice(
    url: str, device: Device, folder: Path
) -> None:
    ana = client(url, "ana")
    run = started(ana, folder)
    while not any(event["event"] == "slice" for event in events(folder, run)):
        time.sleep(0.2)
    time.sleep(3)
    device.take_away()  # in the middle of the second slice
    state = ended(ana, run)
    assert state["status"] == "finished", state
    told = events(folder, run)
    slices = [event["step"] for event in told if event["event"] == "slice"]
    assert len(slices) >= 2 and any(event["event"] == "lease_lost" for event in told)
    assert all(grant.seconds <= LEASE for grant in device.granted) and {grant.user for grant in device.granted} == {
        "ana"
    }
    (adapter,) = folder.glob(f"owners/*/runs/{run}/adapter/adapter_model.safetensors")
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = executed(runs.create("local", table(60), Recipe(**{**RECIPE, "model": str(folder / "tiny")}), COLUMNS))
    finally:
        torch.set_num_threads(threads)
    assert adapter.read_bytes() == (whole.folder / "adapter" / adapter.name).read_bytes(), "slices change nothing"
    assert state["evaluation"]["rows"] == len(whole.numbers("held_out"))


def test_who_has_no_quota_is_told_and_others_go_on(url: str, device: Device, folder: Path) -> None:
    device.left["ben"] = 2.0
    ben, cleo = client(url, "ben"), client(url, "cleo")
    with pytest.raises(Exception, match=r"You have exceeded your .*quota .*Go on when there is more"):
        ben.predict(task="x", model="ana/tiny", max_new_tokens=4, api_name="/few_shot")
    run = started(ben, folder, num_train_epochs=1)
    state = ended(ben, run)
    assert state["status"] == "failed" and "quota" in state["reason"]
    assert cleo.predict(task="x", model="ana/tiny", max_new_tokens=4, api_name="/few_shot")["finish"] in (
        "stop",
        "length",
    )
    device.left["ben"] = 300.0
    ben.predict(run=run, api_name="/resume_run")
    assert ended(ben, run)["status"] == "finished", "with new quota it goes on"


def test_bad_input_crosses_the_boundary_as_a_sentence(url: str, folder: Path) -> None:
    ana = client(url, "dora")
    with pytest.raises(Exception, match="there is no model 'ana/nothing'"):
        ana.predict(task="x", model="ana/nothing", api_name="/few_shot")
    with pytest.raises(Exception, match="the model's window holds 1,024"):
        ana.predict(task="x" * 3000, model="ana/tiny", api_name="/few_shot")
    run = started(ana, folder, num_train_epochs=1, method="qlora")
    state = ended(ana, run)
    assert state["status"] == "failed" and "GPU" in state["reason"], state


def test_the_forecast_says_what_the_quota_allows_and_a_ladder_climbs(url: str, folder: Path) -> None:
    from gradio_client import handle_file

    eva = client(url, "eva")
    found = eva.predict(file=handle_file(folder / "rows.jsonl"), input=["text"], output="label", api_name="/forecast",
                        **{**RECIPE, "num_train_epochs": 1})  # fmt: skip
    assert (
        found["slices"] == 1
        and "a visitor without an account about 2 minutes of it a day" in found["allowance"]["sentence"]
    )
    run = started(eva, folder, num_train_epochs=1)
    assert ended(eva, run)["status"] == "finished"
    ladder = eva.predict(run=run, rungs=["zero_shot", "lora_short"], api_name="/ladder")["ladder"]
    until = time.monotonic() + 90
    while (state := eva.predict(ladder=ladder, api_name="/ladder_status"))["status"] in ACTIVE:
        assert time.monotonic() < until
        time.sleep(0.3)
    assert state["status"] == "finished", state
    assert [line["status"] for line in state["rungs"]] == ["done", "done"]
