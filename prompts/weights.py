"""How much a model of the Hub is, asked before anything of it is fetched."""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prompts.downloads import bar
from prompts.errors import UserError, WorldError
from prompts.home import EMBEDDED_HUB_ID, home, hub_token, shared_here
from prompts.models import EMBEDDED_COMMAND
from prompts.rows import limits_here
from prompts.words import say

KEPT = 1000  # repositories that are remembered
FETCHED = (".safetensors", ".json", ".jinja", ".txt", ".model", ".gguf")  # of a model's files
FRESH_SECONDS = 300  # after which the Hub is asked again
_fine: dict[tuple[str, str], float] = {}  # when it was asked about, by a digest of the token


def check_size(source: str, token: str | None = None) -> None:
    """Raises UserError for a repository that is larger than is allowed, or than the disk has room for, and where visitors come for
    one that this caller may not see, although another's copy lies here. On one's own machine, a Hub that cannot be asked says so
    where the files are fetched.
    """
    known = (source, hashlib.sha256((token or "").encode()).hexdigest())
    if time.monotonic() - _fine.get(known, -FRESH_SECONDS) < FRESH_SECONDS or Path(source).is_dir():
        return
    from huggingface_hub import HfApi

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        found = api.model_info(source, files_metadata=True, token=hub_token(token))
    except Exception:
        if shared_here() and source != EMBEDDED_HUB_ID:
            with hub_errors(source):
                raise
        return  # whatever it is, the fetch meets it again
    gigabytes = sum(file.size or 0 for file in found.siblings or () if file.rfilename.endswith(FETCHED)) / 1e9
    home().mkdir(parents=True, exist_ok=True)
    most, free = limits_here().max_model_gb, shutil.disk_usage(home()).free / 1e9
    if gigabytes > min(most, free):
        room = say("{free:.0f} GB of disk are free", free=free)
        if most <= free:
            room = say("at most {most} GB are fetched here", most=most)
        raise UserError(
            "{source} has {gigabytes:,.0f} GB of files, and {room}; take a smaller model",
            source=source,
            gigabytes=gigabytes,
            room=room,
            field="model",
        )
    if len(_fine) >= KEPT:
        _fine.clear()
    _fine[known] = time.monotonic()


def fetch(source: str, token: str | None = None) -> None:
    """Brings a model's files here, outside of every lock, so that nobody waits for another's download. Raises as `check_size`; what
    cannot be fetched is said where it is read; how far it is, to whom prompts/downloads.py knows.
    """
    if Path(source).is_dir():
        return
    check_size(source, token)
    from huggingface_hub import snapshot_download

    patterns = [f"*{ending}" for ending in FETCHED]
    with suppress(Exception):
        snapshot_download(
            source, token=hub_token(token), allow_patterns=patterns, ignore_patterns=["*/*"], tqdm_class=bar()
        )


@contextmanager
def hub_errors(source: str) -> Iterator[None]:
    """Turns what the Hub client and transformers raise into sentences."""
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        yield
    except GatedRepoError:
        raise WorldError(
            "{source} is gated: ask for access on its page, then sign in or give a token", source=source
        ) from None
    except (RepositoryNotFoundError, HFValidationError):
        raise UserError(
            "there is no model {source!r} on the Hub, or it is private", source=source, field="model"
        ) from None
    except (OSError, ValueError) as error:
        raise _explained(source, error) from error
    except Exception as error:
        if "httpx" in type(error).__module__:
            raise WorldError("the Hub cannot be reached to fetch {source}; try again later", source=source) from None
        if type(error).__name__ != "SafetensorError":
            raise
        raise UserError(
            "{source} has broken weights ({error}); download it again", source=source, error=error, field="model"
        ) from None


def _explained(source: str, error: Exception) -> UserError | WorldError:
    text = " ".join(f"{error} {error.__cause__ or ''} {error.__context__ or ''}".split())
    if "access a gated repo" in text:
        return WorldError("{source} is gated: ask for access on its page, then sign in or give a token", source=source)
    if "is not a valid model identifier" in text or "404" in text:
        return UserError("there is no model {source!r} on the Hub, or it is private", source=source, field="model")
    if "safetensors" in text and ("no file" in text or "does not appear" in text):
        return UserError(
            "{source} has no safetensors weights; pickled weights are not loaded", source=source, field="model"
        )
    if "trust_remote_code" in text or "custom code" in text:
        return UserError("{source} needs its own code to run, which is refused here", source=source, field="model")
    if re.search(r"connect|offline|resolve|LocalEntryNotFound|timed out", text, re.IGNORECASE):
        return WorldError(
            "the Hub cannot be reached to fetch {source}; check the network, or use the embedded "
            "model ({embedded_command})",
            source=source,
            embedded_command=EMBEDDED_COMMAND,
        )
    return UserError("{source} cannot be loaded: {value}", source=source, value=text[:300], field="model")
