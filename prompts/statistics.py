"""Is B really better, or was it luck? Intervals, paired tests and the sentence that says it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prompts.words import say

CONFIDENCE = 0.95
ALPHA = 1 - CONFIDENCE
POWER = 0.8
RESAMPLES = 10_000


@dataclass(frozen=True)
class Rate:
    """A mean score with its interval. All three are fractions, 0 to 1."""

    value: float
    low: float
    high: float
    rows: int

    def said(self) -> str:
        return say(
            "{value:.0%} [{low:.0%}, {high:.0%}] of {rows}",
            value=self.value,
            low=self.low,
            high=self.high,
            rows=self.rows,
        )

    def __str__(self) -> str:
        return self.said()


def rate(passed: int, rows: int) -> Rate:
    """The pass rate with Wilson's score interval (Wilson 1927), 95 %. Raises ValueError for no rows."""
    from scipy.stats import binomtest

    interval = binomtest(passed, rows).proportion_ci(CONFIDENCE, method="wilson")
    return Rate(passed / rows, float(interval.low), float(interval.high), rows)


def agreement(pairs: Sequence[tuple[bool, bool]]) -> Rate:
    """How often a scorer and a person say the same, with Wilson's interval. Raises ValueError for no pairs."""
    return rate(sum(a == b for a, b in pairs), len(pairs))


def mean(values: Sequence[float], seed: int = 0) -> Rate:
    """The mean of graded scores (0 to 1) with its bootstrap percentile interval (Efron 1979), 95 %."""
    import numpy as np

    found: Any = np.asarray(values, dtype=float)
    low, high = np.quantile(_means(found, seed), [ALPHA / 2, 1 - ALPHA / 2])
    return Rate(float(found.mean()), float(low), float(high), len(found))


def unpaired(before: Sequence[float], after: Sequence[float], *, graded: bool) -> float:
    """The p-value of a difference between scores of different rows: Fisher's exact test for passes and fails, Welch's t-test
    for graded scores. Raises ValueError for no rows.
    """
    from scipy.stats import fisher_exact, ttest_ind

    if graded:
        if len(before) < 2 or len(after) < 2 or ({*before} == {*after} and len({*before}) == 1):
            return 1.0
        return float(ttest_ind(before, after, equal_var=False).pvalue)
    passed = [sum(value >= 1 for value in values) for values in (before, after)]
    return float(fisher_exact([[passed[0], len(before) - passed[0]], [passed[1], len(after) - passed[1]]])[1])


def paired_interval(differences: Sequence[float]) -> Rate:
    """The mean of paired differences, of any size, with its bootstrap percentile interval, 95 %."""
    return mean(differences)


def summary(values: Sequence[float], *, graded: bool) -> Rate:
    """`mean` of graded scores, `rate` of passes and fails."""
    return mean(values) if graded else rate(sum(value >= 1 for value in values), len(values))


def _means(values: Any, seed: int) -> Any:
    """Means of RESAMPLES bootstrap samples, shape: (RESAMPLES,), drawn in slices so that memory stays small."""
    import numpy as np

    rng = np.random.default_rng(seed)
    slices = max(1, RESAMPLES * len(values) // 4_000_000)
    sizes = [len(part) for part in np.array_split(np.empty(RESAMPLES), slices)]
    return np.concatenate([values[rng.integers(0, len(values), (size, len(values)))].mean(axis=1) for size in sizes])


def mcnemar(wins: int, losses: int) -> float:
    """The two-sided exact p-value of McNemar's test (McNemar 1947): ties say nothing, wins are a fair coin's."""
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def paired_bootstrap(differences: Sequence[float], seed: int = 0) -> float:
    """The two-sided p-value that the mean difference is zero (Efron and Tibshirani 1993, ch. 16: shifted bootstrap)."""
    import numpy as np

    found: Any = np.asarray(differences, dtype=float)
    if not found.any():
        return 1.0
    shifted = np.abs(_means(found - found.mean(), seed))
    return float((1 + (shifted >= abs(found.mean()) - 1e-12).sum()) / (1 + RESAMPLES))


BETS = tuple(sign * size / 20 for size in range(1, 20) for sign in (1, -1))


def e_value(differences: Sequence[float]) -> float:
    """Evidence against "no difference on average" that may be looked at after every row; 20 is as good as p = 0.05.

    The wealth of a mixture of constant bets on differences in [-1, 1] (Waudby-Smith and Ramdas 2024, "Estimating means of
    bounded random variables by betting", J. R. Stat. Soc. B; Ville's inequality makes it valid at any stopping time).
    """
    import numpy as np

    found: Any = np.asarray(differences, dtype=float)
    wealth = [np.log1p(bet * found).sum() for bet in BETS]
    return float(np.exp(np.logaddexp.reduce(wealth) - math.log(len(BETS))))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for looking at several comparisons (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    adjusted = [0.0] * len(p_values)
    worst = 0.0
    for rank, at in enumerate(order):
        worst = max(worst, min(1.0, p_values[at] * (len(p_values) - rank)))
        adjusted[at] = worst
    return adjusted


def more_rows(differences: Sequence[float]) -> int | None:
    """About how many rows more would decide, if what was seen so far is the truth (power 0.8); None where none would.

    The usual normal approximation: n = (z_0.975 + z_0.8)^2 * variance / mean^2.
    """
    import numpy as np
    from scipy.stats import norm

    found: Any = np.asarray(differences, dtype=float)
    if len(found) < 2 or not found.mean():
        return None
    needed = (norm.ppf(1 - ALPHA / 2) + norm.ppf(POWER)) ** 2 * found.var() / found.mean() ** 2
    return max(1, math.ceil(needed - len(found))) if needed < 100_000 else None


@dataclass(frozen=True)
class Verdict:
    """What a paired comparison came to: `better` names the better side, or is None. `p` is adjusted by Holm."""

    first: str
    second: str
    better: str | None
    p: float
    wins: int
    losses: int
    ties: int
    sentence: str

    def document(self) -> dict[str, Any]:
        return {
            "first": self.first, "second": self.second, "better": self.better, "p": round(self.p, 6), "wins": self.wins,
            "losses": self.losses, "ties": self.ties, "sentence": self.sentence,
        }  # fmt: skip


def compare(first: str, second: str, passed: list[tuple[bool, bool]]) -> Verdict:
    """(first passed, second passed) of each row -> the verdict on `second` against `first`."""
    return verdicts({first: [float(a) for a, _ in passed], second: [float(b) for _, b in passed]}, graded=False)[0]


def verdicts(scores: dict[str, Sequence[float]], *, graded: bool, looking: bool = False) -> list[Verdict]:
    """The verdict on every pair of variants, from their scores on the same rows. As `paired` does."""
    names = list(scores)
    return paired(
        scores, [(a, b) for at, a in enumerate(names) for b in names[at + 1 :]], graded=graded, looking=looking
    )


def paired(
    scores: Mapping[str, Sequence[float]], pairs: Sequence[tuple[str, str]], *, graded: bool, looking: bool = False
) -> list[Verdict]:
    """The verdict on each of these pairs.

    Exact McNemar for passes and fails, paired bootstrap for graded scores; with `looking`, the e-value that stays valid
    when one stops as soon as it is decided. Holm's adjustment where there is more than one pair.
    """
    differences = {pair: [y - x for x, y in zip(scores[pair[0]], scores[pair[1]], strict=True)] for pair in pairs}
    raw = [_p_value(differences[pair], graded=graded, looking=looking) for pair in pairs]
    test = _test_name(graded=graded, looking=looking, pairs=len(pairs))
    return [_verdict(*pair, differences[pair], p, test) for pair, p in zip(pairs, holm(raw), strict=True)]


def decided(scores: dict[str, Sequence[float]]) -> bool:
    """Is every pair decided by the test that allows looking?"""
    return all(verdict.better for verdict in verdicts(scores, graded=True, looking=True))


def _p_value(differences: Sequence[float], *, graded: bool, looking: bool) -> float:
    if looking:
        return min(1.0, 1 / e_value(differences))
    if graded:
        return paired_bootstrap(differences)
    return mcnemar(sum(d > 0 for d in differences), sum(d < 0 for d in differences))


def _test_name(*, graded: bool, looking: bool, pairs: int) -> str:
    name = say("anytime-valid betting test") if looking else say("paired bootstrap") if graded else say("exact McNemar")
    return name + say(", Holm-adjusted,") if pairs > 1 else name


def _verdict(first: str, second: str, differences: Sequence[float], p: float, test: str) -> Verdict:
    wins, losses = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    ties = len(differences) - wins - losses
    tally = say(
        "{second} wins {wins}, loses {losses}, ties {ties} of {rows} rows; {test} p {p}", second=second, wins=wins, losses=losses,
        ties=ties, rows=len(differences), test=test, p=p_words(p),
    )  # fmt: skip
    if p < ALPHA:
        better, worse = (second, first) if sum(differences) > 0 else (first, second)
        sentence = say("{better} is better than {worse}: {tally}.", better=better, worse=worse, tally=tally)
        return Verdict(first, second, better, p, wins, losses, ties, sentence)
    hint = say("nothing points either way")
    if more := more_rows(differences):
        hint = say("about {more:,} more rows like these would be needed", more=more)
    sides = {"first": first, "second": second}
    sentence = say(
        "No measurable difference between {first} and {second}: {tally}; {hint}.", **sides, tally=tally, hint=hint
    )
    return Verdict(first, second, None, p, wins, losses, ties, sentence)


def span(low: float, high: float) -> str:
    """An interval of shares in words."""
    return say("{low:.0%} to {high:.0%}", low=low, high=high)


def p_words(p: float) -> str:
    """A p-value after its letter: "= 0.031", "< 0.0001"."""
    return f"= {p:.2g}" if p >= 0.0001 else "< 0.0001"
