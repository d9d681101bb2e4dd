"""Work in a process of its own, which can be ended at any moment. Its document, with the token in it, goes there by pipe, and what
it found comes back so; how far it is stands in a file meanwhile.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from prompts.errors import AppError, UserError, WorldError
from prompts.events import Event
from prompts.following import Progress, told_meanwhile, told_to_nobody
from prompts.home import write_whole
from prompts.words import dumps, loads, say
from tuning.launch.process import ROOT, environment

Work = Callable[[dict[str, Any], Progress], dict[str, Any]]  # of (document, tell), a function of a module
EVERY = 0.3  # seconds


class Died(Exception):
    """The process ended without what it was to find; the argument is the last line that it wrote."""


def apart(
    work: Work,
    document: dict[str, Any],
    tell: Progress = told_to_nobody,
    *,
    env: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What `work(document, tell)` returns in a process of its own; `tell` is called here all the while, and what it raises ends the
    process, of whose temporary files nothing stays. Raises the UserError or WorldError that is raised there, and Died.
    """
    with tempfile.TemporaryDirectory() as scratch:
        how_far = Path(scratch) / "how_far.txt"
        words = [sys.executable, "-m", __name__, work.__module__, work.__name__, str(how_far)]
        process = subprocess.Popen(
            words, cwd=ROOT, env={**(env or environment()), "TMPDIR": scratch}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        with process:
            try:
                said, complained = _ended(process, json.dumps(document), how_far, tell)
            except BaseException:
                process.kill()
                raise
    lines = said.strip().splitlines()
    if process.returncode or not lines:
        raise Died((complained.strip().splitlines() or [say("it ended without a word")])[-1][:300])
    found: dict[str, Any] = loads(lines[-1])
    if "refused" in found:
        kind = UserError if found["of_the_user"] else WorldError
        raise kind(found["refused"], field=found["field"], **found["slots"]).after(found["before"])
    return found


def told_apart(work: Work, document: dict[str, Any], event: Event) -> Generator[Event, None, dict[str, Any]]:
    """As `apart`, and an iterator of the `event` with how much of its "of" is "done". Closing it ends the process."""
    yield event
    told: Event = {}
    for told in told_meanwhile(lambda tell: apart(work, document, tell)):
        if "done" in told:
            yield {**event, "done": told["done"]}
    found: dict[str, Any] = told["found"]
    return found


def _ended(process: "subprocess.Popen[str]", given: str | None, how_far: Path, tell: Progress) -> tuple[str, str]:
    """What the process wrote to its two outputs, once it has ended."""
    while True:
        try:
            return process.communicate(given, timeout=EVERY)
        except subprocess.TimeoutExpired:
            given = None
            tell(*map(int, how_far.read_text("utf-8").split()) if how_far.is_file() else (0, 1))


def main(module: str, name: str, how_far: str) -> int:
    work, told = getattr(import_module(module), name), 0.0

    def tell(done: int, of: int) -> None:
        nonlocal told
        if done == of or time.monotonic() - told >= EVERY:
            told = time.monotonic()
            write_whole(Path(how_far), f"{done} {of}")

    try:
        found = work(json.load(sys.stdin), tell)
    except AppError as error:
        found = {"refused": error.key, "slots": error.values, "field": error.field, "before": error.before,
                 "of_the_user": isinstance(error, UserError)}  # fmt: skip
    print(dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
