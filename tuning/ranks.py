"""The processes of one training, as `accelerate launch` starts them: one without it. All must ask in the same order."""

import os
from typing import Any


def count() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """This process's number, from 0; the first one owns the run's folder."""
    return int(os.environ.get("RANK", "0"))


def join() -> None:
    """Waits for the others to be there."""
    if count() > 1:
        from accelerate import PartialState

        from prompts.loading import device

        PartialState(cpu=device() == "cpu")


def first_says(value: Any) -> Any:
    """What the first process has, in all."""
    if count() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]


def most(number: float) -> float:
    """The largest of all processes' numbers."""
    return _together(number, "MAX")


def total(number: float) -> float:
    """The sum of all processes' numbers."""
    return _together(number, "SUM")


def _together(number: float, how: str) -> float:
    if count() == 1:
        return number
    import torch
    from torch import distributed

    from prompts.loading import device

    value = torch.tensor(float(number), dtype=torch.float64 if device() == "cpu" else torch.float32, device=device())
    distributed.all_reduce(value, op=getattr(distributed.ReduceOp, how))
    return float(value)
