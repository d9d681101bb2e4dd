"""Rows -> conversations: which columns are given and which is to be learned."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

from prompts.errors import UserError
from prompts.following import Progress, told_to_nobody
from prompts.lazy import Lazy
from prompts.messages import Prompt, from_dicts
from prompts.rows import Row, Table, as_text
from prompts.scoring import SHORT, most_labels
from prompts.settings import Settings, knob
from prompts.techniques.few_shot import FewShotSettings
from prompts.techniques.few_shot import build as zero_shot
from prompts.templates import template_of

# Column names of the formats in use; the first that fits is taken.
USUAL: tuple[tuple[tuple[str, ...], str], ...] = (
    (("instruction", "input"), "output"),
    (("instruction", "context"), "response"),
    (("instruction",), "output"),
    (("instruction",), "response"),
    (("input",), "output"),
    (("prompt",), "completion"),
    (("prompt",), "response"),
    (("text",), "label"),
    (("context", "question"), "answer"),
    (("question",), "answer"),
    (("source",), "target"),
    (("input",), "target"),
    (("text",), "summary"),
    (("document",), "summary"),
    (("article",), "summary"),
    (("sentence",), "label"),
    (("review",), "sentiment"),
    (("problem",), "solution"),
)
CHATS = ("messages", "conversations", "conversation", "chat")
LABEL_NAMES = ("label", "labels", "category", "class", "intent", "topic", "sentiment", "target", "answer", "output")
ABOUT_ROWS = ("id", "source", "split", "lang", "language", "date", "url", "file", "folder", "idx", "index")
LOOK = 200  # rows that are looked at to guess by content


class Columns(Settings):
    """The mapping of a table's columns."""

    input: tuple[str, ...] = knob(
        (), title="Input columns", help="What the model is given. None: the output column is learned as plain text."
    )
    output: str = knob("", title="Output column", pick=True, help="What the model should answer.")
    messages: str = knob(
        "", title="Chat column", advanced=True, pick=True,
        help="A column of chat messages ([{role, content}, ...]) instead; its last assistant turn is learned.",
    )  # fmt: skip
    split: str = knob(
        "", title="Split column", advanced=True, pick=True,
        help="A column that says train, validation or test for each row. Empty: rows are split by chance.",
    )  # fmt: skip
    instruction: str = knob(
        "", title="Instruction", lines=2, help="A sentence put before every input, in training and in asking."
    )


@dataclass(frozen=True)
class Conversation:
    """What is asked and what should be answered."""

    prompt: Prompt
    answer: str


def resolve(columns: Columns, table: Table) -> Columns:
    """The mapping with guesses filled in and every name checked. Raises UserError that lists the columns."""
    if not (columns.input or columns.output or columns.messages):
        columns = columns.changed(**guess(table.columns, table.rows[:LOOK]))
    for field in ("messages", "split"):
        if name := getattr(columns, field):
            _known(field, name, table)
    if columns.messages:
        return columns
    if not columns.output:
        raise UserError(
            "say which columns of {name} are input and which is output; there are {names}",
            name=table.name,
            names=", ".join(table.columns),
            field="output" if columns.input else "input",
        )
    for name in columns.input:
        _known("input", name, table)
    _known("output", columns.output, table)
    if columns.output in columns.input:
        raise UserError("{output!r} is input and output at once", output=columns.output, field="output")
    return columns


def _known(field: str, name: str, table: Table) -> None:
    if name not in table.columns:
        raise UserError(
            "{name} has no column {column!r}; it has {names}",
            name=table.name,
            column=name,
            names=", ".join(table.columns),
            field=field,
        )


def guess(names: Sequence[str], rows: Sequence[Row] = ()) -> dict[str, Any]:
    """The mapping as values for Columns: by usual names, else by what the cells of `rows` hold; empty where neither fits."""
    known = {name.strip().lower(): name for name in reversed(names)}
    for chat in CHATS:
        if chat in known and (not rows or _is_chat(rows, known[chat])):
            return {"messages": known[chat]}
    for given, learned in USUAL:
        if learned in known and all(name in known for name in given):
            return {"input": tuple(known[name] for name in given), "output": known[learned]}
    return _by_content(names, rows) if rows else {}


def _is_chat(rows: Sequence[Row], name: str) -> bool:
    cell = next((row[name] for row in rows if row.get(name)), None)
    return isinstance(cell, list) and bool(cell) and turn_of(cell[0]) is not None


def _by_content(names: Sequence[str], rows: Sequence[Row]) -> dict[str, Any]:
    """A chat; texts and a column called as labels are, or the only one of labels; two texts; one text alone."""
    if chat := next((name for name in names if _is_chat(rows, name)), None):
        return {"messages": chat}
    cells = {name: [row[name] for row in rows if row.get(name) not in (None, "")] for name in names}
    texts = [name for name in names if cells[name] and all(isinstance(cell, str) for cell in cells[name])]
    about = [name for name in names if name.strip().lower() in ABOUT_ROWS]
    labels = [name for name in names if name not in about and _is_labels(cells[name], len(rows))]
    free = [
        name for name in texts if name not in (*labels, *about) and any(" " in cell.strip() for cell in cells[name])
    ]
    called = next(
        (name for name in labels if name.strip().lower() in LABEL_NAMES), labels[0] if len(labels) == 1 else None
    )
    if called and free:
        return {"input": tuple(free), "output": called}
    if len(free) == 2 and not labels:
        return {"input": (free[0],), "output": free[1]}
    if len(free) == 1 and not labels:
        return {"output": free[0]}
    return {}


def _is_labels(cells: Sequence[Any], rows: int) -> bool:
    """Few short values that come again and again."""
    if not cells or any(isinstance(cell, list | dict | float) for cell in cells):
        return False
    values = {str(cell) for cell in cells}
    return 2 <= len(values) <= most_labels(rows) and max(map(len, values)) <= SHORT


@lru_cache(maxsize=64)
def asking(columns: Columns) -> FewShotSettings:
    """The zero-shot settings that ask what a run is trained on: training and asking share one builder."""
    return FewShotSettings(task=columns.instruction, input=template_of(columns.input), k=0)


def conversation(row: Mapping[str, Any], columns: Columns, number: int = 1) -> Conversation:
    """One row as a conversation; `number` names it in errors, counted from 1. Without input columns its prompt is empty and
    the answer is plain text. Raises UserError.
    """
    if columns.messages:
        return _chat(row[columns.messages], number)
    prompt = zero_shot(asking(columns), row) if columns.input else Prompt(())
    if columns.input and not prompt.messages:
        raise UserError("row {number}: every input column is empty; fill it or remove the row", number=number)
    answer = as_text(row[columns.output])
    if not answer.strip():
        raise UserError(
            "row {number}: the output {output!r} is empty; fill it or remove the row",
            number=number,
            output=columns.output,
        )
    return Conversation(prompt, answer)


class Conversations(Lazy[Conversation]):
    """Rows as conversations, each made when it is asked for."""

    def __init__(self, rows: Sequence[Row], columns: Columns, numbers: Sequence[int] | None = None) -> None:
        """`numbers`: the rows that are meant, counted from 0 (default: all)."""
        self._rows, self._columns = rows, columns
        self._numbers: Sequence[int] = range(len(rows)) if numbers is None else numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def make(self, at: int) -> Conversation:
        number = self._numbers[at]
        return conversation(self._rows[number], self._columns, number + 1)

    def __iter__(self) -> Iterator[Conversation]:
        if isinstance(self._numbers, range) and len(self._numbers) == len(self._rows):
            return (conversation(row, self._columns, number) for number, row in enumerate(self._rows, 1))
        return (self[at] for at in range(len(self)))


def conversations(rows: Sequence[Row], columns: Columns, tell: Progress = told_to_nobody) -> Conversations:
    """Every row as a conversation. Raises as `checked`."""
    for _ in checked(rows, columns, tell):
        pass
    return Conversations(rows, columns)


def checked(rows: Sequence[Row], columns: Columns, tell: Progress = told_to_nobody) -> Iterator[Conversation]:
    """Each row that can be one as a conversation; `tell` is told the rows. Last it raises UserError naming the first rows that
    cannot, and how many there are.
    """
    faults: list[str] = []
    count = 0
    for number, row in enumerate(rows, 1):
        tell(number, len(rows))
        try:
            yield conversation(row, columns, number)
        except UserError as error:
            count += 1
            faults = [*faults, error.sentence()][:3]
    if faults:
        said = reduce(lambda before, one: before + "; " + one, faults)
        if count > len(faults):
            raise UserError("{said} (and {count} more rows)", said=said, count=count - len(faults))
        raise UserError("{said}", said=said)


def compared(row: Row, columns: Columns) -> str:
    """What makes two rows alike: what is given; of plain text, the text."""
    given, answer = texts(row, columns)
    return given or answer


def texts(row: Row, columns: Columns) -> tuple[str, str]:
    """(given, answer) of a row as it is, for looking at it: without the instruction, empty where nothing is there."""
    if not columns.messages:
        given = "\n".join(as_text(row.get(name)) for name in columns.input)
        return given, as_text(row.get(columns.output))
    turns = [turn_of(item) for item in found] if isinstance(found := row.get(columns.messages), list) else []
    good = [turn["content"] for turn in turns if turn]
    return "\n".join(good[:-1]), good[-1] if good else ""


def _chat(found: Any, number: int) -> Conversation:
    turns = [turn_of(item) for item in found] if isinstance(found, list) else [None]
    if len(turns) < 2 or None in turns:
        raise UserError("row {number}: expected chat messages, [{{role, content}}, ...], at least two", number=number)
    good = [turn for turn in turns if turn]
    if good[-1]["role"] != "assistant":
        raise UserError(
            "row {number}: the last message must be the assistant's, which is what is learned", number=number
        )
    return Conversation(from_dicts(good[:-1]), good[-1]["content"])


_ROLES = {"human": "user", "gpt": "assistant", "user": "user", "assistant": "assistant", "system": "system"}


def turn_of(item: Any) -> dict[str, str] | None:
    """OpenAI's {role, content} or ShareGPT's {from, value}; None where it is neither."""
    if not isinstance(item, dict):
        return None
    role = _ROLES.get(str(item.get("role") or item.get("from")))
    text = item.get("content") or item.get("value")
    return {"role": role, "content": text} if role and isinstance(text, str) and text.strip() else None
