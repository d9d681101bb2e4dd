"""Sides at work: prompts -> replies from the cache or the model, read and scored. An experiment and a ladder are made of sides."""

import math
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from prompts.asking import Open
from prompts.backends import Backend, Sampling, answers
from prompts.errors import UserError, about
from prompts.events import Event
from prompts.experiment import EvalSet
from prompts.judging import judged
from prompts.messages import Reply
from prompts.replies import Replies, key_of
from prompts.results import Side, by_probability
from prompts.scoring import Score, Scoring, score
from prompts.techniques import AskSettings, Technique
from prompts.techniques.base import slots
from prompts.templates import slot_name
from prompts.usual import Count, Pace, remember_each, usual_each
from prompts.voting import majority
from prompts.words import say


def side_of(name: str, technique: Technique, settings: AskSettings, evalset: EvalSet, backend: Backend) -> Side:
    """The prompts of every row. Raises UserError that names the row, or the columns where the settings use none."""
    if not slots(settings):
        columns = ", ".join(f"{{{{ {slot_name(column)} }}}}" for column in evalset.rows[0])
        raise UserError(
            " uses no column, so every row would be asked the same; write one of {columns}", columns=columns
        )
    if settings.plain() != settings:
        raise UserError(" has feedback left; ask once with it, then use the version it made")
    prompts, notes = [], []
    for number, row in zip(evalset.numbers, evalset.rows, strict=True):
        with about(say(", row {number}: ", number=number + 1)):
            built, said = technique.built(settings, row, backend)
        prompts.append(built)
        notes += said
    return Side(name, technique, settings, backend, prompts, notes=notes)


def keyed(side: Side, scoring: Scoring, evalset: EvalSet) -> set[int]:
    """Computes the side's cache keys; returns the rows that do not fit the model's window, by their place in the evaluation set."""
    long: set[int] = set()
    for at, asked in enumerate(side.prompts):
        rendered = side.backend.render(asked, side.settings.thinking)
        written = getattr(side.backend, "written_after", lambda sampling: sampling.max_new_tokens)(side.settings)
        if rendered and rendered.window and len(rendered.ids) + written > rendered.window:
            long.add(at)
        side.keys.append(_key(side, scoring, evalset, rendered.ids if rendered else asked.as_dicts()))
    return long


def _key(side: Side, scoring: Scoring, evalset: EvalSet, asked: Any) -> str:
    sampling = {name: getattr(side.settings, name) for name in Sampling.model_fields}
    labels = ["with scores", *evalset.labels] if by_probability(side, scoring) else None
    return key_of(model=side.backend.fingerprint(), asked=asked, sampling=None if labels else sampling, labels=labels)


def answered(
    side: Side, wanted: Sequence[int], cache: Replies, scoring: Scoring, evalset: EvalSet, stop: threading.Event
) -> Iterator[Count]:
    """Fills the side's answers and scores for the wanted rows; yields how many are done, now and then as many as before.

    The plan is made from all wanted rows, so that a resumed experiment repeats the very batches that were interrupted.
    """
    prompts = [side.prompts[at] for at in wanted]
    plan = side.backend.plan(prompts, side.settings)
    names = [_plan_name(batch, [side.keys[at] for at in wanted]) for batch in plan]
    known = cache.get({side.keys[at] for at in wanted})
    pending = []
    for batch, name in zip(plan, names, strict=True):
        keys = [side.keys[wanted[at]] for at in batch]
        if all(key in known for key in keys):
            side.from_cache += len(batch)
            side.other_plan += sum(known[key][1] != name for key in keys)
            for at, key in zip(batch, keys, strict=True):
                _take(side, wanted[at], known[key][0], scoring, evalset)
        else:
            pending.append((batch, name))
    done = len(wanted) - sum(len(batch) for batch, _ in pending)
    yield Count(done)
    began = time.monotonic()
    batches = [batch for batch, _ in pending]
    found: dict[int, Reply] = {}
    backend: Any = side.backend
    ask = backend.labels if by_probability(side, scoring) else backend.batch
    extra: Any = evalset.labels if by_probability(side, scoring) else side.settings
    for one in ask(prompts, extra, stop, plan=batches) if batches else ():
        if not isinstance(one, tuple):  # rows of a batch whose others are still asked are counted too
            yield Count(done + sum(row in found for batch, _ in pending for row in batch), one)
            continue
        at, reply = one
        found[at] = reply
        _take(side, wanted[at], reply, scoring, evalset)
        whole = [(batch, name) for batch, name in pending if all(row in found for row in batch)]
        for batch, name in whole:
            cache.put([(side.keys[wanted[row]], found[row]) for row in batch], name)
            pending.remove((batch, name))
        if whole:  # a model on this machine answers a batch at once
            done += sum(len(batch) for batch, _ in whole)
            yield Count(done)
    if not stop.is_set():
        remember_each(time.monotonic() - began, len(found), *_named(side, scoring))


def pace_of(sides: Sequence[Side], cache: Replies, scoring: Scoring) -> Pace:
    """Of the rows that are not known, which at first are to take as long as such answers took here the last time."""
    rows, seconds = 0, 0.0
    for side in sides:
        known = cache.get(set(side.keys))
        if unknown := sum(key not in known for key in side.keys):
            rows += unknown
            seconds += unknown * (usual_each(*_named(side, scoring)) or math.nan)
    return Pace(rows, None if math.isnan(seconds) else seconds)


def _named(side: Side, scoring: Scoring) -> tuple[object, ...]:
    return answers(side.backend, side.settings, by_probability(side, scoring))


def _plan_name(batch: Sequence[int], keys: Sequence[str]) -> str:
    return key_of(batch=[keys[at] for at in batch])[:16]


def _take(side: Side, at: int, reply: Reply, scoring: Scoring, evalset: EvalSet) -> None:
    answer = side.technique.read(side.settings, reply.text)
    side.replies[at], side.answers[at] = reply, answer
    if scoring.scorer != "judge":
        side.scores[at] = score(answer.text, evalset.references[at], scoring, evalset.labels)


def by_vote(sides: Sequence[Side], scoring: Scoring, evalset: EvalSet) -> Iterator[str | None]:
    """What most of the sides say of each row."""
    for at in range(len(evalset.rows)):
        said, _ = majority([side.answers[at].text for side in sides], scoring, evalset.labels)
        yield said


def by_judge(
    scoring: Scoring,
    evalset: EvalSet,
    sides: list[Side],
    wanted: Sequence[int],
    open_model: Open,
    stop: threading.Event,
) -> Iterator[Event]:
    """Asks the judge about every answer of the wanted rows."""
    if scoring.scorer != "judge":
        return
    judge = open_model(scoring.judge_model)
    for side in sides:
        rows = [at for at in wanted if side.answers[at].text is not None]
        for at in wanted:
            side.scores[at] = Score(0.0, None)
        for told in Pace(len(rows), None).told(_judged(side, rows, scoring, evalset, judge, stop)):
            yield {"event": "asking", "variant": say("judge of {name}", name=side.name), "done": told["done"], "of": len(rows),
                   "remaining": told["remaining"]}  # fmt: skip


def _judged(
    side: Side, rows: Sequence[int], scoring: Scoring, evalset: EvalSet, judge: Backend, stop: threading.Event
) -> Iterator[Count]:
    answers = [(side.prompts[at], side.answers[at].text or "", evalset.references[at]) for at in rows]
    yield Count(0)
    for done, (at, found) in enumerate(judged(scoring, judge, answers, stop), 1):
        side.scores[rows[at]] = found
        yield Count(done)
