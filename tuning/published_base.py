"""The base of what is published: can others load it, and is it still the model that was trained on?"""

import json
from pathlib import Path
from typing import Any

from prompts.errors import UserError
from prompts.home import ADAPTER_CONFIG
from prompts.models import EMBEDDED, hub_id, parse
from prompts.words import say
from tuning.base import known
from tuning.run import Run


def checked_base(api: Any, run: Run) -> dict[str, Any]:
    """{"id", "revision", "moved_to"?, "gated"?} of a run's base on the Hub; {} where it lies here only.

    Raises UserError where the Hub has no such base, or the token may not see it: nobody could load the adapter.
    """
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    found = parse(run.recipe.model)
    trained = (known(run.folder) or {}).get("revision")
    if found.kind != "hub":
        return {}
    try:
        info = api.model_info(found.value)
    except GatedRepoError:
        return {"id": found.value, "revision": trained, "gated": True}
    except RepositoryNotFoundError:
        raise UserError(
            "the base {base} is not on the Hub any more, or the token may not see it: the adapter "
            "could not be loaded; publish it merged, from a copy of the base",
            base=found.value,
            field="model",
        ) from None
    moved = {"moved_to": info.sha} if trained and info.sha != trained else {}
    return {"id": found.value, "revision": trained or info.sha, **({"gated": True} if info.gated else {}), **moved}


def whole_or_on_hub(run: Run) -> bool:
    """Can others load what is published as "adapter": a whole model, or an adapter whose base is on the Hub?"""
    return run.recipe.method == "full" or hub_id(run.recipe.model) is not None


def base_at_hand(run: Run, form: str) -> str:
    """What others have to know of the base of an adapter, as a sentence; empty where there is nothing."""
    if form != "adapter" or run.recipe.method == "full":
        return ""
    if run.recipe.model == EMBEDDED:
        return say(
            "It was compared on the embedded weights, which were read from a 4-bit file; others load the Hub's "
            "own weights of that base, on which answers can differ a little."
        )
    return "" if whole_or_on_hub(run) else (
        say('Its base is a folder of this machine: nobody who lacks it can load the adapter. Publish it merged for that.')
    )  # fmt: skip


def pin(folder: Path, base: dict[str, Any]) -> None:
    """Names in the adapter's configuration the revision of the base that it was trained on."""
    file = folder / ADAPTER_CONFIG
    if file.is_file() and base.get("revision"):
        config = json.loads(file.read_text("utf-8"))
        file.write_text(json.dumps({**config, "revision": base["revision"]}, indent=1), encoding="utf-8")
