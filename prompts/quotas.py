"""What one visitor may keep and start here, and for how long it is kept. The owner of a Space sets it in the environment, as
PROMPT_OR_TUNE_QUOTA_STORED_MB and so on; on one's own machine nothing is limited unless it is set.
"""

import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prompts.errors import UserError
from prompts.home import home, owner_folder, shared_here
from prompts.settings import Settings, build, knob


class Quotas(Settings):
    """What one visitor may use; 0 sets no limit."""

    stored_mb: int = knob(0, title="Stored", unit="MB", ge=0, help="Data, runs, prompts and cached replies together.")
    at_work: int = knob(0, title="At work", ge=0, help="Runs, sweeps and ladders that work or wait in line at once.")
    at_once: int = knob(0, title="At once", ge=0, help="Answers, measurements and downloads that run at the same time.")
    asks: int = knob(0, title="Asked", unit="a minute", ge=0, help="Questions and measurements begun within a minute.")
    steps: int = knob(0, title="Steps", ge=0, help="Training steps of one run.")
    minutes: int = knob(
        0, title="Device", unit="minutes a day", ge=0, help="What one visitor's trainings and ladders may take."
    )
    days: int = knob(0, title="Kept", unit="days", ge=0, help="What was not changed for so long is removed.")


MINUTE = 60.0  # seconds
ON_A_SPACE = Quotas(stored_mb=5_000, at_work=3, at_once=4, asks=30, steps=20_000, minutes=240, days=30)


def quotas_here() -> Quotas:
    """The quotas of this machine. Raises UserError for a value in the environment that is none."""
    found = ON_A_SPACE if shared_here() else Quotas()
    given = {name: os.environ.get(f"PROMPT_OR_TUNE_QUOTA_{name.upper()}") for name in Quotas.model_fields}
    return build(Quotas, {**found.to_json(), **{name: value for name, value in given.items() if value}})


def stored_bytes(owner: str) -> int:
    """What an owner keeps here."""
    return sum(path.lstat().st_size for path in owner_folder(owner).rglob("*") if path.is_file())


def check_stored(owner: str) -> None:
    """Raises UserError where the owner keeps more than is allowed."""
    most = quotas_here().stored_mb
    if most and (found := stored_bytes(owner) // 1_000_000) >= most:
        raise UserError(
            "you keep {found:,} MB here, and {most:,} MB are allowed; delete runs, data or ladders first",
            found=found,
            most=most,
        )


class Pace:
    """How often each owner began something within the last minute."""

    def __init__(self) -> None:
        self._lock, self._begun = threading.Lock(), dict[str, list[float]]()

    def take(self, owner: str, most: int, now: float | None = None) -> None:
        """Raises UserError where `most` were begun already; 0 sets no limit."""
        now = now or time.monotonic()
        with self._lock:
            self._begun = {
                who: kept for who, begun in self._begun.items() if (kept := [at for at in begun if now - at < MINUTE])
            }
            mine = self._begun.setdefault(owner, [])
            if most and len(mine) >= most:
                wait = MINUTE - (now - mine[0])
                raise UserError("{most} a minute may be asked here; wait {wait:.0f} seconds", most=most, wait=wait)
            mine.append(now)


PACE = Pace()


class AtOnce:
    """What each owner has running in this process."""

    def __init__(self) -> None:
        self._lock, self._running = threading.Lock(), Counter[str]()

    @contextmanager
    def one(self, owner: str, most: int) -> Iterator[None]:
        """Around one call. Raises UserError where `most` run already; 0 sets no limit."""
        with self._lock:
            if most and self._running[owner] >= most:
                raise UserError(
                    "{most} of your calls are being answered, and more may not be at once; wait for one of them",
                    most=most,
                )
            self._running[owner] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[owner] -= 1
                self._running += Counter()  # without those that have none


RUNNING = AtOnce()


@contextmanager
def allowed(owner: str) -> Iterator[None]:
    """Around everything that takes long. Raises UserError where the owner asks too often, too much at once, or keeps too much."""
    quotas = quotas_here()
    check_stored(owner)
    with RUNNING.one(owner, quotas.at_once):
        PACE.take(owner, quotas.asks)
        yield


def expire(days: int, now: float | None = None) -> list[Path]:
    """Removes what of any visitor was not written to for so many days: runs, uploads, prompts ...; returns what went."""
    oldest = (now or time.time()) - days * 86_400
    gone = []
    for entry in sorted((home() / "owners").glob("*/*/*")):
        if entry.suffix == ".versions" and entry.with_suffix(".yaml").exists():
            continue  # a prompt's earlier versions go with the prompt
        with suppress(OSError):  # its owner deletes or writes just now: the next time
            if max((path.lstat().st_mtime for path in (entry, *entry.rglob("*"))), default=0) < oldest:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
                shutil.rmtree(entry.with_suffix(".versions"), ignore_errors=True)
                gone.append(entry)
    return gone
