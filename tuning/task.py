"""What a run learns to do: it follows from the data and the model, and can be changed in the recipe."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from prompts.errors import UserError
from prompts.kinds import Kind, Labels
from tuning.data.columns import Conversation
from tuning.data.encode import split_classes

Name = Literal["auto", "text", "classification", "multi_label", "seq2seq"]
MOST_CLASSES = 500


@dataclass(frozen=True)
class Task:
    """`kind`: as what the base is loaded; `labels` where it classifies."""

    kind: Kind
    labels: Labels | None = None

    @property
    def apart(self) -> bool:
        """Is the answer written beside what is read, not after it?"""
        return self.kind != "causal"


def task_of(name: Name, base: Kind, rows: Iterable[Conversation]) -> Task:
    """The task that a recipe names, or the one that fits. Raises UserError for one that the base cannot do."""
    if name == "auto":
        if base != "classifier":
            return Task(base)
        answers = [row.answer for row in rows]
        return _classes(answers, many=any(";" in answer or answer.lstrip().startswith("[") for answer in answers))
    if name in ("classification", "multi_label"):
        if base == "seq2seq":
            raise UserError("a T5-like model answers in words; choose the task auto or seq2seq", field="task")
        return _classes([row.answer for row in rows], many=name == "multi_label")
    wanted: Kind = "causal" if name == "text" else "seq2seq"
    if base != wanted:
        kinds = {"causal": "GPT-like", "seq2seq": "T5-like", "classifier": "BERT-like"}
        raise UserError(
            "the task {name} needs a {wanted_kind} model, and this one is {base_kind}",
            name=name,
            wanted_kind=kinds[wanted],
            base_kind=kinds[base],
            field="task",
        )
    return Task(base)


def _classes(answers: list[str], *, many: bool) -> Task:
    names = {name for answer in answers for name in (split_classes(answer) if many else [answer.strip()])}
    if not 2 <= len(names) <= MOST_CLASSES:
        raise UserError(
            "the answers name {names} classes; a classifier tells 2 to {most_classes} apart. For "
            "free answers choose a GPT- or T5-like model",
            names=len(names),
            most_classes=MOST_CLASSES,
            field="output",
        )
    return Task("classifier", Labels(tuple(sorted(names)), many))
