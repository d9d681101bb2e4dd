"""The ledger of a contextual prompt: what each card is worth, by leaving it out."""

from typing import Any

from prompts.errors import UserError
from prompts.statistics import paired, paired_interval
from prompts.studies.base import Arm, Ground, Study, StudySettings, line
from prompts.techniques.base import slots
from prompts.techniques.contextual import used_cards, without

WHOLE = "all cards"


class LedgerSettings(StudySettings):
    """Which rows the ledger is kept on."""


def arms(ground: Ground) -> list[Arm]:
    cards = used_cards(ground.settings)
    if not cards:
        raise UserError("no card says anything yet; write a role, an audience, a background ...", field="role")
    made = [ground.arm(WHOLE, "contextual", [ground.settings])]
    needed = [card for card in cards if not slots(without(ground.settings, card))]
    if needed:
        ground.notes.append(f"Not left out, as the rows come in through it: {_and(needed)}.")
    cards = [card for card in cards if card not in needed]
    if not cards:
        raise UserError("the only card holds the rows; put them under the text to work on", field="input")
    return made + [
        ground.arm(f"without {card}", "contextual", [without(ground.settings, card)], card=card) for card in cards
    ]


def report(ground: Ground, arms: list[Arm]) -> dict[str, Any]:
    """{"whole": its line, "cards": [{"card", "change", "interval", "p", "tokens", "verdict", "advice", "without": its line}]}.

    `change`: what the card adds to the score, with all others in place; `tokens`: what it adds to every call.
    """
    whole, others = arms[0], arms[1:]
    values = {arm.name: arm.values() for arm in arms}
    found = paired(values, [(arm.name, whole.name) for arm in others], graded=ground.graded)
    cards = []
    for arm, verdict in zip(others, found, strict=True):
        change = paired_interval([a - b for a, b in zip(whole.values(), arm.values(), strict=True)])
        before, after = arm.tokens("tokens_in"), whole.tokens("tokens_in")
        tokens = None if before is None or after is None else round(after - before, 1)
        cards.append({
            "card": arm.about["card"], "change": round(change.value, 4), "interval": [round(change.low, 4), round(change.high, 4)],
            "p": round(verdict.p, 6), "tokens": tokens, "verdict": verdict.sentence,
            "advice": _advice(arm, whole, verdict.better), "without": line(arm, ground),
        })  # fmt: skip
    return {"whole": line(whole, ground), "cards": cards, "advice": _sentence(cards, len(whole.scores))}


def _advice(arm: Arm, whole: Arm, better: str | None) -> str:
    if better is None:
        return "no measurable effect"
    return "keep" if better == whole.name else "drop: the answers are better without it"


def _sentence(cards: list[dict[str, Any]], rows: int) -> str:
    harmful = [card["card"] for card in cards if card["advice"].startswith("drop")]
    useful = [card["card"] for card in cards if card["advice"] == "keep"]
    idle = [card for card in cards if card["advice"].startswith("no")]
    parts = [f"Keep {_and(useful)}."] if useful else []
    parts += [f"Drop {_and(harmful)}: the answers are measurably better without."] if harmful else []
    if idle:
        tokens = sum(card["tokens"] or 0 for card in idle)
        parts.append(
            f"No measurable effect on {rows} rows: {_and([card['card'] for card in idle])}, "
            f"{tokens:,.0f} tokens on every call."
        )
    return " ".join(parts)


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


STUDY = Study(
    "context_ledger", "Ledger: what is each card worth?", "contextual",
    "Leaves out one card at a time and says what that changes: score, interval, tokens.", LedgerSettings, arms, report,
)  # fmt: skip
