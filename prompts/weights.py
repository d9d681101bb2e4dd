"""How much a model of the Hub is, asked before anything of it is fetched."""

import hashlib
import os
import shutil
from pathlib import Path

from prompts.errors import UserError
from prompts.home import home, hub_token
from prompts.rows import limits_here

FETCHED = (".safetensors", ".json", ".txt", ".model", ".gguf")  # of a model's files
_fine: set[tuple[str, str]] = set()  # what was asked about before, by a digest of the token


def check_size(source: str, token: str | None = None) -> None:
    """Raises UserError for a repository that is larger than is allowed, or than the disk has room for. A Hub that cannot be asked
    says so where the files are fetched.
    """
    known = (source, hashlib.sha256((token or "").encode()).hexdigest())
    if known in _fine or Path(source).is_dir():
        return
    from huggingface_hub import HfApi

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        found = api.model_info(source, files_metadata=True, token=hub_token(token))
    except Exception:  # whatever it is, the fetch meets it again
        return
    gigabytes = sum(file.size or 0 for file in found.siblings or () if file.rfilename.endswith(FETCHED)) / 1e9
    home().mkdir(parents=True, exist_ok=True)
    most, free = limits_here().max_model_gb, shutil.disk_usage(home()).free / 1e9
    if gigabytes > min(most, free):
        room = f"at most {most} GB are fetched here" if most <= free else f"{free:.0f} GB of disk are free"
        raise UserError(f"{source} has {gigabytes:,.0f} GB of files, and {room}; take a smaller model", field="model")
    _fine.add(known)
