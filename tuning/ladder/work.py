"""The ladder: a run's held-out rows up every rung, from a plain question to the fine-tune, as work in the background.

owners/<owner>/ladders/<id>/
  ladder.json                 the run and the settings
  rungs/<name>.json           what a rung came to, or why it was left out
  status.json events.jsonl alive.lock cancel        as in a run (tuning/work.py)

Replies come from the owner's cache (prompts/replies.py), so that an interrupted rung goes on where it stopped.
"""

import re
import shutil
import time
from collections.abc import Iterator
from statistics import fmean
from typing import Any

from prompts.asking import Open
from prompts.backends import OnDevice, identity, open_backend
from prompts.errors import NotFound, UserError, WorldError, reason_of
from prompts.events import Event
from prompts.experiment import EvalSet
from prompts.following import paced
from prompts.home import adapter_folder, new_id, owner_folder
from prompts.kinds import read_labels
from prompts.models import EMBEDDED, parse
from prompts.refining.operators import choices
from prompts.replies import Replies
from prompts.scoring import check, settled
from prompts.settings import build
from prompts.techniques.few_shot import Example
from prompts.usual import remember, usual
from prompts.words import later
from tuning import run as runs
from tuning.evaluate import held_rows, input_of
from tuning.keeping import may_start
from tuning.kinds import kind_in
from tuning.ladder.climb import asked
from tuning.ladder.rungs import ONE_CALL, RUNGS, Footing
from tuning.ladder.settings import LadderSettings
from tuning.line import device
from tuning.work import Work, durable, read_json, write_json

_ID = re.compile(r"[0-9a-f]{20}")


class Ladder(Work):
    """A ladder's folder, read when asked."""

    what = later("ladder")

    @property
    def document(self) -> dict[str, Any]:
        return dict(read_json(self.folder / "ladder.json"))

    @property
    def settings(self) -> LadderSettings:
        return build(LadderSettings, self.document["settings"])

    @property
    def run(self) -> runs.Run:
        return runs.find(self.owner, self.document["run"])

    def rung(self, name: str) -> dict[str, Any] | None:
        """What a rung came to; None before it was asked."""
        file = self.folder / "rungs" / f"{name}.json"
        return dict(read_json(file)) if file.is_file() else None


def create(run: runs.Run, settings: LadderSettings) -> Ladder:
    """Checks what can be checked without a model, and writes the folder. Raises UserError, WorldError."""
    held = held_rows(run)
    adapter_folder(run.owner, run.id)
    check(settled(settings, held.references))
    for model in filter(None, (settings.model, settings.larger_model)):
        parse(model)
    name = new_id()
    ladder = Ladder(run.owner, name, owner_folder(run.owner, "ladders", name))
    try:
        with may_start(run.owner):
            (ladder.folder / "rungs").mkdir(parents=True)
            ladder.set_state("starting")
        durable(ladder.folder)
        document = {"run": run.id, "settings": settings.to_json(), "created": time.time(), "rows": len(held.rows),
                    "scorer": settled(settings, held.references).scorer}  # fmt: skip
        write_json(ladder.folder / "ladder.json", document)
    except OSError as error:
        shutil.rmtree(ladder.folder, ignore_errors=True)
        raise WorldError(
            "the ladder cannot be written: {strerror}; free some disk space", strerror=error.strerror
        ) from error
    return ladder


def find(owner: str, ladder: str) -> Ladder:
    """Raises NotFound for a ladder that does not exist or is another owner's."""
    folder = owner_folder(owner, "ladders", ladder) if _ID.fullmatch(ladder) else None
    if folder is None or not (folder / "ladder.json").is_file():
        raise NotFound("there is no ladder {ladder!r}", ladder=ladder[:40], field="ladder")
    return Ladder(owner, ladder, folder)


def ladders(owner: str) -> list[Ladder]:
    """This owner's ladders, the newest first."""
    found = [find(owner, path.parent.name) for path in owner_folder(owner, "ladders").glob("*/ladder.json")]
    return sorted(found, key=lambda ladder: ladder.document["created"], reverse=True)


def ladder_events(
    ladder: Ladder, *, token: str | None = None, key: str | None = None, on_device: OnDevice = identity
) -> Iterator[Event]:
    """Asks one rung after the other; events are written, then yielded: "rung" (name; remaining: seconds), "asking" (done, of),
    "asked" or "left_out".

    Rungs that were asked before are kept.
    """
    with ladder.held():
        ladder.append({"event": "queued"})
        try:
            with device(ladder) as hold:
                if hold.mine:
                    ladder.set_state("evaluating")
                    footing = ground_of(ladder, token, key, on_device)
                    hold.then(footing.stop.set)
                    for event in paced(_climbed(ladder, footing), seconds=1.0):
                        ladder.append(event)
                        yield event
            if ladder.asked_to_stop():
                ladder.set_cancelled()
            else:
                ladder.set_state("finished")
        except BaseException as error:
            ladder.set_state("cancelled" if isinstance(error, GeneratorExit) else "failed", reason_of(error))
            raise


def ground_of(ladder: Ladder, token: str | None, key: str | None, on_device: OnDevice) -> Footing:
    """What the rungs stand on. Raises UserError."""
    run, settings = ladder.run, ladder.settings
    adapter = adapter_folder(run.owner, run.id)
    classes, kind = read_labels(adapter), kind_in(adapter)
    held = held_rows(run, classes).drawn(settings.most_rows, settings.seed)
    scoring = settled(settings, held.references)
    model = settings.model or (run.recipe.model if kind == "causal" and not classes else EMBEDDED)

    short = settings.task.strip() or run.columns.instruction or choices(scoring, held.labels) or "Answer."

    def open_model(name: str) -> Any:
        return open_backend(name, run.owner, token=token, key=key, on_device=on_device)

    opener: Open = open_model
    evalset = EvalSet(held.numbers, [{"text": input_of(row)} for row in held.rows], held.references, held.labels, [])
    examples = [Example(input=input_of(row), output=row.answer) for row in run.part("train")]
    return Footing(
        settings, scoring, evalset, [row.prompt for row in held.rows], examples, f"run:{run.id}", "classifier" if classes else kind,
        bool(run.columns.messages), model, short, run.owner, token, opener,
        Replies(run.owner),
    )  # fmt: skip


class _Pace:
    """How long rungs take: as long as on this machine the last time, else as the others did so far, by their answers a row."""

    def __init__(self, ladder: Ladder, footing: Footing) -> None:
        self._votes = ladder.settings.votes
        self._what = (ladder.owner, footing.model, ladder.settings.larger_model, len(footing.evalset.rows), self._votes)
        self._spent: list[float] = []  # seconds for an answer a row

    def left(self, rungs: list[str]) -> float | None:
        """Seconds for these; None where nothing is known."""
        known = {name: seconds for name in rungs if (seconds := usual(name, *self._what)) is not None}
        answers = self._spent or [seconds / self._answers(name) for name, seconds in known.items()]
        if not answers:
            return None
        return round(sum(known.get(name, fmean(answers) * self._answers(name)) for name in rungs), 1)

    def took(self, name: str, seconds: float, rung: dict[str, Any]) -> None:
        """What a rung took, which tells nothing where its answers were known."""
        if not rung["from_cache"]:
            remember(seconds, name, *self._what)
            self._spent.append(seconds / self._answers(name))

    def _answers(self, name: str) -> int:
        return self._votes if name == "self_consistency" else 1


def _climbed(ladder: Ladder, footing: Footing) -> Iterator[Event]:
    pace, chosen = _Pace(ladder, footing), ladder.settings.chosen
    for at, name in enumerate(chosen):
        if ladder.asked_to_stop():
            return
        began = time.monotonic()
        yield {"event": "rung", "rung": name, "remaining": pace.left(chosen[at:])}
        try:
            rung = RUNGS[name][1](footing)
            known = ladder.rung(name)
            new = known is None or "left_out" in known
            if new:
                for event in asked(footing, rung, ladder.asked_to_stop):
                    if event["event"] == "asking":
                        yield event
                    else:
                        write_json(ladder.folder / "rungs" / f"{name}.json", event["document"])
                known = ladder.rung(name)
        except (UserError, WorldError) as error:
            write_json(ladder.folder / "rungs" / f"{name}.json", {"left_out": error.sentence()})
            yield {"event": "left_out", "rung": name, "why": error.sentence()}
            continue
        if known is None:  # stopped
            return
        rung.score = known["mean"]
        if name in ONE_CALL and (footing.best is None or rung.score > footing.best.score):
            footing.best = rung
        if new:
            pace.took(name, time.monotonic() - began, known)
        yield {"event": "asked", "rung": name, "score": known["mean"]}
