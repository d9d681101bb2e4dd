"""A training where the device is lent for a while (ZeroGPU): slices that fit one grant, each going on exactly where the last ended.

Every slice loads the model anew, so that nothing but the run's folder lies between two of them; a grant that is lost costs its
slice alone. Where the device is always there, a training is one piece, by the same function.
"""

import time
from collections.abc import Iterator

from prompts.backends import OnDevice
from prompts.errors import WorldError
from prompts.events import Event
from prompts.leases import LOSSES, LostLease, Size
from tuning import run as runs
from tuning.data.encode import Encoded
from tuning.run import Run
from tuning.task import Task
from tuning.train import CHECKPOINTS, last_checkpoint, train

RESERVE = 3.0  # seconds of a grant that the platform takes to begin and to end


def lease_seconds(on_device: OnDevice) -> float | None:
    """The longest grant; None where the device is always there."""
    found = getattr(on_device, "seconds", None)
    return None if found is None else float(found)


def train_slice(owner: str, run: str, token: str | None, seconds: float) -> Iterator[Event]:
    """As `train`, from the last checkpoint, for so many seconds; "slice" is the last event where there is more to do.

    Runs inside the device's lease; the rows' tokens were made before, and are read from the owner's folder.
    """
    from tuning.execute import encoded

    began, found = time.monotonic(), runs.find(owner, run)
    task, parts = encoded(found, token)
    left = seconds - (time.monotonic() - began) - RESERVE
    yield from train(found.recipe, task, parts, found.folder, owner=owner, token=token, seconds=left)


SIZES = {train_slice: Size(asks=lambda owner, run, token, seconds: seconds)}


def trained(run: Run, task: Task, parts: dict[str, Encoded], token: str | None, on_device: OnDevice) -> Iterator[Event]:
    """The events of a whole training. Raises WorldError where grants are lost again and again, and nothing gets done."""
    longest = lease_seconds(on_device)
    if longest is None:
        yield from train(run.recipe, task, parts, run.folder, owner=run.owner, token=token)
        return
    slices = _Slices(run)
    while True:
        if run.asked_to_stop():
            yield {"event": "cancelled", "step": slices.step()}
            return
        more = False
        try:
            for event in on_device(train_slice)(run.owner, run.id, token, longest):
                more = event["event"] == "slice"
                yield slices.told(event)
        except LostLease as error:
            more = True
            yield slices.lost(error)
        if not more:
            return


class _Slices:
    """What came of the slices so far."""

    def __init__(self, run: Run) -> None:
        self._folder = run.folder / CHECKPOINTS
        self._before = self._now = 0.0  # seconds of the earlier slices, and of this one
        self._lost, self._at = 0, -1

    def step(self) -> int:
        """The step of the last checkpoint."""
        last = last_checkpoint(self._folder)
        return int(last.name.split("-")[1]) if last else 0

    def told(self, event: Event) -> Event:
        """A slice's event, with the time of all slices."""
        if event["event"] == "training":
            self._before, self._now = self._before + self._now, 0.0
        for name in ("elapsed", "seconds"):
            if name in event and event["event"] in ("step", "trained"):
                self._now = event[name]
                event = {**event, name: round(self._before + event[name], 2)}
        return event

    def lost(self, error: LostLease) -> Event:
        """Counts a lost grant. Raises WorldError where too many are lost."""
        step = self.step()
        self._lost, self._at = (self._lost + 1 if step == self._at else 1), step
        if self._lost >= LOSSES:
            raise WorldError(
                "{losses} grants of the GPU were lost at step {step}, one after the other; take a "
                "smaller batch, a shorter max_length or fewer validation rows, so that a step and its "
                "measurement fit one, then resume",
                losses=LOSSES,
                step=step,
            ) from error
        return {"event": "lease_lost", "step": step}
