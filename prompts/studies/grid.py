"""The grid of reasoning: each way of reasoning, with thinking off and on, alone and by vote; what it is worth a token."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from prompts.arithmetic import sums
from prompts.settings import knob
from prompts.statistics import paired
from prompts.studies.base import USEFUL, Arm, Ground, Study, StudySettings, line, refuse_judge
from prompts.techniques.chain_of_thought import ChainSettings, Reasoning
from prompts.voting import meaning
from prompts.words import later, say

NAMES = later(
    {"direct": "direct", "step_by_step": "step by step", "own_steps": "your steps", "examples": "worked examples"}
)


class GridSettings(StudySettings):
    """Which ways of reasoning are tried, and how often."""

    ways: tuple[Reasoning, ...] = knob(
        (),
        title="Ways",
        place=5,
        help="Empty: all that apply; your steps and worked examples only where you wrote some.",
    )
    samples: int = knob(
        5, title="Samples", ge=1, le=40, place=6,
        help="So many answers vote (self-consistency), beside the single one; 1: no vote.",
    )  # fmt: skip
    vote_temperature: float = knob(
        0.7, title="Temperature of the samples", gt=0, le=2, step=0.05, place=7, advanced=True,
        help="Higher: the samples differ more.",
    )  # fmt: skip
    switch_thinking: bool = knob(
        True,
        title="Thinking off and on",
        place=8,
        help="Tried both ways where the model's template can switch it; a server does not tell.",
    )


def arms(ground: Ground) -> list[Arm]:
    settings, study = ground.settings, ground.study
    if study.samples > 1:
        refuse_judge(ground, say("votes are compared by what they say"))
    found = []
    for way in _ways(settings, study.ways):
        for switch in _switches(ground):
            one = settings.changed(reasoning=way, thinking=switch)
            name = say(NAMES[way]) + (say(", thinking {switch}", switch=switch) if switch != settings.thinking else "")
            found.append(ground.arm(name, "chain_of_thought", [one], way=way, thinking=switch, samples=1))
            if study.samples > 1 and way != "direct":
                votes = [
                    one.changed(temperature=study.vote_temperature, seed=settings.seed + at)
                    for at in range(study.samples)
                ]
                voted = say("{name}, {samples} votes", name=name, samples=study.samples)
                found.append(
                    ground.arm(voted, "chain_of_thought", votes, way=way, thinking=switch, samples=study.samples)
                )
    return found


def _ways(settings: ChainSettings, wanted: Sequence[str]) -> list[str]:
    written = {"own_steps": bool(settings.steps.strip()), "examples": bool(settings.worked)}
    return [way for way in NAMES if (way in wanted if wanted else written.get(way, True))]


def _switches(ground: Ground) -> list[str]:
    """Thinking off and on where the model's template knows the switch, else as the settings have it."""
    if not ground.study.switch_thinking:
        return [ground.settings.thinking]
    backend = ground.backend(ground.settings.model)
    knows = getattr(backend, "switches_thinking", lambda: False)()
    return ["off", "on"] if knows else [ground.settings.thinking]


def report(ground: Ground, arms: list[Arm]) -> dict[str, Any]:
    """{"cells": [line + {"way", "thinking", "samples", "wrong", "per_1000_tokens", "sums", "sums_right", "verdict", and of a vote
    "risk_coverage"}], "answers": [...], "advice"}.

    `per_1000_tokens`: right answers for 1,000 tokens read and written. `risk_coverage`: [{"margin", "coverage", "accuracy",
    "rows"}], the accuracy on the rows whose vote is at least so clear (Geifman and El-Yaniv 2017).
    """
    first = arms[0]
    values = {arm.name: arm.values() for arm in arms}
    others = arms[1:]
    found = paired(values, [(first.name, arm.name) for arm in others], graded=ground.graded) if others else []
    cells = [_cell(arm, ground) for arm in arms]
    for cell, verdict in zip(cells[1:], found, strict=True):
        cell |= {"verdict": verdict.sentence, "better": verdict.better}
    rows = range(len(ground.evalset.rows))
    shown = [] if ground.study.development else [_row(arms, at, ground) for at in rows]
    if ground.study.development:
        ground.notes.append(
            say("Held-out rows are not shown. With a development share of 0 you see how each row was reasoned about.")
        )
    return {"cells": cells, "answers": shown, "advice": _advice(cells, len(rows))}


def _cell(arm: Arm, ground: Ground) -> dict[str, Any]:
    about = line(arm, ground)
    spent = (about["tokens_in"] or 0) + (about["tokens_out"] or 0)
    checked = [one for side in arm.sides for answer in side.answers.values() for one in sums(answer.reasoning)]
    wrong = sum(one.value < 1 and not one.unparsed for one in arm.scores)
    more: dict[str, Any] = {}
    if len(arm.sides) > 1:
        more["risk_coverage"] = risk_coverage(_margins(arm, ground), arm.values())
    return about | arm.about | more | {
        "wrong": wrong, "per_1000_tokens": round(1000 * about["score"] / spent, 3) if spent else None, "sums": len(checked),
        "sums_right": sum(one.right for one in checked), "verdict": "", "better": None,
    }  # fmt: skip


def _margins(arm: Arm, ground: Ground) -> list[float]:
    """Of each row: the share of the votes for what most say, less the share for what comes next. 0 to 1."""
    found = []
    for at in range(len(arm.evalset.rows)):
        said = [side.answers[at].text for side in arm.sides]
        meanings = [None if one is None else meaning(one, ground.scoring, arm.evalset.labels) for one in said]
        votes = [count for _, count in Counter(one for one in meanings if one is not None).most_common(2)]
        first, second, *_ = [*votes, 0, 0]
        found.append((first - second) / len(said))
    return found


def risk_coverage(margins: Sequence[float], values: Sequence[float]) -> list[dict[str, Any]]:
    """From all rows to the clearest alone."""
    points = []
    for margin in sorted(set(margins)):
        kept = [value for own, value in zip(margins, values, strict=True) if own >= margin]
        points.append({
            "margin": round(margin, 4), "coverage": round(len(kept) / len(values), 4),
            "accuracy": round(sum(kept) / len(kept), 4), "rows": len(kept),
        })  # fmt: skip
    return points


def _row(arms: list[Arm], at: int, ground: Ground) -> dict[str, Any]:
    evalset = ground.evalset
    return {
        "row": evalset.numbers[at] + 1, "reference": evalset.references[at], "input": evalset.rows[at],
        "answers": {
            arm.name: {
                "answer": arm.scores[at].found, "score": round(arm.scores[at].value, 4), "unparsed": arm.scores[at].unparsed,
                "reasoning": _spoken(arm, at),
            }
            for arm in arms
        },
    }  # fmt: skip


def _spoken(arm: Arm, at: int) -> str:
    """The reasoning of the first sample that says what was taken."""
    said = arm.scores[at].found
    answers = [side.answers[at] for side in arm.sides]
    return next((one for one in answers if one.text is not None and one.text == said), answers[0]).reasoning


def _advice(cells: list[dict[str, Any]], rows: int) -> str:
    """Which way to take: the first unless another is measurably better; of those the highest score."""
    first, top = cells[0], max(cells, key=lambda cell: float(cell["score"]))
    if top["score"] < USEFUL:
        rate = say("{score:.0%} of {rows} rows", score=top["score"], rows=rows)
        return say(
            "None is of much use: the best, {name}, is right on {rate}. Take a stronger model.",
            name=top["name"],
            rate=rate,
        )
    better = [cell for cell in cells[1:] if cell["better"] == cell["name"]]
    if not better:
        return say("Take {name}: nothing else is measurably better on {rows} rows.", name=first["name"], rows=rows)
    best = max(better, key=lambda cell: cell["score"])
    spent = (best["tokens_out"] or 0) / first["tokens_out"] if first["tokens_out"] else 0
    cost = say(", for {spent:.0f} times the tokens written", spent=spent) if spent > 1 else ""
    return say(
        "Take {name}: {score:.0%} against {score2:.0%} of {rows} rows{cost}.",
        name=best["name"],
        score=best["score"],
        score2=first["score"],
        rows=rows,
        cost=cost,
    )


STUDY = Study(
    "reasoning_grid", "Grid: which way of reasoning pays?", "chain_of_thought",
    "Asks the same rows directly, step by step, along your steps and after worked examples, alone and by vote.",
    "Bring rows with right answers: every way of reasoning answers them, alone and by vote.", GridSettings,
    arms, report,
)  # fmt: skip
