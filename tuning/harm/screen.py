"""The harm and forgetting card: the same measures with the adapter off and on.

The bias screen is that of Nangia et al. 2020, "CrowS-Pairs", arXiv 2010.00133, with full likelihoods of a causal model: which of
two sentences that differ in the group named is likelier.
"""

import json
import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from prompts.backends import OnDevice, Sampling, identity, open_backend, together
from prompts.errors import UserError
from prompts.events import Event
from prompts.home import adapter_folder
from prompts.kinds import read_labels
from prompts.messages import Message, Part, Prompt, message, prompt
from prompts.scoring import normal
from prompts.statistics import compare, paired_interval, rate
from prompts.words import say
from tuning.evaluate import SIDES, held_rows, room
from tuning.harm.instructions import followed
from tuning.harm.swaps import swapped
from tuning.kinds import kind_in
from tuning.run import Run
from tuning.work import write_json

FILE = "harm.json"
ROOM = 48  # tokens of a reply to an instruction
MOST = 200  # held-out rows whose people are exchanged
_HERE = Path(__file__).parent
T = TypeVar("T")
Measured = Generator[tuple[int, int], None, T]  # (done, of) on the way to it


def screen(run: Run, *, token: str | None = None, on_device: OnDevice = identity) -> Iterator[Event]:
    """Events "screening" (what, done, of), and last "screened" (the document); writes harm.json.

    {"general_text", "instructions", "bias", "counterfactual"}, each with figures or {"left_out": why}. Raises UserError before the
    run has an adapter.
    """
    folder = adapter_folder(run.owner, run.id)
    writes = kind_in(folder) == "causal" and read_labels(folder) is None
    names = {"base": run.recipe.model, "tuned": f"run:{run.id}"}
    why = {"left_out": say("the model writes no running text")}
    parts = (
        ("general_text", say("general text"), _general, writes), ("instructions", say("instructions"), _instructions, writes),
        ("bias", say("pairs of sentences"), _bias, writes),
        ("counterfactual", say("your rows with people exchanged"), _counterfactual, True),
    )  # fmt: skip
    document: dict[str, Any] = {"run": run.id}
    for name, what, measured, can in parts:
        document[name] = (yield from _told(what, measured(run, names, token, on_device))) if can else why
    write_json(run.folder / FILE, document)
    yield {"event": "screened", **document}


def _told(what: str, measured: Measured[dict[str, Any]]) -> Generator[Event, None, dict[str, Any]]:
    while True:
        try:
            done, of = next(measured)
        except StopIteration as end:
            return dict(end.value)
        yield {"event": "screening", "what": what, "done": done, "of": of}


def _lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (_HERE / name).read_text("utf-8").splitlines()]


def _losses(
    names: dict[str, str], run: Run, texts: list[str], token: str | None, on_device: OnDevice
) -> Measured[dict[str, Any]]:
    """{side: [(summed loss, tokens) of each text]}."""
    from tuning.losses import text_losses

    found: dict[str, Any] = {side: [] for side in SIDES}
    yield 0, len(SIDES) * len(texts)
    for side in SIDES:
        for loss in on_device(text_losses)(names[side], run.owner, token, texts):
            found[side].append(loss)
            yield sum(map(len, found.values())), len(SIDES) * len(texts)
    return found


def _general(run: Run, names: dict[str, str], token: str | None, on_device: OnDevice) -> Measured[dict[str, Any]]:
    """Perplexity on general text, and the change of the loss with its interval over the texts."""
    from math import exp

    found = yield from _losses(names, run, [line["text"] for line in _lines("general.jsonl")], token, on_device)
    mean = {side: sum(loss for loss, _ in found[side]) / sum(count for _, count in found[side]) for side in SIDES}
    changes = [b[0] / b[1] - a[0] / a[1] for a, b in zip(found["base"], found["tuned"], strict=True)]
    change = paired_interval(changes)
    return {
        "texts": len(changes),
        **{f"{side}_perplexity": round(exp(mean[side]), 3) for side in SIDES},
        "loss_change": round(change.value, 4),
        "interval": [round(change.low, 4), round(change.high, 4)],
    }


def _instructions(run: Run, names: dict[str, str], token: str | None, on_device: OnDevice) -> Measured[dict[str, Any]]:
    asked = _lines("instructions.jsonl")
    prompts = [prompt(message("user", (one["ask"], "task"))) for one in asked]
    replies = yield from _replies(SIDES, names, run, prompts, ROOM, token, on_device)
    passed = {
        side: [followed(reply, one["check"]) for reply, one in zip(replies[side], asked, strict=True)] for side in SIDES
    }
    verdict = compare(say("base"), say("tuned"), list(zip(passed["base"], passed["tuned"], strict=True)))
    return {
        "asked": len(asked), **{side: _rate(sum(passed[side]), len(asked)) for side in SIDES}, "verdict": verdict.sentence,
    }  # fmt: skip


def _bias(run: Run, names: dict[str, str], token: str | None, on_device: OnDevice) -> Measured[dict[str, Any]]:
    """How often the sentence with the group that the cliché is about is the likelier one; 50 % is even-handed."""
    pairs = _lines("pairs.jsonl")
    found = yield from _losses(
        names, run, [pair[side] for pair in pairs for side in ("more", "less")], token, on_device
    )
    gaps = {
        side: [found[side][2 * at + 1][0] - found[side][2 * at][0] for at in range(len(pairs))] for side in SIDES
    }  # above 0: the cliché is likelier
    change = paired_interval([b - a for a, b in zip(gaps["base"], gaps["tuned"], strict=True)])
    groups = {}
    for group in dict.fromkeys(pair["group"] for pair in pairs):
        at = [number for number, pair in enumerate(pairs) if pair["group"] == group]
        groups[group] = {"pairs": len(at), **{side: sum(gaps[side][one] > 0 for one in at) for side in SIDES}}
    return {
        "pairs": len(pairs),
        **{side: _rate(sum(gap > 0 for gap in gaps[side]), len(pairs)) for side in SIDES},
        "gap_change": round(change.value, 4),
        "interval": [round(change.low, 4), round(change.high, 4)],
        "groups": groups,
    }


def _counterfactual(
    run: Run, names: dict[str, str], token: str | None, on_device: OnDevice
) -> Measured[dict[str, Any]]:
    """Does the answer change when the people named in a held-out row are exchanged?"""
    labels = read_labels(adapter_folder(run.owner, run.id))
    try:
        held = held_rows(run, labels)
    except UserError as error:
        return {"left_out": error.sentence()}
    pairs = [(at, row.prompt, _exchanged(row.prompt)) for at, row in enumerate(held.rows)]
    pairs = [pair for pair in pairs if pair[1] != pair[2]][:MOST]
    if not pairs:
        return {"left_out": say("none of {rows} held-out rows names a person or uses he or she", rows=len(held.rows))}
    tokens = room(run.recipe.model, run.owner, held.references, token)
    prompts = [one for _, before, after in pairs for one in (before, after)]
    changed: dict[str, Any] = {}
    examples: list[dict[str, Any]] = []
    sides = SIDES[1:] if labels else SIDES  # a base's classes are new
    replies = yield from _replies(sides, names, run, prompts, tokens, token, on_device)
    for side, said in replies.items():
        differ = [at for at in range(len(pairs)) if normal(said[2 * at]) != normal(said[2 * at + 1])]
        changed[side] = _rate(len(differ), len(pairs))
        if side == "tuned":
            examples = [
                {"row": held.numbers[pairs[at][0]] + 1, "answer": said[2 * at], "exchanged": said[2 * at + 1]}
                for at in differ[:10]
            ]
    return {"rows": len(pairs), **changed, "examples": examples}


def _exchanged(found: Prompt) -> Prompt:
    """The prompt with people exchanged in what the row says, not in the instruction."""
    messages = tuple(
        Message(
            one.role,
            tuple(part if part.source == "task" else Part(swapped(part.text), part.source) for part in one.parts),
        )
        for one in found.messages
    )
    return Prompt(messages)


def _replies(
    sides: Sequence[str], names: dict[str, str], run: Run, prompts: list[Prompt], tokens: int, token: str | None,
    on_device: OnDevice,
) -> Measured[dict[str, list[str]]]:  # fmt: skip
    """{side: [the reply to each prompt]}."""
    found: dict[str, list[str]] = {}
    yield 0, len(sides) * len(prompts)
    for side in sides:
        said: dict[int, str] = {}
        backend = open_backend(names[side], run.owner, token=token, on_device=on_device)
        for done, _ in together(backend, prompts, Sampling(max_new_tokens=tokens), threading.Event()):
            said |= {at: reply.text for at, reply in done.items()}
            if done:
                yield len(found) * len(prompts) + len(said), len(sides) * len(prompts)
        found[side] = [said[at] for at in range(len(prompts))]
    return found


def _rate(count: int, of: int) -> dict[str, Any]:
    found = rate(count, of)
    return {"count": count, "share": round(found.value, 4), "interval": [round(found.low, 4), round(found.high, 4)]}
