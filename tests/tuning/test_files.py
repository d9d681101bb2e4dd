"""No file makes a traceback, none takes much memory, and nothing of a good one is lost."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prompts.errors import UserError
from prompts.rows import SUFFIXES, Limits, read_table
from tests.serving import ROOT
from tests.tuning.bad_files import FILES

SMALL = Limits(max_expanded=400_000_000)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_or_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    make, expected = FILES[name]
    path = tmp_path / name
    content = make()
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    if isinstance(expected, int):
        table = read_table(path, SMALL)
        assert len(table.rows) == expected == len(list(table.rows))
        assert all(set(row) == set(table.columns) for row in table.rows[:50])
        return
    with pytest.raises(UserError, match=expected):
        read_table(path, SMALL)


def test_what_was_read_is_said(tmp_path: Path) -> None:
    def notes(name: str) -> str:
        made = FILES[name][0]()
        (tmp_path / name).write_bytes(made if isinstance(made, bytes) else made.encode())
        return " ".join(read_table(tmp_path / name).notes)

    assert "cp1252" in notes("windows1252.csv") and "guessed" in notes("latin.csv")
    assert "UTF-16" in notes("utf16.csv") and "separated by ';'" in notes("semicolons.csv")
    assert "column_1 to column_2" in notes("no_header.csv") and "1 cells hold NaN" in notes("nan.jsonl")
    assert "hidden files" in notes("texts.zip") and "Each paragraph" in notes("paragraphs.txt")
    assert notes("bom.csv") == ""


def test_letters_survive_every_encoding(tmp_path: Path) -> None:
    for name, expected in (
        ("latin.csv", "niño pequeño"),
        ("windows1252.csv", "“quoted” – it’s fine"),
        ("utf32.csv", "ñ"),
    ):
        (tmp_path / name).write_bytes(FILES[name][0]())  # type: ignore[arg-type]
        assert expected in read_table(tmp_path / name).rows[0].values()


READ = """
import sys
from pathlib import Path
from prompts.errors import UserError
from prompts.rows import Limits, read_table
rows = 0
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        rows += sum(1 for _ in read_table(path, Limits(max_expanded=400_000_000)).rows)
    except UserError:
        pass
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(rows, int(peak.split()[1]) * 1024)
"""


def rows_and_peak(folder: Path) -> tuple[int, int]:
    """All rows of the files in a folder, read by a process of its own, and the most memory it held in bytes."""
    done = subprocess.run([sys.executable, "-c", READ, folder], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rows, peak = map(int, done.stdout.split())
    return rows, peak


@pytest.mark.slow
def test_no_file_takes_much_memory(tmp_path: Path) -> None:
    for name, (make, _) in FILES.items():
        content = make()
        (tmp_path / name).write_bytes(
            content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        )
    _, peak = rows_and_peak(tmp_path)
    assert peak < 400_000_000, "the bombs alone would unpack to 20 GB"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), suffix=st.sampled_from(SUFFIXES))
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes, suffix: str) -> None:
    path = tmp_path / f"fuzz{suffix}"
    path.write_bytes(data)
    with suppress(UserError):
        assert len(read_table(path).rows) > 0


cells = st.text(alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r"), max_size=20)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=8))
def test_what_is_written_is_read(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    import csv

    expected = [{"first name": a, "second name": b} for a, b in rows]
    lines = tmp_path / "a.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in expected), encoding="utf-8")
    assert read_table(lines).rows == expected
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["first name", "second name"], quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(expected)
    assert read_table(tmp_path / "a.csv").rows == expected


@pytest.mark.slow
def test_a_large_file_does_not_take_its_size_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    line = json.dumps({"text": "x" * 2000, "label": "a"}) + "\n"
    with path.open("w") as file:
        for _ in range(100):
            file.write(line * 1500)  # 300 MB
    rows, peak = rows_and_peak(tmp_path)
    assert rows == 150_000 and peak < 150_000_000


def test_limits_come_from_the_environment(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "x,y\n" * 5)
    monkeypatch.setenv("PROMPT_OR_TUNE_MAX_ROWS", "2")
    with pytest.raises(UserError, match="more than 2 rows"):
        read_table(path)
    monkeypatch.setenv("PROMPT_OR_TUNE_MAX_ROWS", "many")
    with pytest.raises(UserError, match="max_rows"):
        read_table(path)
