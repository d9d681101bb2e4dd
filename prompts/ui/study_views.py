"""What the studies look like on the page: plain functions from a document to text, charts and tables."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import gradio as gr

from prompts.arithmetic import sums
from prompts.ui.charts import Dot, box, difference, intervals
from prompts.ui.progress import duration
from prompts.ui.tree_section import how as made
from prompts.words import later, say

ALL, WRONG = "all rows", "wrong rows"  # which of a table of answers are shown
MOST_SHOWN = 500  # rows of a table of answers
Shown = tuple[str, str, Any, str]  # advice, charts, table, details


def taken(found: dict[str, Any]) -> str:
    """What a study will take, as one line."""
    read = say("{tokens_in:,} tokens read", tokens_in=found["tokens_in"])
    written = (
        say(" and at most {tokens_out_at_most:,} written", tokens_out_at_most=found["tokens_out_at_most"])
        if found["tokens_out_at_most"]
        else ""
    )
    time = "" if found["seconds"] is None else say(" · about {duration}", duration=duration(found["seconds"]))
    money = "" if found["dollars"] is None else say(" · about ${dollars:.4f}", dollars=found["dollars"])
    cached = (
        say(", {from_cache:,} of them already answered", from_cache=found["from_cache"]) if found["from_cache"] else ""
    )
    return say(
        "{rows:,} rows, {ways} ways: {calls:,} calls{cached} · {read}{written}{time}{money}.",
        rows=found["rows"],
        ways=found["ways"],
        calls=found["calls"],
        cached=cached,
        read=read,
        written=written,
        time=time,
        money=money,
    )


def proposed(event: dict[str, Any]) -> str:
    """What the search has just tried."""
    about = {**event, "how": made(event["how"])}
    if "refused" in event:
        return say("A proposal ({how}) was refused: it {refused}.", **about)
    return say("Version {version} by {how}: {score:.0%} of the development rows.", **about)


def _rate(line: dict[str, Any]) -> str:
    return f"{line['score']:.0%} [{line['interval'][0]:.0%}, {line['interval'][1]:.0%}]"


def _number(value: float | None) -> str:
    return say("not told") if value is None else f"{value:,.0f}"


def _dot(label: str, line: dict[str, Any], kind: int = 0) -> Dot:
    low, high = line["interval"]
    return Dot(label, line["score"], low, high, _rate(line), kind)


def _change(low: float, high: float) -> str:
    return say("{low:+.1%} to {high:+.1%}", low=low, high=high)


def _table(headers: Sequence[str], rows: list[list[str]]) -> Any:
    """Columns as wide as their longest word or short cell asks; on a wide page they fill the column beside the form."""
    heads = [say(one) for one in headers]
    wide = [
        max(9 * max(map(len, head.split())), 7 * min(24, max(map(len, cells), default=0))) + 26
        for head, *cells in zip(heads, *rows, strict=True)
    ]
    more = max(0, 650 - sum(wide)) // len(wide)
    return gr.Dataframe(value=rows, headers=heads, column_widths=[f"{one + more}px" for one in wide], visible=True)


def ledger(found: dict[str, Any]) -> Shown:
    """Each card's change of the score, around 0."""
    dots = []
    for c in found["cards"]:
        low, high = c["interval"]
        dots.append(Dot(c["card"], c["change"], low, high, f"{c['change']:+.0%} [{low:+.0%}, {high:+.0%}]"))
    reach = max(0.1, *(abs(edge) for c in found["cards"] for edge in c["interval"]))
    chart = intervals(dots, title=say("What each card adds to the score"), low=-reach, high=reach)
    headers = later(["Card", "Adds to the score", "95 % interval", "Tokens a call", "Score without it", "Advice"])
    rows = [
        [
            c["card"], f"{c['change']:+.1%}", _change(*c["interval"]), _number(c["tokens"]),
            _rate(c["without"]), c["advice"],
        ]
        for c in found["cards"]
    ]  # fmt: skip
    details = _listed([f"{c['card']}: {c['verdict']}" for c in found["cards"]])
    return found["advice"], chart, _table(headers, rows), details


def grid(found: dict[str, Any]) -> Shown:
    """Scores by way, the risk-coverage curves, and every row's reasoning."""
    cells = found["cells"]
    chart = intervals([_dot(c["name"], c, int(c["samples"] > 1)) for c in cells], title=say("Score (amber: by vote)"))
    for cell in cells:
        if points := cell.get("risk_coverage"):
            dots = [
                Dot(say('margin {margin:.0%} or more', margin=p['margin']), p["accuracy"], p["accuracy"], p["accuracy"],
                    say('{accuracy:.0%} of {rows} rows ({coverage:.0%})', **p), 2)
                for p in points
            ]  # fmt: skip
            chart += intervals(
                dots,
                title=say("{name}: right among the rows whose vote is so clear (risk and coverage)", name=cell["name"]),
            )
    headers = later(["Way", "Score", "Wrong / unread", "Tokens in / out", "Right per 1,000 tokens", "Sums right"])
    rows = [
        [
            c["name"], _rate(c), f"{c['wrong']} / {c['parse_failures']}", f"{_number(c['tokens_in'])} / {_number(c['tokens_out'])}",
            say('not told') if c["per_1000_tokens"] is None else f"{c['per_1000_tokens']:.2f}", say('{sums_right} of {sums}', **c),
        ]
        for c in cells
    ]  # fmt: skip
    details = _listed([c["verdict"] for c in cells if c["verdict"]]) + _reasonings(found["answers"][:20])
    return found["advice"], chart, _table(headers, rows), details


def _reasonings(answers: list[dict[str, Any]]) -> str:
    parts = [f"<h4>{say('The first rows, step by step')}</h4>"] if answers else []
    for row in answers:
        said = "".join(
            f"<details><summary>{escape(name)}: {'✓' if one['score'] >= 1 else '?' if one['unparsed'] else '✗'} "
            f"{escape(str(one['answer'] or say('no answer found')))}</summary>{steps(one['reasoning'])}</details>"
            for name, one in row["answers"].items()
        )
        asked = " · ".join(str(value) for value in row["input"].values())[:300]
        parts.append(
            f"<p><b>{say('Row {row}', row=row['row'])}</b>, {escape(str(row['reference']))}: {escape(asked)}</p>{said}"
        )
    return "".join(parts)


def steps(reasoning: str) -> str:
    """Reasoning as a list of steps, its sums marked right or wrong."""
    lines = [line.strip() for line in reasoning.splitlines() if line.strip()]
    return '<ol class="steps">' + "".join(f"<li>{_marked(line)}</li>" for line in lines) + "</ol>" if lines else ""


def _marked(text: str) -> str:
    out, at = "", 0
    for one in sums(text):
        kind, sign = ("right", "✓") if one.right else ("wrong", say("✗ it is {value}", value=one.value))
        out += f'{escape(text[at : one.start])}<mark class="{kind}">{escape(one.text)} {sign}</mark>'
        at = one.end
    return out + escape(text[at:])


def risk(found: dict[str, Any]) -> Shown:
    """The k curve with and without calibration, the box of orders, the last label's pull."""
    dots = []
    for point in found["k"]:
        dots.append(_dot(point["name"], point))
        if point["calibrated"]:
            dots.append(_dot(say("{name}, calibrated", name=point["name"]), point["calibrated"], 1))
    chart = intervals(dots, title=say("Score against the number of examples (amber: calibrated)"))
    if orders := found["orders"]:
        groups = [(say("{scores} orders", scores=len(orders["scores"])), orders["scores"])]
        groups += [(say("calibrated"), orders["calibrated"])] if orders["calibrated"] else []
        chart += box(groups, title=say("The same {k} examples in other orders", k=orders["k"]))
    said = []
    if pull := found["last_label"]:
        low, high = pull["interval"]
        said.append(
            say(
                "The last example's label is given {effect:+.1%} [{low:+.1%}, {high:+.1%}] of rows more often than "
                "the same label is where it does not come last.",
                effect=pull["effect"],
                low=low,
                high=high,
            )
        )
    said += [found["calibration"]]
    said += [
        say("{name}, calibrated: {verdict}", name=p["name"], verdict=p["calibrated"]["verdict"])
        for p in found["k"]
        if p["calibrated"]
    ]
    headers = later(["Examples", "Score", "Calibrated", "Tokens in", "Unreadable"])
    rows = [
        [
            p["name"],
            _rate(p),
            _rate(p["calibrated"]) if p["calibrated"] else "–",
            _number(p["tokens_in"]),
            str(p["parse_failures"]),
        ]
        for p in found["k"]
    ]
    return found["advice"], chart, _table(headers, rows), _listed(said)


def versions(found: dict[str, Any]) -> Shown:
    """Each version on the development rows and on the held-out rows."""
    dots = []
    for node in found["versions"]:
        dots += [
            _dot(say("version {number}", number=_named(node)), node["development"]),
            _dot(say("held-out rows"), node["held_out"], 1),
        ]
    chart = intervals(dots, title=say("Score on the development rows (amber: on the held-out rows)"))
    headers = later(["Version", "How", "Development", "Held-out", "Gap", "Fixed / broken", "Tokens"])
    rows = [
        [
            _named(node), made(node["how"]), _rate(node["development"]), _rate(node["held_out"]), f"{node['gap']:+.0%}",
            f"{len(node['fixed'])} / {len(node['broken'])}",
            say('not told') if node["tokens_added"] is None else f"{node['tokens_added']:+,.0f}",
        ]
        for node in found["versions"]
    ]  # fmt: skip
    parts = []
    for node in found["versions"][1:]:
        rows_named = say(
            "fixed rows: {fixed}; broken rows: {broken}", fixed=_some(node["fixed"]), broken=_some(node["broken"])
        )
        parts.append(
            f"<h4>{escape(say('Version {version}, made from {parent}', version=_named(node), parent=node['parent']))}</h4>"
        )
        parts.append(f"<p>{escape(node['verdict'])} {rows_named}</p>{difference(node['diff'])}")
    if "refused" in found:
        said = [
            say("{calls:,} of {budget:,} calls were used.", **found),
            *(say("Refused, {one}", one=one) for one in found["refused"]),
        ]
        parts.append(_listed(said))
    return found["advice"], chart, _table(headers, rows), "".join(parts)


def _named(node: dict[str, Any]) -> str:
    return f"{node['number']}" + (f" · {node['name']}" if node["name"] else "")


def _some(rows: list[int]) -> str:
    return ", ".join(map(str, rows[:20])) + (" …" if len(rows) > 20 else "") if rows else say("none")


def answers(found: dict[str, Any], number: int, only: str) -> list[list[str]]:
    """The development rows with what a version answered."""
    rows = [(row, row["answers"].get(str(number))) for row in found.get("answers", [])]
    kept = [(row, one) for row, one in rows if one and (only == ALL or one["score"] < 1)]
    return [
        [
            str(row["row"]),
            "✓" if one["score"] >= 1 else "✗",
            one["reply"],
            row["reference"],
            _text(row["input"], row["reference"]),
        ]
        for row, one in kept[:MOST_SHOWN]
    ]


def _text(row: dict[str, Any], reference: str) -> str:
    return " · ".join(str(value) for value in row.values() if str(value) != reference)


def _listed(lines: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>" if lines else ""


VIEWS: dict[str, Callable[[dict[str, Any]], Shown]] = {
    "context_ledger": ledger, "reasoning_grid": grid, "few_shot_risk": risk, "version_tree": versions,
}  # fmt: skip
