"""A run, executed: wait for the device, train, measure; every event is on disk before anybody sees it."""

import errno
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress

from prompts.backends import OnDevice, identity
from prompts.downloads import told_of
from prompts.errors import AppError, UserError, WorldError, is_out_of_memory, reason_of
from prompts.events import Event
from prompts.following import Progress, paced, seconds_left, told_meanwhile
from prompts.models import locate
from prompts.weights import fetch
from prompts.words import say
from tuning.data.encode import Encoded, fit, tokenise
from tuning.data.preview import tokens_folder
from tuning.data.split import PARTS
from tuning.line import device
from tuning.publish import afterwards
from tuning.run import Run
from tuning.slices import trained
from tuning.task import Task, task_of
from tuning.trackers import tracked
from tuning.train import train
from tuning.waits import Silences
from tuning.work import ACTIVE


def execute(
    run: Run,
    *,
    token: str | None = None,
    on_device: OnDevice = identity,
    then: Callable[[Run], Iterator[Event]] | None = None,
) -> Iterator[Event]:
    """Waits for the device, trains, and does what comes `then`; every event is written to the folder before it is yielded.

    A failure is written down as the run's state and raised.
    """
    with run.held():
        if (state := run.status_written()) != "starting":
            raise UserError(
                "run {id} is {state}; only a new or resumed run can be executed", id=run.id, state=state, field="run"
            )
        try:
            with (
                closing(_in_line(run, lambda: _work(run, token, on_device, then), token)) as work,
                closing(tracked(run, work, token)) as events,
            ):
                silences = Silences(run.recipe, run.since())
                for event in events:
                    run.append(event)
                    silences.heard(event)
                    yield event
        except GeneratorExit:
            run.set_state("cancelled", say("the process that ran it was stopped"))
            raise
        except BaseException as error:
            _write_down(run, error)
            raise explained(error) from error


def _write_down(run: Run, error: BaseException) -> None:
    """The failure as the run's state; on a full disk there may be room for one of the two, or for none."""
    with suppress(OSError):
        run.set_state("failed", _reason(error))
    with suppress(OSError):
        run.append({"event": "failed", "reason": _reason(error), "trace": traceback.format_exc()[-4000:]})


def _in_line(run: Run, work: Callable[[], Iterator[Event]], token: str | None) -> Generator[Event, None, None]:
    """One training at a time on this machine, whoever owns it, in order of arrival, for as long as its owner may."""
    yield {"event": "queued"}
    yield from _fetched(run, token)
    with device(run):
        yield from work()
    if run.recipe.hub_model_id and run.status_written() == "evaluating":  # others may train meanwhile
        yield from afterwards(run, token=token)
        run.set_state("finished")
        yield {"event": "finished"}


def _fetched(run: Run, token: str | None) -> Iterator[Event]:
    """Brings the base here, which may take longer than the training; a run that is asked to stop leaves it at that."""
    source, began = locate(run.recipe.model, run.owner)[0], time.monotonic()
    with closing(told_of(lambda: fetch(source, token), every=1.0)) as events:
        for event in events:
            if run.asked_to_stop():
                return
            if event.get("done"):
                yield {"event": "fetching", "model": run.recipe.model, "done": event["done"], "of": event["of"],
                       "remaining": seconds_left(began, **event)}  # fmt: skip


def _work(
    run: Run, token: str | None, on_device: OnDevice, then: Callable[[Run], Iterator[Event]] | None
) -> Iterator[Event]:
    if run.asked_to_stop():
        run.set_cancelled()
        yield {"event": "cancelled", "step": 0}
        return
    run.set_state("loading")
    yield {"event": "loading", "model": run.recipe.model}
    read = yield from _read(run, token)
    if not read:
        run.set_cancelled()
        yield {"event": "cancelled", "step": 0}
        return
    task, parts = read
    data = parts["train"]
    yield {"event": "data", "train_rows": len(data.rows), "train_tokens": data.tokens,
           "dropped": len(data.dropped), "cut": len(data.cut),
           **{f"{part}_rows": len(parts[part].rows) for part in parts if part != "train"}}  # fmt: skip
    if not (run.folder / "adapter").is_dir():  # else it was trained, and stopped while it was measured
        run.set_state("training")
        event: Event = {}
        for event in trained(run, task, parts, token, on_device):
            yield event
        if event.get("event") == "cancelled":
            run.set_cancelled()
            return
    if then and "held_out" in parts:
        run.set_state("evaluating")
        for event in paced(then(run), seconds=1.0):
            yield event
            if run.asked_to_stop():
                run.set_state("finished", say("measuring was cancelled; the adapter is there"))
                return
    if run.recipe.hub_model_id:
        run.set_state("evaluating")
        return
    run.set_state("finished")
    yield {"event": "finished"}


def _read(run: Run, token: str | None) -> Generator[Event, None, tuple[Task, dict[str, Encoded]] | None]:
    """As `encoded`, saying how far it is; None where the run is asked to stop meanwhile."""
    began = time.monotonic()
    with closing(told_meanwhile(lambda tell: encoded(run, token, tell), every=1.0)) as events:
        for event in events:
            if "found" in event:
                found: tuple[Task, dict[str, Encoded]] = event["found"]
                return found
            if run.asked_to_stop():
                return None
            left = seconds_left(began, **event)
            yield {"event": "reading", "done": event["done"], "of": event["of"], "remaining": left}
    return None


def assist(run: Run, token: str | None = None) -> None:
    """Trains along with the process that executes the run (`accelerate launch`), once that one trains, and writes nothing."""
    while (state := run.status_written()) != "training":
        if state not in ACTIVE:
            return
        time.sleep(0.2)
    task, parts = encoded(run, token)
    for _ in train(run.recipe, task, parts, run.folder, owner=run.owner, token=token):
        pass


def encoded(run: Run, token: str | None = None, tell: Progress | None = None) -> tuple[Task, dict[str, Encoded]]:
    """What the run learns to do, and the rows of each part that has any as tokens of its model; `tell` is told rows. Raises as
    `task_of`, `fit` and `load_tokenizer` do.
    """
    from prompts.loading import kind_at, load_tokenizer
    from prompts.models import locate

    recipe = run.recipe
    source, _ = locate(recipe.model, run.owner)
    task = task_of(recipe.task, kind_at(source, token), run.conversations)
    tokenizer = load_tokenizer(source, token, task.kind)
    kept = tokens_folder(run.owner)
    tokens = tokenise(run.conversations, tokenizer, kept, run.about["fingerprint"], task.labels, tell)
    return task, {
        part: fit(tokens, numbers, recipe.max_length, recipe.overlong, apart=task.apart)
        for part in PARTS
        if (numbers := run.numbers(part)) or part == "train"
    }


def explained(error: BaseException) -> BaseException:
    if isinstance(error, AppError) or not isinstance(error, OSError | RuntimeError | MemoryError):
        return error
    return WorldError(_reason(error))


def _reason(error: BaseException) -> str:
    if (isinstance(error, OSError) and error.errno == errno.ENOSPC) or "No space left" in str(error):
        return say("the disk is full; free some space, then resume: the last checkpoint is kept")
    if is_out_of_memory(error) and not isinstance(error, AppError):
        return say("out of memory; lower the batch size or max_length, then resume")
    return reason_of(error)
