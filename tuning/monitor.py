"""After publication: a model scored again on new rows, with its history and a warning where it decisively dropped.

owners/<owner>/monitor/<digest of the model's name>.jsonl: one line a measurement, with the score of every row.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from prompts.backends import OnDevice, Sampling, answers, identity, open_backend, together
from prompts.errors import UserError
from prompts.events import Event
from prompts.held_out import check_unseen, row_keys
from prompts.home import RUN_PREFIX, adapter_folder, owner_folder
from prompts.kinds import read_labels
from prompts.messages import Reply
from prompts.rows import Table
from prompts.scoring import GRADED, check, settled
from prompts.settings import knob
from prompts.statistics import ALPHA, compare, paired_bootstrap, summary, unpaired
from prompts.usual import Count, Pace, usual_each
from prompts.words import dumps, later, say
from tuning import run as runs
from tuning.data.columns import Columns, conversations, resolve
from tuning.evaluate import Measure, in_order, room, scores_of
from tuning.work import json_line

Record = dict[str, Any]


class Watched(Measure):
    """What is scored again, and what its rows look like."""

    model: str = knob(
        title="Model",
        pick=True,
        place=5,
        help="A Hub id (ours or any; a model or an adapter), run:<id>, or <url>#<model>.",
    )
    input: tuple[str, ...] = knob(
        (), title="Input columns", place=6, help="Empty: the run's own, or those with usual names."
    )
    output: str = knob(
        "", title="Column of right answers", pick=True, place=7, help="Empty: the run's own, or the usual name."
    )
    instruction: str = knob(
        "", title="Instruction", lines=2, place=8, help="Before every input. Empty: what the run was trained with."
    )


def score_again(
    owner: str,
    settings: Watched,
    table: Table,
    *,
    token: str | None = None,
    key: str | None = None,
    on_device: OnDevice = identity,
) -> Iterator[Event]:
    """Events "asking" (done, of), and last "scored": {"model", "time", "rows", "data", "scorer", "score", "interval", "tokens_in",
    "tokens_out", "seconds", "warning", "against"}, which is kept in the history.

    Raises UserError for rows that do not fit, or that the model was trained on.
    """
    settings = _as_before(owner, settings)
    columns = _columns(owner, settings, table)
    rows = list(conversations(table.rows, columns))
    run = run_of(owner, settings.model)
    check_unseen(
        owner,
        f"{RUN_PREFIX}{run.id}" if run else settings.model,
        [row_keys(row, columns.output) for row in table.rows],
        range(len(rows)),
    )
    classes = read_labels(adapter_folder(owner, run.id)) if run else None
    read = in_order if classes and classes.many else str
    references = [read(row.answer) for row in rows]
    rows = [replace(row, answer=reference) for row, reference in zip(rows, references, strict=True)]
    measure = settled(settings, references)
    check(measure)
    open_model = partial(open_backend, owner=owner, token=token, key=key, on_device=on_device)
    backend = open_model(settings.model)
    sampling, replies = Sampling(max_new_tokens=room(settings.model, owner, references, token)), dict[int, Reply]()
    each = usual_each(*answers(backend, sampling))

    def counted() -> Iterator[Count]:
        for done, written in together(backend, [row.prompt for row in rows], sampling, threading.Event()):
            replies.update(done)
            yield Count(len(replies), written)

    for told in Pace(len(rows), None if each is None else each * len(rows)).told(counted()):
        yield {"event": "asking", "done": told["done"], "of": len(rows), "remaining": told["remaining"]}
    labels = list(settings.labels) or sorted({reference.strip() for reference in references})
    said = [replace(replies[at], text=read(replies[at].text)) for at in range(len(rows))]
    scores = scores_of(measure, rows, said, labels, open_model)
    found = summary([one.value for one in scores], graded=measure.scorer in GRADED)
    record: Record = {
        "model": settings.model, "time": datetime.now(UTC).isoformat(timespec="seconds"), "rows": len(rows), "data": table.name,
        "scorer": measure.scorer,
        "labels": labels if measure.scorer == "label" else [], "score": round(found.value, 4),
        "interval": [round(found.low, 4), round(found.high, 4)], "unparsed": sum(one.unparsed for one in scores),
        "tokens_in": _sum(replies, "tokens_in"), "tokens_out": _sum(replies, "tokens_out"),
        "seconds": round(sum(reply.seconds for reply in replies.values()), 3), "of": backend.fingerprint()[-200:],
        **_by_row([(row.prompt.plain(), row.answer) for row in rows], [round(one.value, 4) for one in scores]),
    }  # fmt: skip
    record |= dropped([*_at_publication(owner, settings.model), *history(owner, settings.model)], record)
    _append(owner, record)
    yield {"event": "scored", **{name: value for name, value in record.items() if name != "values"}}


def run_of(owner: str, model: str) -> runs.Run | None:
    """The owner's run that a model is: by its id, or by the repository that it was published as; None for any other model."""
    if model.startswith(RUN_PREFIX):
        return runs.find(owner, model)
    for run in runs.runs(owner):
        if (published := runs.snapshot(run)["published"]) and published["repo"] == model:
            return run
    return None


def _as_before(owner: str, settings: Watched) -> Watched:
    """With scorer and labels of the first measurement where none are given: those of other rows could look otherwise."""
    if settings.scorer != "auto":
        return settings
    first = next(iter([*_at_publication(owner, settings.model), *history(owner, settings.model)]), None)
    if first is None:
        return settings
    return settings.changed(scorer=first["scorer"], labels=settings.labels or tuple(first.get("labels", ())))


def _at_publication(owner: str, model: str) -> list[Record]:
    """What a run scored on the rows that it held out: the first measurement of all."""
    run = run_of(owner, model)
    found = runs.evaluation(run) if run else None
    if run is None or not found or "scorer" not in found or found["scorer"] in ("regex", "json_schema", "judge"):
        return []  # those need a pattern, which is given anew
    examples = found["examples"]
    return [{
        "time": run.about["created"], "rows": found["rows"], "scorer": found["scorer"], "score": found["tuned"]["score"],
        "labels": found.get("labels", []),
        **_by_row([(row["input"], row["reference"]) for row in examples], [row["tuned_score"] for row in examples]),
    }]  # fmt: skip


def _columns(owner: str, settings: Watched, table: Table) -> Columns:
    """The mapping given; of a run, what is not given is its own."""
    given = Columns(input=settings.input, output=settings.output, instruction=settings.instruction)
    if run := run_of(owner, settings.model):
        own = run.columns
        if own.messages and own.messages in table.columns and not settings.input:
            return own.changed(split="")
        given = Columns(
            input=settings.input or own.input, output=settings.output or own.output,
            instruction=settings.instruction or own.instruction,
        )  # fmt: skip
    if given.output and not given.input:  # the other columns of texts are what is given
        texts = [name for name in table.columns if all(isinstance(row.get(name), str) for row in table.rows[:50])]
        given = given.changed(input=tuple(name for name in texts if name != given.output))
    found = resolve(given, table)
    return found.changed(instruction=settings.instruction) if not found.instruction else found


def _sum(replies: dict[int, Any], name: str) -> int | None:
    found = [getattr(reply, name) for reply in replies.values()]
    return None if None in found else sum(found)


def _by_row(rows: list[tuple[str, str]], scores: list[float]) -> Record:
    """{"fingerprint", "values"}: which rows (what is asked, what is right), and their scores, in whatever order they came."""
    ordered = sorted(zip(rows, scores, strict=True))
    text = json.dumps([row for row, _score in ordered], ensure_ascii=False)
    return {
        "fingerprint": hashlib.sha256(text.encode()).hexdigest()[:16],
        "values": [score for _row, score in ordered],
    }


def dropped(earlier: list[Record], now: Record) -> dict[str, Any]:
    """{"warning", "against"}: how a measurement compares with the first one of the same scorer; the warning is empty where the
    score did not drop decisively. Rows that are the same are compared row by row.
    """
    known = [record for record in earlier if record["scorer"] == now["scorer"]]
    if not known:
        return {"warning": "", "against": None}
    top = known[0]
    graded = now["scorer"] in GRADED
    if top["fingerprint"] == now["fingerprint"]:
        differences = [b - a for a, b in zip(top["values"], now["values"], strict=True)]
        pairs = [(a >= 1, b >= 1) for a, b in zip(top["values"], now["values"], strict=True)]
        p, how = (paired_bootstrap(differences) if graded else compare("then", "now", pairs).p), later("the same rows")
    else:
        p, how = unpaired(top["values"], now["values"], graded=graded), later("other rows")
    against = {"time": top["time"], "score": top["score"], "rows": top["rows"], "p": round(p, 6), "how": how}
    if p >= ALPHA or now["score"] >= top["score"]:
        return {"warning": "", "against": against}
    low, high = now["interval"]
    warning = say(
        "It dropped: {now:.0%} [{low:.0%}, {high:.0%}] of {now_rows} rows now, {score:.0%} of {rows} rows on {day} ({how}; p = "
        "{p:.2g}). Look at the new rows: the world, the data or the model has changed.", now=now["score"], low=low, high=high,
        now_rows=now["rows"], day=top["time"][:10], **{**against, "how": say(how)},
    )  # fmt: skip
    return {"warning": warning, "against": against}


def _file(owner: str, model: str) -> Path:
    return owner_folder(owner, "monitor", f"{hashlib.sha256(model.encode()).hexdigest()[:20]}.jsonl")


def _append(owner: str, record: Record) -> None:
    file = _file(owner, record["model"])
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(dumps(record) + "\n")


def history(owner: str, model: str) -> list[Record]:
    """What was measured of a model, the oldest first."""
    return _records(_file(owner, model))


def _records(file: Path) -> list[Record]:
    """The measurements in a file, without a line that a crash cut off."""
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    return [record for line in lines if (record := json_line(line)) is not None]


def watched(owner: str) -> list[str]:
    """The names of the models that were measured, the latest first."""
    files = sorted(owner_folder(owner, "monitor").glob("*.jsonl"), key=lambda file: -file.stat().st_mtime)
    return [found[-1]["model"] for file in files if (found := _records(file))]


def document(owner: str, model: str) -> dict[str, Any]:
    """{"model", "measurements": [...]} without the rows' scores. Raises UserError where nothing was measured."""
    found = history(owner, model)
    if not found:
        raise UserError("{model} was not measured yet; score it on rows of yours", model=model, field="model")
    return {
        "model": model,
        "measurements": [{name: value for name, value in one.items() if name != "values"} for one in found],
    }
