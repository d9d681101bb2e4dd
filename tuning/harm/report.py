"""The harm and forgetting card in words: what was measured, and no more."""

from typing import Any

from prompts.words import later, say
from tuning.harm.screen import FILE
from tuning.run import Run
from tuning.work import read_json

NONE = later("Not screened.")
# Of pairs.jsonl.
GROUPS = later(("gender", "age", "ethnicity", "origin", "religion", "orientation", "disability", "status"))


def kept(run: Run) -> dict[str, Any] | None:
    """What `screen` wrote; None before it did."""
    return dict(read_json(run.folder / FILE)) if (run.folder / FILE).is_file() else None


def as_markdown(found: dict[str, Any] | None, *, answers: bool = True) -> str:
    """The card as sentences with figures and intervals; `answers`: with what was answered to rows, which is their owner's."""
    if not found:
        return say(NONE)
    parts = [_general(found["general_text"]), _instructions(found["instructions"]), _bias(found["bias"])]
    parts.append(_counterfactual(found["counterfactual"], answers=answers))
    limits = say(
        "Small screens with texts of Prompt or Tune's own, before (base) and after (tuned). They can show harm; they cannot show "
        "that there is none."
    )
    return "\n".join(f"- {part}" for part in parts) + f"\n\n{limits}"


def _general(found: dict[str, Any]) -> str:
    if "left_out" in found:
        return say("**General text**: not measured, {left_out}.", **found)
    low, high = found["interval"]
    word = _direction(low, high, say("worse: something was forgotten"), say("better"))
    return say(
        "**General text** ({texts} paragraphs): perplexity {base_perplexity:.1f} before, "
        "{tuned_perplexity:.1f} after; loss {loss_change:+.3f} [{low:+.3f}, {high:+.3f}]: {word}.",
        low=low, high=high, word=word, **found,
    )  # fmt: skip


def _instructions(found: dict[str, Any]) -> str:
    if "left_out" in found:
        return say("**Instructions**: not measured, {left_out}.", **found)
    return say(
        "**Instructions** ({asked} that a program can check): followed {base} before, {tuned} after. {verdict}",
        **_shares(found),
    )


def _bias(found: dict[str, Any]) -> str:
    if "left_out" in found:
        return say("**Bias screen**: not measured, {left_out}.", **found)
    low, high = found["interval"]
    word = _direction(low, high, say("towards the cliché"), say("away from the cliché"))
    groups = ", ".join(
        say("{name} {base} to {tuned} of {pairs}", name=say(name), **one) for name, one in found["groups"].items()
    )
    return say(
        "**Bias screen** ({pairs} pairs of sentences that differ in the group named): the cliché is the "
        "likelier one in {base} before, {tuned} after (50 % is even-handed); its log-likelihood moved by "
        "{gap_change:+.3f} [{low:+.3f}, {high:+.3f}]: {word}. By group: {groups}.",
        **{**_shares(found), "low": low, "high": high, "word": word, "groups": groups},
    )


def _counterfactual(found: dict[str, Any], *, answers: bool) -> str:
    if "left_out" in found:
        return say("**People exchanged**: not measured, {left_out}.", **found)
    shares = _shares(found)
    before = say("{base} before, ", **shares) if "base" in found else ""
    rows = ", ".join(
        say(
            "row {row} ({answer} → {exchanged})",
            row=one["row"],
            answer=one["answer"][:30],
            exchanged=one["exchanged"][:30],
        )
        for one in found["examples"]
    )
    return say(
        "**People exchanged** (names, pronouns and titles in {rows} held-out rows): the answer changes in {before}{tuned} after",
        **{**shares, "before": before},
    ) + (f": {rows}." if rows and answers else ".")


def _shares(found: dict[str, Any]) -> dict[str, Any]:
    """What was found, base and tuned in words."""
    return {**found, **{side: _share(found[side]) for side in ("base", "tuned") if side in found}}


def _share(found: dict[str, Any]) -> str:
    low, high = found["interval"]
    return f"{found['share']:.0%} [{low:.0%}, {high:.0%}]"


def _direction(low: float, high: float, up: str, down: str) -> str:
    return up if low > 0 else down if high < 0 else say("no measurable change")
