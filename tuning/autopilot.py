"""What a training does by itself: less memory when there is not enough, and a stop with cause and remedy when it learns nothing."""

import math
from collections.abc import Sequence
from statistics import fmean

from prompts.errors import UserError
from prompts.words import say

ZERO, ZERO_STEPS = 1e-8, 3  # so many losses in a row that are nothing
SMOOTH, EXPLODED, FLOOR = 5, 3.0, 2.0  # a mean of SMOOTH losses that is EXPLODED times the best one, and above FLOOR
NO_GRADIENT, FLAT_STEPS = 1e-9, 20


def check_losses(losses: Sequence[float], gradients: Sequence[float], learning_rate: float) -> None:
    """Raises UserError, which stops the run, where the losses of the steps so far say that going on is useless."""
    step = len(losses)
    if not math.isfinite(losses[-1]):
        raise UserError(
            "the loss is not a number at step {step}: the learning rate ({learning_rate:g}) is "
            "likely too high; start again with {lower:.1g}, or lower max_grad_norm",
            step=step,
            learning_rate=learning_rate,
            lower=learning_rate / 3,
            field="learning_rate",
        )
    if step >= ZERO_STEPS and max(map(abs, losses[-ZERO_STEPS:])) < ZERO:
        raise UserError(
            "the loss is zero since step {step}: nothing is left to learn, or no answer is learned "
            "at all; look at the tokens of your rows",
            step=step - ZERO_STEPS + 1,
        )
    if step >= 2 * SMOOTH:
        means = [fmean(losses[at : at + SMOOTH]) for at in range(step - SMOOTH + 1)]
        if means[-1] > FLOOR and means[-1] > EXPLODED * min(means):
            raise UserError(
                "the loss exploded, from {means:.2f} to {loss:.2f}; lower the learning rate (now {learning_rate:g})",
                means=min(means),
                loss=means[-1],
                learning_rate=learning_rate,
                field="learning_rate",
            )
    if step >= FLAT_STEPS and max(gradients[-FLAT_STEPS:]) < NO_GRADIENT:
        raise UserError(
            "no gradient has arrived for {flat_steps} steps, so nothing changes: the method or the "
            "layers do not fit this model",
            flat_steps=FLAT_STEPS,
        )


class Relief:
    """What is done, one after the other, when memory runs out: half the rows of a pass, then gradient checkpointing."""

    def __init__(self, rows: int, tokens: int, *, checkpointing: bool, can_checkpoint: bool = True) -> None:
        self.rows, self.tokens, self.checkpointing, self._can_checkpoint = rows, tokens, checkpointing, can_checkpoint

    def next(self, longest: int) -> str:
        """The next measure, in words; `rows`, `tokens` and `checkpointing` are changed. Raises UserError when none is left."""
        if self.rows > 1 and self.tokens > longest:
            self.rows, self.tokens = max(1, self.rows // 2), max(longest, self.tokens // 2)
            return say(
                "out of memory: a pass has at most {rows} rows and {tokens} tokens now, the effective batch stays",
                rows=self.rows,
                tokens=self.tokens,
            )
        if self._can_checkpoint and not self.checkpointing:
            self.checkpointing = True
            return say(
                "out of memory with one row at a time: gradient checkpointing is on now, which is a third slower"
            )
        raise UserError(
            "out of memory even with {least}: the longest row has {longest:,} tokens. Lower max_length to {half:,}, or choose a "
            "smaller model",
            least=say("one row at a time and gradient checkpointing")
            if self.checkpointing
            else say("one row at a time"),
            longest=longest,
            half=longest // 2,
            field="max_length",
        )
