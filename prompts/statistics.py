"""Is B really better, or was it luck? Intervals, paired tests and the sentence that says it."""

from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rate:
    """A share of passed rows with its interval. All three are fractions, 0 to 1."""

    value: float
    low: float
    high: float
    rows: int

    def __str__(self) -> str:
        return f"{self.value:.0%} [{self.low:.0%}, {self.high:.0%}] of {self.rows}"


def rate(passed: int, rows: int) -> Rate:
    """The pass rate with Wilson's score interval (Wilson 1927), 95 %. Raises ValueError for no rows."""
    from scipy.stats import binomtest

    interval = binomtest(passed, rows).proportion_ci(CONFIDENCE, method="wilson")
    return Rate(passed / rows, float(interval.low), float(interval.high), rows)


def mcnemar(wins: int, losses: int) -> float:
    """The two-sided exact p-value of McNemar's test (McNemar 1947): ties say nothing, wins are a fair coin's."""
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


@dataclass(frozen=True)
class Verdict:
    """What a paired comparison came to: `better` names the better side, or is None."""

    better: str | None
    p: float
    wins: int
    losses: int
    ties: int
    sentence: str


def compare(first: str, second: str, passed: list[tuple[bool, bool]]) -> Verdict:
    """(first passed, second passed) of each row -> the verdict on `second` against `first`."""
    wins = sum(b and not a for a, b in passed)
    losses = sum(a and not b for a, b in passed)
    ties = len(passed) - wins - losses
    p = mcnemar(wins, losses)
    tally = f"{second} wins {wins}, loses {losses}, ties {ties} of {len(passed)} rows; exact McNemar p {_p(p)}"
    if p < 1 - CONFIDENCE:
        better, worse = (second, first) if wins > losses else (first, second)
        return Verdict(better, p, wins, losses, ties, f"{better} is better than {worse}: {tally}.")
    return Verdict(None, p, wins, losses, ties, f"No measurable difference: {tally}.")


def _p(p: float) -> str:
    return f"= {p:.2g}" if p >= 0.0001 else "< 0.0001"
