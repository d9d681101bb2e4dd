"""How long what somebody waits for still takes."""

import time
from typing import Any

import pytest

from prompts.usual import remember, usual, waited
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

        return [(round(event["passed"]), event["remaining"]) for event in all_of()]

    assert told() == [(0, None), (1, None), (2, None)], "the first time nobody knows"
    (_, first), (_, second), (_, third) = told()
    assert first == 2.3 and 1 < (second or 0) < 1.5 and 0 < (third or 0) < 0.5
    assert "secret" not in (home / "usual.json").read_text()
    remember(0.5, "merged", "secret/model")
    assert told()[1:] == [(1, None), (2, None)], "and not where it takes longer"
    with pytest.raises(ZeroDivisionError):
        list(waited(lambda: 1 / 0, "merged", "secret/model"))
    assert usual("merged", "secret/model") == 2.3, "what failed is no last time"


def test_an_export_says_how_long_it_still_writes() -> None:
    event = {"event": "writing", "form": "merged", "passed": 4.0, "remaining": 3.2}
    assert Steps().line(event) == "Writing the merged form: 4 s so far · about 3 s left"
    assert Steps().line({**event, "remaining": None}) == "Writing the merged form: 4 s so far"


def test_a_run_says_how_long_it_will_be_silent(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.create("local", table(), recipe(tiny), COLUMNS)
    assert "Starting…** · 0 s so far" in progress_line(runs.snapshot(run))
    list(execute(run))
    told = {event["event"]: event for event in run.events()}
    took = told["training"]["time"] - told["data"]["time"]
    assert usual("data", tiny) == pytest.approx(took, abs=0.2), "until the first step begins"
    assert usual("loading", tiny) is not None and usual("trained", tiny) is not None

    now = time.time()
    remember(9.0, "data", tiny)
    events = [{"event": "loading", "model": tiny, "time": now - 8}, {"event": "data", "time": now - 4}]
    state = {**runs.snapshot(run), **waits.at(events, run.recipe), "status": "training", "step": None}
    assert "Training** · loading the model: 4 s so far · about 5 s left" in progress_line(state)
    late = waits.at([{"event": "data", "time": now - 20}], run.recipe)["silent"]
    assert late["remaining"] is None and 19 < late["passed"] < 21
    count = {"event": "evaluating", "done": 3, "of": 9, "remaining": 30.0, "time": now - 12}
    assert 17 < waits.at([count], run.recipe)["evaluating"]["remaining"] < 19, "from now, not from when it was told"


def test_the_answers_while_it_learns_are_counted(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = samples._sample
    monkeypatch.setattr(samples, "_sample", lambda *given: time.sleep(0.6) or known(*given))
    run = runs.create("local", table(), recipe(tiny, num_train_epochs=1, sample_rows=3), COLUMNS)
    told = []
    for event in execute(run):
        if event["event"] == "measuring" and event["part"] == "samples":
            told.append((event["done"], event["of"]))
            line = progress_line(runs.snapshot(run))
            assert "answering 2 of 3 rows that it does not learn from" in line and "left" in line
    assert told == [(2, 3)]


def test_who_waits_in_line_is_not_told_by_a_part_of_the_work_before(tiny: str) -> None:
    run = runs.create("local", table(), recipe(tiny), COLUMNS)
    write_json(run.folder / FORECAST, {"seconds": 80.0})
    run.append({"event": "reading", "done": 9, "of": 10, "remaining": 1.0})
    assert remaining(run) == 80, "its rows are read in a second, and then it trains"
    run.append({"event": "step", "step": 1, "remaining": 60.0})
    run.append({"event": "writing", "form": "merged", "passed": 1.0, "remaining": 2.0})
    assert remaining(run) == pytest.approx(60, abs=1)
