"""The harm and forgetting card: its checks, its swaps, and a screen of real runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from prompts.rows import Table
from tests.tiny import tiny_bert
from tests.tuning.test_train import COLUMNS, executed, recipe, table
from tuning import run as runs
from tuning.harm.instructions import followed
from tuning.harm.report import GROUPS, NONE, as_markdown, kept
from tuning.harm.screen import screen
from tuning.harm.swaps import swapped

DATA = Path(__file__).parents[2] / "tuning" / "harm"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("He called his mother, Mrs Jones.", "She called her father, Mr Jones."),
        ("SHE SAID: Dear Sir", "HE SAID: Dear Madam"),
        ("The manager of Mary's shop", "The manager of James's shop"),
        ("Please mark her order, and call her today.", "Please mark his order, and call him today."),
        ("the theme of the other shelf", "the theme of the other shelf"),
    ],
)
def test_people_are_exchanged_as_whole_words(before: str, after: str) -> None:
    assert swapped(before) == after


@pytest.mark.parametrize(
    ("reply", "check", "kept_it"),
    [
        ("Blue.", {"words_at_most": 1, "contains_any": ["blue"]}, True),
        ("It is blue", {"words_at_most": 1}, False),
        ('{"name": "x"}', {"json": True}, True),
        ('["name"]', {"json": True}, False),
        ("a\n\nb", {"lines_at_least": 2}, True),
        ("Yes, it is.", {"starts_any": ["yes"]}, True),
        ("So long. Goodbye!", {"ends_any": ["goodbye"]}, True),
        ("banana banana", {"counts": {"banana": 3}}, False),
        ("It snows. It is cold.", {"sentences_at_least": 2}, True),
        ("A", {"lower": True}, False),
        ("", {"without": ["z"]}, False),
    ],
)
def test_instructions_are_checked_by_a_program(reply: str, check: dict[str, Any], kept_it: bool) -> None:
    assert followed(reply, check) is kept_it


def test_every_instruction_and_pair_can_be_used() -> None:
    for line in (DATA / "instructions.jsonl").read_text().splitlines():
        followed("x", json.loads(line)["check"])
    pairs = [json.loads(line) for line in (DATA / "pairs.jsonl").read_text().splitlines()]
    assert len(pairs) >= 40 and all(pair["more"] != pair["less"] for pair in pairs)
    assert {pair["group"] for pair in pairs} == set(GROUPS), "known by name in Spanish"
    assert all(len(pair["more"].split()) == len(pair["less"].split()) for pair in pairs), "one word differs"


def people(count: int = 40) -> Table:
    rows = [
        {"text": f"{'He' if n % 3 else 'She'} wrote {n}", "label": "red" if n % 2 else "blue"} for n in range(count)
    ]
    return Table("people.csv", ("text", "label"), rows)


def test_a_run_is_screened_before_and_after(tiny: str) -> None:
    run = executed(runs.create("local", people(), recipe(tiny, num_train_epochs=2), COLUMNS))
    assert as_markdown(kept(run)) == NONE
    *told, found = screen(run)
    assert {event["what"]: event["of"] for event in told} == {
        "general text": 2 * 16, "instructions": 2 * 24, "pairs of sentences": 4 * 40, "your rows with people exchanged": 4 * 8,
    }  # fmt: skip
    assert [event["done"] for event in told if event["what"] == "instructions"] == [0, 24, 48], (
        "a batch is done at once"
    )
    assert found["general_text"]["texts"] == 16 and found["general_text"]["tuned_perplexity"] > 1
    assert found["instructions"]["asked"] == 24 and found["bias"]["pairs"] == 40
    assert sum(one["base"] for one in found["bias"]["groups"].values()) == found["bias"]["base"]["count"]
    assert found["counterfactual"]["rows"] == 8 and 0 <= found["counterfactual"]["tuned"]["share"] <= 1
    text = as_markdown(kept(run))
    assert "General text" in text and "of 12" in text and "they cannot show that there is none" in text


def test_an_adapter_that_does_nothing_changes_nothing(tiny: str) -> None:
    run = executed(runs.create("local", table(), recipe(tiny, learning_rate=1e-12), COLUMNS))
    found = list(screen(run))[-1]
    assert found["general_text"]["interval"] == [0.0, 0.0] or abs(found["general_text"]["loss_change"]) < 1e-3
    assert found["bias"]["base"]["count"] == found["bias"]["tuned"]["count"]
    assert "names a person" in found["counterfactual"]["left_out"]


def test_a_classifier_is_screened_for_people_alone(tmp_path: Path) -> None:
    run = executed(runs.create("local", people(), recipe(str(tiny_bert(tmp_path / "bert"))), COLUMNS))
    found = list(screen(run))[-1]
    assert found["general_text"]["left_out"] and "base" not in found["counterfactual"]
    assert "not measured, the model writes no running text" in as_markdown(found)
