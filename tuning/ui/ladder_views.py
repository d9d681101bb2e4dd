"""What a ladder looks like on the page."""

import time
from typing import Any

from prompts.statistics import span
from prompts.ui.charts import Dot, intervals, plane
from prompts.ui.progress import time_left
from prompts.words import say, spelled
from tuning.ladder.rungs import TUNED
from tuning.ui.views import STATES
from tuning.ui.words import line_words

HEADERS = [
    "Rung", "Score", "95 % interval", "Against the rung below", "Against the best cheaper", "Tokens in / out",
    "s alone / in batches", "$ per 1,000 calls", "One-off $", "Pays after",
]  # fmt: skip
NOTHING = (
    "Choose a finished run and climb: every prompt technique and the fine-tune answer the same held-out rows, and one "
    "sentence says which to take."
)
WIDTHS = ["142px", "78px", "112px", "181px", "181px", "95px", "110px", "95px", "85px", "99px"]  # of 1178


def status_line(found: dict[str, Any]) -> str:
    """Where a ladder stands, as Markdown."""
    ended = sum(line["status"] != "waiting" for line in found["rungs"])
    state = say("Asking") if found["status"] == "evaluating" else say(STATES[found["status"]])
    text = say(
        "**{state}**: {ended} of {of} rungs, {rows} held-out rows, scored by {scorer}", state=state, ended=ended,
        of=len(found["rungs"]), **{**found, "scorer": say(spelled(found["scorer"]))},
    )  # fmt: skip
    if found["place_in_line"]:
        text += f" · {line_words(found)}"
    if found["status"] == "evaluating":
        now = next((line["title"] for line in found["rungs"] if line["status"] == "waiting"), "")
        text += say(" · now: {now}", now=now)
        if asking := found["asking"]:
            text += say(", {done:,} of {of:,}", **asking)
        text += time_left(found["remaining_seconds"])
    return text + (f" · {found['reason']}" if found["reason"] else "")


def advice(found: dict[str, Any] | None) -> str:
    """The sentence of advice, and what it rests on."""
    if not found:
        return say(NOTHING)
    notes = "".join(f"\n- {note}" for note in found["notes"])
    return f"**{found['advice'] or say('The advice comes when every rung was asked.')}**" + (
        f"\n\n{notes}" if notes else ""
    )


def table(found: dict[str, Any]) -> list[list[str]]:
    """One line a rung, in the order of the ladder."""
    return [_row(line) for line in found["rungs"]]


def _row(line: dict[str, Any]) -> list[str]:
    if line["status"] != "done":
        why = say("Left out: {why}", **line) if line["status"] == "left_out" else say("Waiting")
        return [line["title"], "–", "", why, *[""] * 6]
    return [
        line["title"], f"{line['score']:.0%}", span(*line["interval"]), line["against_below"] or say('the first rung'),
        line["against_cheaper"] or say('nothing is cheaper'), f"{_number(line['tokens_in'])} / {_number(line['tokens_out'])}",
        f"{line['latency']:.2f} / {line['seconds']:.2f}", _dollars(line["dollars_per_1000"]), _dollars(line["one_off_dollars"]),
        say("{break_even_calls:,} calls", **line) if line["break_even_calls"] else "",
    ]  # fmt: skip


def _number(value: float | None) -> str:
    return say("not told") if value is None else f"{value:,.0f}"


def _dollars(value: float | None) -> str:
    return say("not known") if value is None else "0" if value == 0 else f"{value:.4f}" if value < 1 else f"{value:.2f}"


def charts(found: dict[str, Any] | None) -> str:
    """Every rung's score with its interval, in their order and against what it costs, as HTML."""
    done = [line for line in found["rungs"] if line["status"] == "done"] if found else []
    dots, known = [], [line for line in done if line["dollars_per_1000"] is not None]
    for number, line in enumerate(done, 1):
        low, high = line["interval"]
        said = f"{line['score']:.0%} [{low:.0%}, {high:.0%}] · ${_dollars(line['dollars_per_1000'])}"
        kind = int(line["rung"] not in TUNED)
        dots.append(Dot(f"{number} {line['title']}", line["score"], low, high, said, kind))
    if not found or not dots:
        return ""
    title = say("Score on {rows} held-out rows with its 95 % interval, and $ per 1,000 calls (amber: prompts)", **found)
    drawn = intervals(dots, title=title)
    if len(known) < len(done):
        return drawn
    costs = [line["dollars_per_1000"] for line in done]
    return drawn + plane(dots, costs, title=say("Quality against cost"), x_title=say("$ per 1,000 calls"), unit="$")


def details(found: dict[str, Any] | None) -> str:
    """Each rung's prompt and verdicts, as Markdown."""
    if not found:
        return ""
    parts = []
    for line in found["rungs"]:
        if line["status"] != "done":
            continue
        verdicts = "".join(f"\n- {line[key]}" for key in ("verdict_below", "verdict_cheaper") if line[key])
        unread = say(", {unparsed} answers could not be read", unparsed=line["unparsed"]) if line["unparsed"] else ""
        first = say("The first row's prompt:")
        parts.append(
            f"#### {line['title']}\n{line['model']}{unread}.{verdicts}\n\n{first}\n\n{_quoted(line['prompt'])}"
        )
    return "\n\n".join(parts)


def _quoted(text: str) -> str:
    """Text as a block of code, whatever it holds."""
    fence = "`" * (3 + text.count("```"))
    return f"{fence}text\n{text}\n{fence}"


def label(document: dict[str, Any]) -> str:
    """A ladder in a list, from its document."""
    day = time.strftime("%Y-%m-%d %H:%M", time.gmtime(document["created"]))
    return say("{day} · run {run}", day=day, run=document["run"][:6])
