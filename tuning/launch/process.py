"""A run as a child process of this machine: the command a shell user would type, so a crash cannot take the app along."""

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from prompts.errors import WorldError
from prompts.home import shared_here
from prompts.sharing import YIELDING
from prompts.words import say
from tuning.work import Work

LOG = "log.txt"
NEXT_SPARE_SECONDS = 30  # the training that has just begun needs the processor
BEHIND = 10  # by how much a training gives way to the app where both want the processor
ROOT = Path(__file__).resolve().parents[2]


def start(run: Work, token: str | None = None, *, evaluate: bool = True) -> None:
    """Starts `python -m tuning train --run ID` and returns at once. The token travels by pipe, never by argument."""
    free_the_gpu()
    spawn(
        run,
        ["-m", "tuning", "train", "--owner", run.owner, "--run", run.id, *(["--evaluate"] if evaluate else [])],
        token,
    )


def start_sweep(sweep: Work, token: str | None = None) -> None:
    """Starts `python -m tuning sweep --sweep ID` and returns at once."""
    spawn(sweep, ["-m", "tuning", "sweep", "--owner", sweep.owner, "--sweep", sweep.id], token)


def start_ladder(ladder: Work, token: str | None = None, key: str | None = None) -> None:
    """Starts `python -m tuning ladder --ladder ID` and returns at once; `key` is a model server's."""
    free_the_gpu()
    spawn(ladder, ["-m", "tuning", "ladder", "--owner", ladder.owner, "--ladder", ladder.id], token, key)


def spawn(work: Work, words: list[str], token: str | None, key: str | None = None) -> None:
    """Starts Python with these words, and returns at once; what it says goes to log.txt, token and key come to it by pipe."""
    secrets = (token or "", key or "")
    try:
        process = _SPARE.given(work, words, secrets) or _new(work, words, secrets)
    except OSError as error:
        work.set_state("failed", say("the process cannot be started: {strerror}", strerror=error.strerror))
        raise WorldError("the training cannot be started: {strerror}", strerror=error.strerror) from error
    with suppress(OSError):  # the page answers first
        os.setpriority(os.PRIO_PROCESS, process.pid, BEHIND)
    threading.Thread(target=process.wait, daemon=True).start()  # so that it leaves no zombie behind


def _new(work: Work, words: list[str], secrets: tuple[str, str]) -> "subprocess.Popen[bytes]":
    with (work.folder / LOG).open("ab") as log:
        process = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=log,
                                   stderr=log, start_new_session=True)  # fmt: skip
    _tell(process, *secrets)
    return process


def _tell(process: "subprocess.Popen[bytes]", *lines: str) -> None:
    """Writes the lines to a process, which gets no more after them."""
    assert process.stdin is not None
    process.stdin.write("".join(f"{line}\n" for line in lines).encode())
    process.stdin.close()


class _Spare:
    """A process that has imported everything and waits for a training (tuning/launch/waiting.py), whose start it saves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._again: threading.Timer | None = None

    def warm(self) -> None:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tuning.launch.waiting"], cwd=ROOT, env=environment(), stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip

    def given(self, work: Work, words: list[str], secrets: tuple[str, str]) -> "subprocess.Popen[bytes] | None":
        """The waiting process, put to work; None where there is none, or the words are not of `python -m tuning`."""
        if words[:2] != ["-m", "tuning"]:
            return None
        with self._lock:
            process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return None
        try:
            _tell(process, json.dumps({"words": words[2:], "log": str(work.folder / LOG)}), *secrets)
        except BrokenPipeError:
            return None
        self._again = threading.Timer(NEXT_SPARE_SECONDS, self.warm)
        self._again.daemon = True
        self._again.start()
        return process

    def cool(self) -> None:
        """Ends the process that waits, and starts no other."""
        with self._lock:
            if self._again:
                self._again.cancel()
            if self._process:
                self._process.kill()
                self._process.wait()
            self._process = None


_SPARE = _Spare()


def warm() -> None:
    """Makes a process ready for the next training; when that has it, another one is made ready."""
    _SPARE.warm()


def cool() -> None:
    """Ends the process that `warm` made ready."""
    _SPARE.cool()


def free_the_gpu() -> None:
    """The app's models make room on a GPU; on a CPU there is memory for both."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        from prompts.loading import clear

        clear()


def environment() -> dict[str, str]:
    """The environment; where many visit, without the machine's own tokens and as one who shares the processor."""
    hidden = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY"} if shared_here() else set()
    found = {key: value for key, value in os.environ.items() if key not in hidden}
    return {**YIELDING, **found} if shared_here() else found
