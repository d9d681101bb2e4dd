"""Distilling: agreement filters, held-out rows are left aside, the short prompt is what is learned from."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from prompts.errors import UserError
from prompts.rows import Table
from prompts.scoring import Scoring
from prompts.usual import Count
from prompts.voting import majority
from tests.tuning.test_train import COLUMNS, executed, recipe, table
from tuning import distil as distilling
from tuning import run as runs
from tuning.data.columns import Columns
from tuning.data.sources import open_table
from tuning.distil import Distil, distil
from tuning.ladder import work
from tuning.ladder.settings import LadderSettings
from tuning.ladder.work import Ladder


@pytest.fixture
def ladder(tiny: str) -> Ladder:
    run = executed(runs.create("local", table(), recipe(tiny), COLUMNS.changed(instruction="Which colour?")))
    found = work.create(run, LadderSettings(rungs=("zero_shot", "k_shot_similar"), k=2))
    for _ in work.ladder_events(found):
        pass
    return found


def saying(answers: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The teacher's answer number n to every row is answers[n]: the tiny model itself says nothing sensible."""
    count = iter(range(10**6))

    def answered(side: Any, wanted: Sequence[int], *_: Any) -> Any:
        said = answers[next(count) % len(answers)]
        for at in wanted:
            side.answers[at] = side.technique.read(side.settings, said)
        yield Count(len(wanted))

    monkeypatch.setattr(distilling, "answered", answered)


def rows(*texts: str) -> Table:
    return Table("new.csv", ("text",), [{"text": text} for text in texts])


def test_what_most_answers_agree_on_is_kept_with_the_short_prompt(
    ladder: Ladder, monkeypatch: pytest.MonkeyPatch
) -> None:
    saying(["red", "Red.", "it is red", "blue", "red"], monkeypatch)
    held_out = ladder.run.table.rows[ladder.run.numbers("held_out")[0]]["text"]
    *_, found = distil(ladder, Distil(rung="k_shot_similar"), rows("a new one", "another", held_out, " "))
    assert (found["kept"], found["rows"]) == (2, 2)
    assert found["dropped"] == {"held out": 1, "empty": 1, "no agreement": 0, "wrong": 0}
    kept = open_table("local", found["source"])
    assert kept.rows[0]["messages"] == [
        {"role": "user", "content": "Which colour?\n\na new one"}, {"role": "assistant", "content": "red"},
    ]  # fmt: skip
    assert (kept.rows[0]["teacher"], kept.rows[0]["votes"], kept.rows[0]["of"]) == ("k_shot_similar", 4, 5)
    assert "without references" in kept.notes[0] and ladder.id in kept.notes[0]
    pair = json.loads(Path(found["pairs_file"]).read_text().splitlines()[0])
    assert pair["chosen"][0]["content"] == "red" and pair["rejected"][0]["content"] == "blue"
    student = executed(runs.create("local", kept, recipe(ladder.run.recipe.model, held_out=0, validation=0),
                                   Columns(messages="messages")))  # fmt: skip
    assert student.status()["state"] == "finished"


def test_too_little_agreement_keeps_nothing(ladder: Ladder, monkeypatch: pytest.MonkeyPatch) -> None:
    saying(["red", "blue", "red", "blue", "neither"], monkeypatch)
    with pytest.raises(UserError, match="no row was kept of 1: 1 without agreement"):
        list(distil(ladder, Distil(rung="zero_shot"), rows("a new one")))
    with pytest.raises(UserError, match="cannot agree"):
        list(distil(ladder, Distil(samples=2, agree=3), rows("a new one")))
    with pytest.raises(UserError, match="no row is left to ask"):
        list(distil(ladder, Distil(), rows(" ")))
    with pytest.raises(UserError, match="no column 'text'"):
        list(distil(ladder, Distil(), Table("x", ("other",), [{"other": "a"}])))


def test_with_references_only_right_answers_are_kept(ladder: Ladder, monkeypatch: pytest.MonkeyPatch) -> None:
    saying(["red"], monkeypatch)
    *_, found = distil(ladder, Distil(rung="zero_shot", references=True))
    run = ladder.run
    asked = [run.table.rows[at] for at in (*run.numbers("train"), *run.numbers("validation"))]
    assert found["kept"] == sum(row["label"] == "red" for row in asked) and found["dropped"]["wrong"] > 0
    with pytest.raises(UserError, match="no column 'label' with right answers"):
        list(distil(ladder, Distil(references=True), rows("a new one")))


def test_the_teacher_is_the_best_prompt_and_never_sees_the_row_among_its_examples(ladder: Ladder) -> None:
    ground = work.ground_of(ladder, None, None, lambda function: function)
    asked = distilling._with_rows(ladder, ground, [{"text": example.input} for example in ground.examples], Distil())
    rung = distilling._teacher(ladder, asked, "k_shot_similar")
    for row, prompt in zip(asked.evalset.rows, rung.sides[0].prompts, strict=True):
        assert [message.content for message in prompt.messages].count(row["text"]) == 1
        assert len(prompt.messages) == 2 * 2 + 2
    assert distilling._winner(ladder) in ("zero_shot", "k_shot_similar")
    with pytest.raises(UserError, match="2 without agreement"):  # the tiny model names no colour
        list(distil(ladder, Distil(samples=2, agree=1), rows("a new one", "b")))


@pytest.mark.parametrize(
    ("scorer", "answers", "said", "votes"),
    [
        ("label", ["it is Red", "red", "blue", None], "it is Red", 2),
        ("number", ["18 dollars", "$18.00", "19"], "18 dollars", 2),
        ("exact_match", ["A b", "a  b.", "c"], "A b", 2),
        ("label", [None, "purple"], None, 0),
        ("exact_match", ["x", "y"], "x", 1),
    ],
)
def test_the_majority(scorer: Any, answers: list[str | None], said: str | None, votes: int) -> None:
    assert majority(answers, Scoring(scorer=scorer), ("red", "blue")) == (said, votes)
