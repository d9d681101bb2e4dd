"""The line for this machine's device: one holds it, the others wait, who came first goes first. Trainings and ladders stand in it.

home/device.lock               locked by the process that has the device
home/device.json               whose work that is
used/<owner>.jsonl             {"time", "seconds", "work"} of each time the owner had it, for a day, also when all else of theirs
                               is deleted; a killed process leaves no line
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from filelock import FileLock, Timeout

from prompts.errors import NotFound, UserError
from prompts.home import device_lock, home, owner_folder, write_whole
from prompts.quotas import quotas_here
from prompts.sharing import at_work
from prompts.words import dumps, later, say
from tuning.work import ACTIVE, CANCEL, Work, read_json, write_json

DAY = 86_400.0  # seconds
TELLING = ("step", "measuring", "evaluating", "rung")  # kinds of event whose "remaining" is that of the work
LAST = 20  # works whose time counts as usual
FORECAST = "forecast.json"  # of a run, as tuning/forecast.py writes it


class Hold:
    """The device, while one has it; `mine` is False for a work that left the line because it was cancelled."""

    def __init__(self, work: Work, *, mine: bool) -> None:
        self.work, self.mine, self.began = work, mine, time.time()
        self.over, self._then = threading.Event(), lambda: None
        most = quotas_here().minutes
        self._left = 60 * most - used_seconds(work.owner) if most else float("inf")

    def then(self, stop: Callable[[], None]) -> None:
        """What to do besides when the work is asked to stop: it may wait for somebody who says nothing."""
        self._then = stop

    def watch(self) -> None:
        """Looks every second, until the work is asked to stop or `over`."""
        while not self.over.wait(1.0):
            self.check()
            if self.work.asked_to_stop():
                self._then()
                return

    def check(self) -> None:
        """Asks the work to stop where its owner's minutes are used up."""
        if time.time() - self.began >= self._left and not self.work.asked_to_stop():
            said = say(MINUTES_USED, minutes=quotas_here().minutes)
            (self.work.folder / CANCEL).write_text(dumps(said), encoding="utf-8")


MINUTES_USED = later("{minutes} minutes of this device in 24 hours are allowed, and they are used up; go on tomorrow")


@contextmanager
def device(work: Work) -> Iterator[Hold]:
    """Waits in line, and has the device; a work that is asked to stop leaves the line."""
    lock = FileLock(device_lock())
    work.set_state("queued")
    mine = False
    while not (mine or work.asked_to_stop()):
        if place(work) == 1:
            try:
                lock.acquire(timeout=0)
                mine = True
                break
            except Timeout:
                pass
        time.sleep(0.3)
    hold = Hold(work, mine=mine)
    if mine:
        write_json(home() / "device.json", {"owner": work.owner, "kind": work.folder.parent.name, "work": work.id})
        threading.Thread(target=hold.watch, name="watch", daemon=True).start()
    try:
        yield hold
    finally:
        hold.over.set()
        if mine:
            _note(hold)
        lock.release()


def _note(hold: Hold) -> None:
    line = {"time": time.time(), "seconds": round(time.time() - hold.began, 1), "work": hold.work.id}
    file = used_file(hold.work.owner)
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = [*(one for one in _lines(file) if one["time"] > time.time() - DAY), line]
    write_whole(file, "".join(json.dumps(one) + "\n" for one in kept))


def used_file(owner: str) -> Path:
    """Raises NotFound for a name that is no owner's."""
    return home() / "used" / f"{owner_folder(owner).name}.jsonl"


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.is_file() else []


def used_seconds(owner: str) -> float:
    """How long an owner has had the device within the last 24 hours."""
    return float(sum(line["seconds"] for line in _lines(used_file(owner)) if line["time"] > time.time() - DAY))


def check_minutes(owner: str) -> None:
    """Raises UserError where the owner has had the device for as long as is allowed."""
    most = quotas_here().minutes
    if most and used_seconds(owner) >= 60 * most:
        raise UserError(MINUTES_USED, minutes=quotas_here().minutes)


def waiting() -> list[Work]:
    """Everybody's works that wait, the next first."""
    return [work for _, work in _queue()]


def _queue() -> list[tuple[float, Work]]:
    """(since when, work) of all that wait, the next first."""
    found = []
    for file in home().glob("owners/*/*/*/status.json"):
        work = Work(file.parents[2].name, file.parent.name, file.parent)
        try:
            if work.status_written() == "queued" and work.status()["state"] == "queued":
                found.append((work.since(), work))
        except (NotFound, OSError):
            continue  # deleted meanwhile
    return sorted(found, key=lambda pair: pair[0])


def place(work: Work) -> int:
    """1 for the next in line; one that has just joined, or has left it, is counted by when it did."""
    mine = work.since()
    return 1 + sum(other.id != work.id and since < mine for since, other in _queue())


def holder() -> Work | None:
    """Who has the device now."""
    try:
        told = read_json(home() / "device.json")
    except NotFound:
        return None
    work = Work(told["owner"], told["work"], owner_folder(told["owner"], told["kind"], told["work"]))
    try:
        return work if work.status()["state"] in ACTIVE else None
    except NotFound:
        return None


def starts_in(work: Work) -> float | None:
    """Seconds until a waiting work has the device, by what those before it tell of themselves; None where one tells nothing."""
    mine = work.since()
    before, has_it = [other for since, other in _queue() if since < mine], holder()
    if has_it is None and at_work():  # a forecast, which is nobody's work
        return None
    left = [remaining(one) for one in (has_it, *before) if one is not None]
    return None if None in left else float(sum(one or 0 for one in left))


def remaining(work: Work) -> float | None:
    """Seconds that a work still needs: by what it told last since it came into the line, else by its forecast, else what is usual
    here; None where nothing is.
    """
    for event in reversed(work.events()):
        if event["event"] == "queued":
            break
        if event["event"] in TELLING and event.get("remaining") is not None:
            return max(0.0, float(event["remaining"]) - (time.time() - event["time"]))
    file = work.folder / FORECAST
    return float(read_json(file)["seconds"]) if file.is_file() else usual_seconds()


def usual_seconds() -> float | None:
    """The median of how long the last works of anybody had the device; None before any had it."""
    lines = [line for file in home().glob("used/*.jsonl") for line in _lines(file)]
    last = sorted(lines, key=lambda line: line["time"])[-LAST:]
    return float(median(line["seconds"] for line in last)) if last else None


def in_line(work: Work, state: str) -> dict[str, Any]:
    """{"place_in_line", "starts_in_seconds"} of a work in this state; None unless it waits, the seconds also where unknown."""
    queued = state == "queued"
    return {"place_in_line": place(work) if queued else None, "starts_in_seconds": starts_in(work) if queued else None}
