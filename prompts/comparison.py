"""Variants x rows -> results: cached by content, resumable by the same plan, with a verdict under each pair.

An experiment's folder, owners/<owner>/experiments/<id>/, holds experiment.json (settings, fingerprint, versions) and
result.json. The id is a fingerprint of the settings and the rows, so that the same experiment continues where it stopped.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from prompts.answering import answered, by_judge, keyed, pace_of, side_of
from prompts.asking import Open
from prompts.errors import UserError, about
from prompts.events import Event
from prompts.experiment import EvalSet, Experiment, Variant, evalset_of, settings_of
from prompts.held_out import check_rows
from prompts.home import owner_folder
from prompts.replies import Replies, key_of
from prompts.results import Side, document_of, values_of
from prompts.rows import Table
from prompts.scoring import check
from prompts.statistics import decided
from prompts.techniques import technique
from prompts.words import dumps, say

LOOK_EVERY = 10  # rows between two looks of "run until decided"


def run(
    experiment: Experiment, table: Table, owner: str, open_model: Open, *, stop: threading.Event | None = None
) -> Iterator[Event]:
    """Events "asking" (variant; of all variants together done, of and the seconds remaining) and last "compared" (the document,
    with a row for each scored row).

    Raises UserError naming variant, slot, column or row; what was answered so far is kept in the cache.
    """
    stop = stop or threading.Event()
    check(experiment)
    names = [variant.name for variant in experiment.variants]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError("two variants are called {twice!r}; rename one", twice=twice, field="variants")
    experiment, evalset = evalset_of(experiment, table, [settings_of(variant) for variant in experiment.variants])
    for variant in experiment.variants:
        with about(say("variant {name!r}: ", name=variant.name)):
            check_rows(owner, settings_of(variant), evalset)
    sides = [_side(variant, evalset, open_model) for variant in experiment.variants]
    evalset, sides = _fitting(experiment, evalset, sides)
    folder = _folder(owner, experiment, evalset)
    cache = Replies(owner)
    total, pace = len(evalset.rows), pace_of(sides, cache, experiment)
    looks = [*range(LOOK_EVERY, total, LOOK_EVERY), total] if experiment.until_decided else [total]
    asked = 0
    for look in looks:
        wanted = list(range(asked, look))
        for number, side in enumerate(sides):
            before = asked * len(sides) + len(wanted) * number
            for told in pace.told(answered(side, wanted, cache, experiment, evalset, stop)):
                yield {"event": "asking", "variant": side.name, "done": before + told["done"], "of": total * len(sides),
                       "remaining": told["remaining"]}  # fmt: skip
            if stop.is_set():
                return
        yield from by_judge(experiment, evalset, sides, wanted, open_model, stop)
        asked = look
        if experiment.until_decided and len(sides) > 1 and decided(values_of(sides, asked)):
            break
    document = document_of(experiment, evalset, sides, asked, folder)
    (folder / "result.json").write_text(dumps(document), encoding="utf-8")
    yield {"event": "compared", **document}


def _side(variant: Variant, evalset: EvalSet, open_model: Open) -> Side:
    settings = settings_of(variant)
    with about(say("variant {name!r}", name=variant.name)):
        return side_of(variant.name, technique(variant.technique), settings, evalset, open_model(settings.model))


def _fitting(experiment: Experiment, evalset: EvalSet, sides: list[Side]) -> tuple[EvalSet, list[Side]]:
    """Leaves out the rows that do not fit a window, if that was asked for; computes the cache keys."""
    long: set[int] = set()
    for side in sides:
        long |= keyed(side, experiment, evalset)
    if not long:
        return evalset, sides
    if experiment.too_long == "stop":
        shown = ", ".join(str(evalset.numbers[at] + 1) for at in sorted(long)[:5])
        raise UserError(
            "{long} rows do not fit the model's window (rows {shown}); shorten them, or set too_long to skip",
            long=len(long),
            shown=shown,
        )
    keep = [at for at in range(len(evalset.rows)) if at not in long]
    if not keep:
        raise UserError("no row fits the model's window")
    for side in sides:
        side.prompts, side.keys = [side.prompts[at] for at in keep], [side.keys[at] for at in keep]
    notes = [
        *evalset.notes,
        say("{long} rows do not fit a model's window and are left out for every variant.", long=len(long)),
    ]
    kept = replace(
        evalset,
        numbers=[evalset.numbers[at] for at in keep],
        rows=[evalset.rows[at] for at in keep],
        references=[evalset.references[at] for at in keep],
        notes=notes,
    )
    return kept, sides


def _folder(owner: str, experiment: Experiment, evalset: EvalSet) -> Path:
    name = key_of(experiment=experiment.to_json(), rows=evalset.rows)[:20]
    folder = owner_folder(owner, "experiments", name)
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "experiment": experiment.to_json(),
        "fingerprint": key_of(rows=evalset.rows)[:16],
        "versions": {name: version(name) for name in ("transformers", "torch", "peft", "huggingface-hub")},
    }
    (folder / "experiment.json").write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
    return folder
