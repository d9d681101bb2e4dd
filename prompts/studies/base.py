"""What the studies share. A study asks the same rows in several ways and says what each way is worth."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from prompts.answering import by_vote, side_of
from prompts.asking import Open
from prompts.backends import Backend
from prompts.errors import UserError, about
from prompts.experiment import EvalSet, Rated
from prompts.prices import Prices
from prompts.results import Side
from prompts.rows import Table
from prompts.scoring import GRADED, Score, Scoring, score
from prompts.statistics import summary
from prompts.techniques import AskSettings, technique

FEW = 10  # rows; from fewer, an interval by resampling means little
USEFUL = 0.2  # a score below it is not worth advising


class StudySettings(Rated, Prices):
    """What every study needs: the rows, how answers are scored, what asking costs."""


@dataclass
class Arm:
    """One way of asking; several sides vote. `about` says what is special to it."""

    name: str
    sides: list[Side]
    evalset: EvalSet
    about: dict[str, Any] = field(default_factory=dict)
    scores: list[Score] = field(default_factory=list)  # of each row of the evaluation set, once it was asked

    @property
    def settings(self) -> AskSettings:
        return self.sides[0].settings

    def values(self) -> list[float]:
        return [one.value for one in self.scores]

    def tokens(self, name: str) -> float | None:
        """tokens_in or tokens_out of a row, every vote counted; None where a server does not tell."""
        found = [getattr(reply, name) for side in self.sides for reply in side.replies.values()]
        return None if None in found else sum(found) / len(self.evalset.rows)

    def seconds(self) -> float:
        """Of a row."""
        return sum(reply.seconds for side in self.sides for reply in side.replies.values()) / len(self.evalset.rows)


@dataclass
class Ground:
    """What a study stands on. `evalset`: the rows that are scored; `settings`: the technique's, as they are in its tab."""

    settings: Any
    study: Any
    scoring: Scoring
    table: Table
    evalset: EvalSet
    owner: str
    open_model: Open
    stop: threading.Event = field(default_factory=threading.Event)
    notes: list[str] = field(default_factory=list)
    _backends: dict[str, Backend] = field(default_factory=dict)

    @property
    def graded(self) -> bool:
        return self.scoring.scorer in GRADED

    def backend(self, model: str) -> Backend:
        if model not in self._backends:
            self._backends[model] = self.open_model(model)
        return self._backends[model]

    def arm(
        self, name: str, kind: str, variants: Sequence[AskSettings], evalset: EvalSet | None = None, **about_it: Any
    ) -> Arm:
        """An arm of the technique `kind`, one side for each of the settings. Raises UserError that names it."""
        sides = [self.side(name, kind, settings, evalset) for settings in variants]
        return Arm(name, sides, evalset or self.evalset, about_it)

    def side(self, name: str, kind: str, settings: AskSettings, evalset: EvalSet | None = None) -> Side:
        with about(name):
            return side_of(name, technique(kind), settings, evalset or self.evalset, self.backend(settings.model))


@dataclass(frozen=True)
class Study:
    """`arms` says what is asked, `report` what came of it, as a document; both raise UserError."""

    name: str  # the endpoint and the command
    title: str
    technique: str
    help: str
    empty: str  # what its place says before anything was measured
    settings: type[StudySettings]
    arms: Callable[[Ground], list[Arm]]
    report: Callable[[Ground, list[Arm]], dict[str, Any]]
    # (the study's settings, owner) -> settings that it asks with beside those of the tab
    others: Callable[[Any, str], list[AskSettings]] | None = None


def scored(arm: Arm, ground: Ground) -> list[Score]:
    """The scores of an arm's rows: of one side its own, of several those of what most of them say."""
    if len(arm.sides) == 1:
        return [arm.sides[0].scores[at] for at in range(len(arm.evalset.rows))]
    voted = zip(by_vote(arm.sides, ground.scoring, arm.evalset), arm.evalset.references, strict=True)
    return [score(said, reference, ground.scoring, arm.evalset.labels) for said, reference in voted]


def line(arm: Arm, ground: Ground) -> dict[str, Any]:
    """{"name", "score", "interval", "parse_failures", "tokens_in", "tokens_out", "seconds"}, of a row the last three."""
    rate = summary(arm.values(), graded=ground.graded)
    tokens = {name: None if (n := arm.tokens(name)) is None else round(n, 1) for name in ("tokens_in", "tokens_out")}
    return {
        "name": arm.name, "score": round(rate.value, 4), "interval": [round(rate.low, 4), round(rate.high, 4)],
        "parse_failures": sum(one.unparsed for one in arm.scores), **tokens, "seconds": round(arm.seconds(), 4),
    }  # fmt: skip


def refuse_judge(ground: Ground, why: str) -> None:
    if ground.scoring.scorer == "judge":
        raise UserError("a judge cannot score this: {why}; choose another scorer", why=why, field="scorer")
