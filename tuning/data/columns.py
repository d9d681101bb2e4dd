"""Rows -> conversations: which columns are given and which is to be learned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prompts.errors import UserError
from prompts.messages import Prompt, from_dicts
from prompts.rows import Row, Table
from prompts.settings import Settings, knob
from prompts.techniques.few_shot import FewShotSettings
from prompts.techniques.few_shot import build as zero_shot
from prompts.templates import template_of

USUAL: tuple[tuple[tuple[str, ...], str], ...] = (
    (("instruction", "input"), "output"),
    (("instruction",), "output"),
    (("instruction",), "response"),
    (("input",), "output"),
    (("prompt",), "completion"),
    (("prompt",), "response"),
    (("text",), "label"),
    (("question",), "answer"),
    (("source",), "target"),
)


class Columns(Settings):
    """The mapping of a table's columns."""

    input: tuple[str, ...] = knob(
        (), title="Input columns", help="What the model is given. Empty: guessed from usual names."
    )
    output: str = knob("", title="Output column", pick=True, help="What the model should answer.")
    messages: str = knob(
        "", title="Chat column", advanced=True, pick=True,
        help="A column of chat messages ([{role, content}, ...]) instead; its last assistant turn is learned.",
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
        columns = columns.changed(**guess(table.columns))
    if columns.messages:
        _known("messages", columns.messages, table)
        return columns
    if not columns.input or not columns.output:
        raise UserError(
            f"say which columns of {table.name} are input and which is output; there are {', '.join(table.columns)}",
            field="input" if not columns.input else "output",
        )
    for name in columns.input:
        _known("input", name, table)
    _known("output", columns.output, table)
    if columns.output in columns.input:
        raise UserError(f"{columns.output!r} is input and output at once", field="output")
    return columns


def _known(field: str, name: str, table: Table) -> None:
    if name not in table.columns:
        raise UserError(f"{table.name} has no column {name!r}; it has {', '.join(table.columns)}", field=field)


def guess(names: Sequence[str]) -> dict[str, Any]:
    """The mapping by usual names, as values for Columns; empty where none fits."""
    for chat in ("messages", "conversations"):
        if chat in names:
            return {"messages": chat}
    for given, learned in USUAL:
        if learned in names and all(name in names for name in given):
            return {"input": given, "output": learned}
    return {}


def asking(columns: Columns) -> FewShotSettings:
    """The zero-shot settings that ask what a run is trained on: training and asking share one builder."""
    return FewShotSettings(task=columns.instruction, input=template_of(columns.input), k=0)


def conversation(row: Mapping[str, Any], columns: Columns, number: int = 1) -> Conversation:
    """One row as a conversation; `number` names it in errors, counted from 1. Raises UserError."""
    if columns.messages:
        return _chat(row[columns.messages], number)
    prompt = zero_shot(asking(columns), row)
    if not prompt.messages:
        raise UserError(f"row {number}: every input column is empty; fill it or remove the row")
    answer = _as_text(row[columns.output])
    if not answer.strip():
        raise UserError(f"row {number}: the output {columns.output!r} is empty; fill it or remove the row")
    return Conversation(prompt, answer)


def conversations(rows: Sequence[Row], columns: Columns) -> list[Conversation]:
    """Every row as a conversation. Raises UserError naming the first rows that cannot be one, and how many there are."""
    made, faults = [], []
    for number, row in enumerate(rows, 1):
        try:
            made.append(conversation(row, columns, number))
        except UserError as error:
            faults.append(str(error))
    if faults:
        more = f" (and {len(faults) - 3} more rows)" if len(faults) > 3 else ""
        raise UserError("; ".join(faults[:3]) + more)
    return made


def _chat(found: Any, number: int) -> Conversation:
    turns = [_turn(item) for item in found] if isinstance(found, list) else [None]
    if len(turns) < 2 or None in turns:
        raise UserError(f"row {number}: expected chat messages, [{{role, content}}, ...], at least two")
    good = [turn for turn in turns if turn]
    if good[-1]["role"] != "assistant":
        raise UserError(f"row {number}: the last message must be the assistant's, which is what is learned")
    return Conversation(from_dicts(good[:-1]), good[-1]["content"])


_ROLES = {"human": "user", "gpt": "assistant", "user": "user", "assistant": "assistant", "system": "system"}


def _turn(item: Any) -> dict[str, str] | None:
    """OpenAI's {role, content} or ShareGPT's {from, value}; None where it is neither."""
    if not isinstance(item, dict):
        return None
    role = _ROLES.get(str(item.get("role") or item.get("from")))
    text = item.get("content") or item.get("value")
    return {"role": role, "content": text} if role and isinstance(text, str) and text.strip() else None


def _as_text(value: Any) -> str:
    """A cell as the text to learn: true/false and numbers as JSON writes them."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
