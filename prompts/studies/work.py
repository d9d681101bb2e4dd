"""A study at work: what it will take, and the asking. What was answered is kept, so that a stopped study goes on where it was."""

import threading
from collections.abc import Iterator
from typing import Any

from prompts.answering import answered, by_judge, keyed, pace_of
from prompts.asking import Open
from prompts.backends import tokens_of
from prompts.errors import UserError, about
from prompts.events import Event
from prompts.experiment import evalset_of
from prompts.held_out import check_rows
from prompts.prices import cost, on_a_server
from prompts.replies import Replies
from prompts.results import Side, by_probability
from prompts.rows import Table
from prompts.scoring import check
from prompts.studies.base import FEW, Arm, Ground, Study, StudySettings, scored
from prompts.techniques import AskSettings
from prompts.words import say

NOTES = 3  # on what did not fit, for one way of asking
PROBED_ARMS, PROBED_ROWS = 4, 8  # asked to measure how long a study will take


def study_ground(
    study: Study, settings: AskSettings, given: StudySettings, table: Table, owner: str, open_model: Open
) -> Ground:
    """The rows and how they are scored. Raises UserError."""
    check(given)
    asked = [settings, *(study.others(given, owner) if study.others else ())]
    rated, evalset = evalset_of(given, table, asked)
    for one in asked:
        check_rows(owner, one, evalset)
    notes = list(evalset.notes)
    if len(evalset.rows) < FEW:
        notes.append(say("Fewer than {few} rows: intervals from so few mean little.", few=FEW))
    if given.scorer == "judge":
        notes.append(say("The judge is asked about every answer on top of what is counted here."))
    return Ground(settings, given, rated, table, evalset, owner, open_model, notes=notes)


def arms_of(study: Study, ground: Ground) -> list[Arm]:
    """The arms with their prompts and cache keys. Raises UserError, also where rows do not fit a model's window."""
    arms = study.arms(ground)
    for arm in arms:
        for side in arm.sides:
            if long := keyed(side, ground.scoring, arm.evalset):
                rows = ", ".join(str(arm.evalset.numbers[at] + 1) for at in sorted(long)[:5])
                raise UserError(
                    "{name}: {long} rows do not fit the window of {model} (rows {rows})",
                    name=arm.name,
                    long=len(long),
                    model=side.settings.model,
                    rows=rows,
                )
            new = [note for note in dict.fromkeys(side.notes) if note not in ground.notes]
            ground.notes += new[:NOTES] + (
                [say("{name}: so with {new} more rows.", name=arm.name, new=len(new) - NOTES)]
                if len(new) > NOTES
                else []
            )
    return arms


def forecast(
    study: Study, settings: AskSettings, given: StudySettings, table: Table, owner: str, open_model: Open
) -> dict[str, Any]:
    """What a study will take: {"rows", "ways", "calls", "from_cache", "tokens_in", "tokens_out_at_most", "seconds", "dollars"}.

    Tokens are counted (of a server: about, by characters), seconds measured on a few rows of a few arms (which are not kept). None
    for what is not known. What a judge is asked, and three calls a prompt for calibration, come on top.
    """
    ground = study_ground(study, settings, given, table, owner, open_model)
    arms = arms_of(study, ground)
    cache, pending = Replies(owner), []
    for arm in arms:
        for side in arm.sides:
            known = cache.get(set(side.keys))
            pending.append((side, [at for at, key in enumerate(side.keys) if key not in known]))
    calls = sum(len(side.keys) for side, _ in pending)
    left = sum(len(rows) for _, rows in pending)
    read, most = _tokens_of(pending, ground)
    seconds = _seconds_of(pending, ground)
    by_tokens = on_a_server(settings.model)
    dollars = cost(given, seconds or 0.0, read, most, by_tokens=by_tokens)
    return {
        "rows": len(ground.evalset.rows), "ways": len(arms), "calls": calls, "from_cache": calls - left, "tokens_in": read,
        "tokens_out_at_most": most, "seconds": None if seconds is None else round(seconds, 1),
        "dollars": None if dollars is None else round(dollars, 6), "notes": ground.notes,
    }  # fmt: skip


Pending = list[tuple[Side, list[int]]]


def _tokens_of(pending: Pending, ground: Ground) -> tuple[int, int]:
    """(tokens to read, tokens to write at most)."""
    read = most = 0
    for side, rows in pending:
        most += 0 if by_probability(side, ground.scoring) else len(rows) * side.settings.max_new_tokens
        for at in rows:
            read += tokens_of(side.backend, side.prompts[at], side.settings.thinking)
    return read, most


def _seconds_of(pending: Pending, ground: Ground) -> float | None:
    """Seconds of what is pending, from a few rows of a few sides; None for a server, whose calls are not free to try."""
    waiting = [(side, rows) for side, rows in pending if rows]
    if any(on_a_server(side.settings.model) for side, _ in waiting):
        return None
    step = max(1, len(waiting) // PROBED_ARMS)
    probed = waiting[step - 1 :: step]
    asked, spent = 0, 0.0
    for side, rows in probed:
        some = rows[:PROBED_ROWS]
        backend: Any = side.backend
        prompts = [side.prompts[at] for at in some]
        labelled = by_probability(side, ground.scoring)
        ask, extra = (backend.labels, ground.evalset.labels) if labelled else (backend.batch, side.settings)
        replies = [one[1] for one in ask(prompts, extra, ground.stop) if one]
        asked, spent = asked + len(replies), spent + sum(reply.seconds for reply in replies)
    return spent / asked * sum(len(rows) for _, rows in waiting) if asked else 0.0


def run(
    study: Study, settings: AskSettings, given: StudySettings, table: Table, owner: str, open_model: Open, *,
    stop: threading.Event | None = None,
) -> Iterator[Event]:  # fmt: skip
    """Events "asking" (variant, done, of) and last "studied" with the document; none comes last where it was stopped.

    Raises UserError naming setting, column or row.
    """
    ground = study_ground(study, settings, given, table, owner, open_model)
    ground.stop = stop or ground.stop
    arms = arms_of(study, ground)
    yield from asking(arms, ground)
    if ground.stop.is_set():
        return
    document = study.report(ground, arms)
    yield {
        "event": "studied", "study": study.name, "rows": len(ground.evalset.rows), "scorer": ground.scoring.scorer,
        "model": settings.model, "seed": given.seed,
        "labels": ground.evalset.labels if ground.scoring.scorer == "label" else [], "notes": ground.notes, **document,
    }  # fmt: skip


def asking(arms: list[Arm], ground: Ground) -> Iterator[Event]:
    """Asks every row of every arm, from the cache where it is known, and scores it."""
    total = sum(len(side.prompts) for arm in arms for side in arm.sides)
    cache, done = Replies(ground.owner), 0
    pace = pace_of([side for arm in arms for side in arm.sides], cache, ground.scoring)
    for arm in arms:
        rows = range(len(arm.evalset.rows))
        for side in arm.sides:
            with about(f"{arm.name}: "):
                for told in pace.told(answered(side, rows, cache, ground.scoring, arm.evalset, ground.stop)):
                    yield {"event": "asking", "variant": arm.name, "done": done + told["done"], "of": total,
                           "remaining": told["remaining"]}  # fmt: skip
            if ground.stop.is_set():
                return
            done += len(rows)
        yield from by_judge(ground.scoring, arm.evalset, arm.sides[:1], rows, ground.open_model, ground.stop)
        arm.scores = scored(arm, ground)
