"""Adapters on the Hub: a repository that holds an adapter is asked as its base with the adapter on it."""

import hashlib
import json
import os
import time
from pathlib import Path

from prompts.errors import UserError
from prompts.home import ADAPTER_CONFIG, hub_token, shared_here
from prompts.models import parse
from prompts.weights import check_size, hub_errors

FRESH_SECONDS = 300  # after which the Hub is asked again
KEPT = 1000  # repositories that are remembered
_known: dict[tuple[str, str], tuple[float, tuple[str, Path] | None]] = {}  # by repository and a digest of the token


def hub_adapter(repo: str, token: str | None = None) -> tuple[str, Path] | None:
    """(its base, the folder it was downloaded to) of a repository with an adapter; None for any other.

    Raises UserError where the adapter names no base that can be loaded, and as `prompts.loading.load` does.
    """
    key = (repo, hashlib.sha256(token.encode()).hexdigest() if token else "")
    known = _known.get(key)
    if known is None or time.monotonic() - known[0] > FRESH_SECONDS:
        known = (time.monotonic(), _look(repo, token))
        if len(_known) >= KEPT:
            _known.clear()
        _known[key] = known
    return known[1]


def _look(repo: str, token: str | None) -> tuple[str, Path] | None:
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, OfflineModeIsEnabled

    if shared_here():  # what one visitor fetched lies on the disk: another has to be allowed to see it, too
        with hub_errors(repo):
            HfApi(endpoint=os.environ.get("HF_ENDPOINT")).model_info(repo, token=hub_token(token))
    if isinstance(try_to_load_from_cache(repo, "config.json"), str):
        return None  # a whole model, known from before
    try:
        config = hf_hub_download(repo, ADAPTER_CONFIG, token=hub_token(token))
    except (EntryNotFoundError, HfHubHTTPError, OfflineModeIsEnabled, OSError, ValueError):
        return None  # no adapter, or the Hub says no: then it says so again where the model is loaded
    base = json.loads(Path(config).read_text("utf-8")).get("base_model_name_or_path")
    if not base or parse(str(base)).kind != "hub":
        raise UserError(
            "{repo} is an adapter that names no base on the Hub; publish it merged", repo=repo, field="model"
        )
    check_size(repo, token)
    with hub_errors(repo):
        folder = snapshot_download(repo, token=hub_token(token), ignore_patterns=["*.bin", "*.pt", "*.pkl"])
    return str(base), Path(folder)
