"""What a run looks like on the page: plain functions from documents to text and tables."""

from typing import Any

import pandas as pd

from prompts.ui.compare_views import matrices
from tuning.ui.words import duration, line_words

STATES = {
    "starting": "Starting…",
    "sent": "On its way to Hugging Face Jobs",
    "queued": "Waiting for the device",
    "loading": "Loading the model and reading the rows…",
    "training": "Training",
    "evaluating": "Measuring base against tuned on the held-out rows…",
    "finished": "Finished",
    "cancelled": "Cancelled",
    "failed": "Failed",
    "dead": "Stopped without finishing",
}


def progress_line(state: dict[str, Any]) -> str:
    """The state of a run in one or two sentences of Markdown."""
    text = f"**{STATES[state['status']]}**"
    if state["place_in_line"]:
        text += f", {line_words(state)}"
    if state["reason"]:
        text += f": {state['reason']}."
    if state["step"]:
        text += (
            f" · step {state['step']} of {state['steps']} · loss {state['loss']:.4f} · learning rate "
            f"{state['learning_rate']:.1e} · {state['tokens_per_second']:.0f} tokens/s · {state['peak_memory_gb']:.1f} GB · "
            f"{duration(state['elapsed'])} elapsed"
        )
        if state["status"] == "training":
            text += f" · {duration(state['remaining'])} left"
    if job := state["job"]:
        cost = f"{_money(job['dollars'])} so far" if "dollars" in job else f"at most {_money(job['most_dollars'])}"
        text += f" · Job on {job['flavor']}, {cost}" + (f" · [its page]({job['url']})" if "url" in job else "")
    if state["tracker"]:
        text += f" · tracker: {state['tracker']}"
    if state["validation_loss"] is not None:
        text += f" · loss on {state['rows']['validation']} validation rows {state['validation_loss']:.4f}"
    if state["eval_loss"] is not None:
        text += f" · loss on {state['rows']['held_out']} held-out rows {state['eval_loss']:.4f}"
    return text


def loss_points(events: list[dict[str, Any]]) -> pd.DataFrame | None:
    """step, loss, part ("training" or "held-out"); None before the first step, which a plot needs to stay empty."""
    points: list[tuple[int, float, str]] = []
    for event in events:
        if event["event"] == "step":
            points.append((event["step"], event["loss"], "training"))
        elif event["event"] == "evaluation":
            points.append((event["step"], event["loss"], event["part"].replace("_", "-")))
    return pd.DataFrame(points, columns=["step", "loss", "part"]) if points else None


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
        return "Not measured yet. Finish a run with held-out rows, or press “Measure again”."
    if "scorer" not in evaluation:
        return f"**{evaluation['verdict']}**\n\nMeasured by an older version of this app; press “Measure again”."
    rows = evaluation["rows"]
    lines = [
        f"**{evaluation['verdict']}**", "",
        f"On {rows} held-out rows, scored by {evaluation['scorer']}; {evaluation['won']} rows won, {evaluation['lost']} lost.", "",
        "| | score (95 % interval) | exact match | loss | perplexity | tokens in / out a row | characters | s a row |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for side in ("base", "tuned"):
        found, loss = evaluation[side], evaluation["losses"].get(side)
        low, high = found["score_interval"]
        name = side if side == "tuned" or evaluation["base_is"] == "the base" else evaluation["base_is"]
        lines.append(
            f"| {name} | **{found['score']:.0%}** ({low:.0%} to {high:.0%}) | {found['exact_match']:.0%} | "
            + (f"{loss['loss']:.3f} | {loss['perplexity']:,.1f}" if loss else "– | –")
            + f" | {found['tokens_in'] / rows:.0f} / {found['tokens_out'] / rows:.0f} | {found['characters']:.0f} | "
            f"{found['seconds'] / rows:.2f} |"
        )
    cut = ", ".join(
        f"{evaluation[side]['cut_off']} of {side}" for side in ("base", "tuned") if evaluation[side].get("cut_off")
    )
    notes = [f"Answers that were cut off for their length: {cut}."] if cut else []
    if evaluation["base_is"] == "the base":
        notes.append(f"The base is the model that training began with: {evaluation['base_check']}.")
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
    return matrices({"variants": [{"name": "Tuned", **evaluation}]})


def run_label(state: dict[str, Any]) -> str:
    day = state["created"][:16].replace("T", " ")
    return f"{day} · {state['data']} · {state['model']} · {state['run'][:6]}"


STEPS = {
    "writing": "Writing the {form} form…", "comparing": "Comparing with the adapter: {side}, {done} of {of} rows…",
    "uploading": "Uploading to {repo}…", "reading_back": "Reading every file of {repo} back…",
    "loading_again": "Loading {repo} in a fresh process and asking it…",
}  # fmt: skip


def publishing(event: dict[str, Any]) -> str:
    """A step of an export or a push."""
    return STEPS[event["event"]].format(**event)


def checked(check: dict[str, Any] | None) -> str:
    """How a form compares with the adapter, as a sentence; every row that differs is named."""
    if not check:
        return ""
    text = f" {check['same']} of {check['rows']} held-out rows are answered exactly as by the adapter (asked by {check['by']})."
    rows = "; ".join(
        f"row {one['row']}: {one['exported'][:40]!r} instead of {one['adapter'][:40]!r}" for one in check["differ"]
    )
    return text + (f" They differ on {rows}." if rows else "")


def exported(event: dict[str, Any]) -> str:
    """What an export came to, as Markdown."""
    return f"**{event['form'].capitalize()}**: {', '.join(event['files'])}.{checked(event['check'])}"


def published(state: dict[str, Any]) -> str:
    """Where a run was published, as Markdown."""
    if not (found := state["published"]):
        return f"Not published: {why}." if (why := state.get("not_published")) else "Not published."
    kind = "private" if found["private"] else "public"
    text = (
        f"Published as [{found['repo']}]({found['url']}), {kind}, {found.get('form', 'adapter')}, revision "
        f"`{found['revision'][:10]}`. All {len(found['files'])} files were read back and are the same."
    )
    if trip := found.get("round_trip"):
        text += f" Loaded in a fresh process, it gave the same logits and the same answers on {trip['rows']} rows."
    text += checked(found.get("check")) + (f" {note}" if (note := found.get("base_at_hand")) else "")
    if moved := found.get("base", {}).get("moved_to"):
        text += f" The base has moved on to `{moved[:10]}` since the training: the card names the revision that was trained on."
    for name, title in (("data", "The rows"), ("space", "The Space to try it")):
        if more := found.get(name):
            text += f" {title}: [{more['repo']}]({more['url']})."
    return text


def foreseen(found: dict[str, Any]) -> str:
    """A forecast in sentences."""
    tiers = ", ".join(
        f"{tier['tier']} {_time(3600 * tier['hours'])} ({_money(tier['dollars'])})" for tier in found["tiers"]
    )
    return (
        f"**About {duration(found['seconds'])}** here: {found['steps']} steps of {found['seconds_per_step']:.1f} s, "
        f"{found['tokens_per_second']:.0f} tokens/s, peak memory {found['peak_memory_gb']:.1f} GB. Measured on "
        f"{found['measured_steps']} real steps, the longest rows among them.\n\nElsewhere, the steps alone, at 30 % of the "
        f"hardware's peak (estimated): {tiers}."
        + (f"\n\n{found['allowance']['sentence']}" if "allowance" in found else "")
    )


def _time(seconds: float) -> str:
    return duration(seconds) if seconds >= 60 else "under a minute"


def _money(dollars: float) -> str:
    return f"${dollars:.2f}" if dollars >= 0.01 else "under $0.01"


RESULTS = {
    "status": "state", "train_loss": "training loss", "validation_loss": "validation loss", "eval_loss": "held-out loss",
    "tokens_per_second": "tokens/s", "peak_memory_gb": "memory (GB)",
}  # fmt: skip


def compared(found: dict[str, Any]) -> str:
    """Where runs differ and what they came to, as a table of Markdown."""
    names = [line["run"][:6] for line in found["runs"]]
    rows = [
        [f"`{name}`", *(str(values[line["run"]]) for line in found["runs"])]
        for name, values in found["differences"].items()
    ]
    for key, title in RESULTS.items():
        rows.append([title, *(_number(line[key]) for line in found["runs"])])
    rows.append(["exact match (95 % interval)", *map(_score, found["runs"])])
    lines = ["| |" + "|".join(names) + "|", "|---" * (len(names) + 1) + "|", *(f"|{'|'.join(row)}|" for row in rows)]
    same = "" if found["differences"] else "\n\nRecipes and data are the same."
    return "\n".join(lines) + same


def _score(line: dict[str, Any]) -> str:
    if "exact_match" not in line:
        return "not measured"
    low, high = line["interval"]
    return f"{line['exact_match']:.0%} ({low:.0%} to {high:.0%}, {line['of_rows']} rows)"


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


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
    ended = sum(trial["status"] in ("finished", "failed") for trial in trials)
    text = f"**{STATES[found['status']]}**: {ended} of {len(trials)} trials"
    if found["reason"]:
        text += f" · {found['reason']}"
    current = next((trial for trial in trials if trial["status"] == "training"), None)
    if current and current["remaining"] is not None:
        text += f" · trial {current['trial']}: {duration(current['remaining'])} left"
    if best := next((trial for trial in trials if trial["run"] == found["best"]), None) if found["best"] else None:
        text += f"\n\nBest by validation loss, {best['validation_loss']:.4f}: {_settings(best['values'])} (run {best['run'][:6]})."
    return text + (f"\n\n{verdict(found['evaluation'])}" if found["evaluation"] else "")


def trial_rows(found: dict[str, Any]) -> list[list[str]]:
    """The trials of a sweep, the best first, those without a loss last."""
    order = sorted(found["trials"], key=lambda trial: (trial["validation_loss"] is None, trial["validation_loss"] or 0))
    return [
        [str(trial["trial"]), trial["status"], _settings(trial["values"]), _number(trial["validation_loss"]),
         _number(trial["train_loss"]), (trial["run"] or "")[:6]]
        for trial in order
    ]  # fmt: skip


def _settings(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
