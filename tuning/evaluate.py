"""The held-out rows, base against tuned: the same model with the adapter off and on, through the prompting backends."""

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from prompts.backends import Backend, OnDevice, Sampling, identity, open_backend, together
from prompts.errors import UserError
from prompts.events import Event
from prompts.following import seconds_left
from prompts.home import adapter_folder
from prompts.judging import judged
from prompts.kinds import BETWEEN, Labels, read_labels
from prompts.messages import Reply
from prompts.models import parse
from prompts.scoring import GRADED, Score, ScorerName, Scoring, check, confusion, exact_match, score, settled
from prompts.settings import knob
from prompts.statistics import rate, summary, verdicts
from prompts.words import later, say
from tuning.base import check as check_base
from tuning.data.columns import Conversation
from tuning.data.encode import EncodedRow, split_classes
from tuning.run import Run
from tuning.work import write_json

BASE, COMMONEST = later(("the base", "the commonest training label"))  # what the tuned side is compared with
SIDES = later(("base", "tuned"))


class Measure(Scoring):
    """How a fine-tune is scored."""

    scorer: ScorerName = knob(
        "auto", title="Scorer", place=20,
        help="auto: label, number, exact_match or chrf, as the right answers look. The others as in a comparison.",
    )  # fmt: skip
    pattern: str = knob(
        "", title="Pattern", lines=2, place=21, advanced=True,
        help="For regex: the expression to find; json_schema: the schema; judge: the rubric. Otherwise empty.",
    )  # fmt: skip


@dataclass(frozen=True)
class Held:
    """A run's held-out rows: what is asked, what is right, and their numbers in the data, from 0."""

    rows: list[Conversation]
    numbers: list[int]
    labels: list[str]

    @property
    def references(self) -> list[str]:
        return [row.answer for row in self.rows]

    def drawn(self, most: int, seed: int) -> "Held":
        """At most so many of the rows, drawn by the seed."""
        if len(self.rows) <= most:
            return self
        at = random.Random(seed).sample(range(len(self.rows)), most)
        return Held([self.rows[one] for one in at], [self.numbers[one] for one in at], self.labels)


def evaluate(
    run: Run, measure: Measure | None = None, *, token: str | None = None, key: str | None = None,
    on_device: OnDevice = identity,
) -> Iterator[Event]:  # fmt: skip
    """Reads every held-out row with both sides and asks it of them, greedily; events "evaluating" (done, of: both counted;
    remaining: seconds) and last "evaluated" (the document).

    Writes evaluation.json. Raises UserError where nothing was held out, the run has no adapter, or its base is no longer the
    model that it was trained on.
    """
    classes = read_labels(adapter_folder(run.owner, run.id))
    held = held_rows(run, classes)
    measure = measure or Measure()
    if classes and measure.scorer == "auto":
        measure = measure.changed(scorer="exact_match" if classes.many else "label")
    measure = settled(measure, held.references)
    check(measure)
    base = _checked_base(run, token, on_device)
    open_model = partial(open_backend, owner=run.owner, token=token, key=key, on_device=on_device)
    names = {"base": run.recipe.model, "tuned": f"run:{run.id}"}
    if classes:
        del names["base"]  # which has no classes yet
    rows = _as_tokens(run, token)
    count = _Count((len(rows) + len(held.rows)) * len(names))
    found = yield from _losses(names, run.owner, rows, classes, token, on_device, count)
    sampling = Sampling(max_new_tokens=room(run.recipe.model, run.owner, held.references, token))
    replies = {"base": [Reply(commonest(run), 0, 0, 0.0, "stop")] * len(held.rows)} if classes else {}
    replies |= yield from _asked(names, held, sampling, open_model, count)
    if classes and classes.many:  # several classes are a set: their order says nothing
        held = replace(held, rows=[replace(row, answer=in_order(row.answer)) for row in held.rows])
        replies = {
            side: [replace(reply, text=in_order(reply.text)) for reply in said] for side, said in replies.items()
        }
    scores = {side: scores_of(measure, held.rows, replies[side], held.labels, open_model) for side in SIDES}
    document = _document(run, measure, held, replies, scores, COMMONEST if classes else BASE)
    document |= {"base_check": base, "losses": found}
    write_json(run.folder / "evaluation.json", document)
    yield {"event": "evaluated", **{key: value for key, value in document.items() if key != "examples"}}


class _Count:
    """Of rows that were read or asked."""

    def __init__(self, of: int) -> None:
        self._began, self._done, self._of = time.monotonic(), 0, of

    def event(self, more: int) -> Event:
        self._done += more
        return {"event": "evaluating", "done": self._done, "of": self._of,
                "remaining": seconds_left(self._began, self._done, self._of)}  # fmt: skip


def _asked(
    names: dict[str, str], held: Held, sampling: Sampling, open_model: Callable[[str], Backend], count: _Count
) -> Generator[Event, None, dict[str, list[Reply]]]:
    replies = {}
    for side, name in names.items():
        asked: dict[int, Reply] = {}
        prompts = [row.prompt for row in held.rows]
        for done, _ in together(open_model(name), prompts, sampling, threading.Event()):
            asked |= done
            if done:
                yield count.event(len(done))
        replies[side] = [asked[at] for at in range(len(held.rows))]
    return replies


def held_rows(run: Run, classes: Labels | None = None) -> Held:
    """What the run holds out. Raises UserError where that cannot be scored."""
    rows = list(run.part("held_out"))
    if not rows:
        raise UserError(
            "this run held out no rows, so there is nothing to measure on; train again with held_out above 0"
        )
    if not run.columns.messages and not run.columns.input:
        raise UserError(
            "plain text has no answers to compare; the loss on the held-out rows says how well it was learned"
        )
    answers = {row.answer.strip() for row in run.conversations}
    known = list(classes.names) if classes and not classes.many else sorted(answers)
    return Held(rows, run.numbers("held_out"), known)


def in_order(classes: str) -> str:
    """Several classes as the set that they are."""
    return BETWEEN.join(sorted(split_classes(classes)))


def commonest(run: Run) -> str:
    """The answer that most training rows have: what one says without looking."""
    return Counter(row.answer for row in run.part("train")).most_common(1)[0][0]


def room(model: str, owner: str, references: Sequence[str], token: str | None) -> int:
    """Tokens a reply may have: half as long again as the longest answer, so that rambling counts as wrong, not as slow."""
    from prompts.backends.local import located
    from prompts.loading import load_tokenizer

    if parse(model).kind == "server":  # whose tokenizer is not known: characters
        return min(8192, max(map(len, references)) + 16)
    tokenizer = load_tokenizer(located(model, owner, token)[0], token)
    longest = max(len(tokenizer(reference)["input_ids"]) for reference in references)
    return min(8192, longest * 3 // 2 + 8)


def _checked_base(run: Run, token: str | None, on_device: OnDevice) -> str:
    from tuning.losses import base_now

    if run.recipe.method == "qlora":
        return say("the base was trained on in 4 bits and is asked in 16: not compared")
    return check_base(
        run.folder, run.recipe.model, on_device(base_now)(run.recipe.model, f"run:{run.id}", run.owner, token)
    )


def _as_tokens(run: Run, token: str | None) -> list[EncodedRow]:
    """The held-out rows as they are learned from; none where all of them are too long."""
    from tuning.execute import encoded

    return list(encoded(run, token)[1]["held_out"].rows)


def _losses(
    names: dict[str, str], owner: str, rows: list[EncodedRow], classes: Labels | None, token: str | None, on_device: OnDevice,
    count: _Count,
) -> Generator[Event, None, dict[str, Any]]:  # fmt: skip
    """{"base": {"loss", "perplexity"}, "tuned": ...} of the sides that are named; nothing where there are no rows."""
    from tuning.losses import held_out_losses

    found = {}
    for side, name in names.items() if rows else ():
        total, weights = 0.0, 0
        for loss, weight, read in on_device(held_out_losses)(name, owner, token, rows, classes):
            total, weights = total + loss, weights + weight
            yield count.event(read)
        mean = total / max(1, weights)
        found[side] = {"loss": round(mean, 4), "perplexity": round(math.exp(min(mean, 700)), 2)}
    return found


def scores_of(
    measure: Measure, rows: Sequence[Conversation], replies: Sequence[Reply], labels: Sequence[str],
    open_model: Callable[[str], Backend],
) -> list[Score]:  # fmt: skip
    """Of each row's reply, by the judge where one is asked."""
    pairs = list(zip(rows, replies, strict=True))
    if measure.scorer != "judge":
        return [score(reply.text, row.answer, measure, labels) for row, reply in pairs]
    answers = [(row.prompt, reply.text, row.answer) for row, reply in pairs]
    found = dict(judged(measure, open_model(measure.judge_model), answers))
    return [found[at] for at in range(len(pairs))]


def _document(
    run: Run, measure: Measure, held: Held, replies: dict[str, list[Reply]], scores: dict[str, list[Score]], base_is: str
) -> dict[str, Any]:  # fmt: skip
    """Scores with intervals, the verdict, and every row side by side, worst first."""
    graded = measure.scorer in GRADED
    verdict = verdicts({say(side): [found.value for found in scores[side]] for side in SIDES}, graded=graded)[0]
    examples = [_example(held, replies, scores, at) for at in range(len(held.rows))]
    examples.sort(key=lambda row: (row["tuned_score"] - row["base_score"], row["tuned_score"], row["row"]))
    return {
        "run": run.id,
        "rows": len(held.rows),
        "scorer": measure.scorer,
        **{side: _side(held, replies[side], scores[side], graded=graded) for side in SIDES},
        "base_is": base_is,
        "won": verdict.wins,
        "lost": verdict.losses,
        "verdict": verdict.sentence,
        "better": next((side for side in SIDES if say(side) == verdict.better), None),
        **_by_class(measure, held, scores["tuned"]),
        "examples": examples,
    }


def _side(held: Held, replies: Sequence[Reply], scores: Sequence[Score], *, graded: bool) -> dict[str, Any]:
    exact = rate(
        sum(exact_match(reply.text, row.answer) for reply, row in zip(replies, held.rows, strict=True)), len(replies)
    )
    found = summary([one.value for one in scores], graded=graded)
    return {
        "exact_match": round(exact.value, 4),
        "interval": [round(exact.low, 4), round(exact.high, 4)],
        "score": round(found.value, 4),
        "score_interval": [round(found.low, 4), round(found.high, 4)],
        "unparsed": sum(one.unparsed for one in scores),
        "tokens_in": sum(reply.tokens_in or 0 for reply in replies),
        "tokens_out": sum(reply.tokens_out or 0 for reply in replies),
        "cut_off": sum(reply.finish == "length" for reply in replies),
        "characters": round(sum(len(reply.text) for reply in replies) / len(replies), 1),
        "seconds": round(sum(reply.seconds for reply in replies), 3),
    }


def _example(held: Held, replies: dict[str, list[Reply]], scores: dict[str, list[Score]], at: int) -> dict[str, Any]:
    row = held.rows[at]
    return {
        "row": held.numbers[at] + 1,
        "input": row.prompt.plain(),
        "text": input_of(row),
        "reference": row.answer,
        **{side: replies[side][at].text for side in SIDES},
        **{f"{side}_score": round(scores[side][at].value, 4) for side in SIDES},
        **{f"{side}_passed": scores[side][at].passed for side in SIDES},
    }


def _by_class(measure: Measure, held: Held, scores: Sequence[Score]) -> dict[str, Any]:
    """Macro-F1 and the confusion matrix of the tuned side, where the answers are labels; else nothing."""
    if measure.scorer != "label":
        return {}
    answers = [answer.strip() for answer in held.references]
    return confusion([found.found for found in scores], answers, held.labels)


def input_of(row: Conversation) -> str:
    """The row's input without the instruction: what a person would type."""
    parts = [part.text for message in row.prompt.messages for part in message.parts if part.source == "input"]
    return "\n\n".join(parts) or row.prompt.plain()
