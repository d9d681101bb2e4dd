"""What a visitor's account may use of a lent GPU (ZeroGPU) in a day, as far as this app can know: said before a training starts."""

import math
from typing import Any

from prompts.words import later, say
from tuning.line import used_seconds

# Hugging Face, "ZeroGPU Spaces": minutes of GPU a day
MINUTES = {later("visitor without an account"): 2, later("free account"): 5, later("PRO account"): 40}


def allowance(owner: str, token: str | None, needed: float | None = None, slices: int = 1) -> dict[str, Any]:
    """{"account", "minutes_a_day", "used_here_seconds", "sentence"}; `needed`: GPU seconds of what is about to start."""
    account = _account(owner, token)
    minutes, used = MINUTES[account], used_seconds(owner)
    said = say(
        "The GPU is lent in slices. Hugging Face gives a {account} about {minutes} minutes of it a day; "
        "{used} were used in this app, what other Spaces took is not known here.",
        account=account,
        minutes=minutes,
        used=_minutes(used),
    )
    if needed is not None:
        said += say(" This run needs about {needed}, in {slices} slices.", needed=_minutes(needed), slices=slices)
        if needed > 60 * minutes - used:
            said += say(
                " That is more than is left: it will stop at a checkpoint, and can be resumed when there is more."
            )
    return {"account": account, "minutes_a_day": minutes, "used_here_seconds": round(used, 1), "sentence": said}


def _minutes(seconds: float) -> str:
    return say("{seconds:.1f} minutes", seconds=seconds / 60)


def _account(owner: str, token: str | None) -> str:
    if owner.startswith("anon-"):
        return "visitor without an account"
    if token:
        from huggingface_hub import HfApi

        try:
            return "PRO account" if HfApi(token=token).whoami(cache=True).get("isPro") else "free account"
        except Exception:  # the Hub cannot be asked: then what is certain is said
            pass
    return "free account"


def in_slices(seconds: float, loading: float, lease: float, reserve: float) -> int:
    """Into how many grants of `lease` seconds a training of `seconds` falls, of which each loads the model anew."""
    return max(1, math.ceil((seconds - loading) / max(1.0, lease - loading - reserve)))
