"""Distil the winner: what a long prompt (or many votes, or a larger model) answers becomes training data for a short prompt.

Each row is asked n times; an answer is kept where at least m of the n agree (and, with references, where it is right). The prompt
that is learned from is the short one. Rows that any run of the owner's holds out are left aside. Hinton et al. 2015, arXiv
1503.02531, by text alone; agreement as a filter after Wang et al. 2022, arXiv 2203.11171.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prompts.answering import answered, keyed, pace_of
from prompts.backends import OnDevice, identity
from prompts.errors import UserError
from prompts.events import Event
from prompts.experiment import EvalSet
from prompts.held_out import keys_of, locked_keys, row_keys
from prompts.home import new_id, owner_folder
from prompts.messages import Prompt, from_dicts
from prompts.results import Side
from prompts.rows import Row, Table, as_text, store
from prompts.scoring import score
from prompts.settings import Settings, knob
from prompts.techniques.few_shot import build as zero_shot
from prompts.templates import fill, template_of
from prompts.uploads import save
from prompts.voting import majority, meaning
from prompts.words import later, say
from tuning.data.columns import Columns, asking, turn_of
from tuning.ladder.report import best, snapshot
from tuning.ladder.rungs import RUNGS, TITLES, TUNED, Footing
from tuning.ladder.work import Ladder, ground_of

if TYPE_CHECKING:
    Teacher = str
else:
    Teacher = Literal["", *(name for name in RUNGS if name not in TUNED)]  # those that learned do not teach
PAIRS = "preference_pairs.jsonl"
GOOD = 0.5  # of graded scores (chrF, ROUGE-L); passes are 1


class Distil(Settings):
    """Who teaches, and what is good enough to learn from."""

    rung: Teacher = knob(
        "",
        title="Teacher",
        place=5,
        help="A rung of the ladder. Empty: the prompt that scored best on the held-out rows.",
    )
    samples: int = knob(5, title="Answers a row (n)", ge=1, le=40, place=6, help="Each row is asked so often.")
    agree: int = knob(
        4, title="Of which agree (m)", ge=1, le=40, place=7, help="Rows whose answers agree less are left out."
    )
    temperature: float = knob(
        0.7,
        title="Temperature",
        gt=0,
        le=2,
        step=0.05,
        place=8,
        help="Higher: the answers differ more, fewer rows are kept.",
    )
    references: bool = knob(
        False, title="Right answers only", place=9,
        help="Keep an answer only where the scorer says it is right; needs rows with right answers. Otherwise agreement decides.",
    )  # fmt: skip
    most_rows: int = knob(
        2000, title="At most", unit="rows", ge=1, place=10, advanced=True, help="So many rows are asked."
    )


LEFT_OUT = later(("held out", "empty", "no agreement", "wrong"))  # why a row is


@dataclass
class _Found:
    """What came of the rows so far."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LEFT_OUT, 0))


def distil(
    ladder: Ladder, settings: Distil, table: Table | None = None, *, token: str | None = None, key: str | None = None,
    on_device: OnDevice = identity,
) -> Iterator[Event]:  # fmt: skip
    """`table`: the rows to ask; None: the run's own training rows. Events "asking" (done, of), and last "distilled":

    {"source", "teacher", "title", "made", "note", "rows", "kept", "dropped", "pairs", "file", "pairs_file"}; `source` is the data's
    name for training. Raises UserError where nothing is left to ask or to keep, or the teacher is not known.
    """
    if settings.agree > settings.samples:
        raise UserError(
            "{agree} of {samples} answers cannot agree; lower m or raise n",
            agree=settings.agree,
            samples=settings.samples,
            field="agree",
        )
    footing = ground_of(ladder, token, key, on_device)
    if settings.references and footing.scoring.scorer == "judge":
        raise UserError(
            "a judge cannot filter here; let agreement decide, or climb with another scorer", field="references"
        )
    name = settings.rung or _winner(ladder)
    rows, found = _rows(ladder, table, settings)
    teacher_footing = _with_rows(ladder, footing, rows, settings)
    rung = _teacher(ladder, teacher_footing, name)
    answers: list[list[str | None]] = [[] for _ in rows]
    plain = teacher_footing.scoring.changed(
        scorer="exact_match"
    )  # so that the teacher writes, and its answers can differ
    first, total = rung.sides[0], settings.samples * len(rows)
    sides = []
    for number in range(settings.samples):
        drawn = first.settings.changed(temperature=settings.temperature, seed=footing.settings.seed + number)
        sides.append(Side(f"answer {number + 1}", first.technique, drawn, first.backend, first.prompts))
        keyed(sides[-1], plain, teacher_footing.evalset)
    pace = pace_of(sides, footing.cache, plain)
    for number, side in enumerate(sides):
        for told in pace.told(
            answered(side, range(len(rows)), footing.cache, plain, teacher_footing.evalset, footing.stop)
        ):
            yield {
                "event": "asking",
                "done": number * len(rows) + told["done"],
                "of": total,
                "remaining": told["remaining"],
            }
        for at in range(len(rows)):
            answers[at].append(side.answers[at].text)
    for at, said in enumerate(answers):
        _keep(teacher_footing, settings, name, at, said, found)
    yield {"event": "distilled", **_written(ladder, footing, rung.made, name, rows, found, settings)}


def _winner(ladder: Ladder) -> str:
    done = [line for line in snapshot(ladder)["rungs"] if line["status"] == "done"]
    top = best(done, tuned=False)
    if top is None:
        raise UserError("no prompt rung of this ladder was asked; climb it first", field="rung")
    return str(top["rung"])


def _teacher(ladder: Ladder, footing: Footing, name: str) -> Any:
    """The rung that teaches, on the rows to learn from. Raises UserError where it cannot be asked."""
    if name == "larger":  # the best prompt, asked of the larger model
        footing.best = RUNGS[_winner(ladder)][1](footing)
    return RUNGS[name][1](footing)


def _rows(ladder: Ladder, table: Table | None, settings: Distil) -> tuple[list[Row], _Found]:
    """The rows to ask, without those that a run holds out."""
    run, found = ladder.run, _Found()
    known = run.table.rows
    given: Sequence[Row] = (
        table.rows if table else [known[at] for at in (*run.numbers("train"), *run.numbers("validation"))]
    )
    locked, kept = locked_keys(ladder.owner), []
    for row in given:
        text = question(row, run.columns)
        if not text.strip():
            found.dropped["empty"] += 1
        elif locked & (keys_of([text]) | row_keys({name: row[name] for name in run.columns.input if name in row})):
            found.dropped["held out"] += 1
        else:
            kept.append(row)
    if settings.references and any(run.columns.output not in row for row in kept):
        raise UserError(
            "the rows have no column {output!r} with right answers", output=run.columns.output, field="references"
        )
    if not kept:
        raise UserError("no row is left to ask: they are empty, or held out by a run", field="rows")
    return kept[: settings.most_rows], found


def question(row: Row, columns: Columns) -> str:
    """What a person would type for a row, which needs no answer. Raises UserError naming a column that is missing."""
    if columns.messages:
        return "\n".join(one.content for one in _asked(row, columns).messages)
    if missing := [name for name in columns.input if name not in row]:
        raise UserError(
            "the rows have no column {column!r}, which the run was trained on", column=missing[0], field="rows"
        )
    return fill(template_of(columns.input), row)


def _with_rows(ladder: Ladder, footing: Footing, rows: list[Row], settings: Distil) -> Footing:
    """The ladder's footing on other rows: the examples shown never contain the row that is asked (tuning/ladder/rungs.py)."""
    columns = ladder.run.columns
    references = [as_text(row.get(columns.output)) if settings.references else "" for row in rows]
    evalset = EvalSet(
        list(range(len(rows))),
        [{"text": question(row, columns)} for row in rows],
        references,
        footing.evalset.labels,
        [],
    )
    asked = [_asked(row, columns) for row in rows]
    return Footing(
        **{**vars(footing), "evalset": evalset, "asked": asked, "room_for": footing.evalset.references, "best": None}
    )


def _asked(row: Row, columns: Columns) -> Prompt:
    """What the run would be asked for a row: of a chat, its turns up to the last question."""
    if not columns.messages:
        return zero_shot(asking(columns), row)
    turns = [turn for item in row.get(columns.messages) or () if (turn := turn_of(item))]
    while turns and turns[-1]["role"] != "user":
        turns.pop()
    if not turns:
        raise UserError("a chat holds no question", field="rows")
    return from_dicts(turns)


def _keep(footing: Footing, settings: Distil, teacher: str, at: int, said: Sequence[str | None], found: _Found) -> None:
    """Adds a row to what is learned from, and where answers differ, a pair of a better and a worse one."""
    scoring, labels = footing.scoring, footing.evalset.labels
    answer, votes = majority(said, scoring, labels)
    if answer is None or votes < settings.agree:
        found.dropped["no agreement"] += 1
        return
    checked = settings.references or scoring.scorer in ("regex", "json_schema")  # those say so without a reference
    if checked and score(answer, footing.evalset.references[at], scoring, labels).value < GOOD:
        found.dropped["wrong"] += 1
        return
    says = meaning(answer, scoring, labels)
    text = str(says) if scoring.scorer == "label" else answer
    asked = footing.asked[at].as_dicts()  # the short prompt
    found.rows.append({
        "messages": [*asked, {"role": "assistant", "content": text}], "teacher": teacher, "votes": votes, "of": len(said),
    })  # fmt: skip
    other = next((one for one in said if one and meaning(one, scoring, labels) not in (says, None)), None)
    if other:
        found.pairs.append({
            "prompt": asked, "chosen": [{"role": "assistant", "content": text}],
            "rejected": [{"role": "assistant", "content": other}],
        })  # fmt: skip


def _written(
    ladder: Ladder, footing: Footing, made: str, teacher: str, rows: Sequence[Mapping[str, Any]], found: _Found, settings: Distil
) -> dict[str, Any]:  # fmt: skip
    """Keeps the rows as data of the owner's, and both files to download. Raises UserError where no row was kept."""
    if not found.rows:
        raise UserError(
            "no row was kept of {rows}: {apart} without agreement; lower m, or take a better teacher",
            rows=len(rows), apart=found.dropped["no agreement"], field="agree",
        )  # fmt: skip
    model = (ladder.rung(teacher) or {}).get("model", footing.model)
    title = say(TITLES[teacher])
    note = say(
        "Distilled from {title} of {model} (ladder {ladder}, run {run}): {agree} of {samples} answers agree at temperature "
        "{temperature}", title=title, model=model, ladder=ladder.id, run=ladder.document["run"], **settings.to_json(),
    )  # fmt: skip
    note += say(", right by the references.") if settings.references else say(", without references.")
    name = f"distilled-{teacher}.jsonl"
    source = save(ladder.owner, lambda folder: store(name, iter(found.rows), keep=folder, notes=[note]))
    folder = owner_folder(ladder.owner, "distilled", new_id())
    folder.mkdir(parents=True)
    for file, lines in ((name, found.rows), (PAIRS, found.pairs)):
        _write(folder / file, lines)
    return {
        "source": source, "teacher": teacher, "title": title, "made": made, "note": note, "rows": len(rows),
        "kept": len(found.rows), "dropped": found.dropped, "pairs": len(found.pairs), "file": str(folder / name),
        "pairs_file": str(folder / PAIRS) if found.pairs else None,
    }  # fmt: skip


def _write(file: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
