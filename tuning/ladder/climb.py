"""One rung: every side asked every row, scored, and what that took."""

from collections.abc import Callable, Iterator
from typing import Any

from prompts.answering import answered, by_judge, by_vote
from prompts.backends import replies_of
from prompts.events import Event
from prompts.replies import key_of
from prompts.results import Side, by_probability
from prompts.scoring import Score, score
from prompts.techniques import Answer
from tuning.ladder.rungs import Footing, Rung

ALONE = 3  # rows asked one at a time, for the latency


def asked(footing: Footing, rung: Rung, stopped: Callable[[], bool]) -> Iterator[Event]:
    """Events "asking" (done, of), and last "answered" with the rung's document; none comes last where it was stopped."""
    total, done, told = len(footing.evalset.rows), 0, -1
    for side in rung.sides:
        for count in answered(side, range(total), footing.cache, footing.scoring, footing.evalset, footing.stop):
            if done + count.done != told:
                told = done + count.done
                yield {"event": "asking", "rung": rung.name, "done": told, "of": total * len(rung.sides)}
            if stopped():
                footing.stop.set()
                return
        if stopped():
            return
        done += total
    scores = _scores(footing, rung)
    document = {
        "made": rung.made,
        "model": rung.sides[0].settings.model,
        "technique": rung.sides[0].technique.name,
        "prompt": rung.sides[0].prompts[0].plain(),
        "mean": round(sum(one.value for one in scores) / total, 6),
        "values": [round(one.value, 6) for one in scores],
        "unparsed": sum(one.unparsed for one in scores),
        "answers": [one.found for one in scores],
        "tokens_in": _tokens(rung, "tokens_in", total),
        "tokens_out": _tokens(rung, "tokens_out", total),
        "seconds": round(sum(reply.seconds for side in rung.sides for reply in side.replies.values()) / total, 4),
        "latency": round(_latency(footing, rung.sides[0]) * len(rung.sides), 3),
        "from_cache": sum(side.from_cache for side in rung.sides),
        "by_probability": by_probability(rung.sides[0], footing.scoring),
    }
    yield {"event": "answered", "rung": rung.name, "document": document}


def _scores(footing: Footing, rung: Rung) -> list[Score]:
    """Of one side its own; of several, those of what most of them say."""
    everything = range(len(footing.evalset.rows))
    if len(rung.sides) > 1:
        first = rung.sides[0]
        for at, found in enumerate(by_vote(rung.sides, footing.scoring, footing.evalset)):
            first.answers[at] = Answer(found, first.answers[at].reasoning)
            if footing.scoring.scorer != "judge":
                first.scores[at] = score(found, footing.evalset.references[at], footing.scoring, footing.evalset.labels)
    for _ in by_judge(footing.scoring, footing.evalset, rung.sides[:1], everything, footing.open_model, footing.stop):
        pass
    return [rung.sides[0].scores[at] for at in everything]


def _tokens(rung: Rung, name: str, rows: int) -> float | None:
    """Tokens a call, every vote counted; None where a server does not tell."""
    found = [getattr(reply, name) for side in rung.sides for reply in side.replies.values()]
    return None if None in found else round(sum(found) / rows, 1)


def _latency(footing: Footing, side: Side) -> float:
    """Seconds of a call by itself: the median of a few; remembered like the replies."""
    seconds = []
    for at in range(min(ALONE, len(side.prompts))):
        name = key_of(alone=side.keys[at])
        known = footing.cache.get([name])
        if not known:
            backend: Any = side.backend
            ask = backend.labels if by_probability(side, footing.scoring) else backend.batch
            extra: Any = footing.evalset.labels if by_probability(side, footing.scoring) else side.settings
            reply = dict(replies_of(ask([side.prompts[at]], extra, footing.stop)))[0]
            footing.cache.put([(name, reply)], "alone")
            known = footing.cache.get([name])
        seconds.append(known[name][0].seconds)
    return sorted(seconds)[len(seconds) // 2]
