"""Starts a run, a sweep or a ladder, and returns at once: as a child process, or where the device is lent as a thread of the app.

The thread keeps the context of the request that started it: ZeroGPU reads from it whose quota is used.
"""

import logging
import threading
from collections.abc import Iterator
from contextvars import copy_context
from typing import TYPE_CHECKING

from prompts.backends import OnDevice, identity
from prompts.errors import AppError
from prompts.events import Event
from tuning.evaluate import evaluate
from tuning.execute import execute
from tuning.launch import process
from tuning.run import Run
from tuning.slices import lease_seconds
from tuning.work import Work

if TYPE_CHECKING:
    from tuning.ladder.work import Ladder
    from tuning.sweep import Sweep


def start_run(run: Run, token: str | None, on_device: OnDevice = identity, *, measure: bool = True) -> None:
    """Trains, and measures on the held-out rows where that is wanted."""
    if lease_seconds(on_device) is None:
        process.start(run, token, evaluate=measure)
        return

    def then(found: Run) -> Iterator[Event]:
        yield from evaluate(found, token=token, on_device=on_device)

    _in_thread(run, execute(run, token=token, on_device=on_device, then=then if measure else None))


def start_sweep(sweep: "Sweep", token: str | None, on_device: OnDevice = identity) -> None:
    """Tries the sweep's recipes."""
    from tuning.sweep import sweep_events

    if lease_seconds(on_device) is None:
        process.start_sweep(sweep, token)
    else:
        _in_thread(sweep, sweep_events(sweep, token=token, on_device=on_device))


def start_ladder(ladder: "Ladder", token: str | None, key: str | None = None, on_device: OnDevice = identity) -> None:
    """Asks the ladder's rungs; `key` is a model server's."""
    from tuning.ladder.work import ladder_events

    if lease_seconds(on_device) is None:
        process.start_ladder(ladder, token, key)
    else:
        _in_thread(ladder, ladder_events(ladder, token=token, key=key, on_device=on_device))


def _in_thread(work: Work, events: Iterator[Event]) -> None:
    """Takes the events, which the work's folder keeps."""

    def take() -> None:
        try:
            for _ in events:
                pass
        except AppError:
            pass  # written down as the work's state
        except Exception:
            logging.getLogger(__name__).exception("%s %s failed", work.what, work.id)

    threading.Thread(target=copy_context().run, args=(take,), name=f"{work.what} {work.id}", daemon=True).start()
