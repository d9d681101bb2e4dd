"""Intervals and verdicts against known values."""

import re

import numpy as np
import pytest

from prompts.scoring import exact_match
from prompts.statistics import compare, e_value, holm, mcnemar, more_rows, paired_bootstrap, rate, verdicts
from prompts.ui.charts import Dot, plane


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
    assert undecided.sentence.startswith(
        "No measurable difference between a and b: b wins 6, loses 2, ties 0 of 8 rows"
    )


@pytest.mark.parametrize(
    ("output", "passes"), [("Refund.", True), (" refund\n", True), ("refunds", False), ("", False)]
)
def test_exact_match(output: str, passes: bool) -> None:
    assert exact_match(output, "refund") is passes


def passes(rng: np.random.Generator, rate: float, rows: int = 200) -> list[float]:
    return (rng.random(rows) < rate).astype(float).tolist()


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.8])
def test_two_of_the_same_are_called_different_in_at_most_one_of_twenty(rate: float) -> None:
    rng = np.random.default_rng(1)
    once = looking = 0
    for _ in range(1000):
        scores = {"a": passes(rng, rate), "b": passes(rng, rate)}
        once += verdicts(scores, graded=False)[0].better is not None
        looking += any(
            e_value([y - x for x, y in zip(scores["a"][:n], scores["b"][:n], strict=True)]) >= 20
            for n in range(10, 201, 10)
        )
    assert once <= 50
    assert looking <= 50


@pytest.mark.parametrize("rate", [0.2, 0.4, 0.6, 0.8])
def test_fifteen_points_on_200_rows_are_found_four_times_in_five(rate: float) -> None:
    rng = np.random.default_rng(2)
    found = sum(
        verdicts({"a": passes(rng, rate), "b": passes(rng, rate + 0.15)}, graded=False)[0].better == "b"
        for _ in range(1000)
    )
    assert found >= 800


def test_graded_scores_of_the_same_are_seldom_called_different() -> None:
    rng = np.random.default_rng(3)
    called = sum(paired_bootstrap((rng.beta(2, 2, 100) - rng.beta(2, 2, 100)).tolist()) < 0.05 for _ in range(200))
    assert called <= 20  # 10 expected; 20 is three standard deviations more
    assert paired_bootstrap((rng.beta(2, 2, 100) * 0.2 + 0.05).tolist()) < 0.01


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_three_variants_are_adjusted_and_say_so() -> None:
    found = verdicts({"a": [0.0] * 8, "b": [1.0] * 6 + [0.0] * 2, "c": [0.0] * 8}, graded=False)
    assert [v.better for v in found] == [None, None, None], "p = 0.031 alone, 0.094 among three"
    assert "Holm-adjusted" in found[0].sentence


def test_more_rows_is_about_right() -> None:
    differences = [1.0] * 6 + [-1.0] * 2 + [0.0] * 12
    needed = more_rows(differences)
    assert needed is not None
    rng = np.random.default_rng(4)
    found = 0
    for _ in range(300):
        drawn = rng.choice(differences, len(differences) + needed)
        found += mcnemar(int((drawn > 0).sum()), int((drawn < 0).sum())) < 0.05
    assert 0.65 < found / 300 < 0.95
    assert more_rows([0.0] * 10) is None


def test_costs_far_apart_lie_on_powers_of_ten_and_none_hides_another() -> None:
    dots = [Dot(name, score, 0.0, 1.0, "") for name, score in (("a", 0.5), ("b", 0.5), ("c", 1.0))]
    near, far = plane(dots, [1, 1, 2], title="", x_title="$"), plane(dots, [0.002, 0.002, 0.2], title="", x_title="$")
    assert re.findall(r"<em[^>]*>([^<]*)", near) == ["0", "2.2"]
    assert re.findall(r"<em[^>]*>([^<]*)", far) == ["0.001", "0.01", "0.1", "1"]
    assert re.findall(r"--aside:(\d+)px", far) == ["0", "19", "0"]
    left = [float(at) for at in re.findall(r"<b[^>]*left:([\d.]+)%", far)]
    assert left[0] == left[1] and left[2] - left[0] == pytest.approx(94 * 2 / 3, abs=0.1)  # two of three powers apart
