"""Publishing to a Hub that speaks the real protocol, and every refusal it may give."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from starlette.responses import Response

from prompts.errors import UserError, WorldError
from prompts.messages import Prompt
from tests.hub_server import Dropped, Repo
from tests.test_architecture import ROOT
from tests.tiny import tiny_bert, tiny_llama, tiny_t5
from tests.tuning.test_train import COLUMNS, executed, recipe, table
from tuning import run as runs
from tuning.base import FILE as BASE
from tuning.evaluate import evaluate
from tuning.harm.screen import screen
from tuning.hub import hub_api
from tuning.launch import apart
from tuning.launch.begin import made
from tuning.launch.upload import _counted
from tuning.llama import asked
from tuning.publish import Publish, publish, publishing
from tuning.published_base import checked_base
from tuning.repos import push, read_back
from tuning.ui.publish_views import Steps

LARGE = 24_000_000  # bytes


@pytest.fixture(autouse=True)
def here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The uploads and the round trip in this process, which saves seconds; some tests take the fresh processes."""
    if "fresh" not in request.fixturenames:
        monkeypatch.setattr(apart, "apart", in_this_process)


def in_this_process(work: Any, document: dict[str, Any], tell: Any) -> Any:
    """As `apart`."""
    return json.loads(json.dumps(work(json.loads(json.dumps(document)), tell)))


@pytest.fixture
def fresh() -> None:
    """The real thing."""


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A folder to upload: too much for what a connection keeps on its way."""
    folder = tmp_path / "large"
    folder.mkdir()
    (folder / "README.md").write_text("# Large\n")
    (folder / "model.safetensors").write_bytes(random.Random(0).randbytes(LARGE))
    return folder


@pytest.fixture
def finished(tiny: str) -> runs.Run:
    return executed(runs.create("local", table(), recipe(tiny), COLUMNS), then=evaluate)


def test_an_adapter_is_published_private_with_a_card_and_read_back(finished: runs.Run, hub: Any) -> None:
    document = publish(finished, Publish(repo_id="my-emails"), token="hf_writer")
    assert document["repo"] == "ana/my-emails" and document["private"]
    files = hub.files("ana/my-emails")
    assert set(document["files"]) == set(files)
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "README.md"} <= set(files)
    card = files["README.md"].decode()
    assert "exact match" in card and "8 held-out" not in card.split("---")[0]
    assert finished.about["fingerprint"] in card
    assert not [name for name, body in files.items() if finished.recipe.model.encode() in body], (
        "no path of this machine"
    )
    assert runs.snapshot(runs.find("local", finished.id))["published"]["revision"] == document["revision"]
    again = publish(finished, Publish(repo_id="ana/my-emails"), token="hf_writer")
    assert again["repo"] == document["repo"], "the same run may publish again"
    with pytest.raises(UserError, match="exists and is private"):
        publish(finished, Publish(repo_id="ana/my-emails", private=False), token="hf_writer")
    last = publish(finished, Publish(repo_id="ana/my-emails", delete_run=True), token="hf_writer")
    assert last["deleted"] and runs.runs("local") == [] and hub.files("ana/my-emails")["README.md"], (
        "gone here, there it stays"
    )


def test_a_push_says_each_step_and_how_far_it_is(finished: runs.Run, hub: Any) -> None:
    steps, lines = Steps(), []
    events = list(publishing(finished, Publish(repo_id="told", data=True, space=False), token="hf_writer"))
    for event in events[:-1]:
        lines.append(steps.line(event))
    kinds = [kind for kind, _ in groupby(event["event"] for event in events)]
    assert kinds == ["writing", "uploading", "reading_back", "loading_again", "uploading", "published"]
    back = [event for event in events if event["event"] == "reading_back"]
    size = sum(map(len, hub.files("ana/told").values()))
    assert {event["of"] for event in back} == {size}
    done = [event["done"] for event in back]
    assert done == sorted(done) and done[0] == 0 and done[-1] > 0
    assert f"Uploading to ana/told: 0.0 of {size / 1e6:.1f} MB…" in lines
    assert f"Reading every file of ana/told back: 0.0 of {size / 1e6:.1f} MB…" in lines
    assert "Loading ana/told in a fresh process and asking it: 0 of 8 · 0 s so far" in lines
    assert lines[-1] == "Uploading to ana/told-data: 0.0 of 0.0 MB…"


@pytest.mark.usefixtures("fresh")
def test_an_upload_says_how_far_it_is(hub: Any, large: Path) -> None:
    hub.repos["ana/x"], hub.slowness = Repo(True, [("0" * 40, {"old.txt": b"x", "kept.txt": b"x"})]), 0.1
    events = list(push(hub_api("hf_writer"), "ana/x", large, "All", gone=["old.txt", "gone.txt"]))
    assert {(event["event"], event["repo"], event["of"]) for event in events} == {("uploading", "ana/x", LARGE + 8)}
    done = [event["done"] for event in events]
    assert done == sorted(done) and len({n for n in done if 0 < n < LARGE}) > 1
    assert set(hub.files("ana/x")) == {"README.md", "model.safetensors", "kept.txt"}


@pytest.mark.usefixtures("fresh")
def test_an_upload_that_is_stopped_leaves_no_process_and_no_commit(hub: Any, large: Path) -> None:
    hub.repos["ana/x"], hub.slowness = Repo(True), 10.0
    events = push(hub_api("hf_writer"), "ana/x", large, "All")
    while not next(events)["done"]:
        pass
    children = [one for one in psutil.Process().children(recursive=True) if "tuning.launch.upload" in one.cmdline()]
    assert len(children) == 1
    events.close()  # what Stop does
    assert not children[0].is_running() and len(hub.repos["ana/x"].commits) == 1
    hub.slowness = 0.0
    assert list(push(hub_api("hf_writer"), "ana/x", large, "All")) and len(hub.files("ana/x")) == 2


def test_the_bytes_of_the_hubs_other_way_to_upload_are_counted() -> None:
    """Xet, which no server on loopback speaks: what its client tells, told here."""
    from huggingface_hub.utils._xet_progress_reporting import XetUploadProgressReporter

    told: list[int] = []
    with _counted(told.append):
        bars = XetUploadProgressReporter()
        for done in (0, 3, 6, 9):
            item = SimpleNamespace(item_name="model.safetensors", bytes_completed=done, total_bytes=9)
            names = ("completed", "completion_rate")
            all_items = {f"total{part}_bytes_{name}": done for part in ("", "_transfer") for name in names}
            bars.update_progress(
                SimpleNamespace(total_bytes=9, total_transfer_bytes=9, shard=None, **all_items), {item.item_name: item}
            )
        bars.close()
    assert sorted(set(told)) == [0, 3, 6, 9] and told == sorted(told)


def test_reading_back_only_counts_up(large: Path, tmp_path: Path) -> None:
    def slow(_repo: str, name: str, *, local_dir: Path, tqdm_class: Any, revision: str) -> None:
        size = (large / name).stat().st_size
        bar = tqdm_class(total=size, unit="B")
        for _ in range(4):
            time.sleep(0.2)
            bar.update(size // 4)
        local_dir.mkdir(exist_ok=True)
        shutil.copy(large / name, local_dir / name)

    events = read_back(SimpleNamespace(hf_hub_download=slow), "ana/x", "main", large, tmp_path / "back")
    done = [event["done"] for event in events]
    assert done == sorted(done) and len(set(done)) > 2


@pytest.mark.usefixtures("fresh")
def test_a_refused_upload_says_why(hub: Any, large: Path) -> None:
    hub.repos["ana/x"] = Repo(True)
    for token, kind, message in (("hf_reader", UserError, "token: the token may not write to ana/x"),
                                 ("hf_wrong", UserError, "token: the Hub does not know the token")):  # fmt: skip
        with pytest.raises(kind, match=message) as refused:
            list(push(hub_api(token), "ana/x", large, "All"))
        assert refused.value.field == "token"
    hub.fault = lambda line: Response(status_code=429) if "/commit/" in line else None
    with pytest.raises(WorldError, match="asks to wait"):
        list(push(hub_api("hf_writer"), "ana/x", large, "All"))


def test_a_file_that_llama_cpp_cannot_read_is_said(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    file = tmp_path / "model-F16.gguf"
    file.write_bytes(b"GGUF and nothing more")
    with pytest.raises(WorldError, match=r"llama.cpp cannot read model-F16.gguf; take the merged form"):
        next(asked(file, [Prompt(())], 4))


def test_a_token_is_plain_text(finished: runs.Run, hub: Any) -> None:
    with pytest.raises(UserError, match="no such characters"):
        publish(finished, Publish(repo_id="ana/my-emails"), token="hf_wrïter")


@pytest.mark.parametrize(
    ("repo", "token", "kind", "message"),
    [
        ("a b", "hf_writer", UserError, "not a valid name"),
        ("x", "hf_wrong", UserError, "does not know the token"),
        ("x", "hf_reader", UserError, "may not write"),
        ("ben/x", "hf_writer", UserError, "may not write"),
        ("taken", "hf_writer", UserError, "exists already"),
    ],
)
def test_wrong_names_and_tokens(finished: runs.Run, hub: Any, repo: str, token: str, kind: type, message: str) -> None:
    hub.repos["ana/taken"] = Repo(True, [("0" * 40, {"model.bin": b"x"})])
    with pytest.raises(kind, match=message):
        publish(finished, Publish(repo_id=repo), token=token)
    assert runs.snapshot(finished)["published"] is None
    assert list(hub.repos) == ["ana/taken"]


@pytest.mark.parametrize(("status", "message"), [(429, "asks to wait"), (412, "changed meanwhile")])
def test_a_refused_commit_loses_nothing(finished: runs.Run, hub: Any, status: int, message: str) -> None:
    hub.fault = lambda line: Response(status_code=status) if "/commit/" in line else None
    with pytest.raises(WorldError, match=message):
        publish(finished, Publish(repo_id="x"), token="hf_writer")
    assert runs.snapshot(finished)["published"] is None
    hub.fault = lambda line: None
    assert publish(finished, Publish(repo_id="x"), token="hf_writer")["repo"] == "ana/x", "no second repo, no refusal"


def test_a_repository_whose_making_was_not_answered_is_used_and_no_second_one_made(
    finished: runs.Run, hub: Any
) -> None:
    hub.late_fault = lambda line: Dropped() if line.endswith("/repos/create") else None
    with pytest.raises(WorldError, match="connection to the Hub broke"):
        publish(finished, Publish(repo_id="x"), token="hf_writer")
    hub.late_fault = lambda line: None
    assert publish(finished, Publish(repo_id="x"), token="hf_writer")["repo"] == "ana/x" and list(hub.repos) == [
        "ana/x"
    ]


FAULTS = (401, 403, 404, 409, 412, 429, 500, 503, None)


def broken(status: int | None) -> Response:
    return Dropped() if status is None else Response(status_code=status)


@pytest.mark.timeout(300)
def test_whatever_breaks_a_push_nothing_is_lost_and_nothing_is_called_published(
    finished: runs.Run, hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One fault at each request of a push, in turn; tests/benchmarks/pushes.py takes every fault at every request."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client waits before it tries again
    settings = Publish(repo_id="x", data=True)
    count = pushed_with(finished, hub, settings, -1, 0)
    adapter = (finished.folder / "adapter" / "adapter_model.safetensors").read_bytes()
    refused = 0
    for at in range(count):
        refused += pushed_with(finished, hub, settings, at, FAULTS[at % len(FAULTS)]) < 0
        assert (finished.folder / "adapter" / "adapter_model.safetensors").read_bytes() == adapter
    assert refused > count // 2
    hub.fault = lambda line: None
    assert publish(finished, settings, token="hf_writer")["repo"] == "ana/x"
    assert sorted(hub.repos) == ["ana/x", "datasets/ana/x-data"], "no second repo"


def pushed_with(run: runs.Run, hub: Any, settings: Publish, at: int, status: int | None) -> int:
    """How many requests a push made whose request number `at` met a fault, again and again; -1 where it was refused."""
    (run.folder / "published.json").unlink(missing_ok=True)
    seen: list[str] = []

    def fault(line: str) -> Response | None:
        seen.append(line)
        if len(seen) == at + 1 or (at >= 0 and len(seen) > at and line == seen[at]):
            return broken(status)
        return None

    hub.fault = fault
    refusal = ""
    try:
        publish(run, settings, token="hf_writer")
    except (UserError, WorldError) as error:
        refusal = str(error)
    assert bool(refusal) == (runs.snapshot(run)["published"] is None), "what is refused is not called published"
    return -1 if refusal else len(seen)


@pytest.mark.parametrize("make", [tiny_bert, tiny_t5, tiny_llama])
def test_every_family_is_published_merged_and_loaded_again(make: Any, tmp_path: Path, hub: Any) -> None:
    run = executed(runs.create("local", table(), recipe(str(make(tmp_path / "model"))), COLUMNS), then=evaluate)
    list(screen(run))
    document = publish(run, Publish(repo_id="m", form="merged", license="apache-2.0", data=True), token="hf_writer")
    assert document["check"] == {"rows": 8, "same": 8, "differ": [], "by": "transformers"}
    assert document["round_trip"]["rows"] == 3
    files = hub.files("ana/m")
    assert {"model.safetensors", "config.json", "README.md", "tokenizer.json"} <= set(files)
    assert not [name for name, body in files.items() if str(tmp_path).encode() in body], "no path of this machine"
    card = files["README.md"].decode()
    assert "license: apache-2.0" in card and "model-index" in card and "People exchanged" in card
    assert "8 of 8 held-out rows it answers exactly as the adapter does" in card
    assert set(hub.files("datasets/ana/m-data")) == {"train.jsonl", "validation.jsonl", "test.jsonl", "README.md"}
    assert len(hub.files("datasets/ana/m-data")["test.jsonl"].splitlines()) == 8
    adapter = publish(run, Publish(repo_id="ana/m"), token="hf_writer")
    assert adapter["revision"] != document["revision"], "another form is a new revision"
    assert "model.safetensors" not in hub.files("ana/m") and "adapter_model.safetensors" in hub.files("ana/m")


@pytest.mark.slow
@pytest.mark.usefixtures("fresh")
def test_what_came_back_is_loaded_in_a_fresh_process(finished: runs.Run, hub: Any) -> None:
    document = publish(finished, Publish(repo_id="x"), token="hf_writer")
    assert document["round_trip"]["rows"] == 3 and len(document["round_trip"]["logits"]) == 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answers": ["blue", "?", "red"]}, "answers differently: '\\?' instead of"),
        ({"digest": "other"}, "other logits"),
    ],
)
def test_what_answers_differently_is_not_called_published(
    finished: runs.Run, hub: Any, change: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {"digest": "d", "top": [1.0], "answers": ["blue", "blue", "red"]}
    monkeypatch.setattr("tuning.publish.both", lambda given, tell: {"here": here, "there": {**here, **change}})
    with pytest.raises(WorldError, match=message):
        publish(finished, Publish(repo_id="x"), token="hf_writer")
    assert runs.snapshot(finished)["published"] is None


def test_a_base_that_is_gone_gated_or_moved_is_caught(finished: runs.Run, hub: Any) -> None:
    known = json.loads((finished.folder / BASE).read_text())
    (finished.folder / BASE).write_text(json.dumps({**known, "revision": "a" * 40}))
    file = finished.folder / "recipe.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "model": "ana/base"}))
    run, api = runs.find("local", finished.id), hub_api("hf_writer")
    with pytest.raises(UserError, match="not on the Hub any more"):
        checked_base(api, run)
    hub.repos["ana/base"] = Repo(False, [("a" * 40, {})])
    assert checked_base(api, run) == {"id": "ana/base", "revision": "a" * 40}
    hub.repos["ana/base"].commits.append(("b" * 40, {}))
    assert checked_base(api, run) == {"id": "ana/base", "revision": "a" * 40, "moved_to": "b" * 40}
    hub.fault = lambda line: (
        Response(status_code=403, headers={"X-Error-Code": "GatedRepo"}) if "ana/base" in line else None
    )
    assert checked_base(api, run)["gated"]


def test_whether_the_token_may_write_is_known_before_anything_is_trained(tiny: str, hub: Any) -> None:
    settings = recipe(tiny, hub_model_id="ana/early")
    for token, message in (("hf_reader", "may not write"), ("hf_wrong", "does not know the token")):
        with pytest.raises(UserError, match=message):
            made("local", table(), settings, COLUMNS, token)
    assert not hub.repos and not runs.runs("local"), "nothing is left of a run that is refused"
    run = executed(made("local", table(), settings, COLUMNS, "hf_writer"), then=evaluate, token="hf_writer")
    assert runs.snapshot(run)["published"]["repo"] == "ana/early" and hub.repos["ana/early"].private
    later = made("local", table(), recipe(tiny, hub_model_id="ana/later"), COLUMNS, "hf_writer")
    hub.fault = lambda line: Response(status_code=429) if "/commit/" in line else None
    event = next(e for e in executed(later, token="hf_writer").events() if e["event"] == "not_published")
    assert "asks to wait" in event["reason"] and later.status()["state"] == "finished"


@pytest.mark.slow
def test_the_python_of_the_card_runs(hub: Any, home: Path, tmp_path: Path) -> None:
    """A base from the Hub, trained and published by the command line; then the card's own code, in a process of its own."""
    base = tiny_llama(tmp_path / "base")
    files = {path.name: path.read_bytes() for path in base.iterdir()}
    hub.repos["ana/base"] = Repo(False, [("a" * 40, files)])
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in table().rows))
    words = ["-m", "tuning", "train", str(rows), "--model", "ana/base", "--hub-model-id", "tuned", "--evaluate", "--json",
             "--num-train-epochs", "1", "--input", "text", "--output", "label"]  # fmt: skip
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_writer"}
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["published"]["base"] == {"id": "ana/base", "revision": "a" * 40}
    assert json.loads(hub.files("ana/tuned")["adapter_config.json"])["revision"] == "a" * 40
    card = hub.files("ana/tuned")["README.md"].decode()
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert code and "--lora-modules tuned=ana/tuned" in card
    ran = subprocess.run(
        [sys.executable, "-c", code.group(1)],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert ran.returncode == 0 and ran.stdout, ran.stderr


def test_a_file_that_comes_back_different_is_not_called_published(finished: runs.Run, hub: Any) -> None:
    hub.fault = lambda line: (
        Response(b"{}", headers={"X-Repo-Commit": "0" * 40, "ETag": '"x"'})
        if line.endswith("adapter_config.json")
        else None
    )
    with pytest.raises(WorldError, match=r"adapter_config.json came back different"):
        publish(finished, Publish(repo_id="x"), token="hf_writer")
    assert runs.snapshot(finished)["published"] is None


def test_no_network_is_a_sentence(finished: runs.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WorldError, match="nothing is lost"):
        publish(finished, Publish(repo_id="ana/x"), token="hf_writer")


def test_a_space_never_uses_its_own_token(finished: runs.Run, hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    with pytest.raises(UserError, match="sign in"):
        publish(finished, Publish(repo_id="ana/x"), token=None)
    assert not hub.requests
