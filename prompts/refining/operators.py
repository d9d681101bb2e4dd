"""Edits of a prompt that need no model: each looks at what went wrong and proposes prompts. Pure functions."""

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from prompts.refining.gates import ARROW, EXAMPLE
from prompts.scoring import Scoring
from prompts.similar import diverse, telling_words
from prompts.techniques.refinement import HEADING, add_requirement

WORDS = 4  # telling words a label or a cluster
CLUSTERS = 3
LONGEST_EXAMPLE = 60  # words of a row that may stand in a prompt as an example
PROPOSALS = 4  # of one operator at most
_MARKS = re.compile(r"{{|{%|{#")  # what a template would take for its own


@dataclass(frozen=True)
class Seen:
    """What a prompt did on the development rows: texts, right answers, given answers (None: unreadable), scores 0 to 1."""

    texts: Sequence[str]
    references: Sequence[str]
    answers: Sequence[str | None]
    scores: Sequence[float]
    scoring: Scoring
    labels: Sequence[str] = ()
    seed: int = 0

    @property
    def failed(self) -> list[int]:
        return [at for at, value in enumerate(self.scores) if value < 1]


def choices(scoring: Scoring, labels: Sequence[str]) -> str:
    """What an answer has to look like, as a sentence; empty where that cannot be said."""
    if scoring.scorer == "label":
        return f"Answer with one of these: {', '.join(labels)}."
    return "Answer with a number." if scoring.scorer == "number" else ""


def state_format(task: str, seen: Seen) -> list[str]:
    """Says what an answer looks like: the choices, a number, or how long."""
    words = max((len(reference.split()) for reference in seen.references), default=0)
    short = (
        ["Answer with one word and nothing else."]
        if words == 1
        else [f"Answer in at most {words} words."]
        if words
        else []
    )
    said = [choices(seen.scoring, seen.labels), *short, "Give only the answer, without any explanation."]
    return [add_requirement(task, one) for one in said if one and one not in task]


def rule_per_cluster(task: str, seen: Seen) -> list[str]:
    """Says what tells apart the rows that went wrong: by their label, else by what they have in common."""
    if seen.scoring.scorer == "label":
        return _label_rules(task, seen)
    found = []
    for rows in _clusters([seen.texts[at] for at in seen.failed], seen.seed):
        inside = {seen.failed[at] for at in rows}
        words = _words(seen.texts, ["in" if at in inside else "out" for at in range(len(seen.texts))]).get("in", [])
        answer, often = Counter(seen.references[at] for at in inside).most_common(1)[0]
        if words and often > len(inside) / 2:
            found.append(add_requirement(task, f"When it is about {', '.join(words)}: {answer}"))
    return [text for text in found if not _MARKS.search(text[len(task) :])]


def _label_rules(task: str, seen: Seen) -> list[str]:
    words = _words(seen.texts, seen.references)
    missed = Counter(seen.references[at] for at in seen.failed)
    rules = {label: f"{label}: {', '.join(words[label])}" for label, _ in missed.most_common() if words.get(label)}
    everything = task
    for rule in rules.values():
        everything = add_requirement(everything, rule) if rule not in everything else everything
    single = [add_requirement(task, rule) for rule in rules.values() if rule not in task and not _MARKS.search(rule)]
    return ([everything] if len(single) > 1 else []) + single


def _words(texts: Sequence[str], groups: Sequence[str]) -> dict[str, list[str]]:
    try:
        return telling_words(texts, groups, WORDS)
    except ValueError:
        return {}


def _clusters(texts: Sequence[str], seed: int) -> list[list[int]]:
    """Places of texts that are alike (k-means on TF-IDF weights), the largest group first."""
    if len(texts) < 2 * CLUSTERS:
        return [list(range(len(texts)))] if texts else []
    from sklearn.cluster import KMeans
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        weights = TfidfVectorizer(sublinear_tf=True, stop_words="english").fit_transform(texts)
    except ValueError:
        return [list(range(len(texts)))]
    kinds = KMeans(CLUSTERS, n_init=3, random_state=seed).fit_predict(weights)
    groups = [[at for at, kind in enumerate(kinds) if kind == one] for one in range(CLUSTERS)]
    return sorted(filter(None, groups), key=len, reverse=True)


def add_example(task: str, seen: Seen) -> list[str]:
    """Shows a row that went wrong with its right answer; rows that differ from one another, short ones alone."""
    usable = [
        at for at in seen.failed
        if not _MARKS.search(seen.texts[at] + seen.references[at]) and 0 < len(seen.texts[at].split()) <= LONGEST_EXAMPLE
    ]  # fmt: skip
    if not usable:
        return []
    try:
        picked = diverse([seen.texts[at] for at in usable], PROPOSALS)
    except ValueError:
        picked = list(range(min(PROPOSALS, len(usable))))
    found = []
    for at in (usable[place] for place in picked):
        shown = f"{EXAMPLE} {' '.join(seen.texts[at].split())}{ARROW}{seen.references[at]}"
        if shown not in task:
            found.append(f"{task.rstrip()}\n{shown}")
    return found


def remove_example(task: str, seen: Seen) -> list[str]:
    """Leaves out one example at a time."""
    lines = task.splitlines()
    return ["\n".join(lines[:at] + lines[at + 1 :]) for at, line in enumerate(lines) if line.startswith(EXAMPLE)]


def shorten(task: str, seen: Seen) -> list[str]:
    """Leaves out one requirement or one later line at a time; slots stay."""
    lines = task.splitlines()
    found = []
    for at, line in enumerate(lines[1:], 1):
        if line.strip() and "{{" not in line and line.strip() != HEADING and not line.startswith(EXAMPLE):
            kept = lines[:at] + lines[at + 1 :]
            text = "\n".join(kept).replace(f"\n{HEADING}\n\n", "\n").removesuffix(f"\n{HEADING}").rstrip()
            found.append(text)
    return found


Operator = Callable[[str, Seen], list[str]]
OPERATORS: dict[str, Operator] = {
    "state_format": state_format,
    "rule_per_cluster": rule_per_cluster,
    "add_example": add_example,
    "remove_example": remove_example,
    "shorten": shorten,
}
if TYPE_CHECKING:
    OperatorName = str
else:
    OperatorName = Literal[tuple(OPERATORS)]


def proposals(task: str, seen: Seen, names: Sequence[str] = ()) -> list[tuple[str, str]]:
    """(operator, prompt) of every operator named, or of all: their first proposals first, in an order drawn by the seed."""
    rng = random.Random(seen.seed)
    found: list[tuple[str, str]] = []
    by_name = {name: OPERATORS[name](task, seen)[:PROPOSALS] for name in (names or OPERATORS)}
    for turn in range(PROPOSALS):
        some = [(name, texts[turn]) for name, texts in by_name.items() if turn < len(texts)]
        rng.shuffle(some)
        found += some
    return list({text: (name, text) for name, text in found if text.strip() != task.strip()}.values())
