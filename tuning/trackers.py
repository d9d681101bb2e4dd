"""A run's figures in an experiment tracker as well: Trackio, Weights & Biases or TensorBoard; none unless asked for.

They are fed by the run's events, so all three show the same figures under the same names. A tracker that fails is said in an
event and left out; the training goes on.
"""

import os
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Protocol

from prompts.errors import WorldError, reason_of
from prompts.events import Event
from prompts.home import LOCAL, owner_folder, shared_here
from prompts.words import say
from tuning.launch.trackio_space import send_to_space
from tuning.run import Run

STEP = ("loss", "grad_norm", "learning_rate", "tokens_per_second", "memory_gb", "epoch")
SIDES = ("base", "tuned")


class Tracker(Protocol):
    """`where` says where the figures can be seen; `log` takes finite numbers by name."""

    where: str

    def log(self, values: dict[str, float], step: int) -> None: ...

    def finish(self) -> str:
        """Where the figures went in the end, if elsewhere; they are written when it returns."""


def tracked(run: Run, events: Iterable[Event], token: str | None = None) -> Generator[Event, None, None]:
    """The events, which the run's tracker gets too; and those that say where it keeps them, or why it does not."""
    watch = Tracked(run, token)
    try:
        for event in events:
            yield event
            yield from watch.told(event)
    finally:
        last = watch.told({"event": "end"})
    yield from last


class Tracked:
    """The tracker of a run, from its first step; whatever it raises, the training is worth more."""

    def __init__(self, run: Run, token: str | None) -> None:
        self._run, self._token = run, token
        self._name = run.recipe.report_to
        self._tracker: Tracker | None = None
        self._step = 0

    def told(self, event: Event) -> list[Event]:
        """What there is to say of the tracker after an event."""
        try:
            where = self._told(event)
        except (Exception, SystemExit) as error:
            self._tracker = None
            return [{"event": "tracker", "name": self._name, "problem": reason_of(error)}]
        return [{"event": "tracker", "name": self._name, "where": where}] if where else []

    def _told(self, event: Event) -> str:
        self._step = event.get("step", self._step)
        if self._tracker is None and event["event"] == "training" and self._name != "none":
            with redirect_stdout(sys.stderr):  # where the command line shows its progress
                self._tracker = TRACKERS[self._name](self._run, self._step, self._token)
            return self._tracker.where
        if self._tracker and (values := figures(event)):
            self._tracker.log(values, self._step)
        if self._tracker and event["event"] in ("end", "cancelled"):
            tracker, self._tracker = self._tracker, None
            with redirect_stdout(sys.stderr):
                return tracker.finish()
        return ""


def figures(event: Event) -> dict[str, float]:
    """What a tracker shows of an event, by name."""
    if event["event"] == "step":
        return {f"train/{name}": float(event[name]) for name in STEP if event.get(name) is not None}
    if event["event"] == "evaluation":
        return {f"{event['part']}/loss": float(event["loss"])}
    if event["event"] == "evaluated":
        return {f"{side}/exact_match": float(event[side]["exact_match"]) for side in SIDES if side in event}
    return {}


class _Trackio:
    """On one's own machine in Trackio's own folder, where `trackio show` looks; else in the owner's."""

    def __init__(self, run: Run, first: int, token: str | None) -> None:
        folder = owner_folder(run.owner, "trackio")
        if run.owner != LOCAL:
            os.environ["TRACKIO_DIR"] = str(folder)  # read once, when trackio is imported
        import trackio
        from trackio.utils import TRACKIO_DIR

        if run.owner != LOCAL and folder.resolve() != Path(TRACKIO_DIR).resolve():
            raise WorldError("Trackio keeps the figures of somebody else in this process")
        self._run = trackio.init(
            run.recipe.project, name=run.id, config=run.recipe.to_json(), resume="allow", embed=False, auto_log_gpu=False,
            auto_log_cpu=False,
        )  # fmt: skip
        self._space, self._token, self._folder = run.recipe.trackio_space_id, token, str(TRACKIO_DIR)
        self.where = say(
            '{trackio_dir}; see them with: trackio show --project "{project}"',
            trackio_dir=TRACKIO_DIR,
            project=run.recipe.project,
        )

    def log(self, values: dict[str, float], step: int) -> None:
        self._run.log(values, step=step)

    def finish(self) -> str:
        import trackio

        trackio.finish()  # the run of init, which would be finished at exit otherwise
        return send_to_space(self._run.project, self._folder, self._space, self._token) if self._space else ""


class _WandB:
    """In the account of WANDB_API_KEY, else offline in the run's folder; never in that of a Space's owner for a visitor."""

    def __init__(self, run: Run, first: int, token: str | None) -> None:
        import wandb

        online = not shared_here() and bool(wandb.login(prompt=False, verify=False))
        self._run = wandb.init(
            project=run.recipe.project, id=run.id, name=run.id, config=run.recipe.to_json(), resume="allow",
            dir=run.folder, mode="online" if online else "offline",
            settings=wandb.Settings(console="off", silent=True, save_code=False, disable_git=True, init_timeout=30),
        )  # fmt: skip
        self._run.define_metric("*", step_metric="step")  # steps may come again when a run is resumed
        folder = Path(self._run.dir).parent
        self.where = (
            str(self._run.url) if online else say("{folder}; send them with: wandb sync {folder}", folder=folder)
        )

    def log(self, values: dict[str, float], step: int) -> None:
        self._run.log({**values, "step": step})

    def finish(self) -> str:
        self._run.finish()
        return ""


class _TensorBoard:
    """In the run's folder; what a kill left of steps that come again is hidden."""

    def __init__(self, run: Run, first: int, token: str | None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = run.folder / "tensorboard"
        self._writer = SummaryWriter(str(folder), purge_step=first + 1)
        self.where = say(
            "{folder}; see them with: tensorboard --logdir {parent}", folder=folder, parent=run.folder.parent
        )

    def log(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def finish(self) -> str:
        self._writer.close()
        return ""


TRACKERS: dict[str, Callable[[Run, int, str | None], Tracker]] = {
    "trackio": _Trackio,
    "wandb": _WandB,
    "tensorboard": _TensorBoard,
}
