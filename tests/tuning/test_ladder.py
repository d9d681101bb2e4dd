"""The ladder: rungs that fit the model, the same numbers again, interrupted and resumed, advice that follows from the figures."""

from pathlib import Path
from typing import Any

import pytest

from prompts.errors import NotFound, UserError
from prompts.usual import remember
from tests.tiny import tiny_bert, tiny_t5
from tests.tuning.test_train import COLUMNS, executed, recipe, table
from tuning import run as runs
from tuning.ladder import report, work
from tuning.ladder.report import advice
from tuning.ladder.rungs import RUNGS
from tuning.ladder.settings import LadderSettings
from tuning.ui.ladder_views import status_line

ASKED = COLUMNS.changed(instruction="Which colour?")
SHORT = {"k": 2, "votes": 3, "reasoning_tokens": 16}


@pytest.fixture
def trained(tiny: str) -> runs.Run:
    return executed(runs.create("local", table(), recipe(tiny, num_train_epochs=8), ASKED))


def climbed(run: runs.Run, **settings: Any) -> dict[str, Any]:
    ladder = work.create(run, LadderSettings(**{**SHORT, **settings}))
    for _ in work.ladder_events(ladder):
        pass
    return report.snapshot(ladder)


def figures(found: dict[str, Any]) -> list[Any]:
    names = (
        "rung",
        "status",
        "score",
        "interval",
        "tokens_in",
        "tokens_out",
        "seconds",
        "latency",
        "dollars_per_1000",
        "against_below",
    )
    return [[line.get(name) for name in names] for line in found["rungs"]]


def test_every_rung_asks_the_same_rows_and_a_second_ladder_says_the_same(trained: runs.Run, tiny: str) -> None:
    found = climbed(trained, larger_model=tiny, dollars_per_million_in=1, dollars_per_million_out=2)
    lines = {line["rung"]: line for line in found["rungs"]}
    assert list(lines) == list(RUNGS) and found["rows"] == 8 and found["scorer"] == "label"
    assert {line["status"] for line in lines.values()} == {"done"}, [line.get("why") for line in lines.values()]
    assert found["advice"] and all(
        line["interval"][0] <= line["score"] <= line["interval"][1] for line in lines.values()
    )
    assert lines["self_consistency"]["tokens_in"] == pytest.approx(3 * lines["chain_of_thought"]["tokens_in"], abs=0.2)
    assert lines["lora_short"]["model"] == f"run:{trained.id}" and lines["lora_short"]["one_off_dollars"] > 0
    assert lines["zero_shot"]["tokens_in"] == lines["lora_short"]["tokens_in"], (
        "the same prompt, with the adapter off and on"
    )
    larger = lines["larger"]
    assert larger["dollars_per_1000"] == pytest.approx(
        (larger["tokens_in"] + 2 * larger["tokens_out"]) / 1000, rel=1e-3
    )
    again = climbed(trained, larger_model=tiny, dollars_per_million_in=1, dollars_per_million_out=2)
    assert figures(again) == figures(found), "same seed, same numbers"
    assert again["advice"] == found["advice"]
    assert all(line["from_cache"] for line in again["rungs"])


def test_a_ladder_says_how_long_its_rungs_take(trained: runs.Run) -> None:
    ladder, told = work.create(trained, LadderSettings(**SHORT)), {}
    for event in work.ladder_events(ladder):
        if event["event"] == "asking":
            found = report.snapshot(ladder)
            assert found["asking"] == {"done": event["done"], "of": event["of"]}
            assert f", {event['done']} of {event['of']}" in status_line(found)
        elif event["event"] == "rung":
            told[event["rung"]] = event["remaining"]
    assert told["zero_shot"] is None and told["context"] > told["lora_best"] > 0
    assert report.snapshot(ladder)["asking"] is None
    remember(70.0, "zero_shot", "local", trained.recipe.model, "", 8, ladder.settings.votes)
    again = work.create(trained, LadderSettings(**SHORT))
    first = next(event for event in work.ladder_events(again) if event["event"] == "rung")
    assert 70 < first["remaining"] < 110, "as long as the last time"


def test_a_cancelled_ladder_goes_on(trained: runs.Run) -> None:
    ladder = work.create(trained, LadderSettings(**SHORT))
    seen = []
    for event in work.ladder_events(ladder):
        if event["event"] == "rung":
            seen.append(event["rung"])
            if len(seen) == 3:
                ladder.ask_to_stop()
    assert report.snapshot(ladder)["status"] == "cancelled" and len(seen) == 3
    with pytest.raises(UserError, match="nothing to cancel"):
        ladder.ask_to_stop()
    kept = ladder.rung("zero_shot")
    for _ in work.ladder_events(ladder.make_ready()):
        pass
    found = report.snapshot(ladder)
    assert found["status"] == "finished" and ladder.rung("zero_shot") == kept
    assert figures(found) == figures(climbed(trained)), "as if it had not been interrupted"
    assert [one.id for one in work.ladders("local")][-1] == ladder.id
    ladder.delete()
    with pytest.raises(NotFound, match="no ladder"):
        work.find("local", ladder.id)


@pytest.mark.parametrize(("make", "word"), [(tiny_bert, "classifying"), (tiny_t5, "T5-like")])
def test_rungs_that_cannot_apply_say_why(make: Any, word: str, tiny: str, tmp_path: Path) -> None:
    run = executed(runs.create("local", table(), recipe(str(make(tmp_path / "model"))), COLUMNS))
    found = climbed(run, model=tiny, rungs=("zero_shot", "lora_short", "lora_best", "larger"))
    lines = {line["rung"]: line for line in found["rungs"]}
    assert lines["zero_shot"]["status"] == lines["lora_short"]["status"] == "done"
    assert word in lines["lora_best"]["why"] and lines["larger"]["why"] == "no larger model was named"
    assert lines["zero_shot"]["model"] == tiny


def test_what_cannot_be_climbed_is_refused(trained: runs.Run, tiny: str) -> None:
    with pytest.raises(UserError, match="held out no rows"):
        work.create(executed(runs.create("local", table(), recipe(tiny, held_out=0.0), COLUMNS)), LadderSettings())
    with pytest.raises(UserError, match="is no model"):
        work.create(trained, LadderSettings(larger_model="a b"))
    with pytest.raises(UserError, match="has no adapter yet"):
        work.create(runs.create("local", table(), recipe(tiny), COLUMNS), LadderSettings())
    found = climbed(trained, rungs=("zero_shot", "larger"), larger_model="http://127.0.0.1:9/v1#x")
    assert "cannot be" in next(line["why"] for line in found["rungs"] if line["rung"] == "larger")
    assert found["status"] == "finished"


def line(rung: str, right: int, dollars: float, rows: int = 40) -> dict[str, Any]:
    from prompts.statistics import rate

    values = [1.0] * right + [0.0] * (rows - right)
    found = rate(right, rows)
    return {
        "rung": rung, "title": rung, "score": right / rows, "interval": [found.low, found.high], "values": values,
        "dollars_per_1000": dollars, "one_off_dollars": 5.0 if rung.startswith("lora") else 0.0, "break_even_calls": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([line("zero_shot", 10, 1.0), line("lora_short", 38, 0.5)], "Fine-tune: .*after 10,000 calls"),
        ([line("zero_shot", 10, 0.5), line("lora_short", 38, 1.0)], "Fine-tune: .*better, not cheaper"),
        ([line("zero_shot", 38, 1.0), line("lora_short", 10, 0.5)], "Prompt: .*did not pay"),
        ([line("zero_shot", 38, 1.0), line("lora_short", 38, 0.5)], "Fine-tune: no measurable difference.*costs less a call"),
        ([line("zero_shot", 38, 0.5), line("lora_short", 38, 1.0)], "Prompt: no measurable difference.*needs no training"),
        ([line("zero_shot", 10, 0.1), line("k_shot", 34, 1.0), line("refined", 33, 0.2)],
         "No fine-tune was.*is k_shot.*refined.*not measurably worse"),
        ([line("zero_shot", 24, 0.1), line("k_shot", 31, 0.5), line("lora_short", 34, 1.0)], "Prompt: .*against k_shot"),
        ([line("zero_shot", 21, 1.0), line("lora_short", 22, 0.5)], "Neither: .*always answering 'red'"),
        ([line("zero_shot", 2, 1.0), line("lora_short", 1, 0.5)], "Neither: even the best rung, zero_shot"),
        ([line("zero_shot", 0, 1.0), line("lora_short", 0, 0.5)], "Neither: no rung was right"),
    ],
)  # fmt: skip
def test_the_advice_follows_from_the_figures(lines: list[dict[str, Any]], said: str) -> None:
    import re

    for one in lines:
        one["break_even_calls"] = report._break_even(one, lines)
    assert re.match(said, advice(lines, {"red": 20, "blue": 20}, graded=False)), advice(lines, {}, graded=False)
