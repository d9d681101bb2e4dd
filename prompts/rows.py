"""A file -> rows, on disk and decoded when asked. A wrong file is refused with the line and the remedy; nothing of a good
one is dropped.
"""

import json
import math
import os
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from prompts.errors import UserError
from prompts.following import Progress, told_to_nobody
from prompts.lazy import Lazy
from prompts.settings import Settings, build, knob
from prompts.words import later, say

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xlsx", ".txt", ".zip")
FORMATS = "CSV, TSV, JSONL, JSON, Parquet, XLSX, TXT or a zip of text files"
Row = dict[str, Any]


def as_text(value: Any) -> str:
    """A cell as text: nothing for None, true/false and numbers as JSON writes them."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


class Limits(Settings):
    """How large data may be. The owner of a Space sets them in the environment, as PROMPT_OR_TUNE_MAX_ROWS and so on."""

    max_bytes: int = knob(1_000_000_000, title="Largest file", help="Larger files are refused.", unit="bytes", ge=1)
    max_expanded: int = knob(
        4_000_000_000, title="Largest content", help="A file that unpacks to more is refused.", unit="bytes", ge=1
    )
    max_rows: int = knob(2_000_000, title="Most rows", help="Files with more rows are refused.", unit="rows", ge=1)
    max_columns: int = knob(500, title="Most columns", help="Files with more columns are refused.", ge=1)
    max_model_gb: int = knob(
        50, title="Largest model", unit="GB", ge=1, help="A larger model of the Hub is not fetched."
    )
    max_depth: int = knob(20, title="Deepest nesting", help="Lists in lists in lists: deeper cells are refused.", ge=1)


def limits_here() -> Limits:
    """The limits of this machine. Raises UserError for a value in the environment that is none."""
    given = {name: os.environ.get(f"PROMPT_OR_TUNE_{name.upper()}") for name in Limits.model_fields}
    return build(Limits, {name: value for name, value in given.items() if value})


class Rows(Lazy[Row]):
    """Rows in a file, one JSON object a line; a row is decoded when it is asked for. Equal to a list of the same rows."""

    def __init__(self, file: IO[bytes], ends: "array[int]", columns: Sequence[str]) -> None:
        self._file, self._ends, self._columns = file, ends, tuple(columns)

    def __len__(self) -> int:
        return len(self._ends)

    def make(self, at: int) -> Row:
        start = self._ends[at - 1] if at else 0
        return self._whole(os.pread(self._file.fileno(), self._ends[at] - start, start))

    def __iter__(self) -> Iterator[Row]:
        start = 0
        for block in range(0, len(self), 1000):
            ends = self._ends[block : block + 1000]
            data = os.pread(self._file.fileno(), ends[-1] - start, start)
            first = start
            for end in ends:
                yield self._whole(data[start - first : end - first])
                start = end

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Sequence)
            and len(self) == len(other)
            and all(a == b for a, b in zip(self, other, strict=True))
        )

    __hash__ = None  # type: ignore[assignment]

    def _whole(self, line: bytes) -> Row:
        found = json.loads(line)
        return {column: found.get(column) for column in self._columns}


@dataclass(frozen=True)
class Table:
    """The rows of a file, each with the same columns, and what its reader should know (encoding, delimiter ...)."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Row]
    notes: tuple[str, ...] = ()


def read_table(
    path: Path, limits: Limits | None = None, keep: Path | None = None, tell: Progress = told_to_nobody
) -> Table:
    """Reads one of SUFFIXES. `keep`: the folder that the rows are kept in; else they go when the table does. `tell` is told the
    rows, of 0: how many there are is not known.

    Raises UserError naming line and remedy.
    """
    limits = limits or limits_here()
    suffix = path.suffix.lower()
    if not path.is_file():
        raise UserError("there is no file {name}", name=path.name)
    if suffix not in SUFFIXES:
        raise UserError(
            "{name}: upload {names}; this ends in {suffix!r}",
            name=path.name,
            names=", ".join(SUFFIXES),
            suffix=path.suffix or "nothing",
        )
    if (size := path.stat().st_size) > limits.max_bytes:
        raise UserError(
            "{name} has {size:,} bytes; at most {max_bytes:,} are read",
            name=path.name,
            size=size,
            max_bytes=limits.max_bytes,
        )
    if not size:
        raise UserError("{name} is empty", name=path.name)
    notes: list[str] = []
    table = store(path.name, _reader(suffix, limits)(path, notes.append), limits, keep, notes, tell)
    if not table.rows:
        blank = suffix in (".jsonl", ".json", ".txt") or not path.read_bytes()[:1000].strip()
        if blank:
            raise UserError("{name} is empty", name=path.name)
        raise UserError("{name} has a header but no rows", name=path.name)
    return table


def _reader(suffix: str, limits: Limits) -> Callable[..., Iterator[Row]]:
    from prompts.files import binary, text

    readers: dict[str, Callable[..., Iterator[Row]]] = {
        ".csv": text.read_csv, ".tsv": text.read_csv, ".jsonl": text.read_jsonl, ".json": text.read_json,
        ".txt": text.read_txt, ".zip": partial(binary.read_zip, most_bytes=limits.max_expanded),
        ".xlsx": partial(binary.read_xlsx, most_bytes=limits.max_expanded),
        ".parquet": partial(binary.read_parquet, most_rows=limits.max_rows, most_bytes=limits.max_expanded),
    }  # fmt: skip
    return readers[suffix]


INDEX, LINES = "rows.index", "rows.jsonl"


def store(
    name: str,
    rows: Iterable[Row],
    limits: Limits | None = None,
    keep: Path | None = None,
    notes: Iterable[str] = (),
    tell: Progress = told_to_nobody,
) -> Table:
    """Rows into a file of one JSON object a line: rows.jsonl in the folder `keep`, or a temporary one. Raises UserError."""
    limits = limits or limits_here()
    columns: dict[str, None] = {}
    ends, missing, at = array("q"), 0, 0
    file: IO[bytes] = (keep / LINES).open("w+b") if keep else tempfile.TemporaryFile()  # noqa: SIM115 (lives as the rows do)
    for number, row in enumerate(rows, 1):
        tell(number, 0)
        where = partial(say, later("{name}, row {number}"), name=name, number=number)
        if number > limits.max_rows:
            raise UserError(
                "{name} has more than {max_rows:,} rows; split it or take a sample", name=name, max_rows=limits.max_rows
            )
        columns.update(dict.fromkeys(row))
        if len(columns) > limits.max_columns:
            raise UserError(
                "{name} has {columns:,} columns; at most {max_columns:,} are read",
                name=name,
                columns=len(columns),
                max_columns=limits.max_columns,
            )
        row, gone = _without_nan(row)
        missing += gone
        line = _line(row, where, limits)
        at += len(line)
        if at > limits.max_expanded:
            raise UserError(
                "{where}: its content grew beyond {max_expanded:,} bytes; the file is not read",
                where=where(),
                max_expanded=limits.max_expanded,
            )
        file.write(line)
        ends.append(at)
    file.flush()
    if keep:
        (keep / INDEX).write_bytes(ends.tobytes())
    told = [*notes, *([say("{missing} cells hold NaN, which is read as empty.", missing=missing)] if missing else [])]
    return Table(name, tuple(columns), Rows(file, ends, tuple(columns)), tuple(told))


def stored(folder: Path, name: str, columns: Sequence[str], notes: Iterable[str] = ()) -> Table:
    """The table that `store` kept in a folder."""
    ends = array("q")
    ends.frombytes((folder / INDEX).read_bytes())
    file = (folder / LINES).open("rb")
    return Table(name, tuple(columns), Rows(file, ends, columns), tuple(notes))


def _without_nan(row: Row) -> tuple[Row, int]:
    gone = [key for key, value in row.items() if isinstance(value, float) and math.isnan(value)]
    return ({**row, **dict.fromkeys(gone)}, len(gone)) if gone else (row, 0)


def _line(row: Row, where: Callable[[], str], limits: Limits) -> bytes:
    for name, value in row.items():
        if isinstance(value, dict | list) and _deeper(value, limits.max_depth):
            raise UserError(
                "{where}: {name!r} is nested too deeply; at most {max_depth} levels are read",
                where=where(),
                name=name,
                max_depth=limits.max_depth,
            )
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except UnicodeEncodeError:
        raise UserError("{where}: half a character (a lone surrogate); save the text again", where=where()) from None
    except ValueError:
        raise UserError(
            "{where}: a number that is infinite or not a number; write a finite one", where=where()
        ) from None


def _deeper(value: Any, levels: int) -> bool:
    """Is a list or object nested in more than so many levels?"""
    layer = [value]
    for _ in range(levels):
        layer = [
            inner for outer in layer for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]  # fmt: skip
        if not layer:
            return False
    return True


# Data of the app's own, beside this file in samples/.
SAMPLE_TITLES = {
    "support_emails": later("Customer-support e-mails → label"),
    "english_spanish": later("Short English → Spanish"),
    "word_problems": later("Arithmetic word problems → number"),
}


def sample_table(name: str) -> Table:
    """Raises UserError that lists the samples."""
    if name not in SAMPLE_TITLES:
        raise UserError(
            "there is no sample {name!r}; there are {names}",
            name=name[:40],
            names=", ".join(SAMPLE_TITLES),
            field="sample",
        )
    return read_table(Path(__file__).parent / "samples" / f"{name}.jsonl")
