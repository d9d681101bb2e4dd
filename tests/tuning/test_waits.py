"""How long what somebody waits for still takes."""

import re
import time
from threading import Event, Thread
from typing import Any

import pytest

from prompts.quotas import RUNNING
from prompts.ui.calls import like
from prompts.usual import remember, usual, waited
from tests.tuning.test_sweep import wait
from tests.tuning.test_train import COLUMNS, recipe, table
from tuning import run as runs
from tuning import samples, waits
from tuning.execute import execute
from tuning.line import FORECAST, remaining
from tuning.ui.publish_views import Steps
from tuning.ui.views import progress_line
from tuning.work import write_json


def test_what_cannot_be_counted_is_told_by_the_last_time(home: Any) -> None:
    def work() -> str:
        time.sleep(2.3)
        return "done"

    def told() -> list[tuple[float, float | None]]:
        def all_of() -> Any:
            assert (yield from waited(work, "merged", "secret/model")) == "done"

        return [(event["passed"], event["remaining"]) for event in all_of()]

    first = told()
    assert first[0] == (0, None) and first[1][0] >= 1 and {seconds for _, seconds in first} == {None}
    took = usual("merged", "secret/model") or 0
    assert took >= 2.3 and "secret" not in (home / "usual.json").read_text()
    for passed, seconds in told():
        assert seconds == (pytest.approx(took - passed, abs=0.11) if passed < took else None)
    remember(0.5, "merged", "secret/model")
    assert {seconds for _, seconds in told()[1:]} == {None}, "nor does anybody where it takes longer"
    took = usual("merged", "secret/model") or 0
    with pytest.raises(ZeroDivisionError):
        list(waited(lambda: 1 / 0, "merged", "secret/model"))
    assert usual("merged", "secret/model") == took, "what failed is no last time"


def test_an_export_says_how_long_it_still_writes() -> None:
    event = {"event": "writing", "form": "merged", "passed": 4.0, "remaining": 3.2}
    assert Steps().line(event) == "Writing the merged form: 4 s so far · about 3 s left"
    assert Steps().line({**event, "remaining": None}) == "Writing the merged form: 4 s so far"


def test_many_remember_at_once_and_nothing_is_lost(home: Any) -> None:
    threads = [Thread(target=lambda at=at: [remember(at, at, one) for one in range(9)]) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [[usual(at, one) for one in range(9)] for at in range(4)] == [[float(at)] * 9 for at in range(4)]
    (home / "usual.json").write_text("{")
    remember(3, "x")
    assert usual("x") == 3 and usual(1, 1) is None, "a broken file is begun anew"


def test_who_stops_a_call_does_not_keep_the_others_waiting() -> None:
    ended = Event()

    def work() -> Any:
        try:
            yield 1
            yield 2
        finally:
            time.sleep(1.5)  # what cannot be broken off
            ended.set()

    told = like(work, lambda _values: ("local", work), costs=True)()
    assert next(told) == 1
    began = time.monotonic()
    told.close()
    assert time.monotonic() - began < 1 and not ended.is_set()
    assert RUNNING._running["local"] == 1, "it counts until it has ended"
    assert ended.wait(5)
    wait(lambda: not RUNNING._running["local"])


def test_a_run_says_how_long_it_will_be_silent(tiny: str) -> None:
    run = runs.create("local", table(), recipe(tiny), COLUMNS)
    assert re.search(r"Starting…\*\* · \d s so far", progress_line(runs.snapshot(run)))
    list(execute(run))
    told = {event["event"]: event for event in run.events()}
    took = told["training"]["time"] - told["data"]["time"]
    assert usual("data", tiny) == pytest.approx(took, abs=0.5), "until the first step begins"
    assert None not in (usual("starting"), usual("loading"))
    assert usual("loading", tiny) is None, "before it is seen who may read a model, nothing is told of it"

    remember(9.0, "data", tiny)
    found = runs.snapshot(run)
    now = time.time()
    events = [{"event": "loading", "model": tiny, "time": now - 8}, {"event": "data", "time": now - 4}]
    state = {**found, **waits.at(events, run.recipe), "status": "training", "step": None}
    assert "Training** · loading the model: 4 s so far · about 5 s left" in progress_line(state)
    assert waits.at(events, run.recipe, here=False)["silent"]["remaining"] is None, (
        "elsewhere it takes as long as it takes"
    )
    assert waits.at([{"event": "data", "time": now - 20}], run.recipe)["silent"]["remaining"] is None, "late"
    count = {"event": "evaluating", "done": 3, "of": 9, "remaining": 30.0, "time": now - 12}
    assert 17 < waits.at([count], run.recipe)["evaluating"]["remaining"] < 19, "from now, not from when it was told"
    assert waits.at([{**count, "time": now - 40}], run.recipe)["evaluating"]["remaining"] is None, "late"
    step = {"event": "step", "remaining": 300.0, "time": now - 30}
    assert 269 < waits.at([step, {"event": "sample", "time": now}], run.recipe)["remaining"] < 271
    resumed = [step, {"event": "queued", "time": now - 9}, {"event": "training", "time": now - 2}]
    found = waits.at([*resumed, {"event": "tracker", "time": now - 1}], run.recipe)
    assert found["remaining"] is None and found["silent"]["after"] == "training", "the steps before tell nothing"


def test_what_comes_in_between_ends_no_silence(tiny: str) -> None:
    silences = waits.Silences(recipe(tiny), time.time() - 5)
    for kind in ("queued", "loading", "data", "training", "tracker"):
        silences.heard({"event": kind})
    assert usual("starting") == pytest.approx(5, abs=1) and usual("training", tiny, 256, 8) is None
    silences.heard({"event": "step"})
    assert usual("training", tiny, 256, 8) == pytest.approx(0, abs=1)
    silences.heard({"event": "trained"})
    silences.heard({"event": "finished"})
    assert usual("trained", tiny) is None, "nothing was measured"


def test_the_answers_while_it_learns_are_counted(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = samples._sample
    monkeypatch.setattr(samples, "_sample", lambda *given: time.sleep(0.6) or known(*given))
    run = runs.create("local", table(), recipe(tiny, num_train_epochs=1, sample_rows=3), COLUMNS)
    told = 0
    for event in execute(run):
        if event["event"] == "measuring" and event["part"] == "samples":
            told += 1
            said = rf"answering {event['done']} of 3 rows that it does not learn from( · about \d+ s left)?$"
            assert re.search(said, progress_line(runs.snapshot(run)).split(" · loss on")[0])
    assert 1 <= told <= 2


def test_who_waits_in_line_is_not_told_by_a_part_of_the_work_before(tiny: str) -> None:
    run = runs.create("local", table(), recipe(tiny), COLUMNS)
    write_json(run.folder / FORECAST, {"seconds": 80.0})
    run.append({"event": "reading", "done": 9, "of": 10, "remaining": 1.0})
    assert remaining(run) == 80, "its rows are read in a second, and then it trains"
    run.append({"event": "step", "step": 1, "remaining": 60.0})
    run.append({"event": "writing", "form": "merged", "passed": 1.0, "remaining": 2.0})
    assert remaining(run) == pytest.approx(60, abs=1)
