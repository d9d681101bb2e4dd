"""(output, reference) -> Score. Pure functions; a judge model's replies are read here, and asked for in judging.py."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Literal, TypeVar

from prompts.errors import UserError
from prompts.settings import Settings, knob

GRADED = ("rouge_l", "chrf")
ScorerName = Literal[
    "auto", "exact_match", "contains", "regex", "number", "label", "rouge_l", "chrf", "json_schema", "judge"
]
MOST_LABELS, SHORT = 50, 40  # different answers, and characters of one: what looks like labels or short answers


S = TypeVar("S", bound="Scoring")


class Scoring(Settings):
    """How an answer is scored against its reference."""

    scorer: ScorerName = knob(
        "exact_match", title="Scorer", place=20,
        help="exact_match: the same text. contains: the reference occurs. number: the last number. label: one of the labels. "
        "rouge_l, chrf: graded overlap, 0 to 1. judge: a model decides by your rubric. auto: what the answers look like.",
    )  # fmt: skip
    pattern: str = knob(
        "", title="Pattern", lines=2, place=21,
        help="For regex: the expression to find; json_schema: the schema; judge: the rubric. Otherwise empty.",
    )  # fmt: skip
    labels: tuple[str, ...] = knob(
        (),
        title="Labels",
        place=22,
        advanced=True,
        help="For label: the allowed answers; empty takes them from the references.",
    )
    judge_model: str = knob(
        "", title="Judge model", place=23, pick=True, advanced=True, help="For judge: the model that decides."
    )


@dataclass(frozen=True)
class Score:
    """`value`: 0 to 1. `found`: what was read from the output, None where nothing could be (a parse failure)."""

    value: float
    found: str | None

    @property
    def passed(self) -> bool:
        return self.value >= 1

    @property
    def unparsed(self) -> bool:
        return self.found is None


def folded(text: str) -> str:
    """A text without differences of case and white space."""
    return " ".join(text.casefold().split())


def normal(text: str) -> str:
    """Folded for comparing answers: without closing punctuation or quotes around it, too."""
    return folded(text).strip(" .!\"'`*")


def exact_match(output: str, reference: str) -> bool:
    """Are the two the same text, case, spacing and closing punctuation aside?"""
    return normal(output) == normal(reference)


def score(output: str | None, reference: str, scoring: Scoring, labels: Sequence[str] = ()) -> Score:
    """The score of one answer; `output` None is an answer that the technique could not find in the reply.

    Raises UserError where the scorer's own settings are wrong (a bad expression or schema).
    """
    if output is None:
        return Score(0.0, None)
    if scoring.scorer == "label":
        return _label(output, reference, labels)
    return _SCORERS[scoring.scorer](output, reference, scoring)


def check(scoring: Scoring) -> None:
    """Raises UserError naming the setting that the scorer needs or cannot read."""
    if scoring.scorer in ("regex", "json_schema", "judge") and not scoring.pattern.strip():
        raise UserError("the scorer {scorer} needs a pattern", scorer=scoring.scorer, field="pattern")
    if scoring.scorer == "judge" and not scoring.judge_model:
        raise UserError("name the model that judges", field="judge_model")
    if scoring.scorer == "regex":
        _expression(scoring.pattern)
    if scoring.scorer == "json_schema":
        _validator(scoring.pattern)


def most_labels(rows: int) -> int:
    """So many different answers, at most, are labels: each comes twice on average."""
    return min(MOST_LABELS, max(2, rows // 2))


def settled(scoring: S, references: Sequence[str]) -> S:
    """With the scorer that `references` ask for instead of auto: label, number, exact_match for short answers, else chrf."""
    if scoring.scorer != "auto":
        return scoring
    known = [reference.strip() for reference in references if reference.strip()]
    short = all(len(reference) <= SHORT for reference in known)
    few = 2 <= len(set(known)) <= most_labels(len(known))
    numbers = short and all(re.fullmatch(r"[-$\d.,%\s]+", reference) for reference in known)
    name = "label" if short and few else "number" if numbers else "exact_match" if short else "chrf"
    return scoring.changed(scorer=name)


def needs_reference(scoring: Scoring) -> bool:
    """Can the scorer do nothing without a reference?"""
    return scoring.scorer not in ("regex", "json_schema", "judge")


def _graded(passed: bool, found: str) -> Score:
    return Score(float(passed), found)


def last_number(text: str) -> Decimal | None:
    """The last number in a text, as lm-eval's GSM8K `flexible-extract` finds it: "$1,200.50 in all." -> 1200.50."""
    for match in reversed(re.findall(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", text)):
        plain = "".join(match).replace("$", "").replace(",", "").rstrip(".")
        try:
            return Decimal(plain)
        except InvalidOperation:
            continue
    return None


def _number(output: str, reference: str, _: Scoring) -> Score:
    """Equal as numbers: 18, 18.0 and $18 are the same."""
    found, wanted = last_number(output), last_number(reference)
    if wanted is None:
        raise UserError("the reference {value!r} holds no number", value=reference[:60])
    return Score(0.0, None) if found is None else _graded(found == wanted, str(found))


def find_label(output: str, labels: Sequence[str]) -> str | None:
    """The label that the output is, or the only one that it names; None where it names none or several."""
    if exact := [label for label in labels if normal(label) == normal(output)]:
        return exact[0]
    named = [label for label in labels if re.search(rf"(?<!\w){re.escape(normal(label))}(?!\w)", normal(output))]
    named = [label for label in named if not any(label != other and normal(label) in normal(other) for other in named)]
    return named[0] if len(named) == 1 else None


def _label(output: str, reference: str, labels: Sequence[str]) -> Score:
    found = find_label(output, labels)
    return Score(0.0, None) if found is None else _graded(normal(found) == normal(reference), found)


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    if len(pattern) > 500:
        raise UserError("an expression has at most 500 characters", field="pattern")
    if re.search(r"\([^)]*[*+][^)]*\)[*+{]", pattern):
        raise UserError("an expression with a repeated group inside a repetition can take for ever", field="pattern")
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UserError("not a regular expression: {error}", error=error, field="pattern") from None


@cache
def _validator(schema: str) -> Any:
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for

    try:
        document = json.loads(schema)
        kind = validator_for(document)
        kind.check_schema(document)
    except (json.JSONDecodeError, SchemaError, TypeError) as error:
        raise UserError("not a JSON schema: {value}", value=str(error).splitlines()[0], field="pattern") from None
    return kind(document)


def _json_schema(output: str, _: str, scoring: Scoring) -> Score:
    """Valid JSON that keeps the schema; text around a fenced block is left aside."""
    fenced = re.search(r"```(?:json)?\s*(.*?)```", output, re.DOTALL)
    text = (fenced.group(1) if fenced else output).strip()
    try:
        return _graded(_validator(scoring.pattern).is_valid(json.loads(text)), text)
    except (json.JSONDecodeError, RecursionError):
        return Score(0.0, None)


def _rouge_l(output: str, reference: str, _: Scoring) -> Score:
    """ROUGE-L's F1 (Lin 2004): the longest common subsequence of words, as rouge-score splits them."""
    from rapidfuzz.distance import LCSseq

    found, wanted = (re.findall(r"[a-z0-9]+", text.lower()) for text in (output, reference))
    common = LCSseq.similarity(found, wanted)
    return Score(2 * common / (len(found) + len(wanted)) if common else 0.0, output)


def _chrf(output: str, reference: str, _: Scoring) -> Score:
    return Score(float(_sacrebleu_chrf().sentence_score(output, [reference]).score) / 100, output)


@cache
def _sacrebleu_chrf() -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF()


def _judge(verdict: str, _reference: str, _scoring: Scoring) -> Score:
    """A judge's reply: the last PASS or FAIL in it."""
    said = re.findall(r"\b(PASS|FAIL)\b", verdict.upper())
    return Score(float(said[-1] == "PASS"), said[-1]) if said else Score(0.0, None)


_SCORERS: dict[str, Callable[[str, str, Scoring], Score]] = {
    "exact_match": lambda output, reference, _: _graded(exact_match(output, reference), output),
    "contains": lambda output, reference, _: _graded(normal(reference) in normal(output), output),
    "regex": lambda output, _, scoring: _graded(bool(_expression(scoring.pattern).search(output)), output),
    "number": _number,
    "rouge_l": _rouge_l,
    "chrf": _chrf,
    "json_schema": _json_schema,
    "judge": _judge,
}


def confusion(found: Sequence[str | None], references: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """{"macro_f1", "labels", "matrix"}: rows are references, columns answers, the last column those that name no label."""
    from sklearn.metrics import confusion_matrix, f1_score

    none = "(none)"
    known = {normal(label): label for label in labels}
    truth = [known.get(normal(reference), reference) for reference in references]
    answers = [answer if answer is not None else none for answer in found]
    return {
        "macro_f1": round(float(f1_score(truth, answers, labels=list(labels), average="macro", zero_division=0)), 4),
        "labels": list(labels),
        "matrix": confusion_matrix(truth, answers, labels=[*labels, none])[:-1].tolist(),
    }
