"""The loss on held-out rows with the adapter off and on. Imported on first use: it needs torch."""

from collections.abc import Iterator
from typing import Any

import torch

from prompts.backends.local import opened
from prompts.errors import UserError
from prompts.kinds import Labels
from prompts.leases import Size
from prompts.loading import Loaded
from tuning.base import fingerprint
from tuning.data.encode import EncodedRow
from tuning.objectives import WholeRows, objective_of
from tuning.trainer import micro_batches

ROWS, TOKENS = 8, 2048  # of one forward pass


def held_out_losses(
    name: str, owner: str, token: str | None, rows: list[EncodedRow], labels: Labels | None
) -> Iterator[tuple[float, int, int]]:
    """(summed loss of the answers' tokens, or of the classes; how many of these; rows) of some rows after the other, of a model by
    name. Runs inside the device's lease. Raises UserError where the model cannot read the rows.
    """
    loaded, adapter = opened(name, owner, token)
    objective = _objective(loaded, labels)
    for batch in micro_batches(rows, ROWS, TOKENS):
        with (
            loaded.using(adapter) as model,
            torch.inference_mode(),
        ):  # each anew: the next may be asked for by another thread
            loss = float(objective.loss_sum(model, batch))
        yield loss, objective.weight(batch), len(batch)


def _objective(loaded: Loaded, labels: Labels | None) -> Any:
    if loaded.kind == "classifier" and (labels is None or loaded.labels != labels):
        raise UserError("the model tells other classes apart", field="model")
    return objective_of(None, loaded.tokenizer, kind=loaded.kind, soft=True, many=bool(labels and labels.many))


def text_losses(name: str, owner: str, token: str | None, texts: list[str]) -> Iterator[tuple[float, int]]:
    """(summed loss, tokens) of each text, read by a causal model from its first token on. Runs inside the device's lease."""
    loaded, adapter = opened(name, owner, token)
    objective = WholeRows(loaded.tokenizer)
    for text in texts:
        row = EncodedRow(tuple(loaded.tokenizer(text)["input_ids"]), 1)
        with loaded.using(adapter) as model, torch.inference_mode():
            loss = float(objective.loss_sum(model, [row]))
        yield loss, row.learned


def base_now(base: str, tuned: str, owner: str, token: str | None) -> dict[str, Any]:
    """The fingerprint of a run's base as it is asked: the same model with the adapter off. Runs inside the device's lease."""
    loaded, adapter = opened(tuned if _apart(tuned, owner, token) else base, owner, token)
    if adapter is not None:
        with loaded.using(adapter):  # attached first, so that "off" is tested and not merely "absent"
            pass
    with loaded.using(None) as model:
        return fingerprint(model, loaded.tokenizer, loaded.kind)


SIZES = {
    held_out_losses: Size(lambda *args: len(args[3]), parts_at=3),
    text_losses: Size(lambda *args: len(args[3]), parts_at=3),
    base_now: Size(),
}


def _apart(tuned: str, owner: str, token: str | None) -> bool:
    """Does the tuned model contain its base (an adapter), rather than being another model (fine-tuned as a whole)?"""
    return opened(tuned, owner, token)[1] is not None
