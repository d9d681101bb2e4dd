"""A bias screen: do the outcomes in the data differ between groups of people named in its texts?

Two looks. "Alike rows": texts that are the same once the words for a group are taken out, whose answers differ. "Association":
how often each label stands in texts that name one group against another (Fisher's exact test, Holm-adjusted).
A difference in data is a question to ask, not proof of harm, and none found is no proof of fairness.
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from prompts.statistics import ALPHA, holm, rate
from prompts.words import later, say

FEWEST = 10  # texts that name a group, below which it is not compared

# Words that name a group, by dimension. English and Spanish; forms are whole words, case aside.
WORDS: dict[str, dict[str, str]] = {
    "gender": {
        "female": "she her hers herself woman women girl girls female mrs ms madam mother wife daughter sister lady ella mujer "
        "mujeres chica niña señora madre esposa hija hermana",
        "male": "he him his himself man men boy boys male mr sir father husband son brother gentleman hombre hombres chico niño "
        "señor padre esposo hijo hermano",
    },
    "religion": {
        "christian": "christian christians catholic catholics protestant cristiano cristiana",
        "muslim": "muslim muslims islamic musulmán musulmana",
        "jewish": "jewish jew jews judío judía",
        "hindu": "hindu hindus",
        "buddhist": "buddhist buddhists budista",
        "atheist": "atheist atheists ateo atea",
    },
    "origin": {
        "african": "african africans black blacks africano africana",
        "asian": "asian asians chinese japanese korean indian asiático asiática chino china",
        "european": "european europeans white whites german french british europeo europea",
        "latin american": "latino latina hispanic mexican mexicano mexicana latinoamericano",
        "middle eastern": "arab arabs arabic turkish iranian árabe turco turca",
    },
    "age": {
        "young": "young younger teenager teenagers teen youth joven jóvenes",
        "old": "old elderly older senior seniors pensioner retired anciano anciana mayor jubilado",
    },
    "disability": {
        "disabled": "disabled wheelchair blind deaf autistic discapacitado discapacitada ciego sordo",
        "not disabled": "able-bodied sighted",
    },
}  # fmt: skip
NAMES = later((
    "female", "male", "christian", "muslim", "jewish", "hindu", "buddhist", "atheist", "african", "asian", "european",
    "latin american", "middle eastern", "young", "old", "disabled", "not disabled",
))  # fmt: skip
_GROUP = {
    word: (dimension, group)
    for dimension, groups in WORDS.items()
    for group, words in groups.items()
    for word in words.split()
}
_TOKEN = re.compile(r"[\w-]+")


@dataclass
class Screen:
    """Collects rows one at a time; `found` says what came of it."""

    outcomes: dict[str, dict[str, Counter[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Counter))
    )
    alike: dict[tuple[str, int], dict[str, tuple[int, str]]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, number: int, given: str, answer: str) -> None:
        words = _TOKEN.findall(given.casefold())
        found = [word for word in words if word in _GROUP]
        if not found:
            return
        named: dict[str, set[str]] = defaultdict(set)
        for word in found:
            named[_GROUP[word][0]].add(_GROUP[word][1])
        masked = hash(tuple("_" if word in _GROUP else word for word in words))
        for dimension, groups in named.items():
            if len(groups) == 1:
                (group,) = groups
                self.outcomes[dimension][group][answer] += 1
                self.alike[dimension, masked].setdefault(group, (number, answer))

    def unlike(self) -> tuple[list[int], int]:
        """Rows whose alike rows, naming another group, have another answer; and how many sets of alike rows there are."""
        sets = [found for found in self.alike.values() if len(found) > 1]
        rows = [row for found in sets if len({answer for _, answer in found.values()}) > 1 for row, _ in found.values()]
        return sorted(set(rows)), len(sets)

    def associations(self, labels: set[str]) -> list[dict[str, Any]]:
        """Every pair of groups with enough rows, each label: shares with Wilson intervals, p adjusted over all of them."""
        from scipy.stats import fisher_exact

        made: list[dict[str, Any]] = []
        for dimension, groups in self.outcomes.items():
            large = [group for group in sorted(groups) if groups[group].total() >= FEWEST]
            for one, other in combinations(large, 2):
                a, b = groups[one], groups[other]
                for label in sorted(labels):
                    table = [[a[label], a.total() - a[label]], [b[label], b.total() - b[label]]]
                    made.append({
                        "dimension": dimension, "label": label, "groups": [one, other],
                        "shares": [_share(a, label), _share(b, label)], "p": float(fisher_exact(table).pvalue),
                    })  # fmt: skip
        for found, p in zip(made, holm([found["p"] for found in made]), strict=True):
            found["p"] = round(p, 6)
        return made


def _share(outcomes: Counter[str], label: str) -> dict[str, Any]:
    found = rate(outcomes[label], outcomes.total())
    return {
        "rows": outcomes.total(),
        "share": round(found.value, 4),
        "interval": [round(found.low, 4), round(found.high, 4)],
    }


def sentence(found: dict[str, Any]) -> str:
    """An association for a person."""
    (one, other), (a, b) = found["groups"], found["shares"]
    return say(
        "{label!r} stands in {share:.0%} of {rows} texts that name {one} people and in {share2:.0%} of "
        "{rows2} that name {other} people (Fisher's exact test, Holm-adjusted, p = {p:.2g})",
        label=found["label"],
        share=a["share"],
        rows=a["rows"],
        one=say(one),
        share2=b["share"],
        rows2=b["rows"],
        other=say(other),
        p=found["p"],
    )


def decisive(associations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [found for found in associations if found["p"] < ALPHA]
