"""CSV, TSV, JSON, JSONL and TXT -> rows, as streams. Every error names the line and the remedy."""

import csv
import json
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from prompts.errors import UserError
from prompts.files.encoding import Encoding, detect
from prompts.words import say

SMALL = 20_000_000  # bytes; JSON up to here is parsed whole, which gives the better error messages
LOOK = 50  # records that are looked at to tell delimiter and header
LONG_NAME = 64  # characters; a longer cell is no column's name
Tell = Callable[[str], None]


def read_csv(path: Path, tell: Tell) -> Iterator[dict[str, Any]]:
    """`tell` is called with what a person should know: encoding, delimiter, a missing header."""
    with _opened(path, tell) as file:
        start = file.read(65536)
        if start.lstrip()[:1] in ("{", "<"):
            kind = say("an HTML page") if start.lstrip()[:1] == "<" else say("JSON; name it .jsonl or .json")
            raise UserError("{name} does not hold comma-separated values: it is {kind}", name=path.name, kind=kind)
        delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(start, tell)
        file.seek(0)
        yield from _records(file, path, delimiter, tell)


def _records(file: TextIO, path: Path, delimiter: str, tell: Tell) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(16_000_000)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    try:
        filled = (cells for cells in reader if cells)
        first = next(filled, [])
        look = list(islice(filled, LOOK))
        header = [name.strip() for name in first]
        if _is_data(first, look):
            header = [f"column_{at}" for at in range(1, len(first) + 1)]
            tell(
                say(
                    "The first line holds data, so the columns are called column_1 to column_{first}.", first=len(first)
                )
            )
            look = [first, *look]
        check_header(header, path)
        for cells in chain(look, filled):
            if len(cells) != len(header):
                raise UserError(
                    "{name}, {place}: {cells} cells under {header} columns; put text that holds a comma or a "
                    'line break in "quotes"',
                    name=path.name,
                    place=_place(cells, look, reader),
                    cells=len(cells),
                    header=len(header),
                )
            yield dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise UserError(
            "{name}, line {line_num}: {error}; check the quotes", name=path.name, line_num=reader.line_num, error=error
        ) from None


def _place(cells: list[str], look: list[list[str]], reader: Any) -> str:
    """The line, or for a record read in advance its number."""
    at = next((at for at, other in enumerate(look) if other is cells), None)
    return say("line {line_num}", line_num=reader.line_num) if at is None else say("line {at}", at=at + 2)


def _is_data(first: list[str], look: list[list[str]]) -> bool:
    """Is the first line no header? Where a cell is a number or too long for a name, or comes again among few values."""
    if not look:
        return False
    for at, cell in enumerate(first):
        column = [row[at].strip() for row in look if len(row) > at]
        again = cell.strip() in column and len(set(column)) <= max(2, len(column) // 2)
        if len(cell) > LONG_NAME or "\n" in cell or _is_number(cell) or (cell.strip() and again):
            return True
    return False


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.strip().lower() not in ("nan", "inf", "infinity")


def _delimiter(start: str, tell: Tell) -> str:
    """Of , ; tab and | the one that gives the first records the same and the largest number of cells."""
    best, most = ",", 1
    for delimiter in ",;\t|":
        try:
            records = list(islice(csv.reader(start.splitlines(keepends=True), delimiter=delimiter), LOOK))
        except csv.Error:
            continue
        widths = [len(record) for record in records if record][: max(1, len(records) - 1)]
        if widths and widths[0] > most and widths.count(widths[0]) * 2 > len(widths):
            best, most = delimiter, widths[0]
    if best != ",":
        tell(say("The columns are separated by {best}.", best=say("a tab") if best == chr(9) else repr(best)))
    return best


def check_header(header: list[str], path: Path) -> None:
    seen = set()
    for at, name in enumerate(header, 1):
        if not name:
            raise UserError(
                "{name}: column {at} has no name; the first line must name every column", name=path.name, at=at
            )
        if name in seen:
            raise UserError(
                "{name}: two columns are called {column!r}; rename one", name=path.name, column=name[:LONG_NAME]
            )
        seen.add(name)


def read_jsonl(path: Path, tell: Tell) -> Iterator[dict[str, Any]]:
    with _opened(path, tell, newline="\n") as file:
        kind: type[Any] | None = None
        for number, line in enumerate(file, 1):
            if line.strip():
                where = say("{name}, line {number}", name=path.name, number=number)
                found = _parsed(line, where)
                kind = kind or type(found)
                yield as_row(found, where, kind)


def read_json(path: Path, tell: Tell) -> Iterator[dict[str, Any]]:
    """A list of objects; a long one is read as a stream."""
    encoding = detect(path)
    if path.stat().st_size <= SMALL:
        _tell_of(encoding, tell)
        found: Any = _parsed(path.read_text(encoding.name), path.name)
        if not isinstance(found, list):
            raise UserError(
                "{name}: expected a list of objects, [{{...}}, {{...}}]; for one object a line use .jsonl",
                name=path.name,
            )
    else:
        found = _streamed(path, encoding)
    kind: type[Any] | None = None
    for number, item in enumerate(found, 1):
        kind = kind or type(item)
        yield as_row(item, say("{name}, item {number}", name=path.name, number=number), kind)


def _streamed(path: Path, encoding: Encoding) -> Iterator[Any]:
    import codecs

    import ijson

    with path.open("rb") as raw:
        if encoding.name == "utf-8-sig":
            raw.seek(3)
        file = raw if encoding.name.startswith("utf-8") else codecs.EncodedFile(raw, "utf-8", encoding.name)
        done = 0
        try:
            for item in ijson.items(file, "item", use_float=True):
                done += 1
                yield item
        except ijson.JSONError as error:
            raise UserError(
                "{name}, after item {done}: not valid JSON: {reason}",
                name=path.name,
                done=done,
                reason=str(error).splitlines()[0],
            ) from None
    if not done:
        raise UserError("{name}: expected a list of objects, [{{...}}, {{...}}]", name=path.name)


def read_txt(path: Path, tell: Tell) -> Iterator[dict[str, Any]]:
    """A row for each paragraph (texts with a blank line between); where there is no blank line, for each line."""
    with _opened(path, tell) as file:
        paragraphs = any(not line.strip() for line in islice(file, 1, None))
        file.seek(0)
        tell(say("Each {word} is a row.", word=say("paragraph") if paragraphs else say("line")))
        block: list[str] = []
        for line in chain(file, [""]):
            if line.strip():
                block.append(line.rstrip("\n"))
            if block and (not paragraphs or not line.strip()):
                yield {"text": "\n".join(block)}
                block = []


def as_row(found: Any, where: str, kind: type[Any]) -> dict[str, Any]:
    """An object as it is, a list as column_1, column_2 ..., a text as the column text. Raises UserError for a mixture."""
    if isinstance(found, kind):
        if isinstance(found, dict):
            return found
        if isinstance(found, list):
            return {f"column_{at}": value for at, value in enumerate(found, 1)}
        if isinstance(found, str):
            return {"text": found}
    raise UserError(
        "{where}: expected an object with named fields, found {name}", where=where, name=type(found).__name__
    )


def _opened(path: Path, tell: Tell, newline: str | None = "") -> TextIO:
    encoding = detect(path)
    _tell_of(encoding, tell)
    newline = None if path.suffix.lower() == ".txt" else newline
    return path.open(encoding=encoding.name, newline=newline)


def _tell_of(encoding: Encoding, tell: Tell) -> None:
    if encoding.note:
        tell(encoding.note)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = say(", line {lineno}", lineno=error.lineno) if "\n" in text.strip() else ""
        raise UserError(
            "{where}{line}: not valid JSON at column {colno}: {msg}",
            where=where,
            line=line,
            colno=error.colno,
            msg=error.msg,
        ) from None
    except RecursionError:
        raise UserError("{where}: nested too deeply", where=where) from None
    except ValueError:
        raise UserError("{where}: a number with thousands of digits; write it as a text", where=where) from None
