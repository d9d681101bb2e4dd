"""What a comparison looks like on the page: plain functions from its document to text and tables."""

from typing import Any

import gradio as gr

from prompts.errors import UserError
from prompts.statistics import agreement
from prompts.ui import charts
from prompts.ui.visitor import Caller
from prompts.words import say, spelled

ALL, DIFFERENT = "all rows", "rows where they differ"  # which replies are shown
MOST_SHOWN = 10_000  # rows in the page's table
SCORES = [
    "Variant", "Score", "95 % interval", "Unread", "Tokens in, a row", "Tokens out, a row", "Seconds, all rows", "From cache",
]  # fmt: skip
WIDTHS = ["102px", "73px", "130px", "70px", "80px", "80px", "80px", "62px"]


def verdict_text(document: dict[str, Any]) -> str:
    """Every pair's verdict and the notes, as Markdown."""
    lines = [f"- {verdict['sentence']}" for verdict in document["verdicts"]] or [
        say("One variant: nothing to compare it with.")
    ]
    return "\n".join([*lines, *(f"- {note}" for note in document["notes"])])


def score_rows(document: dict[str, Any]) -> list[list[str]]:
    """One line a variant."""
    rows = document["rows"]
    return [
        [
            v["name"], f"{v['score']:.1%}", _interval(v), str(v["parse_failures"]), _a_row(v["tokens_in"], rows),
            _a_row(v["tokens_out"], rows), f"{v['seconds']:.1f}", str(v["from_cache"]),
        ]
        for v in document["variants"]
    ]  # fmt: skip


def _interval(variant: dict[str, Any]) -> str:
    low, high = variant["interval"]
    return say("{low:.1%} to {high:.1%}", low=low, high=high)


def _a_row(value: int | None, rows: int) -> str:
    return say("not told") if value is None else f"{value / rows:,.0f}"


def chart(document: dict[str, Any]) -> str:
    """Every variant's score with its interval."""
    dots = [
        charts.Dot(v["name"], v["score"], v["interval"][0], v["interval"][1], f"{v['score']:.1%}, {_interval(v)}")
        for v in document["variants"]
    ]
    return charts.intervals(dots, title=say("Score on {rows} rows, with its 95 % interval", rows=document["rows"]))


def matrices(document: dict[str, Any]) -> str:
    """Macro-F1 and the confusion matrix of each variant whose answers are labels, as HTML."""
    return "".join(
        charts.matrix(
            v["labels"], [*v["labels"], say("(none)")], v["matrix"],
            title=say("{name}: right answers down, the model's across; macro-F1 {macro_f1:.2f}", **v),
        )
        for v in document["variants"]
        if "matrix" in v
    )  # fmt: skip


def replies(document: dict[str, Any] | None, only: str) -> Any:
    """Replies side by side; ✓ right, ✗ wrong, ? unreadable, a number where the scorer grades."""
    if not document:
        return gr.skip()
    names = [v["name"] for v in document["variants"]]
    table = [
        [str(row["row"]), row["reference"], *(_cell(row["answers"][name]) for name in names), _shortened(row["input"])]
        for row in shown_rows(document, only)
    ]
    widths = [50, 95, *[105] * len(names)]
    widths.append(max(240, 677 - sum(widths)))  # beside them on a wide page
    return gr.Dataframe(
        value=table, headers=["#", say("Reference"), *names, say("Row")], column_widths=[f"{wide}px" for wide in widths]
    )


def shown_rows(document: dict[str, Any], only: str) -> list[dict[str, Any]]:
    rows = document["replies"]
    if only != ALL:
        rows = [row for row in rows if len({answer["score"] for answer in row["answers"].values()}) > 1]
    return rows[:MOST_SHOWN]


def thumb(
    passed: bool, _who: Caller, document: dict[str, Any] | None, picked: tuple[int, str] | None, thumbs: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """Keeps a thumb and says how often the scorer agrees with the thumbs so far."""
    if not document or not picked:
        raise UserError("click a reply in the table first")
    row, variant = picked
    thumbs = {**thumbs, f"{row}:{variant}": (row, variant, passed)}
    rows = {found["row"]: found for found in document["replies"]}
    known = [(r, v, p) for r, v, p in thumbs.values() if r in rows and v in rows[r]["answers"]]
    found = agreement([(rows[r]["answers"][v]["score"] >= 1, p) for r, v, p in known])
    who = (
        say("The judge")
        if document["scorer"] == "judge"
        else say("The scorer {scorer}", scorer=say(spelled(document["scorer"])))
    )
    return thumbs, say("{who} agrees with you on {found} replies (95 % interval).", who=who, found=found)


def _shortened(row: dict[str, Any]) -> str:
    return " · ".join(str(value) for value in row.values())[:400]


def _cell(answer: dict[str, Any]) -> str:
    score = answer["score"]
    mark = "?" if answer["unparsed"] else "✓" if score >= 1 else "✗" if score <= 0 else f"{score:.2f}"
    return f"{mark} {answer['reply']}"
