"""The harm and forgetting card in words: what was measured, and no more."""

from typing import Any

from tuning.harm.screen import FILE
from tuning.run import Run
from tuning.work import read_json

NONE = "Not screened."


def kept(run: Run) -> dict[str, Any] | None:
    """What `screen` wrote; None before it did."""
    return dict(read_json(run.folder / FILE)) if (run.folder / FILE).is_file() else None


def as_markdown(found: dict[str, Any] | None, *, answers: bool = True) -> str:
    """The card as sentences with figures and intervals; `answers`: with what was answered to rows, which is their owner's."""
    if not found:
        return NONE
    parts = [_general(found["general_text"]), _instructions(found["instructions"]), _bias(found["bias"])]
    parts.append(_counterfactual(found["counterfactual"], answers=answers))
    return "\n".join(f"- {part}" for part in parts) + (
        "\n\nSmall screens with texts of Prompt or Tune's own, before (base) and after (tuned). They can show harm; they cannot "
        "show that there is none."
    )


def _general(found: dict[str, Any]) -> str:
    if "left_out" in found:
        return f"**General text**: not measured, {found['left_out']}."
    low, high = found["interval"]
    word = _direction(low, high, "worse: something was forgotten", "better")
    return (
        f"**General text** ({found['texts']} paragraphs): perplexity {found['base_perplexity']:.1f} before, "
        f"{found['tuned_perplexity']:.1f} after; loss {found['loss_change']:+.3f} [{low:+.3f}, {high:+.3f}]: {word}."
    )


def _instructions(found: dict[str, Any]) -> str:
    if "left_out" in found:
        return f"**Instructions**: not measured, {found['left_out']}."
    return (
        f"**Instructions** ({found['asked']} that a program can check): followed {_share(found['base'])} before, "
        f"{_share(found['tuned'])} after. {found['verdict']}"
    )


def _bias(found: dict[str, Any]) -> str:
    if "left_out" in found:
        return f"**Bias screen**: not measured, {found['left_out']}."
    low, high = found["interval"]
    word = _direction(low, high, "towards the cliché", "away from the cliché")
    groups = ", ".join(
        f"{name} {one['base']} to {one['tuned']} of {one['pairs']}" for name, one in found["groups"].items()
    )
    return (
        f"**Bias screen** ({found['pairs']} pairs of sentences that differ in the group named): the cliché is the likelier one in "
        f"{_share(found['base'])} before, {_share(found['tuned'])} after (50 % is even-handed); its log-likelihood moved by "
        f"{found['gap_change']:+.3f} [{low:+.3f}, {high:+.3f}]: {word}. By group: {groups}."
    )


def _counterfactual(found: dict[str, Any], *, answers: bool) -> str:
    if "left_out" in found:
        return f"**People exchanged**: not measured, {found['left_out']}."
    before = f"{_share(found['base'])} before, " if "base" in found else ""
    rows = ", ".join(f"row {one['row']} ({one['answer'][:30]} → {one['exchanged'][:30]})" for one in found["examples"])
    return (
        f"**People exchanged** (names, pronouns and titles in {found['rows']} held-out rows): the answer changes in {before}"
        f"{_share(found['tuned'])} after" + (f": {rows}." if rows and answers else ".")
    )


def _share(found: dict[str, Any]) -> str:
    low, high = found["interval"]
    return f"{found['share']:.0%} [{low:.0%}, {high:.0%}]"


def _direction(low: float, high: float, up: str, down: str) -> str:
    return up if low > 0 else down if high < 0 else "no measurable change"
