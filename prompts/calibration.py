"""Contextual calibration: what a model would answer to nothing is taken out of what it answers to something.

Zhao et al. 2021, "Calibrate Before Use: Improving Few-Shot Performance of Language Models", arXiv 2102.09690.
"""

from collections.abc import Sequence
from typing import Any

CONTENT_FREE = (
    "N/A",
    "[MASK]",
    "-",
)  # stands in every slot; the paper also takes an empty text, which some templates drop


def shares(scores: Sequence[float]) -> Any:
    """Log-probabilities of labels -> their shares among these labels, shape (labels,)."""
    import numpy as np

    found: Any = np.asarray(scores, dtype=float)
    found = np.exp(found - found.max())
    return found / found.sum()


def calibrated(scores: Sequence[float], free: Sequence[Sequence[float]]) -> int:
    """The label, by number, of a row with these log-probabilities, given those of the content-free inputs."""
    import numpy as np

    prior = np.mean([shares(one) for one in free], axis=0)
    return int((shares(scores) / prior).argmax())
