"""What the model should do, said once: from rows and their columns to the first settings of every technique."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from prompts.errors import UserError
from prompts.held_out import keys_of
from prompts.refining.operators import choices
from prompts.rows import SAMPLE_TITLES, Table, as_text
from prompts.scoring import Scoring, settled
from prompts.techniques import TECHNIQUES, AskSettings
from prompts.techniques.few_shot import Example
from prompts.templates import template_of
from prompts.words import later, say

# The samples of the app's own: the columns that are asked, the one with the answer, and the task in a sentence.
USES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "support_emails": (("subject", "email"), "label", "Which team should answer this e-mail?"),
    "english_spanish": (("english",), "spanish", "Translate into Spanish."),
    "word_problems": (("question",), "answer", ""),
}
BETTER = later("`Qwen/Qwen2.5-1.5B-Instruct`, or a server as `<url>#<model>`")
WEAK = {
    "english_spanish": later(
        "The embedded model hardly knows Spanish: expect poor answers, or name a better model, such as {better}."
    ),
    "word_problems": later(
        "The embedded model is poor at sums: expect wrong answers, or name a better model, such as {better}."
    ),
}
FIRST = {name: f"sample:{name}" for name in SAMPLE_TITLES}
ROOM = {"label": 12, "number": 16, "exact_match": 32}  # tokens of an answer; others get LONG
LONG, REASONING = 96, 192
SHOWN = 4  # examples of the few-shot tab
LOOK = 500  # rows that are looked at


@dataclass(frozen=True)
class Beginning:
    """A task in hand: `settings` by technique, `variants` to compare, and what there is to say of it."""

    source: str
    title: str
    instruction: str
    rows: int
    example: tuple[str, str]
    scorer: str
    note: str
    settings: dict[str, AskSettings]

    @property
    def variants(self) -> list[dict[str, Any]]:
        """The first two to compare: the plain question, and the one with context."""
        named = (("zero-shot", "few_shot"), ("with context", "contextual"))
        return [
            {"name": name, "technique": kind, "settings": _given(self.settings[kind], examples=kind != "few_shot")}
            for name, kind in named
        ]


def begin(
    source: str, table: Table, inputs: Sequence[str], output: str, instruction: str, locked: Set[str] = frozenset()
) -> Beginning:
    """The settings with which every technique begins on these rows; `locked`: keys of rows that are no examples, for a run holds
    them out (prompts/held_out.py). Raises UserError where a column is missing.
    """
    if missing := [name for name in (*inputs, output) if name not in table.columns]:
        raise UserError(
            "{name} has no column {missing!r}; it has {names}",
            name=table.name,
            missing=missing[0],
            names=", ".join(table.columns),
            field="columns",
        )
    rows = [row for row in table.rows[:LOOK] if as_text(row.get(output)).strip()]
    if not rows or not inputs:
        raise UserError(
            "{name} needs a column to ask and a column with the right answers; it has {names}",
            name=table.name,
            names=", ".join(table.columns),
        )
    answers = [as_text(row[output]).strip() for row in rows]
    scoring = settled(Scoring(scorer="auto"), answers)
    labels = sorted(set(answers)) if scoring.scorer == "label" else []
    asked = " ".join(filter(None, (instruction.strip(), choices(scoring, labels)))) or "Answer."
    name = source.partition(":")[2]
    return Beginning(
        source, say(SAMPLE_TITLES[name]) if name in SAMPLE_TITLES else table.name, instruction, len(table.rows),
        (_shown(rows[0], inputs), answers[0]), scoring.scorer, say(WEAK[name], better=say(BETTER)) if name in WEAK else "",
        _settings(asked, template_of(inputs), labels, ROOM.get(scoring.scorer, LONG), _examples(rows, inputs, answers, locked)),
    )  # fmt: skip


def _settings(
    task: str, template: str, labels: Sequence[str], room: int, examples: tuple[Example, ...]
) -> dict[str, AskSettings]:
    common = {"task": task, "input": template, "max_new_tokens": room}
    more: dict[str, dict[str, Any]] = {
        "contextual": {"constraints": "Answer with the label alone." if labels else "Give the answer alone."},
        "chain_of_thought": {"max_new_tokens": REASONING},
        "few_shot": {"examples": examples, "k": 0},
    }
    return {one.name: one.settings(**{**common, **more.get(one.name, {})}) for one in TECHNIQUES}


def _examples(
    rows: Sequence[Any], inputs: Sequence[str], answers: Sequence[str], locked: Set[str]
) -> tuple[Example, ...]:
    """A few rows, with different answers as far as there are any."""
    free = [at for at in range(len(rows)) if not keys_of([_shown(rows[at], inputs)]) & locked]
    first: dict[str, int] = {}
    for at in free:
        first.setdefault(answers[at], at)
    chosen = [*first.values(), *(at for at in free if at not in set(first.values()))][:SHOWN]
    return tuple(Example(input=_shown(rows[at], inputs), output=answers[at]) for at in chosen)


def _shown(row: Any, inputs: Sequence[str]) -> str:
    return "\n\n".join(as_text(row.get(name)).strip() for name in inputs)


def _given(settings: AskSettings, *, examples: bool) -> dict[str, Any]:
    """The settings that say something, as an experiment takes them."""
    known = type(settings)
    left = set() if examples else {"examples", "k"}
    defaults = {name: info.default for name, info in known.model_fields.items()}
    return {k: v for k, v in settings.to_json().items() if k not in left and getattr(settings, k) != defaults[k]}
