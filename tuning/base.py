"""A run's base, known by what it answers: so that "before" is the model that training began with, and no other.

A run's folder holds base.json: the base's revision on the Hub, and its numbers for one text before any adapter was there.
"""

import hashlib
from pathlib import Path
from typing import Any

from prompts.errors import UserError
from prompts.kinds import Kind
from prompts.words import say
from tuning.work import read_json, write_json

FILE = "base.json"
TEXT = "The quick brown fox jumps over the lazy dog, and the dog sleeps on."
KEPT = 16  # of the numbers, those furthest from zero
ROUNDING = 0.05  # of the largest number: other hardware, other order of sums


def fingerprint(model: Any, tokenizer: Any, kind: Kind) -> dict[str, Any]:
    """{"digest", "places", "values", "revision"}: logits of the next token after TEXT; of a classifier, whose head is new, the
    hidden state of the base under it.
    """
    import torch

    ids = torch.tensor([tokenizer(TEXT)["input_ids"]], device=model.device)
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        if kind == "classifier":
            whole = model.get_base_model() if hasattr(model, "get_base_model") else model
            found = whole.base_model(input_ids=ids).last_hidden_state[0, 0]
        elif kind == "seq2seq":
            start = torch.tensor([[model.config.decoder_start_token_id or 0]], device=model.device)
            found = model(input_ids=ids, decoder_input_ids=start).logits[0, -1]
        else:
            found = model(input_ids=ids).logits[0, -1]
    model.train(was_training)
    numbers = found.float().cpu()
    places = numbers.abs().topk(min(KEPT, len(numbers))).indices
    return {
        "digest": hashlib.sha256(numbers.numpy().tobytes()).hexdigest()[:16],
        "places": places.tolist(),
        "values": [round(value, 6) for value in numbers[places].tolist()],
        "numbers": numbers.tolist(),
        "revision": getattr(model.config, "_commit_hash", None),
    }


def keep(folder: Path, found: dict[str, Any]) -> None:
    """Writes what `fingerprint` found into a run's folder, once."""
    if not (folder / FILE).is_file():
        write_json(folder / FILE, {name: value for name, value in found.items() if name != "numbers"})


def known(folder: Path) -> dict[str, Any] | None:
    """What `keep` wrote; None for a run from before, or one whose base was trained in 4 bits."""
    return dict(read_json(folder / FILE)) if (folder / FILE).is_file() else None


def check(folder: Path, model: str, found: dict[str, Any]) -> str:
    """A sentence on how the base now compares with the one that was trained on. Raises UserError where it is another model."""
    before = known(folder)
    if before is None:
        return say("the base was not fingerprinted when the run was trained")
    if before["digest"] == found["digest"]:
        return say("the base's logits are bit for bit those from before the training")
    scale = max(map(abs, before["values"]))
    inside = all(place < len(found["numbers"]) for place in before["places"])
    apart = max(
        (abs(found["numbers"][place] - value) for place, value in zip(before["places"], before["values"], strict=True)),
        default=0.0,
    ) if inside else float("inf")  # fmt: skip
    if apart <= ROUNDING * scale:
        return say(
            "the base's logits are those from before the training within rounding ({apart:.2%} apart)",
            apart=apart / scale,
        )
    moved = (
        say(" (revision {revision} then, {revision2} now)", revision=before["revision"], revision2=found["revision"])
        if before["revision"]
        else ""
    )
    raise UserError(
        "{model} is no longer the model that this run was trained on{moved}: its logits differ, "
        "so its adapter would be measured on another base. Bring the old base back, or train "
        "again",
        model=model,
        moved=moved,
        field="model",
    )
