"""What a judge model is asked about an answer; prompts/scoring.py reads what it says."""

from prompts.messages import Prompt, message, prompt


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
