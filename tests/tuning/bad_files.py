"""Files as people really upload them: name -> (bytes, what reading it must come to).

The second is a regular expression that the error must match, or the number of rows that a correct reading has.
"""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

Expected = str | int


def zipped(files: dict[str, bytes], **more: Any) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, **more) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def bomb(name: str, megabytes: int = 300) -> bytes:
    return zipped({name: bytes(megabytes * 1_000_000)}, compresslevel=9)


def encrypted() -> bytes:
    data = bytearray(zipped({"a.txt": b"secret"}))
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):
        at = data.find(mark) + (6 if mark[2] == 3 else 8)
        data[at] |= 1
    return bytes(data)


def damaged(data: bytes) -> bytes:
    return data[:60] + b"\xff" * 40 + data[100:]


def sheet(rows: list[list[Any]], more: dict[str, list[list[Any]]] | None = None) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for name, extra in (more or {}).items():
        for row in extra:
            (book[name] if name in book.sheetnames else book.create_sheet(name)).append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def columnar(columns: dict[str, list[Any]], **more: Any) -> bytes:
    import pyarrow
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), out, **more)
    return out.getvalue()


def dictionary_bomb() -> bytes:
    """200,000 rows of one text of 100,000 characters: a small file that would be 20 GB of rows."""
    import pyarrow

    values = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 200_000, pyarrow.int32()), ["x" * 100_000])
    return columnar({"text": values}, compression="zstd")  # type: ignore[dict-item]


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


FILES: dict[str, tuple[Callable[[], bytes | str], Expected]] = {
    # text, CSV
    "empty.csv": (lambda: "", "is empty"),
    "blank.jsonl": (lambda: " \n\n", "is empty"),
    "only_newlines.csv": (lambda: "\n\n\n", "is empty"),
    "header.csv": (lambda: "a,b\n", "header but no rows"),
    "ragged.csv": (lambda: "a,b\n1,2\n3\n", "line 3: 1 cells under 2 columns"),
    "ragged_late.csv": (lambda: "text,label\n" + "one,two\n" * 500 + "one,two,three\n", "line 502: 3 cells under 2"),
    "twice.csv": (lambda: "a,a\nx,y\n", "two columns are called 'a'"),
    "unnamed.csv": (lambda: "a,\n1,2\n", "column 2 has no name"),
    "open_quote.csv": (lambda: 'a,b\n"1,2\n3,4\n', "check the quotes"),
    "stray_quote.csv": (lambda: 'a,b\n"x"y,2\n', "check the quotes"),
    "quotes_across_lines.csv": (lambda: 'a,b\n"one\ntwo","3, 4"\n"five\r\nsix",7\n', 2),
    "doubled_quotes.csv": (lambda: 'a,b\n"say ""hi""",x\n', 1),
    "semicolons.csv": (lambda: "a;b\nx, y;z\n", 1),
    "pipes.csv": (lambda: "a|b|c\n1|2|3\n", 1),
    "tabs.csv": (lambda: "a\tb\nx\ty\n", 1),
    "tabs.tsv": (lambda: "a\tb\nx\ty\n", 1),
    "one_column.csv": (lambda: "text\nhello there\nand you\n", 2),
    "no_header.csv": (lambda: "good film,1\nbad film,0\nfine film,1\n", 3),
    "no_header_labels.csv": (lambda: "I love it,positive\nI hate it,negative\nGreat one,positive\nNo,negative\n", 4),
    "old_mac.csv": (lambda: "a,b\rx,y\r", 1),
    "windows.csv": (lambda: "a,b\r\nx,y\r\n", 1),
    "bom.csv": (lambda: b"\xef\xbb\xbfa,b\r\n1,2\r\n", 1),
    "utf16.csv": (lambda: "a,b\nñ,2\n".encode("utf-16"), 1),
    "utf32.csv": (lambda: "a,b\nñ,2\n".encode("utf-32"), 1),
    "utf16_no_mark.csv": (lambda: "a,b\nx,y\n".encode("utf-16-le"), "null byte"),
    "utf16_cut.csv": (lambda: "a,b\nñ,2\n".encode("utf-16")[:-1], "not UTF-16"),
    "latin.csv": (lambda: "ciudad,año\nCádiz,niño pequeño\nMálaga,mañana será otro día\n".encode("latin-1"), 2),
    "windows1252.csv": (lambda: "a,b\n“quoted” – it’s fine,naïve café\n".encode("cp1252"), 1),
    "shift_jis.csv": (lambda: ("文,種\n" + "これは日本語の文章です,良い\n" * 20).encode("shift_jis"), 20),
    "mixed.csv": (lambda: "a,b\nñandú,1\n".encode() + "ñandú,2\n".encode("latin-1"), "line 3: the byte 0xf1 is not UTF-8 although"),
    "null.csv": (lambda: "a,b\nx\0,y\n", "line 2: a null byte"),
    "rtl.csv": (lambda: "نص,تسمية\nمرحبا بالعالم,جيد\n\u202eabc,سيئ\n", 2),
    "emoji.csv": (lambda: "text,label\n👩‍👩‍👧 fine,x\n", 1),
    "wide.csv": (lambda: ",".join(f"c{n}" for n in range(1_000_000)) + "\n", "columns|header but no rows"),
    "wide_rows.csv": (lambda: ",".join(f"c{n}" for n in range(2000)) + "\n" + ",".join(["x"] * 2000) + "\n", "at most 500"),
    "huge_cell.csv": (lambda: "a,b\n" + "x" * 17_000_000 + ",y\n", "field larger than field limit"),
    "formula.csv": (lambda: "a,b\n=1+1,@SUM(A1)\n", 1),
    "html.csv": (lambda: "<!DOCTYPE html><html><body>Sign in</body></html>", "HTML page"),
    "json.csv": (lambda: '{"a": 1}\n{"a": 2}\n', "it is JSON"),
    "excel.csv": (lambda: sheet([["a"], ["x"]]), "is no text.*xlsx"),
    "parquet.csv": (lambda: columnar({"a": ["x"]}), r"is no text.*\.parquet"),
    "gzip.jsonl": (lambda: b"\x1f\x8b\x08\x00rest", "gzip"),
    "document.txt": (lambda: b"%PDF-1.7 ...", "PDF"),
    # JSON
    "cut.jsonl": (lambda: '{"a": 1}\n{"a": 2\n', "line 2: not valid JSON"),
    "mixture.jsonl": (lambda: '{"a": 1}\n[1]\n', "line 2: expected an object"),
    "lists.jsonl": (lambda: '["good", 1]\n["bad", 0]\n', 2),
    "texts.jsonl": (lambda: '"one"\n"two"\n', 2),
    "numbers.jsonl": (lambda: "1\n2\n", "expected an object"),
    "separators.jsonl": (lambda: '{"a": "x\u2028y"}\n{"a": "\u0085"}\n', 2),
    "nan.jsonl": (lambda: '{"a": NaN, "b": "x"}\n', 1),
    "infinity.jsonl": (lambda: '{"a": Infinity, "b": "x"}\n', "row 1: a number that is infinite"),
    "none.jsonl": (lambda: '{"a": null, "b": "x"}\n', 1),
    "surrogate.jsonl": (lambda: '{"a": "\\ud83d"}\n', "half a character"),
    "digits.jsonl": (lambda: '{"a": ' + "9" * 5000 + "}\n", "thousands of digits"),
    "keys_differ.jsonl": (lambda: '{"a": 1}\n{"b": 2}\n', 2),
    "same_key.jsonl": (lambda: '{"a": 1, "a": 2}\n', 1),
    "nested.jsonl": (lambda: json.dumps({"messages": [{"role": "user", "content": "x"}]}) + "\n", 1),
    "deep.jsonl": (lambda: '{"a": ' + deep(60) + "}\n", "nested too deeply; at most 20"),
    "many_keys.jsonl": (lambda: json.dumps({f"k{n}": n for n in range(100_000)}) + "\n", "100,000 columns"),
    "object.json": (lambda: '{"a": 1}', "expected a list of objects"),
    "deep.json": (lambda: "[" * 100_000, "nested too deeply|not valid JSON"),
    "cut.json": (lambda: '[{"a": 1}, {"a":', "not valid JSON"),
    "empty_list.json": (lambda: "[]", "is empty"),
    "bom.json": (lambda: b'\xef\xbb\xbf[{"a": 1}]', 1),
    "lines.json": (lambda: '{"a": 1}\n{"a": 2}\n', "not valid JSON"),
    "long.json": (lambda: json.dumps([{"a": "x" * 1000}] * 25_000), 25_000),
    "long_cut.json": (lambda: json.dumps([{"a": "x" * 1000}] * 25_000)[:-300], "after item 249.*not valid JSON"),
    "long_object.json": (lambda: json.dumps({"data": [{"a": "x" * 1000}] * 25_000}), "expected a list of objects"),
    # TXT and zips
    "lines.txt": (lambda: "one\ntwo\n", 2),
    "paragraphs.txt": (lambda: "one\nstill one\n\ntwo\n", 2),
    "texts.zip": (lambda: zipped({"a/one.txt": b"1", "b/two.txt": b"2", "__MACOSX/._one.txt": b"\0"}), 2),
    "bomb.zip": (lambda: bomb("a.txt"), "times its size; it is not read"),
    "nested.zip": (lambda: zipped({"inner.zip": b"PK"}), "text files .* only"),
    "path.zip": (lambda: zipped({"../../etc/passwd.txt": b"x"}), "leads out of the archive"),
    "absolute.zip": (lambda: zipped({"/etc/passwd.txt": b"x"}), "leads out of the archive"),
    "backslash.zip": (lambda: zipped({"..\\..\\x.txt": b"x"}), "leads out of the archive"),
    "encrypted.zip": (encrypted, "is encrypted"),
    "truncated.zip": (lambda: zipped({"a.txt": b"x" * 1000})[:-30], "no whole .zip"),
    "damaged.zip": (lambda: damaged(zipped({"a.txt": bytes(range(256)) * 40})), "damaged|pack the files again|pack it again"),
    "binary.zip": (lambda: zipped({"a.txt": b"\xff\xfe\x00"}), "is not UTF-8|null byte"),
    "empty.zip": (lambda: zipped({}), "header but no rows|is empty"),
    # XLSX
    "good.xlsx": (lambda: sheet([["text", "label"], ["x", 1], [None, None], ["y", 2.5]]), 2),
    "formula.xlsx": (lambda: sheet([["text", "label"], ["x", "=1+1"]]), "row 2: '=1.1' is a formula without a stored value"),
    "sheets.xlsx": (lambda: sheet([["a"], ["x"]], {"Second": [["b"], ["y"]]}), "2 sheets with content"),
    "unnamed.xlsx": (lambda: sheet([["text", None, "label"], ["x", "y", "z"]]), "column 2 has no name"),
    "twice.xlsx": (lambda: sheet([["a", "a"], ["x", "y"]]), "two columns are called 'a'"),
    "beyond.xlsx": (lambda: sheet([["a"], ["x", "y"]]), "row 2: a cell beyond the 1 columns"),
    "not.xlsx": (lambda: b"a,b\n1,2\n", "no whole .xlsx file"),
    "zip.xlsx": (lambda: zipped({"a.txt": b"x"}), "no whole XLSX file"),
    "bomb.xlsx": (lambda: bomb("xl/worksheets/sheet1.xml"), "times its size"),
    # Parquet
    "good.parquet": (lambda: columnar({"text": ["x", None], "label": [1, 2]}), 2),
    "bytes.parquet": (lambda: columnar({"image": [b"\x89PNG"]}), "column 'image' holds bytes"),
    "cut.parquet": (lambda: columnar({"text": ["x"] * 1000})[:-20], "no whole Parquet file"),
    "not.parquet": (lambda: b"hello", "no whole Parquet file"),
    "bomb.parquet": (dictionary_bomb, "grew beyond"),
    "rows.parquet": (lambda: columnar({"n": [1] * 3_000_000}), "3,000,000 rows; at most"),
    # names
    "model.pkl": (lambda: "x", "upload .csv"),
    "noend": (lambda: "x", "upload .csv"),
}  # fmt: skip
