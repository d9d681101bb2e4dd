"""What is kept of a visitor: limited, removed when it was not changed for long, deleted when its owner wants it."""

import json
import os
import time
from pathlib import Path

import pytest
from filelock import FileLock

from prompts import library
from prompts.errors import NotFound, UserError
from prompts.home import account_owner, device_lock, owner_folder, shared_here, told_to_share
from prompts.quotas import RUNNING, Pace, allowed, expire, quotas_here, stored_bytes
from prompts.techniques import technique
from prompts.ui.visitor import caller
from prompts.uploads import delete_upload, save_upload, uploads
from tests.tuning.test_train import COLUMNS, recipe, table
from tuning import line
from tuning import run as runs
from tuning.hub import hub_api
from tuning.keeping import check_may_start, forget, my_data
from tuning.launch.begin import made
from tuning.launch.process import environment
from tuning.line import device, in_line
from tuning.ui.keeping_section import use
from tuning.ui.words import line_words
from tuning.usage import check_admin, usage
from tuning.work import Work, write_json


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
    assert ("HF_TOKEN" in environment()) is not is_shared
    if is_shared:
        with pytest.raises(UserError, match="token"):
            hub_api(None)


def test_the_line_is_in_order_and_says_when_it_starts() -> None:
    first, second, third = (waiting("runs", letter * 20, "queued") for letter in "abc")
    ladder = waiting("ladders", "d" * 20, "queued")
    locks = [FileLock(work.folder / "alive.lock") for work in (first, second, third, ladder)]
    for lock in locks:
        lock.acquire()
    assert [work.id[0] for work in line.waiting()] == ["a", "b", "c", "d"], "trainings and ladders stand in one line"
    assert in_line(third, "queued") == {"place_in_line": 3, "starts_in_seconds": None}, "the first two tell nothing"
    for work, seconds in ((first, 30.0), (second, 12.0)):
        write_json(work.folder / "forecast.json", {"seconds": seconds})
    assert in_line(third, "queued") == {"place_in_line": 3, "starts_in_seconds": 42.0}
    assert line_words(in_line(third, "queued")) == "place 3 in line; starts in about 42 s"
    assert in_line(ladder, "queued")["starts_in_seconds"] is None
    line.used_file("local").parent.mkdir()
    with line.used_file("local").open("w") as file:
        file.writelines(json.dumps({"time": at, "seconds": at, "work": "x"}) + "\n" for at in (5.0, 7.0, 90.0))
    assert in_line(ladder, "queued")["starts_in_seconds"] == 49.0, "who tells nothing takes as long as is usual here"
    line.used_file("local").unlink()
    locks[0].release()
    assert in_line(third, "queued") == {"place_in_line": 2, "starts_in_seconds": 12.0}, "who died is passed"
    with FileLock(device_lock()):
        assert in_line(third, "queued")["starts_in_seconds"] is None, (
            "a forecast has the device, and nobody knows for how long"
        )
    assert line_words({"place_in_line": 1, "starts_in_seconds": 0.0}) == "place 1 in line; starts soon"
    (second.folder / "cancel").touch()
    with device(second) as hold:
        assert not hold.mine, "who is cancelled leaves the line"
    second.set_cancelled()
    ladder.set_state("queued")  # behind the third
    third.set_state("starting")
    locks[3].release()
    with device(third) as hold:
        locks[3].acquire()
        ladder.set_state("queued")
        assert hold.mine and line.holder() is not None
        third.set_state("training")
        third.append({"event": "step", "remaining": 100.0})
        assert in_line(ladder, "queued")["starts_in_seconds"] == pytest.approx(100, abs=2), (
            "by the last step of who has it"
        )
        assert in_line(third, "training") == {"place_in_line": None, "starts_in_seconds": None}
    third.append({"event": "queued"})
    assert line.remaining(third) == line.usual_seconds(), "what it told before it was resumed counts no more"


def test_minutes_are_counted_and_then_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    work = waiting("runs", "a" * 20)
    with device(work):
        time.sleep(0.05)
    assert 0 < line.used_seconds("local") < 2 and line.used_seconds("other") == 0
    with line.used_file("local").open("a") as file:
        file.write(json.dumps({"time": time.time() - 90_000, "seconds": 9_000, "work": "x"}) + "\n")
        file.write(json.dumps({"time": time.time() - 80_000, "seconds": 59.9, "work": "x"}) + "\n")
    assert 59.9 < line.used_seconds("local") < 62, "what is older than a day counts no more"
    monkeypatch.setenv("PROMPT_OR_TUNE_QUOTA_MINUTES", "2")
    work.set_state("starting")
    with device(work) as hold:
        work.set_state("training")
        hold.check()
        assert not work.asked_to_stop()
        hold.began -= 60
        hold.check()
    work.set_cancelled()
    assert work.status()["reason"].startswith("2 minutes of this device in 24 hours are allowed")
    with pytest.raises(UserError, match="they are used up; go on tomorrow"):
        check_may_start("local")
    with pytest.raises(UserError, match="they are used up; go on tomorrow"):
        work.make_ready()
    forget("local")
    with pytest.raises(UserError, match="they are used up"):
        check_may_start("local")  # also for who deleted everything


def test_only_the_owner_sees_the_use_of_an_app(monkeypatch: pytest.MonkeyPatch) -> None:
    kept("anon-0123456789abcdef")
    kept("hf-ben")
    work = waiting("runs", "a" * 20)
    check_admin("local")
    with FileLock(work.folder / "alive.lock"), device(work):
        work.set_state("training")
        found = usage()
    assert {line["visitor"] for line in found["visitors"]} == {"anon-0123456", "hf-ben", "local"}
    assert found["device"] == {"visitor": "local", "kind": "runs", "remaining_seconds": None} and found["line"] == []
    assert "Device: **runs of local**. In line: nobody." in use(found) and "| hf-ben | 0.0 | 0 | 0.0 |" in use(found)
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("SPACE_AUTHOR_NAME", "Ana")
    monkeypatch.setenv("PROMPT_OR_TUNE_ADMINS", "ben, c.d")
    for admin in ("hf-ana", "hf-ben", account_owner("C.D")):
        check_admin(admin)
    for other in ("local", "anon-0123456789abcdef", "hf-c-d", ""):
        with pytest.raises(UserError, match="only this app's owner"):
            check_admin(other)


def test_who_has_much_running_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPT_OR_TUNE_QUOTA_AT_ONCE", "2")
    with allowed("ana"), allowed("ana"):
        with pytest.raises(UserError, match="2 of your calls are being answered"), allowed("ana"):
            pass
        with allowed("ben"):
            pass
    with allowed("ana"):
        assert RUNNING._running == {"ana": 1}
    assert not RUNNING._running, "who has nothing running is forgotten"


def test_a_resumed_work_counts_and_a_sweeps_trial_counts_for_its_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPT_OR_TUNE_QUOTA_AT_WORK", "1")
    sweep, trial = waiting("sweeps", "a" * 20), waiting("runs", "b" * 20, "cancelled")
    with pytest.raises(UserError, match="1 of your runs, sweeps and ladders are at work"):
        trial.make_ready()
    assert trial.status_written() == "cancelled"
    (trial.folder / "part_of").write_text(sweep.id)
    assert trial.make_ready().status_written() == "starting"


def test_one_upload_is_deleted_by_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,label\na,b\n")
    source = save_upload("ana", file)
    assert uploads("ana") == [("rows.csv", source)] and uploads("ben") == []
    with pytest.raises(NotFound):
        delete_upload("ben", source)
    assert delete_upload("ana", source)["status"] == "deleted" and uploads("ana") == []


def test_an_app_is_shared_where_it_is_told_to_and_never_by_gradio_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not told_to_share()
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    assert not told_to_share(), "where Gradio would share by itself, the app says no"
    monkeypatch.setenv("GRADIO_SHARE", "True")
    assert told_to_share() and shared_here()
