"""What is kept of a visitor: limited, removed when it was not changed for long, deleted when its owner wants it."""

import os
import time
from pathlib import Path

import pytest

from prompts import library
from prompts.errors import UserError
from prompts.home import owner_folder, shared_here
from prompts.quotas import Pace, expire, quotas_here, stored_bytes
from prompts.techniques import technique
from prompts.ui.visitor import caller
from tests.tuning.test_train import COLUMNS, recipe, table
from tuning import run as runs
from tuning.data.sources import save_upload
from tuning.hub import hub_api
from tuning.keeping import check_may_start, forget, my_data
from tuning.launch.begin import made
from tuning.launch.process import _environment
from tuning.work import Work


def kept(owner: str = "local") -> None:
    library.save(owner, "mine", "few_shot", technique("few_shot").settings(task="x"))


def waiting(kind: str, name: str, state: str = "starting") -> Work:
    """A work that has just begun, as its folder shows it."""
    folder = owner_folder("local", kind, name)
    folder.mkdir(parents=True)
    work = Work("local", name, folder)
    work.set_state(state)
    return work


def test_there_are_quotas_on_a_space_and_elsewhere_where_they_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(quotas_here().to_json().values()) == {0}
    monkeypatch.setenv("PROMPT_OR_TUNE_QUOTA_DAYS", "7")
    assert quotas_here().days == 7 and quotas_here().stored_mb == 0
    monkeypatch.setenv("SYSTEM", "spaces")
    assert quotas_here().stored_mb == 5_000 and quotas_here().days == 7
    monkeypatch.setenv("PROMPT_OR_TUNE_QUOTA_DAYS", "soon")
    with pytest.raises(UserError, match="days"):
        quotas_here()


def test_who_has_much_at_work_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting("runs", "a" * 20)
    waiting("ladders", "b" * 20)
    waiting("runs", "c" * 20, "finished")
    check_may_start("local")
    monkeypatch.setenv("PROMPT_OR_TUNE_QUOTA_AT_WORK", "2")
    with pytest.raises(UserError, match="2 of your runs, sweeps and ladders are at work or in line, and 2 may be"):
        check_may_start("local")
    check_may_start("somebody")


def test_who_keeps_much_deletes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    big = owner_folder("local", "uploads", "x")
    big.mkdir(parents=True)
    (big / "rows.jsonl").write_bytes(b"x" * 2_000_000)
    file = tmp_path / "new.csv"
    file.write_text("text,label\na,b\n")
    save_upload("local", file)
    monkeypatch.setenv("PROMPT_OR_TUNE_QUOTA_STORED_MB", "2")
    with pytest.raises(UserError, match="you keep 2 MB here, and 2 MB are allowed"):
        save_upload("local", file)


def test_a_run_of_too_many_steps_is_refused_and_leaves_nothing(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPT_OR_TUNE_QUOTA_STEPS", "5")
    with pytest.raises(UserError, match=r"num_train_epochs: \d+ steps, and 5 are allowed"):
        made("local", table(), recipe(tiny, num_train_epochs=9), COLUMNS, None)
    assert runs.runs("local") == []


def test_what_was_not_used_goes_and_what_was_stays() -> None:
    kept()
    old = waiting("runs", "d" * 20, "finished").folder
    long_ago = time.time() - 40 * 86_400
    for path in (*old.rglob("*"), old):
        os.utime(path, (long_ago, long_ago))
    assert expire(30) == [old] and not old.exists()
    assert library.names("local", "few_shot") == ["mine"]
    library.save("local", "mine", "few_shot", technique("few_shot").settings(task="y"))
    (earlier,) = owner_folder("local", "prompts", "mine.versions").iterdir()
    os.utime(earlier, (long_ago, long_ago))
    assert expire(30) == [] and library.versions("local", "mine") == [2, 1], (
        "earlier versions stay as long as the prompt"
    )
    newest = owner_folder("local", "prompts", "mine.yaml")
    os.utime(newest, (long_ago, long_ago))
    assert expire(30) == [newest] and not earlier.parent.exists(), "and go with it"
    fresh = waiting("runs", "e" * 20, "finished").folder
    os.utime(fresh, (long_ago, long_ago))
    assert expire(30) == [], "a folder is as new as the newest file in it"


def test_everything_goes_at_once_and_only_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    kept()
    kept("other")
    assert my_data("local")["kept"] == {"prompts": 1} and my_data("local")["bytes"] == stored_bytes("local") > 0
    work = waiting("runs", "f" * 20)
    monkeypatch.setattr("tuning.keeping.WAIT", 0.3)
    with pytest.raises(UserError, match="1 of your runs are still stopping"):
        forget("local")
    assert (work.folder / "cancel").exists(), "it was asked to stop"
    work.set_state("cancelled")
    assert forget("local")["deleted"] and my_data("local") == {**my_data("local"), "bytes": 0, "kept": {}}
    assert library.names("other", "few_shot") == ["mine"]


def test_who_asks_too_often_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pace()
    for at in (1.0, 2.0, 3.0):
        pace.take("ana", 3, at)
    with pytest.raises(UserError, match="3 a minute may be asked here; wait 51 seconds"):
        pace.take("ana", 3, 10.0)
    pace.take("ben", 3, 10.0)
    pace.take("ana", 3, 61.5)
    assert list(pace._begun) == ["ana", "ben"], "who asked nothing for a minute is forgotten"
    pace.take("ben", 0, 200.0)
    assert list(pace._begun) == ["ben"]


@pytest.mark.parametrize(("name", "value", "is_shared"), [
    ("GRADIO_SERVER_NAME", "0.0.0.0", True), ("GRADIO_SERVER_NAME", "127.0.0.1", False), ("GRADIO_SHARE", "true", True),
    ("SYSTEM", "spaces", True), ("GRADIO_SERVER_PORT", "80", False),
])  # fmt: skip
def test_where_others_reach_the_app_it_keeps_them_apart_and_its_token_to_itself(
    name: str, value: str, is_shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert shared_here() is is_shared
    assert (caller(None, None, None, "secret").owner == "local") is not is_shared
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    assert ("HF_TOKEN" in _environment()) is not is_shared
    if is_shared:
        with pytest.raises(UserError, match="token"):
            hub_api(None)
