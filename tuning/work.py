"""A folder that a process works on (a run, a sweep, a ladder): its state, its events, and whether that process lives."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from filelock import FileLock, Timeout

from prompts.errors import NotFound, UserError
from prompts.events import Event
from prompts.home import write_whole
from prompts.words import dumps, later, loads, say

ACTIVE = ("starting", "sent", "queued", "loading", "training", "evaluating")
ALIVE = "alive.lock"  # held by the process that is at work: the system frees it if that process dies
CANCEL = "cancel"  # the file that asks a process to stop
STARTING_SECONDS = 120  # a process that has not taken its lock by then never started


@dataclass(frozen=True)
class Work:
    """status.json, events.jsonl and alive.lock of a folder, which is locked by the process that works on it."""

    owner: str
    id: str
    folder: Path
    what: ClassVar[str] = later("run")

    def events(self) -> list[Event]:
        """Everything that happened so far; a line being written is left for the next look."""
        file = self.folder / "events.jsonl"
        if not file.is_file():
            return []
        found = (json_line(line) for line in file.read_text("utf-8", errors="replace").split("\n")[:-1])
        return [event for event in found if event]

    def status(self) -> dict[str, Any]:
        """{"state", "reason"?}: what the folder says, or "dead" where its process is gone."""
        status = read_json(self.folder / "status.json")
        if status["state"] in ACTIVE and not self._alive(status):
            status = read_json(self.folder / "status.json")  # it may have ended well between the two looks
        if status["state"] in ACTIVE and not self._alive(status):
            reason = say(
                "its process ended without a word (killed, out of memory, or the machine stopped); resume continues from the last "
                "checkpoint"
            )
            return {"state": "dead", "reason": reason}
        return status

    def status_written(self) -> str:
        """The state as the folder has it, alive or not."""
        return str(read_json(self.folder / "status.json")["state"])

    def _alive(self, status: dict[str, Any]) -> bool:
        if status["state"] == "starting" and time.time() - status["time"] < STARTING_SECONDS:
            return True
        lock = FileLock(self.folder / ALIVE)
        try:
            with lock.acquire(timeout=0):
                return False
        except Timeout:
            return True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Around what its process does: while it lives, no other one can. Raises UserError where another does."""
        try:
            alive = FileLock(self.folder / ALIVE).acquire(timeout=5)
        except Timeout:
            raise UserError(
                "{what} {id} is at work already", what=say(self.what), id=self.id, field=self.what
            ) from None
        with alive:
            yield

    def since(self) -> float:
        """When it came into its state."""
        return float(read_json(self.folder / "status.json")["time"])

    def ask_to_stop(self) -> None:
        """Its process sees it after the current step. Raises UserError where none is at work."""
        if (state := self.status()["state"]) not in ACTIVE:
            raise UserError(
                "{what} {id} is {state}; there is nothing to cancel",
                what=say(self.what),
                id=self.id,
                state=state,
                field=self.what,
            )
        (self.folder / CANCEL).touch()

    def asked_to_stop(self) -> bool:
        return (self.folder / CANCEL).exists()

    def set_cancelled(self) -> None:
        """Its last state, with the reason that the file may hold."""
        file = self.folder / CANCEL
        told = file.read_text("utf-8") if file.is_file() else ""
        self.set_state("cancelled", loads(told) if told else "")

    def delete(self) -> None:
        """Removes the folder. Raises UserError while its process is at work."""
        if self.status()["state"] in ACTIVE:
            raise UserError(
                "{what} {id} is still working; cancel it first", what=say(self.what), id=self.id, field=self.what
            )
        shutil.rmtree(self.folder)

    def make_ready(self) -> Self:
        """For another process to go on with it. Raises UserError where it is at work or finished, or no more may be started."""
        from tuning.keeping import may_start

        if (state := self.status()["state"]) not in ("cancelled", "failed", "dead"):
            raise UserError(
                "{what} {id} is {state}; only a cancelled, failed or dead {what} can be resumed",
                what=say(self.what),
                id=self.id,
                state=state,
                field=self.what,
            )
        with may_start(self.owner, besides=self.part_of()):
            (self.folder / CANCEL).unlink(missing_ok=True)
            self.set_state("starting")
        return self

    def part_of(self) -> str:
        """The id of a work that this one belongs to and that counts for it; empty for none."""
        file = self.folder / "part_of"
        return file.read_text("utf-8") if file.is_file() else ""

    def set_state(self, state: str, reason: str = "") -> None:
        document = {"state": state, "time": time.time(), **({"reason": reason} if reason else {})}
        write_json(self.folder / "status.json", document)

    def append(self, event: Event) -> None:
        with (self.folder / "events.jsonl").open("ab+") as file:
            file.seek(0, 2)
            if file.tell() and (file.seek(-1, 2), file.read(1))[1] != b"\n":
                file.write(b"\n")  # a line that a crash cut off stays a line of its own
            file.write(dumps({"time": round(time.time(), 3), **event}).encode() + b"\n")


def json_line(line: str) -> Event | None:
    """A line of a .jsonl file of ours; None for one that a crash cut off."""
    try:
        return dict(loads(line))
    except (json.JSONDecodeError, TypeError, ValueError):
        return None


def write_json(path: Path, document: Any) -> None:
    """The document as the whole file."""
    write_whole(path, dumps(document, indent=1))


def durable(folder: Path) -> None:
    """Returns when everything in the folder would survive a power cut."""
    for path in (*folder.rglob("*"), folder, folder.parent):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            continue
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_json(path: Path) -> Any:
    try:
        return loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound("the run's folder has lost {name}; delete the run and start again", name=path.name) from None
