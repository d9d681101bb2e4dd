"""What a ladder asks, with what, and what asking costs."""

from typing import TYPE_CHECKING, Literal

from prompts.prices import Prices
from prompts.settings import knob
from tuning.evaluate import Measure
from tuning.ladder.rungs import RUNGS

if TYPE_CHECKING:
    RungName = str
else:
    RungName = Literal[tuple(RUNGS)]


class LadderSettings(Measure, Prices):
    """Which rungs are asked, with what, and what asking costs."""

    rungs: tuple[RungName, ...] = knob(
        (), title="Rungs", place=5, help="Which ones; empty: all that apply, in their order."
    )
    model: str = knob(
        "", title="Model of the prompts", pick=True, place=6,
        help="Empty: the run's own base; for a BERT- or T5-like run, whose base takes no prompts, the embedded model.",
    )  # fmt: skip
    task: str = knob(
        "", title="Short prompt", lines=2, place=7,
        help="Empty: the instruction that the run was trained with, else what an answer has to look like.",
    )  # fmt: skip
    context: str = knob(
        "", title="Context", lines=3, place=8, help="What the model has to know; for the rung with context."
    )
    refined: str = knob(
        "", title="Best refined prompt", lines=3, place=9,
        help="Yours. Empty: requirements are added to the short prompt as long as they help on training rows.",
    )  # fmt: skip
    larger_model: str = knob(
        "", title="Larger model", pick=True, place=12, help="For the last rung: <url>#<model> of a server, or a Hub id."
    )
    k: int = knob(
        4, title="Examples shown (k)", ge=1, le=32, place=38, advanced=True,
        help="Training rows, for the two rungs with examples.",
    )  # fmt: skip
    votes: int = knob(
        5,
        title="Votes",
        ge=2,
        le=40,
        place=39,
        advanced=True,
        help="Chains of thought that vote, for self-consistency.",
    )
    temperature: float = knob(
        0.7, title="Temperature of the votes", gt=0, le=2, step=0.05, place=40, advanced=True,
        help="Higher: the votes differ more.",
    )  # fmt: skip
    reasoning_tokens: int = knob(
        128, title="Longest reasoning", unit="tokens", ge=16, le=8192, place=41, advanced=True,
        help="A chain of thought is stopped after so many tokens.",
    )  # fmt: skip
    most_rows: int = knob(
        1000, title="At most", unit="rows", ge=1, place=42, advanced=True,
        help="So many held-out rows are asked; which ones, the seed decides.",
    )  # fmt: skip
    seed: int = knob(
        0, title="Seed", help="Fixes rows, examples and votes.", ge=0, le=2**31 - 1, place=47, advanced=True
    )

    @property
    def chosen(self) -> list[str]:
        named = [name for name in RUNGS if name != "larger" or self.larger_model]
        return [name for name in RUNGS if name in self.rungs] if self.rungs else named
