"""Small charts of our own, as HTML that a phone can read too: a value with its interval, and a box of many values."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from statistics import quantiles

from prompts.statistics import span
from prompts.words import say

MANY = 20  # times the smallest value: beyond, an axis is logarithmic


@dataclass(frozen=True)
class Dot:
    """One line of a chart: a value with its interval; `kind` colours it (0, 1, 2)."""

    label: str
    value: float
    low: float
    high: float
    said: str
    kind: int = 0


def intervals(dots: Sequence[Dot], *, title: str, low: float = 0.0, high: float = 1.0) -> str:
    """Values with their intervals between `low` and `high`; a line marks 0 where it lies inside."""
    zero = f'<i class="zero" style="left:{_at(0, low, high)}"></i>' if low < 0 < high else ""
    lines = "".join(
        f'<div><span>{escape(dot.label)}</span><span class="track">{zero}'
        f'<i class="bar k{dot.kind}" style="left:{_at(dot.low, low, high)};right:calc(100% - {_at(dot.high, low, high)})"></i>'
        f'<b class="k{dot.kind}" style="left:{_at(dot.value, low, high)}"></b></span><span>{escape(dot.said)}</span></div>'
        for dot in dots
    )
    return f'<figure class="chart"><figcaption>{escape(title)}</figcaption>{lines}</figure>'


def plane(dots: Sequence[Dot], across: Sequence[float], *, title: str, x_title: str, unit: str = "") -> str:
    """Values of 0 to 1 with their intervals, upwards, against what is `across`; each is numbered as it comes."""
    place, marks = _scale(across)
    points, drawn = "", list[tuple[float, float]]()
    for number, (dot, x) in enumerate(zip(dots, across, strict=True), 1):
        left = place(x)
        aside = 19 * sum(abs(left - x) < 0.04 and abs(dot.value - y) < 0.07 for x, y in drawn)  # beside what lies there
        drawn.append((left, dot.value))
        points += (
            f'<i class="k{dot.kind}" style="left:{_at(left)};bottom:{_at(dot.low)};top:calc(100% - {_at(dot.high)})"></i>'
            f'<b class="k{dot.kind}" style="left:{_at(left)};bottom:{_at(dot.value)};--aside:{aside}px" '
            f'title="{escape(f"{dot.label}: {dot.said}")}">{number}</b>'
        )
    ticks = "".join(f'<u style="bottom:{_at(tick)}"><s>{tick:.0%}</s></u>' for tick in (0.0, 0.25, 0.5, 0.75, 1.0))
    ticks += "".join(f'<em style="left:{_at(place(mark))}">{unit}{mark:.2g}</em>' for mark in marks)
    return (
        f'<figure class="chart plane"><figcaption>{escape(title)}</figcaption>'
        f'<section aria-hidden="true">{ticks}{points}</section><footer>{escape(x_title)}</footer></figure>'
    )


def _scale(values: Sequence[float]) -> tuple[Callable[[float], float], list[float]]:
    """Where a value lies, 0 to 1, and the values to mark: powers of ten where the largest is many times the smallest."""
    least, most = min(values), max(values)
    if least > 0 and most / least > MANY:
        low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
        return lambda value: 0.03 + 0.94 * (math.log10(value) - low) / (high - low), [
            10.0**at for at in range(low, high + 1)
        ]
    most = most * 1.08 or 1.0
    return lambda value: 0.03 + 0.94 * value / most, [0.0, most]


def box(groups: Sequence[tuple[str, Sequence[float]]], *, title: str) -> str:
    """A box plot of shares for each group: lowest, quartiles, median and highest, and every value as a dot."""
    lines = ""
    for number, (label, values) in enumerate(groups):
        first, middle, third = quantiles(values if len(values) > 1 else [*values, *values], n=4, method="inclusive")
        kind = f"k{number % 3}"
        dots = "".join(f'<b class="{kind} small" style="left:{_at(value)}"></b>' for value in values)
        lines += (
            f'<div><span>{escape(label)}</span><span class="track">'
            f'<i class="bar {kind}" style="left:{_at(min(values))};'
            f'right:calc(100% - {_at(max(values))})"></i>'
            f'<i class="box {kind}" style="left:{_at(first)};right:calc(100% - {_at(third)})"></i>'
            f'<i class="median" style="left:{_at(middle)}"></i>{dots}</span>'
            f"<span>{span(min(values), max(values))}, {say('median {median:.0%}', median=middle)}</span></div>"
        )
    return f'<figure class="chart"><figcaption>{escape(title)}</figcaption>{lines}</figure>'


def matrix(labels: Sequence[str], answers: Sequence[str], counts: Sequence[Sequence[int]], *, title: str) -> str:
    """A confusion matrix whose cells are the darker, the larger their share of their row: labels down, answers across."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in answers)
    lines = ""
    for label, row in zip(labels, counts, strict=True):
        cells = "".join(
            f'<td class="{"k0" if label == answer else "k1"}" style="--share:{count / max(1, sum(row)):.2f}">{count}</td>'
            for answer, count in zip(answers, row, strict=True)
        )
        lines += f'<tr><th scope="row">{escape(label)}</th>{cells}</tr>'
    table = f"<table><tr><td></td>{head}</tr>{lines}</table>"
    return (
        f'<figure class="chart matrix"><figcaption>{escape(title)}</figcaption><div tabindex="0">{table}</div></figure>'
    )


def difference(pieces: Sequence[Sequence[str]]) -> str:
    """(text, sign) pieces as marked text: what is new underlined, what is gone struck through."""
    tags = {"+": "ins", "-": "del", "": "span"}
    return (
        '<div class="lens">'
        + "".join(f"<{tags[sign]}>{escape(text)}</{tags[sign]}>" for text, sign in pieces)
        + "</div>"
    )


def _at(value: float, low: float = 0.0, high: float = 1.0) -> str:
    return f"{min(100.0, max(0.0, 100 * (value - low) / (high - low))):.2f}%"


CSS = """
.chart {margin: 0 0 8px; padding: 0} .chart figcaption {font-weight: 600; margin-bottom: 6px}
.chart > div {display: grid; grid-template-columns: minmax(90px, 26%) 1fr minmax(110px, 24%); gap: 10px; align-items: center;
  padding: 3px 0; font-size: var(--text-sm)}
.chart > div > span {overflow-wrap: anywhere}
.track {position: relative; height: 18px; background: var(--background-fill-secondary); border-radius: 4px}
.track i, .track b {position: absolute; display: block}
.track .bar {top: 8px; height: 2px} .track .box {top: 3px; height: 12px; opacity: .35; border-radius: 2px}
.track .median {top: 2px; height: 14px; width: 2px; background: var(--body-text-color)}
.track b {top: 4px; width: 10px; height: 10px; margin-left: -5px; border-radius: 50%}
.track b.small {top: 7px; width: 4px; height: 4px; margin-left: -2px}
.track .zero {top: 0; bottom: 0; width: 1px; background: var(--body-text-color-subdued)}
.track .k0 {background: var(--primary-600)} .track .k1 {background: #d97706} .track .k2 {background: #7c3aed}
.plane section {position: relative; height: 240px; margin: 14px 8px 0 44px; background: var(--background-fill-secondary)}
.plane :is(u, i, b) {position: absolute; display: block}
.plane u {left: 0; right: 0; height: 0; border-top: 1px solid var(--border-color-primary)}
.plane s {position: absolute; left: -44px; text-decoration: none; font-size: 12px; line-height: 0;
  color: var(--body-text-color-subdued)}
.plane i {width: 2px; margin-left: -1px} .plane .k0 {background: var(--primary-600)} .plane .k1 {background: #b45309}
.plane b {width: 18px; height: 18px; transform: translate(calc(var(--aside) - 50%), 50%); border-radius: 50%; color: #fff;
  font-size: 11px; line-height: 18px; text-align: center}
.plane :is(em, footer) {font-size: 12px; font-style: normal; color: var(--body-text-color-subdued)}
.plane em {position: absolute; top: calc(100% + 6px); transform: translateX(-50%)}
.plane footer {margin: 28px 8px 0 44px; text-align: center}
.chart.matrix > div {display: block; overflow-x: auto}
.gradio-container .matrix :is(table, tr, th, td) {border: 0} .matrix table {border-collapse: separate; border-spacing: 2px}
.matrix th {font-weight: 400; padding: 2px 8px; text-align: right}
.matrix td {min-width: 44px; padding: 4px 8px; text-align: center; border-radius: 3px; color: var(--body-text-color)}
.matrix td.k0 {background: rgba(13, 148, 136, calc(var(--share) * .5))}
.matrix td.k1 {background: rgba(217, 119, 6, calc(var(--share) * .5))}
.lens ins {background: #d9f2e4; color: #14532d} .lens del {background: #fde2e0; color: #7f1d1d}
.dark .lens ins {background: #12372a; color: #bbf7d0} .dark .lens del {background: #3f1a1a; color: #fecaca}
.steps li {margin: 2px 0} .steps mark {border-radius: 3px; padding: 0 3px}
.steps .right {background: #d9f2e4; color: #14532d} .steps .wrong {background: #fde2e0; color: #7f1d1d}
.dark .steps .right {background: #12372a; color: #bbf7d0} .dark .steps .wrong {background: #3f1a1a; color: #fecaca}
@media (max-width: 600px) {.chart > div {grid-template-columns: 1fr 1fr} .chart .track {grid-column: 1 / -1; grid-row: 2}}
"""
