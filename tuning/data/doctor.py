"""The data doctor: what is wrong with rows before anything learns from them. It changes nothing by itself.

Each finding says how many, which rows, why it matters and which fixes there are (tuning/data/fixes.py).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from prompts.following import Progress, told_to_nobody
from prompts.rows import Table
from prompts.scoring import MOST_LABELS, most_labels
from prompts.words import later, say
from tuning.data.bias import Screen, decisive, sentence
from tuning.data.columns import Columns, compared, texts
from tuning.data.split import part_of

Weight = Literal["stop", "warn", "note"]
SHOWN = 20  # row numbers shown of a finding; the report has all
TINY, HUGE, TIMES = 3, 2000, 20  # characters; huge is longer than HUGE and TIMES the median
LEAST, SKEW = 5, 5.0  # a label is rare below LEAST rows; labels are unbalanced from SKEW times as many
SAMPLE = 2000  # rows whose language is looked at

TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
LANGUAGES = (
    "ar bg ca cs da de el en es fa fi fr he hi hu id it ja ko nl no pl pt ro ru sk sv th tr uk vi zh"  # told apart
)
_HTML = re.compile(TAG.pattern + r"|&(?:nbsp|amp|lt|gt|quot|#\d{1,6}|#x[0-9a-fA-F]{1,5});")


@dataclass(frozen=True)
class Finding:
    """`rows` are numbers counted from 0; `weight` "stop" blocks training until it is fixed."""

    kind: str
    title: str
    weight: Weight
    rows: tuple[int, ...]
    why: str
    detail: str = ""
    fixes: tuple[str, ...] = ()

    def document(self, shown: int | None = SHOWN) -> dict[str, Any]:
        """Plain values, row numbers from 1; `shown` rows at most (None: all)."""
        rows = [row + 1 for row in self.rows[:shown]]
        return {"finding": self.kind, "title": self.title, "weight": self.weight, "count": len(self.rows), "rows": rows,
                "why": self.why, "detail": self.detail, "fixes": list(self.fixes)}  # fmt: skip


def examine(table: Table, columns: Columns, progress: Progress = told_to_nobody) -> list[Finding]:
    """Everything found, the gravest first. `progress` is called with (rows looked at, rows)."""
    from tuning.data.duplicates import find_groups

    look = _Look(table, columns)
    groups = find_groups(look.read(), lambda at: compared(table.rows[at], columns), len(table.rows), progress)
    found = [*look.row_findings(), *look.length_findings(), *look.duplicate_findings(groups), *look.label_findings(),
             *look.language_findings(), *look.bias_findings()]  # fmt: skip
    order = list(FINDINGS)
    return sorted(found, key=lambda one: order.index(one.kind))


class _Look:
    """One pass over the rows, and what it left behind."""

    def __init__(self, table: Table, columns: Columns) -> None:
        self.table, self.columns = table, columns
        self.marked: dict[str, list[int]] = defaultdict(list)
        self.kinds: dict[str, Counter[str]] = defaultdict(Counter)
        self.lengths: list[int] = []
        self.answers: list[int] = []  # hashes
        self.distinct: Counter[str] = Counter()
        self.parts: list[str] = []
        self.languages: Counter[str] = Counter()
        self.screen = Screen()
        self._every = max(1, len(table.rows) // SAMPLE)

    def read(self) -> Iterator[str]:
        """The text of each row that is compared with others."""
        for number, row in enumerate(self.table.rows):
            given, answer = texts(row, self.columns)
            self._mark(number, given, answer)
            self.lengths.append(len(given) + len(answer))
            if len(self.distinct) <= MOST_LABELS * 20:
                self.distinct[answer.strip()] += 1
            self.answers.append(hash(answer))
            self.screen.add(number, given or answer, answer.strip())
            if self.columns.split:
                self.parts.append(part_of(row.get(self.columns.split)) or "")
            if number % self._every == 0 and len(given) > 20:
                self.languages[_language(given)] += 1
            yield given or answer

    def _mark(self, number: int, given: str, answer: str) -> None:
        from ftfy.badness import is_bad

        from tuning.data import personal

        both = f"{given}\n{answer}"
        if not answer.strip() or (not given.strip() and (self.columns.input or self.columns.messages)):
            self.marked["empty"].append(number)
        elif len((given or answer).strip()) < TINY:
            self.marked["tiny"].append(number)
        if "�" in both or is_bad(both):
            self.marked["encoding"].append(number)
        if _HTML.search(both):
            self.marked["html"].append(number)
        if _is_offensive(both):
            self.marked["offensive"].append(number)
        for kind in {kind for kind, *_ in personal.find(both)}:
            self.marked["secrets" if kind == "key" else "personal"].append(number)
            self.kinds["personal"][kind] += kind != "key"
        if given.strip() and given.strip() == answer.strip():
            self.marked["copied"].append(number)

    def row_findings(self) -> Iterator[Finding]:
        for kind, rows in self.marked.items():
            counts = ", ".join(f"{name} in {count}" for name, count in self.kinds[kind].most_common() if count)
            yield finding(kind, sorted(set(rows)), counts)

    def length_findings(self) -> Iterator[Finding]:
        median = sorted(self.lengths)[len(self.lengths) // 2]
        limit = max(HUGE, TIMES * median)
        if rows := [at for at, length in enumerate(self.lengths) if length > limit]:
            yield finding(
                "huge",
                rows,
                say("longer than {limit:,} characters; the median row has {median:,}", limit=limit, median=median),
            )

    def duplicate_findings(self, groups: Any) -> Iterator[Finding]:
        answers: dict[int, set[int]] = defaultdict(set)
        same, seen = [], set()
        for at, (first, answer) in enumerate(zip(groups.exact.tolist(), self.answers, strict=True)):
            same.extend([at] if (first, answer) in seen else [])
            seen.add((first, answer))
            answers[first].add(answer)
        if same:
            yield finding("duplicates", same, say("the first of each is not counted"))
        asked = bool(self.columns.input or self.columns.messages)
        clashing = {first for first, found in answers.items() if asked and len(found) > 1}
        if rows := [at for at, first in enumerate(groups.exact.tolist()) if first in clashing]:
            yield finding("conflicts", rows, say("{clashing} inputs", clashing=len(clashing)))
        if groups.resembling:
            templates = int((groups.together != groups.near).sum())
            more = (
                say("; {templates} rows follow a template and are split freely", templates=templates)
                if templates
                else ""
            )
            yield finding(
                "near_duplicates",
                groups.resembling,
                say("90 % of their characters are an earlier row's{more}", more=more),
            )
        if self.parts and (rows := self._across(groups)):
            detail = say("they equal or resemble a training row, by the column {split!r}", split=self.columns.split)
            yield finding("overlap", rows, detail)

    def _across(self, groups: Any) -> list[int]:
        """Rows outside training whose group has rows in it."""
        sides = list(zip(groups.near.tolist(), self.parts, strict=True))
        trained = {group for group, part in sides if part == "train"}
        return [at for at, (group, part) in enumerate(sides) if part in ("validation", "held_out") and group in trained]

    @property
    def labels(self) -> Counter[str] | None:
        """The answers, where they are labels."""
        few = len(self.distinct) <= most_labels(len(self.lengths))
        return self.distinct if few and self.columns.output and self.columns.input else None

    def label_findings(self) -> Iterator[Finding]:
        if not (labels := self.labels):
            return
        of_row = [texts(row, self.columns)[1].strip() for row in self.table.rows]
        spellings: dict[str, Counter[str]] = defaultdict(Counter)
        for label, count in labels.items():
            spellings[plain_label(label)][label] += count
        others = {label for found in spellings.values() for label, _ in found.most_common()[1:]}
        if rows := [at for at, label in enumerate(of_row) if label in others]:
            yield finding("label_spellings", rows, ", ".join(sorted(others))[:200])
        rare = {label for label, count in labels.items() if 0 < count < LEAST and label not in others}
        if rows := [at for at, label in enumerate(of_row) if label in rare]:
            yield finding("rare_labels", rows, ", ".join(f"{label} {labels[label]}" for label in sorted(rare))[:200])
        (most, high), (least, low) = labels.most_common()[0], labels.most_common()[-1]
        if len(labels) > 1 and high >= SKEW * low:
            about = {"most": most, "high": high, "least": least, "low": low}
            detail = say("{most!r} {high} rows, {least!r} {low}; look at macro-F1, not at accuracy alone", **about)
            yield finding("balance", [], detail)

    def language_findings(self) -> Iterator[Finding]:
        total = self.languages.total()
        common = [(name, count) for name, count in self.languages.most_common() if count >= max(3, 0.03 * total)]
        if len(common) > 1:
            shown = ", ".join(f"{name} {count / total:.0%}" for name, count in common)
            yield finding("languages", [], say("{shown}, guessed on {total} rows", shown=shown, total=total))

    def bias_findings(self) -> Iterator[Finding]:
        rows, sets = self.screen.unlike()
        if rows:
            detail = say("{sets} sets of rows are alike once the words for a group are taken out", sets=sets)
            yield finding("unlike", rows, detail)
        if not (labels := self.labels):
            return
        associations = self.screen.associations(set(labels))
        for found in decisive(associations):
            yield finding("bias", [], sentence(found))
        if associations and not decisive(associations):
            dimensions = ", ".join(say(name) for name in sorted({found["dimension"] for found in associations}))
            count = len(associations)
            yield finding(
                "no_bias",
                [],
                say("looked at by {dimensions}; comparisons: {count}", count=count, dimensions=dimensions),
            )


def plain_label(text: str) -> str:
    """A label without case, punctuation and underscores."""
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split())


# What may be found: title and why it matters, weight, fixes.
FINDINGS: dict[str, tuple[tuple[str, str], Weight, tuple[str, ...]]] = {
    "empty": (later(("Rows without input or answer", "There is nothing to learn from them.")), "stop", ("drop",)),
    "overlap": (later((
        "Held-out rows that training sees", "Their score would be luck's, not the model's.",
    )), "stop", ("resplit", "drop")),
    "secrets": (later(("Passwords and keys", "A model can be made to repeat them to anybody.")), "warn", ("mask", "drop")),
    "personal": (later((
        "Personal data", "A model can repeat it, and people have a right to its removal.",
    )), "warn", ("mask", "drop")),
    "conflicts": (later(("Same input, different answers", "The model cannot be right on both.")), "warn", ("merge", "drop")),
    "duplicates": (later(("Repeated rows", "A row seen twice counts twice, and is learned by heart.")), "warn", ("drop",)),
    "encoding": (later(("Broken letters", "Text like 'cafÃ©' teaches the model to write it.")), "warn", ("fix_encoding", "drop")),
    "html": (later(("HTML left-overs", "Tags and entities become part of what is learned.")), "warn", ("strip_html", "drop")),
    "label_spellings": (later((
        "One label in several spellings", "The model learns them as different answers.",
    )), "warn", ("merge",)),
    "rare_labels": (later(("Labels seen too rarely", "They can be neither learned nor measured.")), "warn", ("drop",)),
    "huge": (later(("Very long rows", "They are cut or dropped at max_length, and take most of the time.")), "warn", ("drop",)),
    "unlike": (later((
        "Alike rows, other group, other answer", "Only the people named differ: ask why the answers do.",
    )), "warn", ("drop",)),
    "bias": (later((
        "Outcomes differ between groups named", "The model will learn it. A difference is a question, no proof.",
    )), "warn", ()),
    "near_duplicates": (later((
        "Nearly the same rows", "They say little new. A split keeps them on one side, so that no "
        "held-out row is a training row with a comma moved.",
    )), "note", ("drop",)),
    "offensive": (later((
        "Offensive words", "The model may use them; keep them where it has to understand them.",
    )), "note", ("drop",)),
    "copied": (later(("Answers that copy the input", "The model learns to repeat the question.")), "note", ("drop",)),
    "tiny": (later(("Very short inputs", "There is hardly anything to learn from.")), "note", ("drop",)),
    "balance": (later(("Unbalanced labels", "A model that always says the common one looks good.")), "note", ()),
    "languages": (later(("Several languages", "One with few rows is learned badly; measure each by itself.")), "note", ()),
    "no_bias": (later((
        "No measurable difference between groups named", "None found is no proof: the screen knows few words.",
    )), "note", ()),
}  # fmt: skip


def finding(kind: str, rows: Sequence[int], detail: str = "") -> Finding:
    (title, why), weight, fixes = FINDINGS[kind]
    return Finding(kind, say(title), weight, tuple(rows), say(why), detail, fixes)


@cache
def _offensive() -> tuple[frozenset[str], tuple[str, ...]]:
    """Single words, and phrases of several."""
    lines = (Path(__file__).parent / "offensive.txt").read_text("utf-8").splitlines()
    entries = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return frozenset(entry for entry in entries if " " not in entry), tuple(e for e in entries if " " in e)


def _is_offensive(text: str) -> bool:
    words, phrases = _offensive()
    found = re.findall(r"\w+", text.casefold())
    return not words.isdisjoint(found) or any(f" {phrase} " in f" {' '.join(found)} " for phrase in phrases)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    found = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=False)
    found.set_languages(LANGUAGES.split())
    return found


def _language(text: str) -> str:
    return str(_identifier().classify(text)[0])
