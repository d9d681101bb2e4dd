"""What will be learned: rendered as it is asked, shown before training, split without leaks, locked."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prompts.backends import open_backend
from prompts.comparison import run as compare
from prompts.errors import UserError
from prompts.experiment import Experiment
from prompts.held_out import check_examples, named_table
from prompts.loading import load_tokenizer
from prompts.rendering import answered_texts, render
from prompts.rows import Table
from prompts.settings import build
from prompts.ui.progress import TimeLeft
from prompts.uploads import uploads
from tests.hub_server import Hub, Repo
from tests.tiny import CHAT, NO_SYSTEM, tiny_llama, tiny_tokenizer
from tuning import run as runs
from tuning.data.columns import Columns, Conversations, guess, resolve
from tuning.data.encode import Tokens, encode, fit, tokenise, view
from tuning.data.hub import hub_data, save_dataset
from tuning.data.preview import preview
from tuning.data.sources import open_table
from tuning.data.split import given_split, split
from tuning.recipe import Reading, Recipe

COLUMNS = Columns(input=("text",), output="label", instruction="Which?")
THINKING = CHAT.replace("<|assistant|>{% endif %}", "<|assistant|><think>\n{% endif %}")
TEMPLATES = {"system": CHAT, "no system": NO_SYSTEM + CHAT, "thinking": THINKING, "none": None}


def table(count: int = 40) -> Table:
    rows = [
        {"text": f"Row {n} says {'good' if n % 2 else 'bad'} things " + "x" * (n % 9), "label": "ab"[n % 2]}
        for n in range(count)
    ]
    return Table("t.csv", ("text", "label"), rows)


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_is_learned_is_what_is_asked(template: str, tmp_path: Path) -> None:
    """Byte for byte what the prompt tabs send, for models with and without a system role, with thinking, with no template."""
    folder = str(tiny_llama(tmp_path / "model", TEMPLATES[template]))
    found = preview(table(), COLUMNS, Reading(model=folder), "local", shown=40)
    tokenizer = load_tokenizer(folder)
    conversation = Conversations(table().rows, COLUMNS)[3]
    asked = open_backend(folder, "local").render(conversation.prompt)
    assert asked is not None
    fourth = next(row for row in found["shown"] if row["row"] == 4)
    spans = {span["kind"]: span["text"] for span in fourth["spans"]}
    assert spans["context"] == asked.text == tokenizer.decode(asked.ids)
    assert spans["learned"].startswith("b") and spans["learned"].endswith("<|end|>")
    assert found["end_of_turn_trained"] == found["rows"] == 40 and found["blocked"] is None


def test_plain_text_is_learned_whole() -> None:
    rows = [{"text": "one two"}, {"text": "three"}]
    encoded = encode(Conversations(rows, Columns(output="text")), tiny_tokenizer(), 64, "stop")
    assert [tiny_tokenizer().decode(row.ids) for row in encoded.rows] == ["one two<|end|>", "three<|end|>"]
    assert [row.context for row in encoded.rows] == [1, 1], "nothing comes before the first token"


def tokens(*rows: tuple[int, int]) -> Tokens:
    """Rows of (context, learned) tokens, numbered through."""
    ends = np.cumsum([a + b for a, b in rows])
    return Tokens(np.arange(ends[-1]), ends, np.array([a for a, _ in rows]))


@pytest.mark.parametrize("rows", [((10, 90), (5, 5)), ((60, 40),), ((0, 100),), ((200, 3), (1, 1))])
def test_a_split_row_learns_every_token_once(rows: tuple[tuple[int, int], ...]) -> None:
    found = fit(tokens(*rows), range(len(rows)), 32, "split")
    learned = [token for row in found.rows for token in row.ids[row.context :]]
    start, expected = 0, []
    for context, count in rows:
        expected += range(start + context, start + context + count)
        start += context + count
    assert learned == expected
    assert all(len(row.ids) <= 32 for row in found.rows)


def test_the_four_numbers_are_right(tiny: str) -> None:
    rows = [{"text": "x", "label": "a"}, {"text": "x", "label": "y" * 60}, {"text": "z" * 90, "label": "a"}]
    data = Table("t", ("text", "label"), rows)
    mapping = Columns(input=("text",), output="label")
    found = preview(data, mapping, Reading(model=tiny, max_length=40, overlong="cut"), "local")
    tokenizer = tiny_tokenizer()
    pairs = ["".join(answered_texts(c.prompt, c.answer, tokenizer)) for c in Conversations(rows, mapping)]
    real = [len(tokenizer(pair, add_special_tokens=False)["input_ids"]) for pair in pairs]
    assert found["rows_cut"] == 2 and found["rows_with_nothing_to_learn"] == 1 and found["end_of_turn_trained"] == 1
    assert found["tokens_lost"] == sum(length - 40 for length in real if length > 40)
    assert [row["row"] for row in found["shown"]] == [3, 2, 1], "the worst first"
    assert "would teach nothing (row 3)" in found["blocked"]


def test_tokens_are_made_once(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    talks, tokenizer = Conversations(table().rows, COLUMNS), load_tokenizer(tiny)
    first = tokenise(talks, tokenizer, tmp_path, "data")
    monkeypatch.setattr("tuning.data.encode._tokenised", lambda *_: pytest.fail("tokenised again"))
    again = tokenise(talks, tokenizer, tmp_path, "data")
    assert (np.asarray(first.ids) == np.asarray(again.ids)).all() and (first.ends == again.ends).all()
    assert len(view(again, [3, 1], 512, "stop").rows) == 2


@pytest.mark.parametrize(
    ("names", "rows", "expected"),
    [
        (["review", "stars"], [{"review": f"So {n}", "stars": n % 2} for n in range(9)], {"input": ("review",), "output": "stars"}),
        (["a", "b"], [{"a": f"the cat {n}", "b": f"el gato {n}"} for n in range(9)], {"input": ("a",), "output": "b"}),
        (["column_1"], [{"column_1": f"some text {n}"} for n in range(9)], {"output": "column_1"}),
        (["c"], [{"c": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}], {"messages": "c"}),
        (["Text", "LABEL"], [{"Text": "x", "LABEL": "y"}], {"input": ("Text",), "output": "LABEL"}),
        (["id", "subject", "body", "urgent", "label"],
         [{"id": str(n), "subject": f"Re: {n} x", "body": f"text {n} y", "urgent": n % 2, "label": "ab"[n % 2]} for n in range(12)],
         {"input": ("subject", "body"), "output": "label"}),
        (["a", "b"], [{"a": 1, "b": 2}], {}),
    ],
)  # fmt: skip
def test_shapes_are_guessed_by_content(names: list[str], rows: list[Any], expected: dict[str, Any]) -> None:
    assert guess(names, rows) == expected


def test_parts_are_disjoint_and_near_duplicates_stay_together() -> None:
    groups = [n // 3 for n in range(120)]
    talks = Conversations(table(120).rows, COLUMNS)
    found = split(talks, 0.2, 0, 0.1, groups)
    parts = [set(found.train), set(found.validation), set(found.held_out)]
    assert sorted(at for part in parts for at in part) == list(range(120))
    assert not any({groups[at] for at in a} & {groups[at] for at in b} for a in parts for b in parts if a is not b)
    assert 18 <= len(found.held_out) <= 27 and 9 <= len(found.validation) <= 15


def test_a_split_column_is_followed() -> None:
    rows = [{"text": f"t{n}", "label": "x", "split": ["train", "dev", "TEST"][n % 3]} for n in range(9)]
    found = given_split(rows, Columns(split="split"), 0)
    assert [sorted(part) for part in (found.train, found.validation, found.held_out)] == [
        [0, 3, 6],
        [1, 4, 7],
        [2, 5, 8],
    ]
    with pytest.raises(UserError, match="row 1: the split column 'split' says 'maybe'"):
        given_split([{"split": "maybe"}], Columns(split="split"), 0)


def test_held_out_rows_are_locked(tiny: str) -> None:
    data = table()
    run = runs.create("local", data, Recipe(model=tiny), COLUMNS)
    held, trained = run.numbers("held_out"), run.numbers("train")
    assert [row["text"] for row in named_table(f"run:{run.id}", "local").rows] == [data.rows[at]["text"] for at in held]
    locked, free = data.rows[held[0]]["text"], data.rows[trained[0]]["text"]
    check_examples("local", [free])
    check_examples("ben", [locked])
    with pytest.raises(UserError, match=f"example 2 is a held-out row of run {run.id}"):
        check_examples("local", [free, f"  {locked.upper()} "])
    variant = {
        "name": "v",
        "technique": "few_shot",
        "settings": {"model": f"run:{run.id}", "task": "?", "input": "{{ text }}"},
    }
    experiment = build(Experiment, {"variants": [variant], "scorer": "exact_match"})
    with pytest.raises(UserError, match=rf"'v': run:{run.id} was trained on 32 of 40 rows"):
        list(compare(experiment, data, "local", lambda name: open_backend(tiny, "local")))
    example = {"model": tiny, "task": "?", "input": "{{ text }}", "examples": [{"input": locked, "output": "a"}]}
    shown = build(Experiment, {"variants": [{**variant, "settings": example}], "scorer": "exact_match"})
    with pytest.raises(UserError, match="'v': examples: example 1 is a held-out row"):
        list(compare(shown, data, "local", lambda name: open_backend(tiny, "local")))
    run.set_state("failed")
    runs.find("local", run.id).delete()
    check_examples("local", [locked])


@pytest.mark.slow
def test_a_dataset_of_the_hub_is_read(hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.tuning.test_train import shell

    lines = "".join(json.dumps(row) + "\n" for row in table().rows)
    hub.repos["datasets/ana/rows"] = Repo(private=False)
    hub.repos["datasets/ana/rows"].commits.append(
        ("a" * 40, {"data/train.jsonl": lines.encode(), "README.md": b"---\n---\n"})
    )
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    done = shell("tuning", "inspect", "hub:ana/rows:train[:30]", "--json", home=home)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["rows"] == 30 and found["mapping"]["output"] == "label" and "of the Hub" in found["notes"][0]
    for text, message in (("ana/rows:nope", "nope"), ("ana/none", "'ana/none'")):
        done = shell("tuning", "inspect", f"hub:{text}", home=home)
        assert done.returncode == 2 and message in done.stderr, done.stderr


def test_a_dataset_tells_the_rows_it_has_read_and_is_stopped(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr("datasets.config.HF_ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    lines = "".join(json.dumps(row) + "\n" for row in table().rows)
    hub.repos["datasets/ana/rows"] = Repo(
        False, [("a" * 40, {"data/train.jsonl": lines.encode(), "README.md": b"---\n---\n"})]
    )
    told: list[tuple[int, int]] = []

    def tell(done: int, of: int) -> None:
        told.append((done, of))

    source = save_dataset("local", hub_data("ana/rows:train[:30]"), None, tell)
    assert told == [(done, 30) for done in range(30)] and len(open_table("local", source).rows) == 30
    told.clear()
    save_dataset("local", hub_data("ana/rows"), None, tell)
    assert {of for _, of in told} == {0}, "its page does not say how many it has"
    assert TimeLeft().line({"done": 1200, "of": 0}) == "1,200 so far…"

    def stop(done: int, _of: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    before = uploads("local")
    with pytest.raises(KeyboardInterrupt):
        save_dataset("local", hub_data("ana/rows"), None, stop)
    assert uploads("local") == before, "nothing is left of it"


def test_wrong_names_of_datasets_are_refused() -> None:
    for text, message in (("rows", "owner/name"), ("a/b:c:d:e", "owner/name:config"), ("prompts/samples", "folder of this machine"),
                          ("../x", "owner/name")):  # fmt: skip
        with pytest.raises(UserError, match=message):
            save_dataset("local", hub_data(text))


def test_unknown_columns_are_told() -> None:
    with pytest.raises(UserError, match="no column 'part'"):
        resolve(Columns(input=("text",), output="label", split="part"), table())
    assert render(Conversations(table().rows, COLUMNS)[0].prompt, tiny_tokenizer()).text.startswith("<|user|>Which?")
