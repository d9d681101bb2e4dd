"""A judge model: what it is asked about an answer, and what it says of many. prompts/scoring.py reads its words."""

import threading
from collections.abc import Iterator, Sequence

from prompts.backends import Backend, Sampling, replies_of
from prompts.messages import Prompt, message, prompt
from prompts.scoring import Score, Scoring, score

SAID = Sampling(max_new_tokens=256)


def judged(
    scoring: Scoring, judge: Backend, answers: Sequence[tuple[Prompt, str, str]], stop: threading.Event | None = None
) -> Iterator[tuple[int, Score]]:
    """(place, score) of every (question, answer, reference), in the order they are judged."""
    asked = [to_judge(scoring.pattern, *one) for one in answers]
    for at, reply in replies_of(judge.batch(asked, SAID, stop or threading.Event())):
        yield at, score(reply.text, "", scoring)


def to_judge(rubric: str, question: Prompt, answer: str, reference: str = "") -> Prompt:
    """Asks for a reason and then PASS or FAIL."""
    return prompt(message(
        "user",
        (f"Judge an answer by this rubric:\n{rubric}", "rubric"),
        (f"Question:\n{question.plain()}", "question"),
        (f"Answer to judge:\n{answer}", "answer"),
        (f"Reference answer:\n{reference}" if reference else "", "reference"),
        ("Give your reason in one sentence, then write PASS or FAIL on a line of its own.", "task"),
    ))  # fmt: skip
