"""Long work, told while it goes on: how far it is, what is left, and its end when nobody listens."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import psutil
import pytest

from prompts.errors import UserError
from prompts.following import paced, seconds_left, told_meanwhile
from prompts.rows import INDEX, LINES
from prompts.ui.calls import like
from prompts.ui.forms import form
from prompts.ui.intake import Intake
from prompts.ui.progress import TimeLeft, duration
from prompts.ui.slider import slider
from prompts.usual import Count, Pace
from tuning.cli.common import sentence
from tuning.launch.apart import apart
from tuning.launch.measure import measured_apart
from tuning.recipe import Recipe


def test_work_tells_how_far_it_is_and_last_what_it_found() -> None:
    def work(tell: Any) -> str:
        for done in range(1, 5):
            time.sleep(0.02)
            tell(done, 4)
        return "found"

    told = list(told_meanwhile(work, every=0.03))
    assert told[-1] == {"found": "found"} and 1 <= len(told) - 1 <= 3
    assert all(one["of"] == 4 for one in told[:-1])


def test_work_that_nobody_follows_any_more_ends_at_its_next_telling() -> None:
    ended, told = threading.Event(), 0

    def work(tell: Any) -> None:
        nonlocal told
        try:
            for done in range(10_000):
                told = done
                tell(done, 10_000)
                time.sleep(0.001)
        finally:
            ended.set()

    events = told_meanwhile(work, every=0.0)
    next(events)
    events.close()  # what Stop does
    assert ended.is_set() and told < 1000


def test_of_events_that_only_count_few_are_shown_and_of_others_all() -> None:
    counted = [{"event": "asking", "done": done, "of": 3} for done in range(1, 4)]
    events = [{"event": "writing"}, *counted, {"event": "uploading", "done": 0, "of": 9}, {"event": "published"}]
    assert [event["event"] for event in paced(events, seconds=60)] == ["writing", "asking", "uploading", "published"]
    assert list(paced(events, seconds=0)) == events
    assert (
        sentence({"event": "reading_back", "repo": "ana/x", "done": 1200, "of": 5000})
        == "reading back ana/x: 1,200 of 5,000"
    )


def test_rows_on_their_way_in_are_counted_and_what_is_wrong_with_them_takes_the_line_away() -> None:
    with gr.Blocks():
        intake, field = Intake(), gr.Textbox()

    def read(tell: Any) -> Any:
        for done in range(1, 4):
            time.sleep(0.3)
            tell(done * 1000, 0)
        return {field: "there"}

    *told, last = intake.shown(read)
    assert [one[intake.line] for one in told] == ["Reading rows: 2,000 so far…"]
    assert last[field] == "there" and not last[intake.row].visible

    def refuse(tell: Any) -> Any:
        raise UserError("no rows")

    shown = intake.shown(refuse)
    assert not next(shown)[intake.row].visible
    with pytest.raises(UserError, match="no rows"):
        next(shown)


def test_what_a_long_work_failed_of_stays_in_its_line() -> None:
    line: Any = object()

    def work() -> Any:
        yield {line: "1 of 3"}
        raise UserError("no {what}", what="rows", field="data")

    shown = like(work, lambda _values: ("ana", work), costs=False, line=line)()
    assert [next(shown), next(shown)] == [{line: "1 of 3"}, {line: "Failed: data: no rows"}]
    with pytest.raises(gr.Error, match="data: no rows"):
        next(shown)


def test_a_forecast_that_nobody_follows_any_more_leaves_no_process(tmp_path: Path) -> None:
    for name in (INDEX, LINES):
        os.mkfifo(tmp_path / name)  # rows that never come: it is at work until it is stopped
    given = {"home": str(tmp_path), "name": "rows", "columns_of_rows": ["text"]}
    events = told_meanwhile(lambda tell: apart(measured_apart, given, tell), every=0.0)
    assert next(events)["of"] == 1
    children = [
        child for child in psutil.Process().children(recursive=True) if "tuning.launch.measure" in child.cmdline()
    ]
    assert len(children) == 1
    events.close()
    assert not children[0].is_running()


def test_what_is_wrong_is_raised_where_it_is_followed() -> None:
    def work(_tell: Any) -> None:
        raise UserError("no rows")

    with pytest.raises(UserError, match="no rows"):
        list(told_meanwhile(work))


def test_seconds_left_are_those_of_the_pace_so_far() -> None:
    assert seconds_left(time.monotonic() - 10, 10, 100) == pytest.approx(90, abs=1)


def test_a_line_says_what_is_left_once_that_can_be_known() -> None:
    began = time.monotonic()
    left = TimeLeft()
    assert left.line({"done": 3, "of": 1000, "variant": "a"}, began + 1) == "a: 3 of 1,000…"
    assert left.line({"done": 0, "of": 10}, began + 9) == "0 of 10…"
    assert left.line({"done": 10, "of": 100}, began + 10).startswith("10 of 100 · about 1 min 30 s left")
    assert left.line({"done": 10, "of": 100}, began + 40).endswith("about 1 min 0 s left"), (
        "it shrinks while nothing is told"
    )
    assert left.line({"done": 10, "of": 100}, began + 100) == "10 of 100…", "and then nobody knows"
    assert left.line({"done": 20, "of": 100}, began + 100).endswith("about 6 min 40 s left")
    assert left.line({"done": 100, "of": 100}, began + 100) == "100 of 100…"
    assert TimeLeft().line({"done": 5, "of": 45, "remaining": 20.0}) == "5 of 45 · about 20 s left"
    assert TimeLeft().line({"done": 5, "of": 45, "remaining": None}, began + 9) == "5 of 45…"
    few = {"done": 2_000, "of": 271_000_000, "bytes": True}
    assert TimeLeft().line(few, began + 3) == "0.0 of 271.0 MB…", "a small file tells nothing of a large one"
    assert [duration(seconds) for seconds in (None, 59, 75, 3_700)] == ["?", "59 s", "1 min 15 s", "1 h 1 min"]


def test_what_is_left_is_told_by_what_is_asked_and_not_by_what_was_known(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("prompts.usual.time", SimpleNamespace(monotonic=lambda: now))
    pace = Pace(20, 30.0)  # 20 of 45 are to be asked

    def later(seconds: float) -> bool:
        nonlocal now
        now += seconds
        return True

    def one(*counts: tuple[int, float]) -> Iterator[Count]:
        return (Count(count) for count, seconds in counts if later(seconds))

    first = [event["remaining"] for event in pace.told(one((15, 0), (15, 8), (25, 2), (25, 4)))]
    assert first == [30.0, 22.0, 10.0, 6.0]
    now += 1000  # others are at work
    assert [event["remaining"] for event in pace.told(one((10, 0), (10, 5), (15, 5), (20, 10)))] == [
        10.0,
        5.0,
        6.7,
        None,
    ]
    assert [event["remaining"] for event in Pace(9, None).told(one((0, 0), (0, 9), (3, 0)))] == [None, None, 18.0]
    first = [Count(0), Count(0, 0.5), Count(0, 1.0), Count(0, 2.0)]
    written = (count for count, seconds in zip(first, (0, 1, 3, 2), strict=True) if later(seconds))
    assert [event["remaining"] for event in Pace(10, None).told(written)] == [None, None, 36.0, 24.0]
    written = (count for count, seconds in zip(first, (0, 1, 3, 2), strict=True) if later(seconds))
    assert [event["remaining"] for event in Pace(10, 3.0).told(written)] == [3.0, 2.0, 36.0, 24.0], (
        "it was to be sooner"
    )


def test_a_count_that_stands_still_is_told_once_where_only_what_moves_is_wanted() -> None:
    still = [{"event": "asking", "done": done, "of": 9, "remaining": at} for at, done in enumerate((0, 0, 3, 3, 3))]
    again = [{"event": "refused"}, {"event": "refused"}]
    assert list(paced([*still, *again], 0)) == [*still, *again]
    assert list(paced([*still, *again], 0, moved=True)) == [still[0], still[2], *again]


def test_a_slider_without_a_number_says_what_is_missing() -> None:
    share = slider(0, 0.9, label="Held-out share")
    assert share.preprocess(0.5) == 0.5 and share.preprocess(None) is None
    with gr.Blocks():
        fields = form(Recipe)
    values = [
        None if name in ("held_out", "num_train_epochs") else widget.value for name, widget in fields.widgets.items()
    ]
    with pytest.raises(
        UserError, match="Epochs: Input should be a valid number; Held-out share: Input should be a valid number"
    ):
        fields.read(values)
