"""Several answers to one question: what most of them say.

Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning in Language Models", arXiv 2203.11171.
"""

from collections import Counter
from collections.abc import Sequence

from prompts.scoring import Scoring, find_label, last_number, normal


def meaning(answer: str, scoring: Scoring, labels: Sequence[str] = ()) -> str | None:
    """What an answer says, so that two that say the same are equal: its label, its number, or its folded text; None for nothing."""
    if scoring.scorer == "label":
        return find_label(answer, labels)
    if scoring.scorer == "number":
        number = last_number(answer)
        return None if number is None else str(number.normalize())
    return normal(answer) or None


def majority(answers: Sequence[str | None], scoring: Scoring, labels: Sequence[str] = ()) -> tuple[str | None, int]:
    """(the first answer that says what most say, how many say so); (None, 0) where none says anything. Ties go to the first."""
    meanings = [None if answer is None else meaning(answer, scoring, labels) for answer in answers]
    counted = Counter(found for found in meanings if found is not None)
    if not counted:
        return None, 0
    most, votes = counted.most_common(1)[0]
    return answers[meanings.index(most)], votes
