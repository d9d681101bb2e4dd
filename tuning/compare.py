"""Runs side by side: where their recipes differ, what they came to, and their losses."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from prompts.errors import UserError
from prompts.events import Event
from tuning.run import Run, snapshot
from tuning.work import ACTIVE

MOST = 20
SHOWN = ("status", "data", "train_loss", "validation_loss", "eval_loss", "tokens_per_second", "peak_memory_gb")


def compare_runs(runs: Sequence[Run]) -> dict[str, Any]:
    """{"runs": [{"run", "status", ..., "exact_match", "interval"}], "differences": {setting: {run: value}}, "losses"}.

    Raises UserError for fewer than two runs or more than MOST.
    """
    if not 2 <= len(runs) <= MOST:
        raise UserError("choose 2 to {most} runs to compare, not {runs}", most=MOST, runs=len(runs), field="runs")
    return {
        "runs": [_line(run) for run in runs],
        "differences": differences(runs),
        "losses": {run.id: losses(run.events()) for run in runs},
    }


def _line(run: Run) -> dict[str, Any]:
    state = snapshot(run)
    tuned = (state["evaluation"] or {}).get("tuned", {})
    return {
        "run": run.id,
        **{name: state[name] for name in SHOWN},
        **tuned,
        "of_rows": (state["evaluation"] or {}).get("rows"),
    }


def differences(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """The settings of recipe and mapping that are not the same in all runs, and the data where they are others."""
    known = {
        run.id: {**run.recipe.to_json(), **run.columns.to_json(), "data": run.about["fingerprint"]} for run in runs
    }
    names = dict.fromkeys(name for settings in known.values() for name in settings)
    return {
        name: {run: settings.get(name) for run, settings in known.items()}
        for name in names
        if len({repr(settings.get(name)) for settings in known.values()}) > 1
    }


def losses(events: Sequence[Event]) -> list[dict[str, Any]]:
    """{"step", "part", "loss"} of every step and measurement."""
    kinds = {"step": "training", "evaluation": ""}
    return [
        {"step": event["step"], "part": kinds[event["event"]] or event["part"], "loss": event["loss"]}
        for event in events
        if event["event"] in kinds
    ]


def follow(run: Run, every: float = 0.5) -> Iterator[Event]:
    """Every event of a run from its first, as they come; ends with {"event": "status", ...} once it is no longer active."""
    told = 0
    while True:
        active = run.status()["state"] in ACTIVE  # asked first: nothing is written after a run has ended
        events = run.events()
        yield from events[told:]
        told = len(events)
        if not active:
            yield {"event": "status", **snapshot(run)}
            return
        time.sleep(every)
