"""Where a table comes from, under one name: `sample:<name>` ships with the app, `upload:<id>` is one visitor's file."""

import re
import shutil
from pathlib import Path

from prompts.errors import NotFound, UserError, WorldError
from prompts.home import new_id, owner_folder
from prompts.rows import Limits, Table, read_table, sample_table
from tuning.data.columns import Columns

_UPLOAD = re.compile(r"[0-9a-f]{20}")


# The mapping that each sample is meant for.
SAMPLES = {
    "sample:support_emails": Columns(
        input=("subject", "email"), output="label", instruction="Which team should answer this e-mail?"
    ),
    "sample:english_spanish": Columns(input=("english",), output="spanish", instruction="Translate into Spanish."),
    "sample:word_problems": Columns(input=("question",), output="answer"),
}


def mapping(source: str, columns: Columns) -> Columns:
    """The mapping given, or the one a sample is meant for where none is given."""
    return SAMPLES.get(source, columns) if columns == Columns() else columns


def save_upload(owner: str, path: Path, name: str | None = None, limits: Limits | None = None) -> str:
    """Checks a file by reading it, copies it into the owner's folder and returns its source name. Raises UserError."""
    table = read_table(path, limits)
    upload = new_id()
    folder = owner_folder(owner, "uploads", upload)
    safe = re.sub(r"[^\w .-]", "_", Path(name or table.name).name)[-100:]
    try:
        folder.mkdir(parents=True)
        shutil.copyfile(path, folder / safe)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise WorldError(f"the upload cannot be kept: {error.strerror}; free some disk space and try again") from error
    return f"upload:{upload}"


def open_table(owner: str, source: str) -> Table:
    """The table of a source. Raises NotFound for an upload that is not this owner's."""
    kind, _, upload = source.partition(":")
    if source in SAMPLES:
        return sample_table(upload)
    if kind != "upload":
        raise UserError(f"{source[:60]!r} is no data; upload a file, or use one of {', '.join(SAMPLES)}", field="data")
    folder = owner_folder(owner, "uploads", upload) if _UPLOAD.fullmatch(upload) else None
    files = list(folder.iterdir()) if folder and folder.is_dir() else []
    if not files:
        raise NotFound("this upload does not exist (any more); upload the file again", field="data")
    return read_table(files[0])
