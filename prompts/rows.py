"""A file -> rows. A wrong file is refused with the line and the remedy; nothing of a good one is dropped."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prompts.errors import UserError
from prompts.settings import Settings, knob

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json")
Row = dict[str, Any]


class Limits(Settings):
    """How large an upload may be."""

    max_bytes: int = knob(200_000_000, title="Largest file", help="Larger files are refused.", unit="bytes", ge=1)
    max_rows: int = knob(1_000_000, title="Most rows", help="Files with more rows are refused.", unit="rows", ge=1)
    max_columns: int = knob(500, title="Most columns", help="Files with more columns are refused.", ge=1)


@dataclass(frozen=True)
class Table:
    """The rows of a file, each with the same columns."""

    name: str
    columns: tuple[str, ...]
    rows: list[Row]


def read_table(path: Path, limits: Limits | None = None) -> Table:
    """Reads CSV, TSV, JSONL or JSON (a list of objects), all in UTF-8. Raises UserError naming line and remedy."""
    limits = limits or Limits()
    if not path.is_file():
        raise UserError(f"there is no file {path.name}")
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path.name}: upload {', '.join(SUFFIXES)}; this ends in {path.suffix or 'nothing'!r}")
    if (size := path.stat().st_size) > limits.max_bytes:
        raise UserError(f"{path.name} has {size:,} bytes; at most {limits.max_bytes:,} are read")
    text = _text(path)
    if not text.strip():
        raise UserError(f"{path.name} is empty")
    readers = {".csv": _csv, ".tsv": _csv, ".jsonl": _jsonl, ".json": _json}
    rows = []
    for row in readers[path.suffix.lower()](text, path):
        rows.append(row)
        if len(rows) > limits.max_rows:
            raise UserError(f"{path.name} has more than {limits.max_rows:,} rows; split it or take a sample")
    return _table(path, rows, limits)


def _table(path: Path, rows: list[Row], limits: Limits) -> Table:
    if not rows:
        raise UserError(f"{path.name} has a header but no rows")
    columns = tuple(dict.fromkeys(key for row in rows for key in row))
    if len(columns) > limits.max_columns:
        raise UserError(f"{path.name} has {len(columns):,} columns; at most {limits.max_columns:,} are read")
    for number, row in enumerate(rows, 1):
        try:
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise UserError(
                f"{path.name}, row {number}: half a character (a lone surrogate); save the text again"
            ) from None
    return Table(path.name, columns, [{column: row.get(column) for column in columns} for row in rows])


def _text(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path.name}, line {line}: the byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8 "
            "(in a spreadsheet: 'CSV UTF-8') and upload it again"
        ) from None


def _csv(text: str, path: Path) -> Iterator[Row]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(text)
    csv.field_size_limit(16_000_000)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader)]
        _check_header(header, path)
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise UserError(
                    f"{path.name}, line {reader.line_num}: {len(cells)} cells under {len(header)} columns; "
                    'put text that holds a comma or a line break in "quotes"'
                )
            yield dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise UserError(f"{path.name}, line {reader.line_num}: {error}; check the quotes") from None


def _delimiter(text: str) -> str:
    """The one of , ; and tab that the header line holds most of."""
    header = text.split("\n", 1)[0]
    return max(",;\t", key=header.count)


def _check_header(header: list[str], path: Path) -> None:
    if twice := next((name for name in header if header.count(name) > 1), None):
        raise UserError(f"{path.name}: two columns are called {twice!r}; rename one")
    if "" in header:
        raise UserError(
            f"{path.name}: column {header.index('') + 1} has no name; the first line must name every column"
        )


def _jsonl(text: str, path: Path) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _row(_parsed(line, f"{path.name}, line {number}"), f"{path.name}, line {number}")


def _json(text: str, path: Path) -> Iterator[Row]:
    found = _parsed(text, path.name)
    if not isinstance(found, list):
        raise UserError(
            f"{path.name}: expected a list of objects, [{{...}}, {{...}}]; for one object a line use .jsonl"
        )
    for number, item in enumerate(found, 1):
        yield _row(item, f"{path.name}, item {number}")


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = f", line {error.lineno}" if "\n" in text.strip() else ""
        raise UserError(f"{where}{line}: not valid JSON at column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise UserError(f"{where}: nested too deeply") from None
    except ValueError:
        raise UserError(f"{where}: a number with thousands of digits; write it as a text") from None


def _row(found: Any, where: str) -> Row:
    if not isinstance(found, dict):
        raise UserError(f"{where}: expected an object with named fields, found {type(found).__name__}")
    return found


# Data of the app's own, beside this file in samples/.
SAMPLE_TITLES = {
    "support_emails": "Customer-support e-mails → label",
    "english_spanish": "Short English → Spanish",
    "word_problems": "Arithmetic word problems → number",
}


def sample_table(name: str) -> Table:
    """Raises UserError that lists the samples."""
    if name not in SAMPLE_TITLES:
        raise UserError(f"there is no sample {name[:40]!r}; there are {', '.join(SAMPLE_TITLES)}", field="sample")
    return read_table(Path(__file__).parent / "samples" / f"{name}.jsonl")
