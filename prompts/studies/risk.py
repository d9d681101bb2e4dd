"""The risk panel of a few-shot prompt: how far the score hangs on the number of examples, their order and the last label.

Lu et al. 2022, "Fantastically Ordered Prompts and Where to Find Them", arXiv 2104.08786 (order); Zhao et al. 2021, "Calibrate
Before Use", arXiv 2102.09690 (recency and majority bias, calibration).
"""

import math
import random
from collections.abc import Sequence
from typing import Any

from prompts.answering import answered, keyed
from prompts.calibration import CONTENT_FREE, calibrated
from prompts.errors import UserError
from prompts.experiment import EvalSet, evalset_of
from prompts.held_out import check_examples
from prompts.replies import Replies
from prompts.results import Side, by_probability
from prompts.scoring import score
from prompts.settings import knob
from prompts.statistics import paired, paired_interval, summary
from prompts.studies.base import FEW, Arm, Ground, Study, StudySettings, line, refuse_judge
from prompts.techniques.base import filled, slots
from prompts.techniques.few_shot import Choose, Example, FewShotSettings, chosen
from prompts.words import say

FROM_ROWS = 64  # examples at most that are drawn from the development rows


class RiskSettings(StudySettings):
    """Which numbers of examples and how many orders are tried, on which rows."""

    ks: tuple[int, ...] = knob(
        (0, 1, 2, 4, 8),
        title="Numbers of examples (k)",
        place=5,
        help="The curve's points; 0 is zero-shot.",
        min_length=1,
    )
    orders: int = knob(
        12, title="Orders", ge=2, le=24, place=6, help="The same examples in so many orders, at the k below."
    )
    order_k: int = knob(
        4, title="Examples whose order is changed", ge=2, le=32, place=7, help="Two have two orders only."
    )
    pick: Choose = knob(
        "balanced", title="Which examples", place=8,
        help="How they are chosen from your examples or, where there are too few, from the development rows.",
    )  # fmt: skip
    development: float = knob(
        0.4, title="Development share", ge=0, le=0.9, step=0.05, place=30,
        help="Rows that examples are drawn from; they are never scored here. The others are held out.",
    )  # fmt: skip


def arms(ground: Ground) -> list[Arm]:
    refuse_judge(ground, say("so many orders would each have to be judged"))
    pool, study = _pool(ground), ground.study
    most = max(*study.ks, study.order_k)
    if len(pool) < most:
        raise UserError(
            "there are {pool} examples for k = {most}; raise the development share or add examples",
            pool=len(pool),
            most=most,
            field="ks",
        )
    plain = ground.settings.changed(examples=pool, choose="listed", k=None)
    if study.pick == "similar":
        plain = plain.changed(choose="similar")
    else:
        plain = plain.changed(examples=[pool[at] for at in chosen(study.pick, pool, most, "", study.seed)])
    found = [ground.arm(f"k = {k}", "few_shot", [plain.changed(k=k)], part="k", k=k) for k in sorted(set(study.ks))]
    if study.pick == "similar":
        return found  # every question has examples of its own, the nearest last: there is no order to change
    first = plain.examples[: study.order_k]
    for number, order in enumerate(_orders(study.order_k, study.orders, study.seed), 1):
        shown = tuple(first[at] for at in order)
        settings = plain.changed(examples=shown, k=study.order_k)
        name = say("order {number}", number=number)
        found.append(ground.arm(name, "few_shot", [settings], part="order", last=shown[-1].output.strip()))
    return found


def _pool(ground: Ground) -> tuple[Example, ...]:
    """The examples of the settings and, where they are too few, development rows after them; never rows that are scored."""
    settings: FewShotSettings = ground.settings
    own, study = settings.examples, ground.study
    if len(own) >= max(*study.ks, study.order_k) or not study.development:
        return own
    _, rows = evalset_of(study, ground.table, development=True)
    seen = {filled(settings, "input", row).strip() for row in ground.evalset.rows} | {one.input.strip() for one in own}
    drawn: list[Example] = []
    for row, reference in zip(rows.rows, rows.references, strict=True):
        text = filled(settings, "input", row) or filled(settings, "task", row)
        if text.strip() and text.strip() not in seen and len(drawn) < FROM_ROWS:
            drawn.append(Example(input=text, output=reference))
    check_examples(ground.owner, [one.input for one in drawn])
    yours = say(" beside {own} of yours", own=len(own)) if own else ""
    ground.notes.append(
        say("Examples come from {drawn} development rows{yours}; they are not scored.", drawn=len(drawn), yours=yours)
    )
    return (*own, *drawn)


def _orders(k: int, wanted: int, seed: int) -> list[list[int]]:
    """So many different orders of k things, or as many as there are; the first leaves them as they are."""
    rng, found = random.Random(seed), [list(range(k))]
    while len(found) < min(wanted, math.factorial(k)):
        order = rng.sample(range(k), k)
        if order not in found:
            found.append(order)
    return found


def report(ground: Ground, arms: list[Arm]) -> dict[str, Any]:
    """{"k": [line + {"k", "calibrated"}], "orders": {"k", "scores", "calibrated"...}, "last_label", "calibration", "advice"}.

    `calibrated`: {"score", "interval", "verdict"}, None where labels are not scored by log-probability. `last_label`: how much
    more often the last example's label is given than the same label is with other orders, a share of rows with its interval.
    """
    reason = _no_calibration(ground, arms)
    fixed = {} if reason else {arm.name: _calibrated(arm, ground) for arm in arms}
    curve = [arm for arm in arms if arm.about["part"] == "k"]
    orders = [arm for arm in arms if arm.about["part"] == "order"]
    points = [line(arm, ground) | {"k": arm.about["k"], "calibrated": _fixed(arm, fixed, ground)} for arm in curve]
    spread = _spread(orders, fixed, ground)
    found = {
        "k": points, "orders": spread, "last_label": _last_label(orders),
    }  # fmt: skip
    said, measurable = (reason, False) if reason else _calibration(orders or curve, fixed, ground)
    calibration = f"{said[0].upper()}{said[1:]}."
    return {
        **found,
        "calibration": calibration,
        "advice": advice(curve, spread, said if measurable else "", ground),
    }


def _no_calibration(ground: Ground, arms: list[Arm]) -> str:
    if ground.scoring.scorer != "label":
        return say("calibration needs labels: choose the scorer label")
    if ground.study.pick == "similar":
        return say("calibration is for prompts whose examples are the same for every row")
    if len(ground.evalset.rows) < FEW:
        return say("calibration is judged on {few} rows or more", few=FEW)
    if not by_probability(arms[0].sides[0], ground.scoring):
        return say("calibration needs the model's log-probabilities, which a server does not give")
    return ""


def _calibrated(arm: Arm, ground: Ground) -> list[float]:
    """The arm's scores once the answer to nothing is taken out."""
    side = arm.sides[0]
    free = [dict.fromkeys(slots(side.settings), text) for text in CONTENT_FREE]
    evalset = EvalSet(list(range(len(free))), free, [""] * len(free), arm.evalset.labels, [])
    prompts = [side.technique.build(side.settings, row) for row in free]
    asked = Side(arm.name, side.technique, side.settings, side.backend, prompts)
    keyed(asked, ground.scoring, evalset)
    for _ in answered(asked, range(len(free)), Replies(ground.owner), ground.scoring, evalset, ground.stop):
        pass
    if ground.stop.is_set():
        return arm.values()
    nothing = [asked.replies[at].scores or () for at in range(len(free))]
    return [
        score(arm.evalset.labels[calibrated(side.replies[at].scores or (), nothing)], reference, ground.scoring,
              arm.evalset.labels).value
        for at, reference in enumerate(arm.evalset.references)
    ]  # fmt: skip


def _fixed(arm: Arm, fixed: dict[str, list[float]], ground: Ground) -> dict[str, Any] | None:
    if arm.name not in fixed:
        return None
    rate = summary(fixed[arm.name], graded=ground.graded)
    before, after = say("as it is"), say("calibrated")
    verdict = paired({before: arm.values(), after: fixed[arm.name]}, [(before, after)], graded=ground.graded)[0]
    return {
        "score": round(rate.value, 4), "interval": [round(rate.low, 4), round(rate.high, 4)], "verdict": verdict.sentence,
        "better": verdict.better,
    }  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _spread(orders: list[Arm], fixed: dict[str, list[float]], ground: Ground) -> dict[str, Any] | None:
    if not orders:
        return None
    scores = [round(_mean(arm.values()), 4) for arm in orders]
    after = [round(_mean(fixed[arm.name]), 4) for arm in orders if arm.name in fixed]
    return {
        "k": ground.study.order_k, "scores": scores, "low": min(scores), "high": max(scores), "mean": round(_mean(scores), 4),
        "calibrated": after, "last": [arm.about["last"] for arm in orders],
    }  # fmt: skip


def _last_label(orders: list[Arm]) -> dict[str, Any] | None:
    """None where the orders do not end on different labels."""
    lasts = [arm.about["last"] for arm in orders]
    if len(set(lasts)) < 2:
        return None
    differences = []
    for at in range(len(orders[0].scores)):
        said = [(arm.scores[at].found or "").casefold() for arm in orders]
        by_order = []
        for last, own in zip(lasts, said, strict=True):
            others = [word == last.casefold() for other, word in zip(lasts, said, strict=True) if other != last]
            by_order.append((own == last.casefold()) - _mean(others))
        differences.append(_mean(by_order))
    rate = paired_interval(differences)
    return {"effect": round(rate.value, 4), "interval": [round(rate.low, 4), round(rate.high, 4)]}


def _calibration(arms: list[Arm], fixed: dict[str, list[float]], ground: Ground) -> tuple[str, bool]:
    """What calibration changes, over all these arms: each row's mean score with it against without; is that measurable?"""
    rows = range(len(ground.evalset.rows))
    gains = [_mean([fixed[arm.name][at] - arm.values()[at] for arm in arms]) for at in rows]
    rate = paired_interval(gains)
    said = say(
        "{value:+.1%} [{low:+.1%}, {high:+.1%}] on {rows} rows, the mean of {arms} prompts",
        value=rate.value, low=rate.low, high=rate.high, rows=len(gains), arms=len(arms),
    )  # fmt: skip
    if rate.low > 0:
        return say("calibration helps: {said}", said=said), True
    if rate.high < 0:
        return say("calibration harms: {said}", said=said), True
    return say("calibration changes nothing measurable: {said}", said=said), False


def advice(curve: list[Arm], orders: dict[str, Any] | None, calibration: str, ground: Ground) -> str:
    """One sentence: the smallest k that is not measurably worse than the best, how far the order moves it, and `calibration`."""
    best = max(curve, key=lambda arm: _mean(arm.values()))
    values = {arm.name: arm.values() for arm in curve}
    others = [arm for arm in curve if arm.about["k"] < best.about["k"]]
    verdicts = paired(values, [(arm.name, best.name) for arm in others], graded=ground.graded) if others else []
    enough = next((arm for arm, verdict in zip(others, verdicts, strict=True) if verdict.better is None), best)
    rate = summary(enough.values(), graded=ground.graded)
    text = say("Take {name}: {rate}", name=enough.name, rate=rate.said())
    if enough is not best:
        text += say(", not measurably worse than {name}", name=best.name)
    if orders:
        text += say("; at k = {k} the order alone moves the score from {low:.0%} to {high:.0%}", **orders)
    return text + (f"; {calibration}." if calibration else ".")


STUDY = Study(
    "few_shot_risk", "Risk panel: how far is it luck?", "few_shot",
    "The score against the number of examples, over their orders, after the last label, with and without calibration.",
    "Bring rows with right answers: you see how far the score hangs on k, on order and on the last label.",
    RiskSettings, arms, report,
)  # fmt: skip
