"""What a ladder came to: scores with intervals, verdicts, costs, when a fine-tune pays, and one sentence of advice."""

from collections import Counter
from typing import Any

from prompts.errors import NotFound
from prompts.prices import cost, on_a_server
from prompts.scoring import GRADED
from prompts.statistics import Verdict, p_words, paired, summary
from prompts.studies.base import USEFUL
from prompts.words import say
from tuning.evaluate import held_rows
from tuning.ladder.rungs import TITLES, TUNED
from tuning.ladder.settings import LadderSettings
from tuning.ladder.work import Ladder
from tuning.line import in_line, remaining

Line = dict[str, Any]


def snapshot(ladder: Ladder) -> dict[str, Any]:
    """{"ladder", "run", "status", "reason", "remaining_seconds", "asking" (done, of), "rows", "scorer", "model", "rungs": [...],
    "advice", "notes", "settings"}; returns at once. Each rung: "rung", "title", "status" (waiting, done, left_out), and where it
    was asked its score, interval, tokens and seconds a call, dollars, break-even calls and verdicts.
    """
    status, settings = ladder.status(), ladder.settings
    scorer = ladder.document.get("scorer", settings.scorer)
    try:
        commonest = Counter(reference.strip() for reference in held_rows(ladder.run).references)
    except NotFound:  # its run was deleted
        commonest = Counter()
    graded = scorer in GRADED
    lines = [_line(ladder, name, settings, graded=graded) for name in settings.chosen]
    done = [line for line in lines if line["status"] == "done"]
    _judge(done, graded=graded)
    for line in done:
        line["break_even_calls"] = _break_even(line, done)
    return {
        "ladder": ladder.id,
        "run": ladder.document["run"],
        "status": status["state"],
        "reason": status.get("reason", ""),
        **in_line(ladder, status["state"]),
        "remaining_seconds": remaining(ladder) if status["state"] == "evaluating" else None,
        "asking": _asking(ladder) if status["state"] == "evaluating" else None,
        "created": ladder.document["created"],
        "rows": len(done[0]["values"]) if done else min(ladder.document["rows"], settings.most_rows),
        "scorer": scorer,
        "seed": settings.seed,
        "rungs": [{name: value for name, value in line.items() if name != "values"} for line in lines],
        "advice": advice(done, commonest, graded=graded) if status["state"] == "finished" else "",
        "notes": _notes(done),
        "settings": settings.to_json(),
    }


def _asking(ladder: Ladder) -> Line | None:
    """How many of its answers the rung that is climbed has; None while it has none."""
    events = ladder.events()
    last = events[-1] if events else {}
    return {"done": last["done"], "of": last["of"]} if last.get("event") == "asking" else None


def _line(ladder: Ladder, name: str, settings: LadderSettings, *, graded: bool) -> Line:
    found = ladder.rung(name)
    line: Line = {"rung": name, "title": say(TITLES[name]), "status": "waiting", "one_off_dollars": 0.0}
    if found is None:
        return line
    if "left_out" in found:
        return line | {"status": "left_out", "why": found["left_out"]}
    score = summary(found["values"], graded=graded)
    return line | {
        "status": "done",
        "score": round(score.value, 4),
        "interval": [round(score.low, 4), round(score.high, 4)],
        **{key: found[key] for key in ("model", "made", "prompt", "unparsed", "tokens_in", "tokens_out", "seconds", "latency",
                                       "from_cache", "by_probability", "values")},
        "dollars_per_1000": _cost(found, name, settings),
        "one_off_dollars": _one_off(ladder, settings) if name in TUNED else 0.0,
    }  # fmt: skip


def _cost(found: dict[str, Any], name: str, settings: LadderSettings) -> float | None:
    """Dollars of 1,000 calls: of what runs here, by its seconds; of a larger model, by its tokens. None where it is not known."""
    by_tokens = name == "larger" or on_a_server(found["model"])
    one = cost(settings, float(found["seconds"]), found["tokens_in"], found["tokens_out"], by_tokens=by_tokens)
    return None if one is None else round(1000 * one, 6)


def _one_off(ladder: Ladder, settings: LadderSettings) -> float | None:
    """What the training cost: its seconds here, or the Job's bill. None where neither is known."""
    try:
        run = ladder.run
    except NotFound:
        return None
    if run.job and "dollars" in run.job:
        return float(run.job["dollars"])
    seconds = next((event["seconds"] for event in reversed(run.events()) if event["event"] == "trained"), None)
    return None if seconds is None else round(seconds / 3600 * settings.dollars_per_hour, 6)


def _judge(done: list[Line], *, graded: bool) -> None:
    """Adds to each rung the verdict on it against the rung below and against the best cheaper one, adjusted together."""
    pairs: list[tuple[str, str]] = []
    for at, line in enumerate(done):
        below = done[at - 1]["title"] if at else None
        cheaper = _best_cheaper(line, done)
        line["below"], line["cheaper"] = below, cheaper["title"] if cheaper else None
        pairs += [(other, line["title"]) for other in dict.fromkeys((below, line["cheaper"])) if other]
    pairs = list(dict.fromkeys(pairs))
    values = {line["title"]: line["values"] for line in done}
    found = dict(zip(pairs, paired(values, pairs, graded=graded), strict=True)) if pairs else {}
    for line in done:
        for key in ("below", "cheaper"):
            verdict = found.get((line[key], line["title"]))
            line[f"against_{key}"] = _short(verdict) if verdict else None
            line[f"verdict_{key}"] = verdict.sentence if verdict else None


def _short(verdict: Verdict) -> str:
    """A verdict in few words."""
    if verdict.better is None:
        return say("no measurable difference from {first}", first=verdict.first)
    better = verdict.better == verdict.second
    return say("better than {first}", first=verdict.first) if better else say("worse than {first}", first=verdict.first)


def _best_cheaper(line: Line, done: list[Line]) -> Line | None:
    if line["dollars_per_1000"] is None:
        return None
    known = [
        other
        for other in done
        if other["dollars_per_1000"] is not None and other["dollars_per_1000"] < line["dollars_per_1000"]
    ]
    return max(known, key=lambda other: (other["score"], -other["dollars_per_1000"])) if known else None


def _break_even(line: Line, done: list[Line]) -> int | None:
    """Calls after which the training has paid for itself against the best prompt; None where it never does or nothing is known."""
    prompt = best(done, tuned=False)
    costs = (line["dollars_per_1000"], prompt["dollars_per_1000"] if prompt else None, line["one_off_dollars"])
    if line["rung"] not in TUNED or None in costs or costs[0] >= costs[1]:
        return None
    return max(1, round(1000 * costs[2] / (costs[1] - costs[0])))


def best(done: list[Line], *, tuned: bool) -> Line | None:
    """The rung of the highest score among the fine-tunes, or among the prompts of the same size; the cheaper of two equals."""
    among = [line for line in done if (line["rung"] in TUNED) == tuned and line["rung"] != "larger"]
    return max(among, key=lambda line: (line["score"], -(line["dollars_per_1000"] or 0.0)), default=None)


def advice(done: list[Line], answers: dict[str, int], *, graded: bool) -> str:
    """One plain sentence: prompt, fine-tune or neither, and why: the best fine-tune against the best prompt; then whether something
    cheaper is not measurably worse than what is advised.
    """
    prompt, tuned = best(done, tuned=False), best(done, tuned=True)
    top = max((line for line in (prompt, tuned) if line), key=lambda line: line["score"], default=None)
    if top is None:
        return say("Nothing was measured.")
    rows = len(top["values"])
    if reason := _worthless(top, answers, rows):
        return say("Neither: {reason}", reason=reason)
    if prompt is None or tuned is None:
        what = say("No fine-tune was measured") if tuned is None else say("No prompt was measured")
        said = say("{what}; the best is {top} on {rows} rows.", what=what, top=_named(top), rows=rows)
        return said + _cheaper(top, done, graded=graded)
    values = {line["title"]: line["values"] for line in (prompt, tuned)}
    verdict = paired(values, [(prompt["title"], tuned["title"])], graded=graded)[0]
    numbers = say(
        "{tuned} against {prompt} on {rows} rows (p {p})", tuned=_named(tuned), prompt=_named(prompt), rows=rows,
        p=p_words(verdict.p),
    )  # fmt: skip
    if verdict.better == tuned["title"]:
        said = say("Fine-tune: {numbers}. {pays}", numbers=numbers, pays=_pays(prompt, tuned))
        return said + _cheaper(tuned, done, graded=graded)
    if verdict.better == prompt["title"]:
        said = say("Prompt: {numbers}; the training did not pay.", numbers=numbers)
        return said + _cheaper(prompt, done, graded=graded)
    cheaper = min((prompt, tuned), key=lambda line: line["dollars_per_1000"])
    about = {"numbers": numbers, "title": cheaper["title"]}
    if cheaper is prompt:
        return say(
            "Prompt: no measurable difference, {numbers}; take {title}, as it costs less a call and needs no training.",
            **about,
        )
    return say("Fine-tune: no measurable difference, {numbers}; take {title}, as it costs less a call.", **about)


def _cheaper(line: Line, done: list[Line], *, graded: bool) -> str:
    """The cheapest rung of the same kind that is not measurably worse, as a sentence; empty where there is none."""
    cost = line["dollars_per_1000"]
    others = [
        other for other in done
        if (other["rung"] in TUNED) == (line["rung"] in TUNED) and other["rung"] != "larger" and other["dollars_per_1000"] < cost
    ]  # fmt: skip
    for other in sorted(others, key=lambda other: float(other["dollars_per_1000"])):
        if paired({"a": other["values"], "b": line["values"]}, [("a", "b")], graded=graded)[0].better is None:
            about = {"other": _named(other), "title": line["title"]}
            if not other["dollars_per_1000"]:
                return say(" {other} is not measurably worse than {title}, and costs nothing a call.", **about)
            return say(
                " {other} is not measurably worse than {title}, which costs {times:.1f} times as much a call.",
                times=cost / other["dollars_per_1000"], **about,
            )  # fmt: skip
    return ""


def _worthless(top: Line, answers: dict[str, int], rows: int) -> str:
    """Why even the best rung is no use; empty where it is some."""
    if top["score"] == 0:
        return say("no rung was right on any of {rows} rows; look at the answers, the scorer and the data.", rows=rows)
    if top["score"] < USEFUL:
        return say(
            "even the best rung, {top}, is right on few of {rows} rows; take a stronger model, or bring more and clearer examples.",
            top=_named(top), rows=rows,
        )  # fmt: skip
    if answers and sum(answers.values()) >= rows:
        common, count = max(answers.items(), key=lambda item: item[1])
        share = count / sum(answers.values())
        if len(answers) <= rows // 2 and top["interval"][0] <= share:
            return say(
                "the best rung, {top}, is not measurably better than always answering {common!r} ({share:.0%}); bring more or "
                "clearer examples, or a stronger base.", top=_named(top), common=common, share=share,
            )  # fmt: skip
    return ""


def _pays(prompt: Line, tuned: Line) -> str:
    costs = say(
        "1,000 calls cost ${ours:.4f} instead of ${theirs:.4f}",
        ours=tuned["dollars_per_1000"],
        theirs=prompt["dollars_per_1000"],
    )
    if tuned["break_even_calls"]:
        return costs + say("; the training has paid for itself after {break_even_calls:,} calls.", **tuned)
    return costs + say(": it is better, not cheaper.")


def _named(line: Line) -> str:
    low, high = line["interval"]
    return f"{line['title']} {line['score']:.0%} [{low:.0%}, {high:.0%}]"


def _notes(done: list[Line]) -> list[str]:
    notes = []
    if len(done) > 2:
        notes.append(
            say(
                "The best rung was picked by these same rows, so its score flatters it a little; verdicts are "
                "Holm-adjusted together."
            )
        )
    if any(line["by_probability"] for line in done):
        names = ", ".join(line["title"] for line in done if line["by_probability"])
        notes.append(say("Labels scored by log-probability: {names}. The others write their answer.", names=names))
    models = {line["model"] for line in done if line["rung"] not in (*TUNED, "larger")}
    if models:
        notes.append(say("The prompts were asked of {names}.", names=", ".join(sorted(models))))
    return notes
