"""What a run looks like on the page: plain functions from documents to text and tables."""

import math
from typing import Any

import pandas as pd

from prompts.settings import label
from prompts.statistics import span
from prompts.ui.compare_views import matrices
from prompts.ui.progress import duration, time_left
from prompts.words import later, say, spelled
from tuning.data.columns import Columns
from tuning.evaluate import BASE, SIDES
from tuning.recipe import Recipe
from tuning.sweep import FAILED
from tuning.ui.words import line_words

STATES = later({
    "starting": "Starting…", "sent": "On its way to Hugging Face Jobs", "queued": "Waiting for the device",
    "loading": "Loading the model and reading the rows…", "training": "Training",
    "evaluating": "Measuring base against tuned on the held-out rows…", "finished": "Finished", "cancelled": "Cancelled",
    "failed": "Failed", "dead": "Stopped without finishing", "waiting": "Waiting",
    "deleted": "Deleted",
})  # fmt: skip

MEASURING = later({
    "validation": " · measuring the loss on validation rows, {done:,} of {of:,}",
    "held_out": " · measuring the loss on held-out rows, {done:,} of {of:,}",
    "samples": " · answering {done:,} of {of:,} rows that it does not learn from",
})  # fmt: skip
SILENT = later({
    "starting": " · {passed} so far", "loading": " · {passed} so far", "data": " · loading the model: {passed} so far",
    "training": " · the next step: {passed} so far", "trained": " · loading the model: {passed} so far",
})  # fmt: skip


def progress_line(state: dict[str, Any]) -> str:
    """The state of a run in one or two sentences of Markdown."""
    text = f"**{say(STATES[state['status']])}**"
    if state["place_in_line"]:
        text += f", {line_words(state)}"
    if state["reason"]:
        text += f": {state['reason']}."
    if silent := state["silent"]:
        text += say(SILENT[silent["after"]], passed=duration(silent["passed"])) + time_left(silent["remaining"])
    if fetching := state["fetching"]:
        megabytes = {"done": fetching["done"] / 1e6, "of": fetching["of"] / 1e6}
        text += say(" · fetching the model: {done:,.0f} of {of:,.0f} MB", **megabytes) + time_left(
            fetching["remaining"]
        )
    if reading := state["reading"]:
        text += say(" · {done:,} of {of:,} rows", **reading) + time_left(reading["remaining"])
    if evaluating := state["evaluating"]:
        text += f" · {evaluating['done'] / evaluating['of']:.0%}" + time_left(evaluating["remaining"])
    if state["step"]:
        text += say(
            " · step {step} of {steps} · loss {loss:.4f} · learning rate {learning_rate:.1e} · {tokens_per_second:.0f} tokens/s · "
            "{peak_memory_gb:.1f} GB · {elapsed} elapsed", **{**state, "elapsed": duration(state["elapsed"])},
        )  # fmt: skip
        if measuring := state["measuring"]:
            text += say(MEASURING[measuring["part"]], **measuring) + time_left(measuring["remaining"])
        elif state["status"] == "training":
            text += time_left(state["remaining"])
    if job := state["job"]:
        cost = _money(job["dollars"] if "dollars" in job else job["most_dollars"])
        cost = say("{cost} so far", cost=cost) if "dollars" in job else say("at most {cost}", cost=cost)
        text += say(" · Job on {flavor}, {cost}", flavor=job["flavor"], cost=cost)
        text += say(" · [its page]({url})", url=job["url"]) if "url" in job else ""
    if state["tracker"]:
        text += say(" · tracker: {tracker}", tracker=state["tracker"])
    rows = state["rows"]
    if (loss := state["validation_loss"]) is not None:
        text += say(" · loss on {rows} validation rows {loss:.4f}", rows=rows["validation"], loss=loss)
    if (loss := state["eval_loss"]) is not None:
        text += say(" · loss on {rows} held-out rows {loss:.4f}", rows=rows["held_out"], loss=loss)
    return text


LINES = {"training": "#0d9488", "validation": "#d97706", "held-out": "#7c3aed"}


def loss_points(events: list[dict[str, Any]]) -> pd.DataFrame | None:
    """step, loss, part (one of LINES); None before the first step, which a plot needs to stay empty."""
    points: list[tuple[int, float, str]] = []
    for event in events:
        if event["event"] == "step":
            points.append((event["step"], event["loss"], "training"))
        elif event["event"] == "evaluation":
            points.append((event["step"], event["loss"], event["part"].replace("_", "-")))
    if not points:
        return None
    parts, last = [part for *_, part in points], points[-1][0]
    alone = [point for point in points if parts.count(point[2]) == 1]
    back = max(1, last // 25)  # steps: a line of one point would not be seen
    points += [(step - back, loss, part) for step, loss, part in alone]
    # nor is one that the plot does not know from its first value
    points += [(1, math.nan, part) for part in LINES if part not in parts]
    return pd.DataFrame(points, columns=["step", "loss", "part"])


CURVES = {
    "learning_rate": ("Learning rate", " "), "grad_norm": ("Gradient norm", " "), "tokens_per_second": ("Speed", "tokens/s"),
    "memory_gb": ("Peak memory", "GB"),
}  # fmt: skip


def curve(events: list[dict[str, Any]], name: str) -> pd.DataFrame | None:
    """A figure of every step: step, value."""
    points = [(event["step"], event[name]) for event in events if event["event"] == "step"]
    return pd.DataFrame(points, columns=["step", "value"]) if points else None


def sample_rows(events: list[dict[str, Any]]) -> list[list[str]]:
    """What the model answered while it learned, the newest first."""
    return [
        [f"{event['epoch']:.2g}", one["answer"], one["reference"], one["given"]]
        for event in reversed(events)
        if event["event"] == "sample"
        for one in event["answers"]
    ]


def verdict(evaluation: dict[str, Any] | None) -> str:
    """Scores with intervals and the verdict, as Markdown."""
    if not evaluation:
        return say("Not measured yet. Finish a run with held-out rows, or press “Measure again”.")
    if "scorer" not in evaluation:
        older = say("Measured by an older version of this app; press “Measure again”.")
        return f"**{evaluation['verdict']}**\n\n{older}"
    rows = evaluation["rows"]
    head = say(
        "| | score (95 % interval) | exact match | loss | perplexity | tokens in / out a row | characters | s a row |"
    )
    lines = [
        f"**{evaluation['verdict']}**", "",
        say("On {rows} held-out rows, scored by {scorer}; {won} rows won, {lost} lost.",
            **{**evaluation, "scorer": say(spelled(evaluation["scorer"]))}), "",
        head, "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for side, name in (("base", evaluation["base_is"]), ("tuned", "tuned")):
        found, loss = evaluation[side], evaluation["losses"].get(side)
        score = f"**{found['score']:.0%}** ({span(*found['score_interval'])})"
        lines.append(
            f"| {say(name)} | {score} | {found['exact_match']:.0%} | "
            + (f"{loss['loss']:.3f} | {loss['perplexity']:,.1f}" if loss else "– | –")
            + f" | {found['tokens_in'] / rows:.0f} / {found['tokens_out'] / rows:.0f} | {found['characters']:.0f} | "
            f"{found['seconds'] / rows:.2f} |"
        )
    cut = [say("{count} of {side}", count=n, side=say(one)) for one in SIDES if (n := evaluation[one].get("cut_off"))]
    notes = [say("Answers that were cut off for their length: {cut}.", cut=", ".join(cut))] if cut else []
    if evaluation["base_is"] == BASE:
        notes.append(say("The base is the model that training began with: {base_check}.", **evaluation))
    return "\n".join([*lines, "", *notes])


def example_rows(evaluation: dict[str, Any] | None) -> list[list[str]]:
    """The held-out rows side by side, the worst first."""
    examples = evaluation["examples"] if evaluation else []
    return [
        [
            str(e["row"]),
            _mark(e.get("tuned_score", e["tuned_passed"])),
            _mark(e.get("base_score", e["base_passed"])),
            e["reference"],
            e["tuned"],
            e["base"],
            e["input"],
        ]
        for e in examples
    ]


def _mark(score: float) -> str:
    return "✓" if score >= 1 else "✗" if score <= 0 else f"{score:.2f}"


def matrix(evaluation: dict[str, Any] | None) -> str:
    """Macro-F1 and the confusion matrix of the tuned side, as HTML; empty where answers are no labels."""
    if not evaluation or "matrix" not in evaluation:
        return ""
    return matrices({"variants": [{"name": say("Tuned"), **evaluation}]})


def run_label(state: dict[str, Any]) -> str:
    day = state["created"][:16].replace("T", " ")
    return f"{day} · {state['data']} · {state['model']} · {state['run'][:6]}"


def foreseen(found: dict[str, Any]) -> str:
    """A forecast in sentences."""
    tiers = ", ".join(
        f"{tier['tier']} {_time(3600 * tier['hours'])} ({_money(tier['dollars'])})" for tier in found["tiers"]
    )
    text = say(
        "**About {duration}** here: {steps} steps of {seconds_per_step:.1f} s, {tokens_per_second:.0f} tokens/s, peak memory "
        "{peak_memory_gb:.1f} GB. Measured on {measured_steps} real steps, the longest rows among them.\n\nElsewhere, the steps "
        "alone, estimated from the hardware's peak and the layers of the model: {tiers}.",
        **{**found, "duration": duration(found["seconds"]), "tiers": tiers},
    )
    return text + (f"\n\n{found['allowance']['sentence']}" if "allowance" in found else "")


def _time(seconds: float) -> str:
    return duration(seconds) if seconds >= 60 else say("under a minute")


def _money(dollars: float) -> str:
    return f"${dollars:.2f}" if dollars >= 0.01 else say("under $0.01")


RESULTS = later({
    "status": "state", "train_loss": "training loss", "validation_loss": "validation loss", "eval_loss": "held-out loss",
    "tokens_per_second": "tokens/s", "peak_memory_gb": "memory (GB)",
})  # fmt: skip


def compared(found: dict[str, Any]) -> str:
    """Where runs differ and what they came to, as a table of Markdown."""
    names = [line["run"][:6] for line in found["runs"]]
    rows = [
        [_title(name), *(str(values[line["run"]]) for line in found["runs"])]
        for name, values in found["differences"].items()
    ]
    for key, title in RESULTS.items():
        rows.append([say(title), *(_number(line[key]) for line in found["runs"])])
    rows.append([say("exact match (95 % interval)"), *map(_score, found["runs"])])
    lines = ["| |" + "|".join(names) + "|", "|---" * (len(names) + 1) + "|", *(f"|{'|'.join(row)}|" for row in rows)]
    same = "" if found["differences"] else say("\n\nRecipes and data are the same.")
    return "\n".join(lines) + same


def _title(name: str) -> str:
    """What the page calls a setting."""
    field = {**Recipe.model_fields, **Columns.model_fields}.get(name)
    return say(label(name, field) if field else name)


def _score(line: dict[str, Any]) -> str:
    if "exact_match" not in line:
        return say("not measured")
    about = {"score": line["exact_match"], "span": span(*line["interval"]), "rows": line["of_rows"]}
    return say("{score:.0%} ({span}, {rows} rows)", **about)


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return "" if value is None else str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def compared_losses(found: dict[str, Any]) -> pd.DataFrame:
    points = [
        (point["step"], point["loss"], run[:6])
        for run, losses in found["losses"].items()
        for point in losses
        if point["part"] == "training"
    ]
    return pd.DataFrame(points, columns=["step", "loss", "run"])


def swept(found: dict[str, Any]) -> str:
    """Where a sweep stands, and what its best trial came to, as Markdown."""
    trials = found["trials"]
    ended = sum(trial["status"] in ("finished", *FAILED) for trial in trials)
    state = say(STATES[found["status"]])
    text = say("**{state}**: {ended} of {trials} trials", state=state, ended=ended, trials=len(trials))
    if found["reason"]:
        text += f" · {found['reason']}"
    text += time_left(found["remaining"])
    if best := next((trial for trial in trials if trial["run"] == found["best"]), None) if found["best"] else None:
        about = {"loss": best["validation_loss"], "values": _settings(best["values"]), "run": best["run"][:6]}
        text += "\n\n" + say("Best by validation loss, {loss:.4f}: {values} (run {run}).", **about)
    return text + (f"\n\n{verdict(found['evaluation'])}" if found["evaluation"] else "")


def trial_rows(found: dict[str, Any]) -> list[list[str]]:
    """The trials of a sweep, the best first, those without a loss last."""
    order = sorted(found["trials"], key=lambda trial: (trial["validation_loss"] is None, trial["validation_loss"] or 0))
    return [
        [str(trial["trial"]), say(STATES[trial["status"]]), _settings(trial["values"]), _number(trial["validation_loss"]),
         _number(trial["train_loss"]), (trial["run"] or "")[:6]]
        for trial in order
    ]  # fmt: skip


def _settings(values: dict[str, Any]) -> str:
    return ", ".join(f"{_title(name)} {value}" for name, value in values.items())
