"""Scores equal those of the libraries and of lm-eval's extraction, on the same outputs."""

import re
from decimal import Decimal

import pytest

from prompts.errors import UserError
from prompts.rows import read_table
from prompts.scoring import Scoring, check, confusion, find_label, last_number, score
from tests.conftest import shared

OUTPUTS = ["The cat sat on the mat.", "A cat is on the mat", "", "Something else entirely", "the CAT sat on the mat."]
REFERENCE = "The cat sat on the mat."


def test_chrf_is_sacrebleus() -> None:
    from sacrebleu import sentence_chrf

    for output in OUTPUTS:
        found = score(output, REFERENCE, Scoring(scorer="chrf"))
        assert found.value == pytest.approx(sentence_chrf(output, [REFERENCE]).score / 100)


def test_rouge_l_is_rouge_scores() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    for output in OUTPUTS:
        expected = RougeScorer(["rougeL"]).score(REFERENCE, output)["rougeL"].fmeasure
        assert score(output, REFERENCE, Scoring(scorer="rouge_l")).value == pytest.approx(expected)


def test_macro_f1_and_matrix_are_scikit_learns() -> None:
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

    truth = ["a", "b", "c", "a", "b", "c", "a"]
    answers = ["a", "b", "a", "a", "c", "c", "b"]
    found = confusion(answers, truth, ["a", "b", "c"])
    assert found["macro_f1"] == pytest.approx(f1_score(truth, answers, average="macro"), abs=1e-4)
    assert [row[:3] for row in found["matrix"]] == confusion_matrix(truth, answers).tolist()
    scores = [score(a, t, Scoring(scorer="label"), ["a", "b", "c"]).value for a, t in zip(answers, truth, strict=True)]
    assert sum(scores) / len(scores) == pytest.approx(accuracy_score(truth, answers))
    assert confusion([None], ["a"], ["a", "b"])["matrix"][0] == [0, 0, 1]


def lm_eval_gsm8k(text: str) -> str:
    """lm-eval's `flexible-extract` filter and the normalisation of its exact match (tasks/gsm8k/gsm8k.yaml, MIT)."""
    matches = re.findall(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", text)
    found = next(part for part in matches[-1] if part) if matches else "[invalid]"
    for ignored in (",", r"\$", r"(?s).*#### ", r"\.$"):
        found = re.sub(ignored, "", found)
    return found


def test_numbers_are_read_as_lm_eval_reads_gsm8k() -> None:
    rows = read_table(shared("gsm_word_problems.jsonl")).rows
    for row in rows:
        assert (
            last_number(row["answer"])
            == Decimal(lm_eval_gsm8k(row["answer"]))
            == Decimal(row["final"].replace(",", ""))
        )
        assert score(row["answer"], row["final"], Scoring(scorer="number")).passed


@pytest.mark.parametrize(
    ("output", "reference", "value"),
    [
        ("It costs $1,200.50 in all.", "1200.5", 1),
        ("12 apples, so 18.", "18.0", 1),
        ("-3", "3", 0),
        ("no idea", "3", None),
        ("1. 2. 3.", "3", 1),
    ],
)
def test_numbers(output: str, reference: str, value: float | None) -> None:
    found = score(output, reference, Scoring(scorer="number"))
    assert (found.unparsed, found.value) == ((True, 0) if value is None else (False, value))


@pytest.mark.parametrize(
    ("output", "label"),
    [
        ("Refund.", "refund"),
        ("This is a refund case", "refund"),
        ("refund or billing", None),
        ("nothing", None),
        ("no_refund", None),
    ],
)
def test_labels_are_found_or_said_to_be_missing(output: str, label: str | None) -> None:
    assert find_label(output, ["refund", "billing"]) == label


def test_a_longer_label_hides_the_shorter_one_in_it() -> None:
    assert find_label("It is very good", ["good", "very good"]) == "very good"


@pytest.mark.parametrize(
    ("scoring", "output", "value", "unparsed"),
    [
        (Scoring(scorer="contains"), "I say: Paris!", 1, False),
        (Scoring(scorer="regex", pattern=r"\d{4}"), "in 1999", 1, False),
        (Scoring(scorer="regex", pattern=r"^\d+$"), "in 1999", 0, False),
        (Scoring(scorer="json_schema", pattern='{"required": ["a"]}'), '```json\n{"a": 1}\n```', 1, False),
        (Scoring(scorer="json_schema", pattern='{"required": ["a"]}'), '{"b": 1}', 0, False),
        (Scoring(scorer="json_schema", pattern='{"required": ["a"]}'), "a: 1", 0, True),
        (Scoring(scorer="judge"), "Good reason.\nPASS", 1, False),
        (Scoring(scorer="judge"), "It would PASS but: FAIL", 0, False),
        (Scoring(scorer="judge"), "Well.", 0, True),
    ],
)
def test_the_other_scorers(scoring: Scoring, output: str, value: float, unparsed: bool) -> None:
    found = score(output, "paris", scoring)
    assert (found.value, found.unparsed) == (value, unparsed)


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        (Scoring(scorer="regex"), "needs a pattern"),
        (Scoring(scorer="regex", pattern="("), "not a regular expression"),
        (Scoring(scorer="regex", pattern="(a+)+$"), "for ever"),
        (Scoring(scorer="json_schema", pattern="{"), "not a JSON schema"),
        (Scoring(scorer="json_schema", pattern='{"type": "nonsense"}'), "not a JSON schema"),
        (Scoring(scorer="judge", pattern="Is it polite?"), "name the model"),
    ],
)
def test_a_scorer_without_what_it_needs_is_refused(scoring: Scoring, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(scoring)
