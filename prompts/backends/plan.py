"""Which rows share a batch. Pure functions: the same lengths give the same plan."""

from collections.abc import Sequence

BATCH_TOKENS = 8192  # prompt and reply tokens of one batch, padding included
BATCH_ROWS = 64  # more rows differ more in length, and padding eats what they gain

Batch = list[int]  # row numbers


def plan_batches(lengths: Sequence[int], new_tokens: int) -> list[Batch]:
    """Row numbers grouped so that similar lengths share a batch and padded tokens stay under the budget."""
    order = sorted(range(len(lengths)), key=lambda at: -lengths[at])
    batches: list[Batch] = []
    for at in order:
        if batches:
            widest = lengths[batches[-1][0]] + new_tokens
            if len(batches[-1]) < BATCH_ROWS and widest * (len(batches[-1]) + 1) <= BATCH_TOKENS:
                batches[-1].append(at)
                continue
        batches.append([at])
    return batches


def common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """How many first tokens all prompts share, one short of the shortest, so that each keeps an end of its own."""
    if not prompts:
        return 0
    first, last = min(map(list, prompts)), max(map(list, prompts))  # in dictionary order these two differ soonest
    shared = next(
        (at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
    )
    return min(shared, min(map(len, prompts)) - 1)
