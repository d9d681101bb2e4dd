"""What a visitor brought, as rows: owners/<owner>/uploads/<id>/ (tuning/data/sources.py writes it)."""

import json
import re
from pathlib import Path
from typing import Any

from prompts.errors import NotFound
from prompts.home import owner_folder
from prompts.rows import Table, stored

UPLOAD = "upload:"
ABOUT, FIXED = "about.json", "fixed"
_ID = re.compile(r"[0-9a-f]{20}")


def upload_folder(owner: str, source: str) -> Path:
    """Raises NotFound for an upload that does not exist or is another owner's."""
    upload = source.removeprefix(UPLOAD)
    folder = owner_folder(owner, "uploads", upload) if _ID.fullmatch(upload) else None
    if folder is None or not (folder / ABOUT).is_file():
        raise NotFound("this upload does not exist (any more); upload the file again", field="data")
    return folder


def described(folder: Path) -> Table:
    """The rows that a folder holds with what about.json says of them."""
    about: dict[str, Any] = json.loads((folder / ABOUT).read_text("utf-8"))
    return stored(folder, about["name"], about["columns"], about["notes"])


def uploaded_table(owner: str, source: str) -> Table:
    """An upload, fixed as its owner fixed it. Raises NotFound."""
    folder = upload_folder(owner, source)
    return described(folder / FIXED if (folder / FIXED / ABOUT).is_file() else folder)


def uploads(owner: str) -> list[tuple[str, str]]:
    """(name, source) of what an owner brought, the newest first."""
    files = sorted(owner_folder(owner, "uploads").glob(f"*/{ABOUT}"), key=lambda file: -file.stat().st_mtime)
    return [(str(json.loads(file.read_text("utf-8"))["name"]), f"{UPLOAD}{file.parent.name}") for file in files]
