"""What the owner of a shared app sees of its use: who keeps how much, who has the device, who waits; never what is in it."""

import os
import shutil
from typing import Any

from prompts.errors import UserError
from prompts.home import LOCAL, account_owner, home, shared_here
from prompts.quotas import quotas_here, stored_bytes
from tuning.keeping import at_work
from tuning.line import holder, remaining, used_seconds, waiting
from tuning.work import Work

ADMINS = "PROMPT_OR_TUNE_ADMINS"


def check_admin(owner: str) -> None:
    """Raises UserError for who is not an owner of this app: on one's own machine everybody is; on a Space its author, and the
    accounts that PROMPT_OR_TUNE_ADMINS names.
    """
    named = [os.environ.get("SPACE_AUTHOR_NAME", ""), *os.environ.get(ADMINS, "").split(",")]
    admins = {account_owner(name.strip()) for name in named if name.strip()}
    if owner not in (admins if shared_here() else {LOCAL, *admins}):
        raise UserError(
            "only this app's owner sees its use: sign in as the Space's author, or be named in {admins}", admins=ADMINS
        )


def usage() -> dict[str, Any]:
    """{"visitors": [{"visitor", "bytes", "at_work", "device_seconds"}], "device": ..., "line": [...], "free_gb", "quotas"}.

    The largest first; device_seconds are those of the last 24 hours.
    """
    owners = sorted(path.name for path in (home() / "owners").glob("*") if path.is_dir())
    visitors = [
        {"visitor": _short(owner), "bytes": stored_bytes(owner), "at_work": len(list(at_work(owner))),
         "device_seconds": round(used_seconds(owner), 1)}
        for owner in owners
    ]  # fmt: skip
    now = holder()
    home().mkdir(parents=True, exist_ok=True)
    return {
        "visitors": sorted(visitors, key=lambda line: -line["bytes"]),
        "device": _line(now) if now else None,
        "line": [_line(work) for work in waiting()],
        "free_gb": round(shutil.disk_usage(home()).free / 1e9, 1),
        "quotas": quotas_here().to_json(),
    }  # fmt: skip


def _line(work: Work) -> dict[str, Any]:
    return {"visitor": _short(work.owner), "kind": work.folder.parent.name, "remaining_seconds": remaining(work)}


def _short(owner: str) -> str:
    """A visitor without an account is told by a few characters: enough to tell two apart, not enough to be them."""
    return owner[:12] if owner.startswith("anon-") else owner
