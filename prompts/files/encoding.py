"""Which encoding a text file is in: told by its mark, UTF-8 where every byte fits, else detected and said."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prompts.errors import UserError
from prompts.words import later, say

CHUNK = 1 << 20
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_NOT_TEXT = (
    (b"PAR1", ".parquet"), (b"PK\x03\x04", later(".xlsx or .zip")), (b"\x1f\x8b", later("unpacked first: it is a gzip archive")),
    (b"%PDF", later("copied out of the PDF as text")), (b"\xd0\xcf\x11\xe0", later(".xlsx: it is an old .xls")),
)  # fmt: skip


@dataclass(frozen=True)
class Encoding:
    name: str
    note: str = ""  # what a person should know; empty for UTF-8


def detect(path: Path) -> Encoding:
    """Reads the file once, in pieces. Raises UserError naming the line where no single encoding fits."""
    with path.open("rb") as file:
        head = file.read(4)
    if kind := next((kind for mark, kind in _NOT_TEXT if head.startswith(mark)), None):
        raise UserError(
            "{name} is no text, whatever its name ends in; upload it as {kind}", name=path.name, kind=say(kind)
        )
    mark = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if mark:
        _check(path, mark)
        return Encoding(
            mark, "" if mark == "utf-8-sig" else say("Read as {mark}, which its first bytes say.", mark=mark.upper())
        )
    try:
        _check(path, "utf-8")
    except _Wrong as wrong:
        return _guessed(path, wrong)
    return Encoding("utf-8")


class _Wrong(UserError):
    """A byte that does not fit: `at` in the file, `line` from 1; `foreign`: were there other non-ASCII letters before?"""

    def __init__(self, path: Path, name: str, line: int, byte: int, foreign: bool, at: int) -> None:
        super().__init__(
            "{name}, line {line}: the byte 0x{byte:02x} is not {encoding}{although}; save the file as UTF-8 (in a spreadsheet: "
            "'CSV UTF-8') and upload it again",
            name=path.name, line=line, byte=byte, encoding=name.upper(),
            although=say(" although letters before it are") if foreign else "",
        )  # fmt: skip
        self.foreign, self.at = foreign, at


def _check(path: Path, name: str) -> None:
    """Raises UserError for a byte that does not fit, or a null byte."""
    decoder, line, foreign, at = codecs.getincrementaldecoder(name)(), 1, False, 0
    with path.open("rb") as file:
        while True:
            chunk = file.read(CHUNK)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                before = error.object[: error.start]
                foreign = foreign or not before.isascii()
                raise _Wrong(path, name, line + before.count(b"\n"), error.object[error.start], foreign, at) from None
            if (null := text.find("\0")) >= 0:
                where = line + text.count("\n", 0, null)
                raise UserError(
                    "{name}, line {where}: a null byte; this is no plain text, save it as UTF-8",
                    name=path.name,
                    where=where,
                )
            line, at = line + text.count("\n"), at + len(chunk)
            foreign = foreign or not text.isascii()
            if not chunk:
                return


def _guessed(path: Path, wrong: _Wrong) -> Encoding:
    """An encoding of single bytes or of the East, by charset-normalizer. Raises UserError for a mixture."""
    from charset_normalizer import from_bytes

    if wrong.foreign:
        raise wrong
    with path.open("rb") as file:
        file.seek(wrong.at)
        found = list(from_bytes(file.read(CHUNK)))
    if not found or found[0].encoding in ("utf_8", "ascii"):
        raise wrong
    name = _likeliest(found)
    _check(path, name)
    return Encoding(
        name,
        say(
            "Read as {name}, which was guessed; if letters look wrong, save the file as UTF-8.",
            name=name.replace("_", "-"),
        ),
    )


def _likeliest(found: Sequence[Any]) -> str:
    """The best guess; of guesses as good, Windows-1252, which spreadsheets of the West write."""
    best = found[0]
    as_good = [one for one in found if (one.chaos, -one.coherence) <= (best.chaos, -best.coherence)]
    western = any("cp1252" in (one.encoding, *one.could_be_from_charset) for one in as_good)
    return "cp1252" if western else str(best.encoding)
