"""The ledger of a contextual prompt: what each card is worth, by leaving it out."""

from functools import reduce
from typing import Any

from prompts.errors import UserError
from prompts.statistics import paired, paired_interval
from prompts.studies.base import Arm, Ground, Study, StudySettings, line
from prompts.techniques.base import slots
from prompts.techniques.contextual import used_cards, without
from prompts.words import later, say

WHOLE = later("all cards")
ADVICE = later({True: "keep", False: "drop: the answers are better without it", None: "no measurable effect"})


class LedgerSettings(StudySettings):
    """Which rows the ledger is kept on."""


def arms(ground: Ground) -> list[Arm]:
    cards = used_cards(ground.settings)
    if not cards:
        raise UserError("no card says anything yet; write a role, an audience, a background ...", field="role")
    made = [ground.arm(say(WHOLE), "contextual", [ground.settings])]
    needed = [card for card in cards if not slots(without(ground.settings, card))]
    if needed:
        ground.notes.append(say("Not left out, as the rows come in through it: {needed}.", needed=_listed(needed)))
    cards = [card for card in cards if card not in needed]
    if not cards:
        raise UserError("the only card holds the rows; put them under the text to work on", field="input")
    return made + [
        ground.arm(say("without {card}", card=card), "contextual", [without(ground.settings, card)], card=card)
        for card in cards
    ]


def report(ground: Ground, arms: list[Arm]) -> dict[str, Any]:
    """{"whole": its line, "cards": [{"card", "change", "interval", "p", "tokens", "verdict", "keep", "advice", "without": its
    line}]}.

    `change`: what the card adds to the score, with all others in place; `tokens`: what it adds to every call; `keep`: true,
    false, or null where there is no measurable effect.
    """
    whole, others = arms[0], arms[1:]
    values = {arm.name: arm.values() for arm in arms}
    found = paired(values, [(arm.name, whole.name) for arm in others], graded=ground.graded)
    cards = []
    for arm, verdict in zip(others, found, strict=True):
        change = paired_interval([a - b for a, b in zip(whole.values(), arm.values(), strict=True)])
        keep = None if verdict.better is None else verdict.better == whole.name
        before, after = arm.tokens("tokens_in"), whole.tokens("tokens_in")
        tokens = None if before is None or after is None else round(after - before, 1)
        cards.append({
            "card": arm.about["card"], "change": round(change.value, 4), "interval": [round(change.low, 4), round(change.high, 4)],
            "p": round(verdict.p, 6), "tokens": tokens, "verdict": verdict.sentence,
            "keep": keep, "advice": say(ADVICE[keep]), "without": line(arm, ground),
        })  # fmt: skip
    return {"whole": line(whole, ground), "cards": cards, "advice": _sentence(cards, len(whole.scores))}


def _sentence(cards: list[dict[str, Any]], rows: int) -> str:
    harmful, useful, idle = ([card for card in cards if card["keep"] is wanted] for wanted in (False, True, None))
    parts = [say("Keep {cards}.", cards=_and(useful))] if useful else []
    if harmful:
        parts.append(say("Drop {cards}: the answers are measurably better without.", cards=_and(harmful)))
    if idle:
        tokens = sum(card["tokens"] or 0 for card in idle)
        parts.append(
            say(
                "No measurable effect on {rows} rows: {cards}, {tokens:,.0f} tokens on every call.",
                rows=rows,
                cards=_and(idle),
                tokens=tokens,
            )
        )
    return reduce(lambda before, part: before + " " + part, parts)


def _and(cards: list[dict[str, Any]]) -> str:
    return _listed([card["card"] for card in cards])


def _listed(names: list[str]) -> str:
    return say("{first} and {last}", first=", ".join(names[:-1]), last=names[-1]) if len(names) > 1 else names[0]


STUDY = Study(
    "context_ledger", "Ledger: what is each card worth?", "contextual",
    "Leaves out one card at a time and says what that changes: score, interval, tokens.",
    "Bring rows with right answers: each card is left out once, and you see what it is worth.", LedgerSettings, arms, report,
)  # fmt: skip
