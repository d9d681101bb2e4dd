"""Where things lie on disk, and whose they are.

    PROMPT_OR_TUNE_HOME/            default: the user's cache folder; a mounted /data on a Space
      models/                       public models, converted once, shared by all
      owners/<owner>/uploads/       what a visitor brought
      owners/<owner>/runs/<id>/     training runs
      owners/<owner>/prompts/       the visitor's prompt library
      owners/<owner>/cache/         replies already paid for
      owners/<owner>/...            the others: KINDS in tuning/ui/keeping_section.py

Another owner's thing is "not found", exactly as one that does not exist.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from prompts.errors import NotFound, UserError

EMBEDDED_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
LOCAL = "local"  # the owner on one's own machine
_OWNER = re.compile(r"[a-z0-9][a-z0-9_-]{0,95}")
_RUN = re.compile(r"[a-z0-9]{4,40}")
RUN_PREFIX = "run:"
ADAPTER_CONFIG = "adapter_config.json"
TRAINED = (ADAPTER_CONFIG, "config.json")  # what a run's folder adapter/ holds: an adapter, or a whole model


def on_space() -> bool:
    """Is this a Hugging Face Space?"""
    return os.environ.get("SYSTEM") == "spaces"


def lent_here() -> bool:
    """Is the device lent call by call (ZeroGPU), so that this process has none of its own?"""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def told_to_share() -> bool:
    """Is Gradio to make a public link? It is never left to Gradio, which makes one in some notebooks by itself."""
    return os.environ.get("GRADIO_SHARE", "").lower() in ("1", "true")


LOOPBACK = ("", "127.0.0.1", "localhost", "::1")


def shared_here() -> bool:
    """Can others than this machine's own user reach the app? Then visitors are kept apart, and nobody gets the machine's token:
    on a Space, and where Gradio is told to share it or to listen beyond loopback.
    """
    return on_space() or told_to_share() or os.environ.get("GRADIO_SERVER_NAME", "") not in LOOPBACK


def home() -> Path:
    """The folder that holds all state."""
    if chosen := os.environ.get("PROMPT_OR_TUNE_HOME"):
        return Path(chosen).expanduser().absolute()
    if on_space() and os.access("/data", os.W_OK):
        return Path("/data/prompt-or-tune")
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "prompt-or-tune"


def hub_token(token: str | None) -> str | bool | None:
    """What to tell the Hub client: the caller's token; where visitors come never the machine's own."""
    return token or (False if shared_here() else None)


def device_lock() -> Path:
    """The lock of whoever trains or climbs a ladder on this machine."""
    return home() / "device.lock"


def models_folder() -> Path:
    """Public models that were converted on this machine."""
    return home() / "models"


def owner_folder(owner: str, *parts: str) -> Path:
    """`owners/<owner>/<parts>`. Raises NotFound for a name that is no owner's."""
    if not _OWNER.fullmatch(owner):
        raise NotFound("there is no such visitor")
    return home().joinpath("owners", owner, *parts)


def account_owner(name: str) -> str:
    """The owner that a Hub account is here; two accounts are never the same one."""
    plain = name.lower()
    word = re.sub(r"[^a-z0-9_-]", "-", plain)
    return f"hf-{word}" + ("" if word == plain else f"-{hashlib.sha256(plain.encode()).hexdigest()[:8]}")


SCRATCH, SCRATCH_SECONDS = "prompt-or-tune-", 3600


def write_whole(file: Path, text: str) -> None:
    """Replaces the file in one step, so that neither a reader nor a power cut finds half of it."""
    partial = file.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    partial.replace(file)


def scratch() -> Path:
    """A new folder for files to download: Gradio copies what it serves, and an hour later the folder goes."""
    return Path(tempfile.mkdtemp(prefix=SCRATCH))


def scratch_json(name: str, document: Any) -> str:
    """A document as a file to download."""
    file = scratch() / name
    file.write_text(json.dumps(document, ensure_ascii=False, indent=1), "utf-8")
    return str(file)


def clear_scratch() -> None:
    """Removes the folders of `scratch` that are older than an hour."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
        with suppress(OSError):
            if folder.stat().st_mtime < time.time() - SCRATCH_SECONDS:
                shutil.rmtree(folder)


def new_id() -> str:
    """An id that cannot be guessed, for runs and uploads: 20 hexadecimal characters."""
    return secrets.token_hex(10)


def run_folder(owner: str, run: str) -> Path:
    """The folder of one of this owner's runs. Raises NotFound."""
    run = run.removeprefix(RUN_PREFIX)
    folder = owner_folder(owner, "runs", run) if _RUN.fullmatch(run) else None
    if folder is None or not (folder / "recipe.json").is_file():
        raise NotFound("there is no run {run!r}", run=run[:40], field="run")
    return folder


def adapter_folder(owner: str, run: str) -> Path:
    """(owner, "run:<id>") -> the folder of its trained adapter. Raises NotFound, or UserError before it is trained."""
    folder = run_folder(owner, run) / "adapter"
    if not any((folder / name).is_file() for name in TRAINED):
        raise UserError(
            "run {run} has no adapter yet: let it finish first", run=run.removeprefix(RUN_PREFIX), field="model"
        )
    return folder


def adapters(owner: str) -> list[str]:
    """The names `run:<id>` of this owner's trained adapters, the newest first."""
    found = [file for name in TRAINED for file in owner_folder(owner, "runs").glob(f"*/adapter/{name}")]
    found.sort(key=lambda file: file.stat().st_mtime, reverse=True)
    return [f"{RUN_PREFIX}{file.parent.parent.name}" for file in found]
