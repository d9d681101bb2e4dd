"""Parquet, XLSX and zips of text files -> rows. What a file would expand to is checked before it is expanded."""

import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

from prompts.errors import UserError
from prompts.files.text import LONG_NAME, Tell, check_header
from prompts.words import say

BATCH = 64  # rows of a Parquet file in memory at once: a dictionary may make each of them large
RATIO = 200  # an archive that shrinks by more than this is a bomb
RATIO_FROM = 10_000_000  # bytes; below, any ratio is harmless
TEXTS = (".txt", ".md")


def read_parquet(path: Path, tell: Tell, most_rows: int, most_bytes: int) -> Iterator[dict[str, Any]]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            found = file.metadata
            if found.num_rows > most_rows:
                raise UserError(
                    "{name} has {num_rows:,} rows; at most {most_rows:,} are read",
                    name=path.name,
                    num_rows=found.num_rows,
                    most_rows=most_rows,
                )
            size = sum(found.row_group(at).total_byte_size for at in range(found.num_row_groups))
            if size > most_bytes:
                raise UserError(
                    "{name} unpacks to {size:,} bytes; at most {most_bytes:,} are read",
                    name=path.name,
                    size=size,
                    most_bytes=most_bytes,
                )
            places = {
                name: say("{file}, column {name!r}", file=path.name, name=name) for name in file.schema_arrow.names
            }
            for batch in file.iter_batches(batch_size=BATCH):
                for row in batch.to_pylist():
                    yield {name: plain(value, places[name]) for name, value in row.items()}
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(
            "{name} is no whole Parquet file ({reason}); save it again",
            name=path.name,
            reason=str(error).splitlines()[0][:120],
        ) from None


def plain(value: Any, where: str) -> Any:
    """A cell as JSON has it: dates and times as ISO 8601. Raises UserError for bytes."""
    if isinstance(value, bytes | bytearray | memoryview):
        raise UserError(
            "{where} holds bytes (an image or sound?); keep columns of text, numbers and lists", where=where
        )
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list | tuple):
        return [plain(item, where) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item, where) for key, item in value.items()}
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def _opened(path: Path, most_bytes: int) -> zipfile.ZipFile:
    """The archive, after a look at what it would unpack to. Raises UserError."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise UserError(
            "{name} is no whole {suffix} file ({error}); save it again", name=path.name, suffix=path.suffix, error=error
        ) from None
    size = sum(entry.file_size for entry in archive.infolist())
    packed = max(1, sum(entry.compress_size for entry in archive.infolist()))
    if size > most_bytes or (size > RATIO_FROM and size / packed > RATIO):
        archive.close()
        raise UserError(
            "{name} unpacks to {size:,} bytes, {times:,} times its size; it is not read",
            name=path.name,
            size=size,
            times=size // packed,
        )
    return archive


def read_zip(path: Path, tell: Tell, most_bytes: int) -> Iterator[dict[str, Any]]:
    """A row for each text file: its name, its folder where there are several, and its text."""
    with _opened(path, most_bytes) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        extras = [entry for entry in entries if any(map(_is_hidden, entry.filename.replace("\\", "/").split("/")))]
        if extras:
            tell(say("{extras} hidden files that a system adds to archives are left out.", extras=len(extras)))
        entries = [entry for entry in entries if entry not in extras]
        for entry in entries:
            _check_entry(entry, path)
        folders = {str(PurePosixPath(entry.filename).parent) for entry in entries}
        left = most_bytes
        for entry in entries:
            data = _entry(archive, entry, path, left)
            left -= len(data)
            name = PurePosixPath(entry.filename)
            folder = {"folder": str(name.parent)} if len(folders) > 1 else {}
            yield {"file": name.name, **folder, "text": _decoded(data, f"{path.name}, {entry.filename[:LONG_NAME]}")}


def _is_hidden(name: str) -> bool:
    return name == "__MACOSX" or (name.startswith(".") and name.strip(".") != "")


def _check_entry(entry: zipfile.ZipInfo, path: Path) -> None:
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    shown = f"{path.name}, {entry.filename[:LONG_NAME]!r}"
    if name.is_absolute() or ".." in name.parts or ":" in entry.filename:
        raise UserError("{shown}: its name leads out of the archive; pack the files again", shown=shown)
    if entry.flag_bits & 1:
        raise UserError("{shown} is encrypted; pack the files without a password", shown=shown)
    if name.suffix.lower() not in TEXTS:
        raise UserError(
            "{shown}: a zip may hold text files ({names}) only; upload tables by themselves",
            shown=shown,
            names=", ".join(TEXTS),
        )


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, most: int) -> bytes:
    """The bytes of one file, at most so many whatever the archive says of its size."""
    try:
        with archive.open(entry) as file:
            data = file.read(most + 1)
    except (zipfile.BadZipFile, RuntimeError, OSError, EOFError, ValueError) as error:
        raise UserError(
            "{name}, {entry!r}: {error}; pack the files again",
            name=path.name,
            entry=entry.filename[:LONG_NAME],
            error=error,
        ) from None
    except Exception as error:  # zlib.error and its kin have no common base
        raise UserError(
            "{name}, {entry!r} is damaged ({error}); pack it again",
            name=path.name,
            entry=entry.filename[:LONG_NAME],
            error=error,
        ) from None
    if len(data) > most:
        raise UserError("{name} unpacks to more than its directory says; it is not read", name=path.name)
    return data


def _decoded(data: bytes, where: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            "{where}, line {line}: the byte 0x{byte:02x} is not UTF-8; save it as UTF-8",
            where=where,
            line=line,
            byte=data[error.start],
        ) from None
    if "\0" in text:
        raise UserError("{where}: a null byte; this is no plain text", where=where)
    return text.strip()


def read_xlsx(path: Path, tell: Tell, most_bytes: int) -> Iterator[dict[str, Any]]:
    """The only sheet with content, its first row the header. Of a formula the computed value is read."""
    import warnings

    import openpyxl

    _opened(path, most_bytes).close()
    books = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            books = [openpyxl.load_workbook(path, read_only=True, data_only=values) for values in (True, False)]
            yield from _sheet(books[0], books[1], path, tell)
    except UserError:
        raise
    except Exception as error:  # openpyxl raises whatever a damaged part leads to
        reason = f"{type(error).__name__}: {str(error)[:100]}"
        raise UserError(
            "{name} is no whole XLSX file ({reason}); save it again", name=path.name, reason=reason
        ) from None
    finally:
        for book in books:
            book.close()


def _sheet(values: Any, formulas: Any, path: Path, tell: Tell) -> Iterator[dict[str, Any]]:
    names = [sheet.title for sheet in values.worksheets if any(any(_cells(row)) for row in sheet.iter_rows())]
    if len(names) > 1:
        raise UserError(
            "{name} has {names} sheets with content ({sheets}); keep one of them",
            name=path.name,
            names=len(names),
            sheets=", ".join(names)[:200],
        )
    if not names:
        return
    rows = zip(values[names[0]].iter_rows(), formulas[names[0]].iter_rows(), strict=False)
    first, _ = next(rows)
    header = [str(cell).strip() if cell is not None else "" for cell in _cells(first)]
    while header and not header[-1]:
        header.pop()
    check_header(header, path)
    computed = blank = 0
    for number, (row, origin) in enumerate(rows, 2):
        cells = _cells(row)
        if not any(cell is not None for cell in cells):
            blank += 1
            continue
        computed += _check_formulas(row, origin, path, number)
        if any(cell is not None for cell in cells[len(header) :]):
            raise UserError(
                "{name}, row {number}: a cell beyond the {header} columns that the first row names",
                name=path.name,
                number=number,
                header=len(header),
            )
        cells = (*cells[: len(header)], *[None] * (len(header) - len(cells)))
        place = say("{file}, row {number}", file=path.name, number=number)
        yield {name: plain(cell, place) for name, cell in zip(header, cells, strict=True)}
    if computed:
        tell(
            say(
                "{computed} cells hold formulas; the values computed when the file was saved are used.",
                computed=computed,
            )
        )


def _cells(row: Any) -> tuple[Any, ...]:
    return tuple(cell.value for cell in row)


def _check_formulas(row: Any, origin: Any, path: Path, number: int) -> int:
    """How many cells of a row are formulas. Raises UserError for one whose value the file does not hold."""
    found = [(at, cell) for at, cell in enumerate(origin) if getattr(cell, "data_type", "") == "f"]
    for at, cell in found:
        if at >= len(row) or row[at].value is None:
            raise UserError(
                "{name}, row {number}: {cell!r} is a formula without a stored value; paste the column "
                "as values, or save the file in a spreadsheet program",
                name=path.name,
                number=number,
                cell=str(cell.value)[:40],
            )
    return len(found)
