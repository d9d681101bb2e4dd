"""The data doctor finds what was planted, and its fixes can be taken back."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from prompts.errors import UserError
from prompts.rows import Row, Table
from prompts.uploads import save_upload
from tests.tuning import planted
from tuning.data.bias import NAMES, WORDS, Screen, decisive
from tuning.data.columns import Columns
from tuning.data.doctor import FINDINGS, Finding, examine
from tuning.data.duplicates import find_groups
from tuning.data.fixes import Fix
from tuning.data.personal import find, mask
from tuning.data.sources import fix_source, inspected, open_table, patches
from tuning.harm.report import GROUPS

COLUMNS = Columns(input=("text",), output="label")


def found(rows: list[Row], columns: Columns = COLUMNS) -> dict[str, Finding]:
    return {one.kind: one for one in examine(Table("t", tuple(rows[0]), rows), columns)}


def plain(count: int = 40) -> list[Row]:
    """Rows without any finding."""
    rng = random.Random(1)
    words = [
        "garden",
        "river",
        "window",
        "market",
        "letter",
        "summer",
        "bridge",
        "music",
        "paper",
        "kitchen",
        "story",
        "winter",
        "valley",
        "engine",
    ]
    return [
        {"text": f"The {' '.join(rng.sample(words, 6))} number {n} is here", "label": "ab"[n % 2]} for n in range(count)
    ]


PLANTED: dict[str, tuple[Row, ...]] = {
    "empty": ({"text": "  ", "label": "a"}, {"text": "something to say", "label": None}),
    "secrets": ({"text": "my key is hf_abcdefghijklmnopqrstuvwxyzABCDEFGH", "label": "a"},),
    "personal": ({"text": "write to ana@example.com please", "label": "a"},),
    "encoding": ({"text": "A cafÃ© in MÃ¡laga was closed", "label": "a"},),
    "html": ({"text": "<p>Fish &amp; chips</p>", "label": "a"},),
    "offensive": ({"text": "What a bastard he has been to us", "label": "a"},),
    "copied": ({"text": "a", "label": "a"},),
    "tiny": ({"text": "?", "label": "b"},),
    "huge": ({"text": "word " * 2000, "label": "a"},),
    "duplicates": ({"text": "Twice the very same words here", "label": "a"},) * 2,
    "conflicts": ({"text": "One question, two answers", "label": "a"}, {"text": "one question,  two answers", "label": "b"}),
    "near_duplicates": (
        {"text": "The parcel I ordered on Monday has still not arrived at my door", "label": "a"},
        {"text": "The parcel I ordered on Tuesday has still not arrived at my door", "label": "a"},
    ),
    "label_spellings": tuple({"text": f"Something else, {n} times over", "label": "A "} for n in range(6)),
    "rare_labels": ({"text": "The only one of its kind", "label": "unique"},),
}  # fmt: skip


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_planted_is_found_and_the_rest_is_left_alone(kind: str) -> None:
    rows = plain()
    assert not [one for one in found(rows) if one != "no_bias"]
    rng = random.Random(3)
    at = sorted(rng.sample(range(len(rows)), len(PLANTED[kind])))
    for place, row in zip(at, PLANTED[kind], strict=True):
        rows.insert(place, row)
    places = [number for number, row in enumerate(rows) if any(row is one for one in PLANTED[kind])]
    expected = places[1:] if kind in ("duplicates", "near_duplicates") else places
    finding = found(rows)[kind]
    assert list(finding.rows) == expected
    assert finding.why and finding.title and finding.document()["count"] == len(expected)


def test_every_finding_says_what_it_is() -> None:
    assert set(PLANTED) | {"overlap", "unlike", "bias", "no_bias", "balance", "languages"} == set(FINDINGS)


def test_personal_data_are_found_and_little_else() -> None:
    hits = misses = wrong = 0
    for text, kinds in planted.rows():
        seen = {kind for kind, *_ in find(text)}
        hits, misses, wrong = hits + len(seen & kinds), misses + len(kinds - seen), wrong + len(seen - kinds)
    assert hits + misses == 350
    assert hits / (hits + misses) >= 0.95, "recall"
    assert hits / (hits + wrong) >= 0.9, "precision"


def test_a_mask_leaves_no_personal_data() -> None:
    assert mask("Mail ana@example.com or call (415) 555-2671.") == "Mail [EMAIL] or call [PHONE]."
    assert all(not find(mask(text)) for text, _ in planted.rows(seed=5))


def sentences(count: int) -> list[str]:
    rng = random.Random(7)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(3000)]
    return [" ".join(rng.choices(words, k=rng.randint(12, 60))) for _ in range(count)]


def edited(text: str, rng: random.Random) -> str:
    """As people repeat themselves: another word, a word less, other case and signs, a greeting before it."""
    words = text.split()
    at = rng.randrange(len(words))
    return rng.choice([
        " ".join([*words[:at], "other", *words[at + 1 :]]) if len(words[at]) < 8 else text + ".",
        " ".join([*words[:at], *words[at + 1 :]]),
        text.title() + "!!",
        "hi, " + text,
    ])  # fmt: skip


@pytest.mark.parametrize("kept", [50_000, 3])
def test_near_duplicates_are_found_with_precision_and_recall(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuning.data.duplicates.KEPT", kept)
    rng = random.Random(2)
    texts = sentences(3000)
    copies = {at + 11 for at in range(0, 2900, 10)}
    for at in copies:
        texts[at] = edited(texts[at - 11], rng)
    groups = find_groups(texts, texts.__getitem__, len(texts))
    seen = {at for at in range(len(texts)) if groups.near[at] != at}
    assert len(seen & copies) / len(copies) >= 0.95, "recall"
    assert len(seen & copies) / len(seen) >= 0.95, "precision"
    assert all(groups.near[at] == at - 11 for at in seen & copies if at - 11 not in copies)


def test_a_split_column_with_overlap_is_found_and_mended() -> None:
    rows = [{**row, "split": "test" if n % 5 == 0 else "train"} for n, row in enumerate(plain())]
    rows[5] = {**rows[1], "split": "test"}
    finding = found(rows, COLUMNS.changed(split="split"))["overlap"]
    assert finding.rows == (5,) and finding.weight == "stop"


def test_languages_and_balance_are_told() -> None:
    rows = plain(60)
    spanish = [
        {"text": f"El gato número {n} duerme en la casa de mi abuela cuando llueve", "label": "a"} for n in range(20)
    ]
    assert "es " in found([*rows, *spanish])["languages"].detail
    skewed = [{**row, "label": "a"} for row in rows] + [
        {"text": f"Rare {n} thing of its kind", "label": "b"} for n in range(6)
    ]
    assert "'a' 60 rows" in found(skewed)["balance"].detail


def test_the_bias_screen_finds_what_is_there_and_not_what_is_not() -> None:
    rng = random.Random(4)

    def screen(chance_she: float, chance_he: float) -> tuple[list[Any], tuple[list[int], int]]:
        made = Screen()
        for n in range(400):
            who, chance = [("she", chance_she), ("he", chance_he)][n % 2]
            made.add(n, f"Yesterday {who} asked about loan {n}", "granted" if rng.random() < chance else "refused")
        return decisive(made.associations({"granted", "refused"})), made.unlike()

    assert screen(0.3, 0.7)[0][0]["dimension"] == "gender"
    calls = sum(bool(screen(0.5, 0.5)[0]) for _ in range(60))
    assert calls <= 9, "at most 5 % false calls (9 of 60 is far beyond chance)"
    pair = Screen()
    pair.add(0, "She is a nurse and wants a loan", "refused")
    pair.add(1, "He is a nurse and wants a loan", "granted")
    pair.add(2, "He is a baker", "granted")
    assert pair.unlike() == ([0, 1], 1)


@pytest.fixture
def upload(tmp_path: Path) -> str:
    import json

    rows = [*plain(), *(row for kind in ("personal", "html", "encoding", "duplicates", "conflicts", "label_spellings")
                        for row in PLANTED[kind])]  # fmt: skip
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return save_upload("ana", file)


def test_fixes_are_applied_and_taken_back(upload: str) -> None:
    before = list(open_table("ana", upload).rows)
    for finding, fix in (("personal", "mask"), ("html", "strip_html"), ("encoding", "fix_encoding"), ("duplicates", "drop"),
                         ("label_spellings", "merge"), ("conflicts", "drop")):  # fmt: skip
        assert fix_source("ana", upload, COLUMNS, Fix(finding=finding, fix=fix)) == upload
    after = open_table("ana", upload)
    texts = [row["text"] for row in after.rows]
    assert "write to [EMAIL] please" in texts and "Fish & chips" in texts and "A café in Málaga was closed" in texts
    assert {row["label"] for row in after.rows} == {"a", "b"} and len(after.rows) == len(before) - 3
    assert len(after.notes) == 6 == len(patches("ana", upload))
    for _ in range(6):
        fix_source("ana", upload, COLUMNS, Fix(undo=True))
    assert list(open_table("ana", upload).rows) == before
    with pytest.raises(UserError, match="nothing was fixed yet"):
        fix_source("ana", upload, COLUMNS, Fix(undo=True))


def test_a_fix_counts_its_rows_and_one_that_is_stopped_changes_nothing(upload: str) -> None:
    told: list[tuple[int, int]] = []
    rows = len(open_table("ana", upload).rows)
    mask_them = Fix(finding="personal", fix="mask")
    before = list(open_table("ana", upload).rows)
    for stop_at in range(rows):

        def stop(done: int, of: int, at: int = stop_at) -> None:
            if done > at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fix_source("ana", upload, COLUMNS, mask_them, stop)
        assert list(open_table("ana", upload).rows) == before and patches("ana", upload) == []
    fix_source("ana", upload, COLUMNS, mask_them, lambda done, of: told.append((done, of)))
    assert told == sorted(told) and told[-1] == (rows, rows) and len(told) > rows
    assert list(open_table("ana", upload).rows) != before


def test_rows_are_looked_through_once_for_a_mapping_until_they_change(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows: list[Row] = [{**row, "label": "say"} for row in plain(14)]  # labels called as the parts of a kept sentence
    rows.append({"text": "my key is hf_abcdefghijklmnopqrstuvwxyzABCDEFGH", "label": "values"})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    source = save_upload("ana", file)

    told: list[int] = []

    def look(columns: Columns) -> dict[str, Any]:
        told.clear()
        return inspected("ana", source, columns, lambda done, _of: told.append(done))

    first = look(Columns())
    assert len(told) == 15 and first["mapping"] == COLUMNS.to_json()
    assert first["labels"] == {"say": 14, "values": 1} and look(COLUMNS) == first and not told
    assert look(COLUMNS.changed(instruction="Which?"))["fingerprint"] != first["fingerprint"] and len(told) == 15
    fix_source("ana", source, COLUMNS, Fix(finding="secrets", fix="drop"))
    assert look(COLUMNS)["labels"] == {"say": 14} and len(told) == 14
    fix_source("ana", source, COLUMNS, Fix(undo=True))
    assert look(COLUMNS) == first
    assert "has no column" in look(COLUMNS.changed(output="other"))["problem"] and not told


def test_every_group_is_known_by_name_in_spanish() -> None:
    assert {group for groups in WORDS.values() for group in groups} == set(NAMES)
    assert set(WORDS) <= set(GROUPS)


def test_wrong_fixes_are_refused_and_change_nothing(upload: str) -> None:
    before = list(open_table("ana", upload).rows)
    for fix, message in ((Fix(finding="personal", fix="merge"), "no fix 'merge'; there is mask, drop"),
                         (Fix(finding="nothing", fix="drop"), "there is no finding 'nothing'")):  # fmt: skip
        with pytest.raises(UserError, match=message):
            fix_source("ana", upload, COLUMNS, fix)
    assert list(open_table("ana", upload).rows) == before


def test_a_sample_is_fixed_in_a_copy() -> None:
    source = fix_source("ana", "sample:support_emails", Columns(), Fix(finding="secrets", fix="drop"))
    assert source.startswith("upload:")
    assert len(open_table("ana", source).rows) == len(open_table("ana", "sample:support_emails").rows) - 1
