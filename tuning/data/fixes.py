"""Fixes for what the data doctor found: patches of rows, kept beside the data, so that each can be taken back."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import unescape
from pathlib import Path
from typing import Any

from prompts.errors import UserError
from prompts.following import Progress, told_to_nobody
from prompts.rows import Row, Table, store
from prompts.scoring import folded
from prompts.settings import Settings, knob
from prompts.words import say
from tuning.data.columns import Columns, texts
from tuning.data.doctor import FINDINGS, TAG, Finding, examine, plain_label
from tuning.data.personal import mask

# {"finding", "fix", "title", "drop": [row], "set": {row: {column: value}}}; rows from 0, as strings in JSON
Patch = dict[str, Any]


class Fix(Settings):
    """What to do about a finding, or to take back."""

    finding: str = knob(
        "", title="Finding", help="The finding to fix, as inspection names it: duplicates, personal ..."
    )
    fix: str = knob(
        "", title="Fix", help="One of the finding's fixes: drop, merge, mask, fix_encoding, strip_html, resplit."
    )
    undo: bool = knob(False, title="Undo", help="Take the last fix back instead.")


def patch(table: Table, columns: Columns, finding: Finding, fix: str) -> Patch:
    """What `fix` would change. Raises UserError for one that the finding does not offer."""
    if fix not in finding.fixes:
        offered = ", ".join(finding.fixes) or "none"
        raise UserError(
            "{kind} has no fix {fix!r}; there is {offered}",
            kind=finding.kind,
            fix=fix[:40],
            offered=offered,
            field="fix",
        )
    made: Patch = {"finding": finding.kind, "fix": fix, "title": finding.title, "drop": [], "set": {}}
    if fix == "drop":
        made["drop"] = list(finding.rows)
    elif fix == "merge":
        made["set"] = _merged(table, columns, finding)
    elif fix == "resplit":
        made["set"] = {row: {columns.split: "train"} for row in finding.rows}
    else:
        made["set"] = _rewritten(table, finding.rows, _TEXT_FIXES[fix])
    if not made["drop"] and not made["set"]:
        raise UserError("{fix} would change nothing about {title}", fix=fix, title=finding.title.lower(), field="fix")
    return made


def fixed(table: Table, columns: Columns, fix: Fix, tell: Progress = told_to_nobody) -> Patch:
    """Looks for the finding again and gives its patch; `tell` is told the rows. Raises UserError where it is not there."""
    found = examine(table, columns, tell)
    finding = next((one for one in found if one.kind == fix.finding), None)
    if finding is None:
        there = ", ".join(one.kind for one in found) or "none"
        raise UserError(
            "there is no finding {finding!r} in {name}; there are: {there}",
            finding=fix.finding[:40],
            name=table.name,
            there=there,
            field="finding",
        )
    return patch(table, columns, finding, fix.fix)


def patched(table: Table, patches: Sequence[Patch], keep: Path | None = None, tell: Progress = told_to_nobody) -> Table:
    """The rows with every patch applied in turn; `tell` is told those that stay. Raises UserError where nothing would be left."""
    rows: Iterable[Row] = table.rows
    for one in patches:
        rows = _apply(rows, one)
    notes = [*table.notes, *(sentence(one) for one in patches)]
    made = store(table.name, rows, keep=keep, notes=notes, tell=lambda done, _of: tell(done, len(table.rows)))
    if not made.rows:
        raise UserError("that would remove every row")
    return made


def sentence(one: Patch) -> str:
    """What a patch did, for a person."""
    dropped, changed = len(one["drop"]), len(one["set"])
    done = say("left out: {dropped:,}", dropped=dropped) if dropped else say("changed: {changed:,}", changed=changed)
    return say(
        "Fixed: {title} ({fix}); rows {done}.", title=say(FINDINGS[one["finding"]][0][0]), fix=one["fix"], done=done
    )


def _apply(rows: Iterable[Row], one: Patch) -> Iterator[Row]:
    gone, changed = set(one["drop"]), {int(row): values for row, values in one["set"].items()}
    for number, row in enumerate(rows):
        if number not in gone:
            yield {**row, **changed.get(number, {})}


def _merged(table: Table, columns: Columns, finding: Finding) -> dict[int, Row]:
    """The same input gets the answer most of its rows have; a label the spelling most of its rows have."""
    if columns.messages:
        raise UserError("answers inside a chat cannot be merged; drop the rows instead", field="fix")
    by_label = finding.kind == "label_spellings"
    key = plain_label if by_label else folded
    votes: dict[str, Counter[Any]] = defaultdict(Counter)
    for row in table.rows:
        given, answer = texts(row, columns)
        votes[key(answer if by_label else given)][row[columns.output]] += 1
    made = {}
    for number in finding.rows:
        row = table.rows[number]
        given, answer = texts(row, columns)
        best = votes[key(answer if by_label else given)].most_common(1)[0][0]
        if best != row[columns.output]:
            made[number] = {columns.output: best}
    return made


def _rewritten(table: Table, rows: Sequence[int], change: Callable[[str], str]) -> dict[int, Row]:
    made = {}
    for number in rows:
        row = table.rows[number]
        new = {name: _in_cell(value, change) for name, value in row.items()}
        if changed := {name: value for name, value in new.items() if value != row[name]}:
            made[number] = changed
    return made


def _in_cell(value: Any, change: Callable[[str], str]) -> Any:
    """A text, or the texts of a chat, changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_in_cell(item, change) for item in value]
    if isinstance(value, Mapping):
        return {name: _in_cell(item, change) if name not in ("role", "from") else item for name, item in value.items()}
    return value


def _without_html(text: str) -> str:
    text = re.sub(r"<(?:br|/p|/div|/li|/tr|/h\d)\b[^<>]*>", "\n", text, flags=re.IGNORECASE)
    text = unescape(TAG.sub("", text)).replace("\xa0", " ")
    return "\n".join(line.strip() for line in text.split("\n")).strip()


def _mended(text: str) -> str:
    import ftfy

    return ftfy.fix_text(text)


_TEXT_FIXES: dict[str, Callable[[str], str]] = {"mask": mask, "strip_html": _without_html, "fix_encoding": _mended}


def read_patches(folder: Path) -> list[Patch]:
    file = folder / "patches.json"
    return list(json.loads(file.read_text("utf-8"))) if file.is_file() else []
