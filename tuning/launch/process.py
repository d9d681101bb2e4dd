"""A run as a child process of this machine: the command a shell user would type, so a crash cannot take the app along."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from prompts.errors import UserError, WorldError
from prompts.home import on_space
from tuning.work import Work

_ROOT = Path(__file__).resolve().parents[2]


def start(run: Work, token: str | None = None, *, evaluate: bool = True) -> None:
    """Starts `python -m tuning train --run ID` and returns at once. The token travels by pipe, never by argument."""
    _free_the_gpu()
    spawn(
        run,
        ["-m", "tuning", "train", "--owner", run.owner, "--run", run.id, *(["--evaluate"] if evaluate else [])],
        token,
    )


def start_sweep(sweep: Work, token: str | None = None) -> None:
    """Starts `python -m tuning sweep --sweep ID` and returns at once."""
    spawn(sweep, ["-m", "tuning", "sweep", "--owner", sweep.owner, "--sweep", sweep.id], token)


def spawn(work: Work, words: list[str], token: str | None) -> None:
    """Starts Python with these words, and returns at once; what it says goes to log.txt, the token comes to it by pipe."""
    command = [sys.executable, *words]
    try:
        with (work.folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=_ROOT,
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    except OSError as error:
        work.set_state("failed", f"the process cannot be started: {error.strerror}")
        raise WorldError(f"the training cannot be started: {error.strerror}") from error
    assert process.stdin is not None
    process.stdin.write((token or "").encode() + b"\n")
    process.stdin.close()
    threading.Thread(target=process.wait, daemon=True).start()  # so that it leaves no zombie behind


def measured(document: dict[str, Any]) -> dict[str, Any]:
    """Runs tuning/launch/measure.py on a document, which goes by pipe. Raises UserError and WorldError as it says."""
    _free_the_gpu()
    command = [sys.executable, "-m", "tuning.launch.measure"]
    done = subprocess.run(
        command, input=json.dumps(document), capture_output=True, text=True, cwd=_ROOT, env=_environment(), check=False
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise WorldError(
            "the forecast's process ended without a word, most likely for want of memory; lower the batch size or max_length"
        )
    found: dict[str, Any] = json.loads(lines[-1])
    if "error" in found:
        raise (UserError if found["user"] else WorldError)(found["error"])
    return found


def send_to_space(project: str, folder: str, space: str, token: str | None) -> str:
    """Runs tuning/launch/trackio_space.py: the Space's address. Raises UserError without a token, WorldError as Trackio says."""
    if not token:
        raise UserError(
            "your token is needed to send figures to a Space: sign in, or give it", field="trackio_space_id"
        )
    given = {"project": project, "folder": folder, "space": space, "token": token}
    outside = {name: value for name, value in _environment().items() if not name.startswith(("SPACE_", "SYSTEM"))}
    done = subprocess.run(
        [sys.executable, "-m", "tuning.launch.trackio_space"], input=json.dumps(given), capture_output=True, text=True,
        cwd=_ROOT, env=outside, check=False,
    )  # fmt: skip
    said = (done.stderr if done.returncode else done.stdout).strip().splitlines() or ["it ended without a word"]
    if done.returncode:
        raise WorldError(f"Trackio could not send the figures to {space}: {said[-1]}")
    return said[-1]


def _free_the_gpu() -> None:
    """The app's models make room on a GPU; on a CPU there is memory for both."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        from prompts.loading import clear

        clear()


def _environment() -> dict[str, str]:
    """The environment without the machine's own tokens where they belong to somebody else than the visitor."""
    hidden = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY"} if on_space() else set()
    return {key: value for key, value in os.environ.items() if key not in hidden}
