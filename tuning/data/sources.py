"""Where a table comes from, under one name: `sample:<name>` ships with the app, `upload:<id>` is one visitor's.

owners/<owner>/uploads/<id>/ holds about.json (name, columns, notes), rows.jsonl with its index, and, once something was
fixed, patches.json and the folder fixed/ with the rows as they are then. looked-<time of the rows>.json beside rows.jsonl is
what the last look through all of them found.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from prompts.errors import UserError
from prompts.following import Progress, part, told_to_nobody
from prompts.rows import LINES, Table, sample_table, store
from prompts.start import USES
from prompts.uploads import FIXED, describe, described, rows_folder, save, upload_folder, uploaded_table
from tuning.data.columns import Columns, resolve
from tuning.data.fixes import Fix, Patch, fixed, patched, read_patches
from tuning.data.inspect import inspection

PATCHES = "patches.json"

# The mapping that each sample is meant for.
SAMPLES = {
    f"sample:{name}": Columns(input=inputs, output=output, instruction=instruction)
    for name, (inputs, output, instruction) in USES.items()
}


def mapping(source: str, columns: Columns) -> Columns:
    """The mapping given, or the one a sample is meant for where none is given."""
    return SAMPLES.get(source, columns) if columns == Columns() else columns


def open_table(owner: str, source: str) -> Table:
    """The table of a source, fixed as its owner fixed it. Raises NotFound for an upload that is not this owner's."""
    kind, _, name = source.partition(":")
    if source in SAMPLES:
        return sample_table(name)
    if kind != "upload":
        raise UserError(
            "{source!r} is no data; upload a file, or use one of {names}",
            source=source[:60],
            names=", ".join(SAMPLES),
            field="data",
        )
    return uploaded_table(owner, source)


def inspected(owner: str, source: str, columns: Columns, tell: Progress = told_to_nobody) -> dict[str, Any]:
    """The inspection of a source; of an upload, its rows are looked through once for a mapping. Raises NotFound."""
    keep = None
    if source not in SAMPLES:
        folder = rows_folder(owner, source)
        keep = folder / f"looked-{(folder / LINES).stat().st_mtime_ns}.json"
    return inspection(open_table(owner, source), columns, tell, keep)


def patches(owner: str, source: str) -> list[Patch]:
    """What was fixed in a source so far."""
    return [] if source in SAMPLES else read_patches(upload_folder(owner, source))


def fix_source(owner: str, source: str, columns: Columns, fix: Fix, tell: Progress = told_to_nobody) -> str:
    """Fixes one finding of a source, or takes the last fix back; returns the source (of a sample, a copy). `tell` is told the
    rows; where it raises, nothing is changed. Raises UserError.
    """
    if source in SAMPLES:
        sample = open_table(owner, source)
        columns = mapping(source, columns)
        source = save(owner, lambda folder: store(sample.name, sample.rows, keep=folder, notes=sample.notes))
    folder = upload_folder(owner, source)
    done = read_patches(folder)
    if fix.undo:
        if not done:
            raise UserError("nothing was fixed yet, so there is nothing to take back", field="undo")
        done.pop()
    else:
        table = open_table(owner, source)
        done.append(fixed(table, resolve(columns, table), fix, part(tell, 0.0, 0.8)))
    _write_fixed(folder, done, tell if fix.undo else part(tell, 0.8, 0.2))
    return source


def _write_fixed(folder: Path, done: list[Patch], tell: Progress) -> None:
    """The rows with these patches into fixed/, in one step."""
    partial = folder / "fixed.partial"
    shutil.rmtree(partial, ignore_errors=True)
    if done:
        partial.mkdir()
        describe(partial, patched(described(folder), done, partial, tell))
    shutil.rmtree(folder / FIXED, ignore_errors=True)
    if done:
        partial.rename(folder / FIXED)
    (folder / PATCHES).write_text(json.dumps(done, ensure_ascii=False), encoding="utf-8")
