"""What an experiment comes to: its variants' work, and the document made of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prompts.backends import Backend
from prompts.experiment import EvalSet, Experiment
from prompts.messages import Prompt, Reply
from prompts.scoring import GRADED, Score, Scoring, confusion
from prompts.statistics import summary, verdicts
from prompts.techniques import Answer, AskSettings, Technique
from prompts.words import say


@dataclass
class Side:
    """One variant at work: its prompts and what came back, by row number of the experiment's rows."""

    name: str
    technique: Technique
    settings: AskSettings
    backend: Backend
    prompts: list[Prompt]
    notes: list[str] = field(default_factory=list)  # on what did not fit
    keys: list[str] = field(default_factory=list)
    replies: dict[int, Reply] = field(default_factory=dict)
    answers: dict[int, Answer] = field(default_factory=dict)
    scores: dict[int, Score] = field(default_factory=dict)
    from_cache: int = 0
    other_plan: int = 0


def by_probability(side: Side, scoring: Scoring) -> bool:
    """Are labels scored by log-probability? Where the model is here and the reply is the answer, without reasoning."""
    return scoring.scorer == "label" and side.technique.whole and getattr(side.backend, "scores_labels", bool)()


def values_of(sides: list[Side], asked: int) -> dict[str, Sequence[float]]:
    return {side.name: [side.scores[at].value for at in range(asked)] for side in sides}


def document_of(
    experiment: Experiment, evalset: EvalSet, sides: list[Side], asked: int, folder: Path
) -> dict[str, Any]:
    graded = experiment.scorer in GRADED
    looking = experiment.until_decided
    values = values_of(sides, asked)
    found = verdicts(values, graded=graded, looking=looking) if len(sides) > 1 else []
    about = json.loads((folder / "experiment.json").read_text("utf-8"))
    notes = list(evalset.notes)
    if looking and asked < len(evalset.rows):
        notes.append(say("Decided after {asked} of {rows} rows.", asked=asked, rows=len(evalset.rows)))
    if other := sum(side.other_plan for side in sides):
        notes.append(
            say(
                "{other} replies were computed in other batches before; in bf16 a reply can depend on its batch.",
                other=other,
            )
        )
    return {
        "id": folder.name,
        "rows": asked,
        "scorer": experiment.scorer,
        "seed": experiment.seed,
        "fingerprint": about["fingerprint"],
        "versions": about["versions"],
        "notes": notes,
        "variants": [_variant_document(side, evalset, asked, experiment, graded=graded) for side in sides],
        "verdicts": [verdict.document() for verdict in found],
        "replies": [_row_document(evalset, sides, at) for at in range(asked)],
    }


def _variant_document(
    side: Side, evalset: EvalSet, asked: int, experiment: Experiment, *, graded: bool
) -> dict[str, Any]:
    scores = [side.scores[at] for at in range(asked)]
    replies = [side.replies[at] for at in range(asked)]
    found = summary([s.value for s in scores], graded=graded)
    document = {
        "name": side.name,
        "technique": side.technique.name,
        "model": side.settings.model,
        "score": round(found.value, 4),
        "interval": [round(found.low, 4), round(found.high, 4)],
        "parse_failures": sum(s.unparsed for s in scores),
        "tokens_in": _total([reply.tokens_in for reply in replies]),
        "tokens_out": _total([reply.tokens_out for reply in replies]),
        "seconds": round(sum(reply.seconds for reply in replies), 3),
        "from_cache": side.from_cache,
        "by_probability": by_probability(side, experiment),
    }
    if experiment.scorer == "label":
        document |= confusion([s.found for s in scores], evalset.references[:asked], evalset.labels)
    return document


def _total(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _row_document(evalset: EvalSet, sides: list[Side], at: int) -> dict[str, Any]:
    return {
        "row": evalset.numbers[at] + 1,
        "reference": evalset.references[at],
        "input": evalset.rows[at],
        "answers": {
            side.name: {
                "reply": side.replies[at].text,
                "answer": side.answers[at].text,
                "score": round(side.scores[at].value, 4),
                "unparsed": side.scores[at].unparsed,
            }
            for side in sides
        },
    }
