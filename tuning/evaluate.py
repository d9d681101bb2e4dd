"""The held-out rows, base against tuned: the same model with the adapter off and on, through the prompting backends."""

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

from prompts.backends import OnDevice, Sampling, identity, open_backend
from prompts.errors import UserError
from prompts.home import adapter_folder
from prompts.kinds import read_labels
from prompts.scoring import confusion, exact_match
from prompts.statistics import compare, rate
from tuning.data.columns import FEW, Conversation
from tuning.run import Run
from tuning.work import Event, write_json

SIDES = ("base", "tuned")


def evaluate(run: Run, *, token: str | None = None, on_device: OnDevice = identity) -> Iterator[Event]:
    """Asks both sides every held-out row, greedily; events "evaluating" (done, of) and last "evaluated" (the document).

    Writes evaluation.json. Raises UserError where nothing was held out, or the run has no adapter.
    """
    rows = list(run.part("held_out"))
    if not rows:
        raise UserError(
            "this run held out no rows, so there is nothing to measure on; train again with held_out above 0"
        )
    if not run.columns.messages and not run.columns.input:
        raise UserError(
            "plain text has no answers to compare; the loss on the held-out rows says how well it was learned"
        )
    names = {"base": run.recipe.model, "tuned": f"run:{run.id}"}
    sampling = Sampling(max_new_tokens=_room(run, rows, token))
    labels = read_labels(adapter_folder(run.owner, run.id))
    replies: dict[str, list[str]] = {side: [""] * len(rows) for side in SIDES}
    done = 0
    for side in SIDES:
        if side == "base" and labels:  # a classifier's base has no classes yet
            replies[side], done = [commonest(run)] * len(rows), len(rows)
            continue
        backend = open_backend(names[side], run.owner, token=token, on_device=on_device)
        for at, reply in backend.batch([row.prompt for row in rows], sampling, threading.Event()):
            replies[side][at] = reply.text
            done += 1
            yield {"event": "evaluating", "done": done, "of": 2 * len(rows)}
    document = scored(run, rows, replies, "the commonest training label" if labels else "the base")
    write_json(run.folder / "evaluation.json", document)
    yield {"event": "evaluated", **{key: value for key, value in document.items() if key != "examples"}}


def commonest(run: Run) -> str:
    """The answer that most training rows have: what one says without looking."""
    return Counter(row.answer for row in run.part("train")).most_common(1)[0][0]


def _room(run: Run, rows: list[Conversation], token: str | None) -> int:
    """Tokens a reply may have: half as long again as the longest answer, so that rambling counts as wrong, not as slow."""
    from prompts.loading import load_tokenizer
    from prompts.models import locate

    tokenizer = load_tokenizer(locate(run.recipe.model, run.owner)[0], token)
    longest = max(len(tokenizer(row.answer)["input_ids"]) for row in rows)
    return min(8192, longest * 3 // 2 + 8)


def scored(
    run: Run, rows: list[Conversation], replies: dict[str, list[str]], base_is: str = "the base"
) -> dict[str, Any]:
    """The document of an evaluation: scores with intervals, the verdict, and every row side by side, worst first."""
    passed = {
        side: [exact_match(reply, row.answer) for reply, row in zip(replies[side], rows, strict=True)] for side in SIDES
    }
    verdict = compare("base", "tuned", list(zip(passed["base"], passed["tuned"], strict=True)))
    examples = [
        {"row": number + 1, "input": row.prompt.plain(), "text": _text(row), "reference": row.answer, "base": base, "tuned": tuned,
         "base_passed": base_ok, "tuned_passed": tuned_ok}
        for number, row, base, tuned, base_ok, tuned_ok in zip(
            run.numbers("held_out"), rows, replies["base"], replies["tuned"], passed["base"], passed["tuned"], strict=True
        )
    ]  # fmt: skip
    examples.sort(key=lambda example: (example["tuned_passed"], not example["base_passed"], example["row"]))
    return {
        "run": run.id,
        "rows": len(rows),
        **{side: _score(passed[side]) for side in SIDES},
        "base_is": base_is,
        "verdict": verdict.sentence,
        **_by_class(rows, replies["tuned"]),
        "examples": examples,
    }


def _by_class(rows: list[Conversation], replies: list[str]) -> dict[str, Any]:
    """Macro-F1 and the confusion matrix of the tuned side, where the answers are labels; else nothing."""
    answers = [row.answer.strip() for row in rows]
    labels = sorted(set(answers))
    if len(labels) > min(FEW, len(rows) // 2) or len(labels) < 2:
        return {}
    return confusion([reply.strip() if reply.strip() in labels else None for reply in replies], answers, labels)


def _text(row: Conversation) -> str:
    """The row's input without the instruction: what a person would type."""
    parts = [part.text for message in row.prompt.messages for part in message.parts if part.source == "input"]
    return "\n\n".join(parts) or row.prompt.plain()


def _score(passed: list[bool]) -> dict[str, Any]:
    found = rate(sum(passed), len(passed))
    return {"exact_match": round(found.value, 4), "interval": [round(found.low, 4), round(found.high, 4)]}
