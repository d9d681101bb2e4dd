"""What a visitor brought, as rows: owners/<owner>/uploads/<id>/; tuning/data/sources.py adds what was fixed."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prompts.errors import NotFound, WorldError
from prompts.following import Progress, told_to_nobody
from prompts.home import new_id, owner_folder
from prompts.quotas import check_stored
from prompts.rows import Table, read_table, stored
from prompts.words import dumps, loads

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
    about: dict[str, Any] = loads((folder / ABOUT).read_text("utf-8"))
    return stored(folder, about["name"], about["columns"], about["notes"])


def rows_folder(owner: str, source: str) -> Path:
    """Where an upload's rows are, fixed as its owner fixed it. Raises NotFound."""
    folder = upload_folder(owner, source)
    return folder / FIXED if (folder / FIXED / ABOUT).is_file() else folder


def uploaded_table(owner: str, source: str) -> Table:
    """An upload, fixed as its owner fixed it. Raises NotFound."""
    return described(rows_folder(owner, source))


def uploads(owner: str) -> list[tuple[str, str]]:
    """(name, source) of what an owner brought, the newest first."""
    files = sorted(owner_folder(owner, "uploads").glob(f"*/{ABOUT}"), key=lambda file: -file.stat().st_mtime)
    return [(str(loads(file.read_text("utf-8"))["name"]), f"{UPLOAD}{file.parent.name}") for file in files]


def save_upload(owner: str, path: Path, name: str | None = None, tell: Progress = told_to_nobody) -> str:
    """Reads a file into the owner's folder and returns its source name; `tell` as `read_table`. Raises UserError for what is wrong
    with it.
    """

    def read(folder: Path) -> Table:
        table = read_table(path, keep=folder, tell=tell)
        safe = re.sub(r"[^\w .-]", "_", Path(name or table.name).name)[-100:]
        return Table(safe, table.columns, table.rows, table.notes)

    return save(owner, read)


def save(owner: str, read: Callable[[Path], Table]) -> str:
    """A new upload, whose rows `read` writes into its folder; nothing is left of one that fails."""
    check_stored(owner)
    upload = new_id()
    folder = owner_folder(owner, "uploads", upload)
    try:
        folder.mkdir(parents=True)
        describe(folder, read(folder))
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise WorldError(
            "the upload cannot be kept: {strerror}; free some disk space and try again", strerror=error.strerror
        ) from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return f"{UPLOAD}{upload}"


def describe(folder: Path, table: Table) -> None:
    """Writes what `described` reads."""
    about = {"name": table.name, "columns": table.columns, "notes": table.notes}
    (folder / ABOUT).write_text(dumps(about), encoding="utf-8")


def delete_upload(owner: str, source: str) -> dict[str, Any]:
    """Removes what an owner brought; runs keep their copy of the rows that they learned from. Raises NotFound."""
    folder = upload_folder(owner, source)
    shutil.rmtree(folder)
    return {"data": source, "status": "deleted"}
