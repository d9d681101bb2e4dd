"""The child process that follows a run's Job: starts it, copies its events, brings the results back. The token comes by pipe."""

import queue
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from prompts.errors import AppError, UserError, WorldError, reason_of
from prompts.events import Event
from prompts.words import loads, say
from tuning import run as runs
from tuning.launch.jobs import EVENT, Jobs
from tuning.publish import afterwards
from tuning.run import Run
from tuning.trackers import Tracked

LOOK = 5.0  # seconds between two looks at the Job's stage
RETRIES = 100
STATES = {"loading": "loading", "training": "training", "evaluating": "evaluating"}
ENDED = ("COMPLETED", "ERROR", "CANCELED", "DELETED")


def main() -> int:
    token = sys.stdin.readline().strip()
    run = runs.find(sys.argv[2], sys.argv[1])
    with suppress(UserError), run.held():  # else another follower is at work
        try:
            follow(run, Jobs(run, token), token)
            return 0
        except AppError as error:
            run.set_state("failed", say("{error}; resume follows the Job, or starts it again", error=error.sentence()))
        except BaseException as error:
            run.set_state("failed", reason_of(error))
            raise
    return 1


def follow(run: Run, jobs: Jobs, token: str) -> None:
    """Until the Job ends. Raises UserError, WorldError where the Hub refuses, or the Job failed."""
    run.set_state("sent")
    jobs.submit()
    told = _Told(run, token)
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(jobs, lines), daemon=True)
    reader.start()
    stage, looked, asked, last = "", 0.0, False, ""
    while stage not in ENDED or reader.is_alive() or not lines.empty():
        try:
            if line := lines.get(timeout=0.5):
                last = line if not told.line(line) else last
        except queue.Empty:
            pass
        if run.asked_to_stop() and not asked:
            jobs.cancel()
            asked = True
        if time.monotonic() - looked >= LOOK or not reader.is_alive():
            stage, looked = jobs.stage(), time.monotonic()
    told.track({"event": "end"})
    _end(run, jobs, stage, told.failure or last, token, cancelled=asked)


def _read(jobs: Jobs, lines: "queue.Queue[str | None]") -> None:
    for _ in range(RETRIES):
        try:
            for line in jobs.logs():
                lines.put(line)
            return
        except Exception as error:  # whatever broke the connection: the log is read again from its beginning
            lines.put(f"the log broke off: {type(error).__name__}: {error}")
            time.sleep(LOOK)


class _Told:
    """Copies a Job's events, each once, also when the log is read again from its beginning."""

    def __init__(self, run: Run, token: str) -> None:
        self._run, self.failure, self._tracker = run, "", Tracked(run, token)
        self._last = max((event.get("job_event", 0) for event in self._since_job()), default=0)

    def _since_job(self) -> list[Event]:
        """The events of the Job in hand: an earlier one ended with an event "job"."""
        events = self._run.events()
        ends = [at for at, event in enumerate(events) if event["event"] == "job"]
        return events[ends[-1] + 1 :] if ends else events

    def line(self, line: str) -> bool:
        """Is it an event?"""
        if not line.startswith(EVENT):
            return False
        event: dict[str, Any] = loads(line.removeprefix(EVENT))
        if event["job_event"] > self._last:
            self._last = event["job_event"]
            event.pop("time", None)
            self._run.append(event)
            self.track(event)
            if state := STATES.get(event["event"]):
                self._run.set_state(state)
            if event["event"] == "failed":
                self.failure = event["reason"]
        elif event["event"] == "training":  # told before this follower took over: its tracker goes on from here
            self.track({**event, "step": max((e.get("step", 0) for e in self._since_job()), default=0)})
        return True

    def track(self, event: Event) -> None:
        for told in self._tracker.told(event):
            self._run.append(told)


def _end(run: Run, jobs: Jobs, stage: str, last: str, token: str, *, cancelled: bool) -> None:
    back = jobs.bring_back() if stage != "DELETED" else False
    run.append({"event": "job", "stage": stage})
    jobs.close(stage)
    if stage == "COMPLETED" and (run.folder / "adapter").is_dir():
        for event in afterwards(run, token=token) if run.recipe.hub_model_id else ():
            run.append(event)
        run.set_state("finished")
    elif cancelled or stage == "CANCELED":
        run.set_state("cancelled", "" if back else say("the Job was stopped"))
    elif stage == "COMPLETED":
        raise WorldError("the Job ended, but nothing came back from it; resume to try again")
    else:
        raise WorldError("the Job ended with {stage}: {reason}", stage=stage, reason=last or say("it says no more"))


if __name__ == "__main__":
    sys.exit(main())
