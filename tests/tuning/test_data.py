"""Files, columns, split, encoding: the way from a file to what is learned."""

import json
from pathlib import Path
from typing import Any

import pytest

from prompts.errors import NotFound, UserError
from prompts.rows import Limits, Table, read_table
from prompts.uploads import save_upload
from tests.conftest import shared
from tests.tiny import tiny_tokenizer
from tuning.data.columns import Columns, conversations, guess, resolve
from tuning.data.encode import encode
from tuning.data.inspect import inspection
from tuning.data.sources import SAMPLES, open_table
from tuning.data.split import fingerprint, split


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


GOOD_FILES = [
    ("comma.csv", 'a,b\n"x, y","line\nbreak"\n', [{"a": "x, y", "b": "line\nbreak"}]),
    ("semicolon.csv", "a;b\n1;2\n", [{"a": "1", "b": "2"}]),
    ("tab.tsv", "a\tb\n1\t2\n", [{"a": "1", "b": "2"}]),
    ("bom.csv", b"\xef\xbb\xbfa,b\r\n1,2\r\n", [{"a": "1", "b": "2"}]),
    ("lines.jsonl", '{"a": 1}\n\n{"b": "\u2028"}\n', [{"a": 1, "b": None}, {"a": None, "b": "\u2028"}]),
    ("list.json", '[{"a": true}]', [{"a": True}]),
]


@pytest.mark.parametrize(("name", "content", "rows"), GOOD_FILES, ids=[name for name, *_ in GOOD_FILES])
def test_a_good_file_is_read_whole(tmp_path: Path, name: str, content: Any, rows: list[Any]) -> None:
    assert read_table(written(tmp_path, name, content)).rows == rows


def test_limits_are_said(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "a,b\n" + "1,2\n" * 5)
    for limits, message in (
        (Limits(max_bytes=3), "bytes"),
        (Limits(max_rows=2), "rows"),
        (Limits(max_columns=1), "columns"),
    ):
        with pytest.raises(UserError, match=message):
            read_table(path, limits)


def some(rows: list[dict[str, Any]]) -> Table:
    return Table("t.csv", tuple(rows[0]), rows)


@pytest.mark.parametrize(
    ("names", "mapping"),
    [
        (["instruction", "input", "output"], {"input": ("instruction", "input"), "output": "output"}),
        (["prompt", "completion"], {"input": ("prompt",), "output": "completion"}),
        (["messages"], {"messages": "messages"}),
        (["text", "label"], {"input": ("text",), "output": "label"}),
        (["foo", "bar"], {}),
    ],
)
def test_usual_names_are_guessed(names: list[str], mapping: dict[str, Any]) -> None:
    assert guess(names) == mapping


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns(), "say which columns"),
        (Columns(input=("x",), output="b"), "no column 'x'; it has a, b"),
        (Columns(input=("a",), output="c"), "output: t.csv has no column 'c'"),
        (Columns(input=("a",), output="a"), "input and output at once"),
        (Columns(messages="m"), "no column 'm'"),
    ],
)
def test_a_wrong_mapping_is_refused(columns: Columns, message: str) -> None:
    with pytest.raises(UserError, match=message):
        resolve(columns, some([{"a": "1", "b": "2"}]))


def test_empty_cells_are_named_by_row() -> None:
    rows = [{"a": "x", "b": "1"}, {"a": "x", "b": None}, {"a": "", "b": "1"}]
    with pytest.raises(UserError, match=r"row 2: the output 'b' is empty.*row 3: every input column is empty"):
        conversations(rows, Columns(input=("a",), output="b"))


def test_chats_of_both_kinds_become_conversations() -> None:
    openai = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a"},
    ]
    sharegpt = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    made = conversations([{"m": openai}, {"m": sharegpt}], Columns(messages="m"))
    assert [c.answer for c in made] == ["a", "a"]
    assert made[0].prompt.as_dicts() == openai[:2]
    for bad in (
        [],
        "text",
        [{"role": "user", "content": "q"}],
        [*openai, openai[1]],
        [{"role": "boss", "content": "x"}] * 2,
    ):
        with pytest.raises(UserError, match="row 1"):
            conversations([{"m": bad}], Columns(messages="m"))


def labelled(count: int) -> Any:
    rows = [{"text": f"row {n}", "label": "abcd"[n % 4]} for n in range(count)]
    return conversations(rows, Columns(input=("text",), output="label"))


def test_split_is_seeded_stratified_and_complete() -> None:
    rows = labelled(200)
    found = split(rows, 0.2, 0)
    assert (len(found.train), len(found.held_out)) == (160, 40)
    assert sorted([*found.train, *found.held_out]) == list(range(200))
    assert all(sum(rows[at].answer == label for at in found.held_out) == 10 for label in "abcd")
    assert split(rows, 0.2, 0) == found
    assert split(rows, 0.2, 1) != found
    assert split(rows, 0.0, 0).held_out == ()


def test_the_same_input_never_stands_on_both_sides() -> None:
    rows = conversations(
        [{"text": f"Row  {n % 30}", "label": "x"} for n in range(120)], Columns(input=("text",), output="label")
    )
    found = split(rows, 0.3, 3)
    sides = [{rows[at].prompt.plain() for at in side} for side in (found.train, found.held_out)]
    assert not sides[0] & sides[1]
    assert 25 <= len(found.held_out) <= 45


def test_too_few_rows_to_hold_out_are_refused() -> None:
    with pytest.raises(UserError, match="too few"):
        split(labelled(1), 0.2, 0)


def test_fingerprint_follows_every_text() -> None:
    rows = labelled(10)
    assert fingerprint(rows) == fingerprint(labelled(10))
    assert fingerprint(rows) != fingerprint(rows[::-1])


def test_only_the_answer_is_learned() -> None:
    tokenizer = tiny_tokenizer()
    encoded = encode(labelled(3), tokenizer, 512, "stop")
    for row in encoded.rows:
        assert tokenizer.decode(row.ids[row.context :]) in ("a<|end|>", "b<|end|>", "c<|end|>")


def test_long_rows_are_never_cut_unasked() -> None:
    rows = conversations(
        [{"t": "x", "o": "y"}, {"t": "x", "o": "y" * 90}, {"t": "x" * 90, "o": "y"}], Columns(input=("t",), output="o")
    )
    tokenizer = tiny_tokenizer()
    with pytest.raises(UserError, match=r"2 of 3 rows are longer than 40 tokens \(row 2"):
        encode(rows, tokenizer, 40, "stop")
    dropped = encode(rows, tokenizer, 40, "drop")
    assert (len(dropped.rows), dropped.dropped) == (1, (1, 2))
    with pytest.raises(UserError, match="would teach nothing"):
        encode(rows, tokenizer, 40, "cut")
    cut = encode(rows[:2], tokenizer, 40, "cut")
    assert cut.cut == (1,) and len(cut.rows[1].ids) == 40
    with pytest.raises(UserError, match="every row is longer"):
        encode(rows[1:], tokenizer, 20, "drop")


def test_inspection_says_what_is_wrong() -> None:
    found = inspection(some([{"a": "1", "b": "2"}]), Columns())
    assert found["rows"] == 1 and found["columns"] == ["a", "b"]
    assert "say which columns" in found["problem"]
    good = inspection(some([{"text": f"t{n}", "label": "xy"[n % 2]} for n in range(8)]), Columns())
    assert good["problem"] is None
    assert good["labels"] == {"x": 4, "y": 4}
    assert len(good["examples"]) == 5


def test_uploads_belong_to_their_owner(tmp_path: Path) -> None:
    source = save_upload("ana", written(tmp_path, "a.csv", "text,label\nx,y\n"), "../../evil name?.csv")
    assert open_table("ana", source).rows == [{"text": "x", "label": "y"}]
    for owner, name in (("ben", source), ("ana", "upload:../../x"), ("ana", "upload:" + "0" * 20)):
        with pytest.raises(NotFound):
            open_table(owner, name)
    with pytest.raises(UserError, match="is no data"):
        open_table("ana", "nothing")


def test_own_samples_are_as_promised() -> None:
    for source, columns in SAMPLES.items():
        table = open_table("local", source)
        assert len(conversations(table.rows, resolve(columns, table))) >= 100
    rows = open_table("local", "sample:support_emails").rows
    labels = [row["label"] for row in rows]
    counts = {label: labels.count(label) for label in set(labels)}
    assert len(rows) >= 200 and len(counts) >= 4 and max(counts.values()) <= 1.1 * min(counts.values())
    texts = [f"{row['subject']} {row['email']}".lower() for row in rows]
    assert not [label for label in counts for text in texts if label in text], "no label's name in a text"
    words = [len(text.split()) for text in texts]
    assert min(words) < 12 and max(words) > 90
    assert near_duplicates(texts) < 0.02 * len(texts)


def near_duplicates(texts: list[str]) -> int:
    """Texts that share half their three-word runs with another."""
    grams = [{tuple(text.split()[at : at + 3]) for at in range(max(1, len(text.split()) - 2))} for text in texts]
    return sum(any(len(a & b) > 0.5 * len(a | b) for j, b in enumerate(grams) if i != j) for i, a in enumerate(grams))


def test_shared_emails_are_read_alike_from_both_files() -> None:
    as_csv, as_json = read_table(shared("support_emails.csv")), read_table(shared("support_emails.jsonl"))
    assert [row["email"] for row in as_csv.rows] == [row["email"] for row in as_json.rows]
    assert json.dumps(as_json.rows[0])
