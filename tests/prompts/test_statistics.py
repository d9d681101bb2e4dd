"""Intervals and verdicts against known values."""

import pytest

from prompts.scoring import exact_match
from prompts.statistics import compare, mcnemar, rate


def test_wilson_interval() -> None:
    found = rate(9, 10)  # Brown, Cai and DasGupta 2001: Wilson for 9 of 10
    assert (found.low, found.high) == pytest.approx((0.5958, 0.9821), abs=1e-3)


def test_exact_mcnemar() -> None:
    assert mcnemar(10, 2) == pytest.approx(0.0386, abs=1e-4)
    assert mcnemar(0, 0) == 1


def test_verdicts_name_the_better_side_only_where_it_is_decided() -> None:
    assert compare("a", "b", [(False, True)] * 10 + [(True, False)] * 2).better == "b"
    assert compare("a", "b", [(True, False)] * 10).better == "a"
    undecided = compare("a", "b", [(False, True)] * 6 + [(True, False)] * 2)
    assert undecided.better is None
    assert undecided.sentence.startswith("No measurable difference: b wins 6, loses 2, ties 0 of 8 rows")


@pytest.mark.parametrize(
    ("output", "passes"), [("Refund.", True), (" refund\n", True), ("refunds", False), ("", False)]
)
def test_exact_match(output: str, passes: bool) -> None:
    assert exact_match(output, "refund") is passes
