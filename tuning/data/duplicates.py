"""Exact and near duplicates: MinHash (Broder 1997) finds candidates, the share of equal characters decides.

Two texts are near duplicates where at least NEAR of their characters are the same in the same order, case and white space
aside (rapidfuzz' normalised Indel similarity). Needs numpy and datasketch; imported on first use.
"""

import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

import numpy as np
from datasketch import MinHash
from rapidfuzz import fuzz

from prompts.following import Progress, part, told_to_nobody
from prompts.scoring import folded

NEAR = 0.9
BANDS, BAND = 32, 3  # of 96 hash values: two texts with half their shingles in common are found in 98.6 % of cases
TEMPLATE, TEMPLATE_SHARE = 8, 0.05  # a group beyond so many rows, and so much of all, is a template's
CHUNK = 1000
KEPT = 50_000  # texts held while pairs are compared
ALL_PAIRS = 8  # rows of one bucket up to which all pairs are compared
_WORD = re.compile(r"\w+")


class Groups:
    """Which rows are alike: `exact[n]` and `near[n]` are the first row that row n equals or resembles (itself if none)."""

    def __init__(self, exact: np.ndarray, near: np.ndarray) -> None:
        self.exact, self.near = exact, near

    @property
    def together(self) -> np.ndarray:
        """As `near`, for splitting: where more rows resemble one another than copies would, they follow a template, and only
        equal ones stay together.
        """
        sizes = np.bincount(self.near, minlength=len(self.near))
        return np.where(sizes[self.near] > max(TEMPLATE, TEMPLATE_SHARE * len(self.near)), self.exact, self.near)

    @property
    def resembling(self) -> list[int]:
        """Rows that resemble an earlier one without equalling it."""
        own = np.arange(len(self.near))
        return [int(at) for at in np.flatnonzero((self.near != own) & (self.exact == own))]


def find_groups(texts: Iterable[str], at: Callable[[int], str], of: int, tell: Progress = told_to_nobody) -> Groups:
    """`texts` in order, `of` so many, and one of them by its number, counted from 0; empty ones are alike with none. `tell` is told
    each text when it is read and when it is compared, as a half.
    """
    seen: dict[int, int] = {}
    exact: list[int] = []
    hashed: list[int] = []  # the rows of `signatures`
    signatures: list[np.ndarray] = []
    shingles: list[np.ndarray] = []
    for number, text in enumerate(texts):
        plain = folded(text)
        first = seen.setdefault(hash(plain), number) if plain else number
        exact.append(first)
        if first == number and plain:
            hashed.append(number)
            shingles.append(_shingles(plain))
        if len(shingles) == CHUNK:
            signatures.append(_signatures(shingles))
            shingles = []
            tell(number // 2, of)
    if shingles:
        signatures.append(_signatures(shingles))
    groups = np.array(exact, dtype=np.int64)
    if not signatures:
        return Groups(groups, groups.copy())
    second = part(tell, 0.5, 0.5)
    near = _joined(np.concatenate(signatures), np.array(hashed), groups, lambda number: folded(at(number)), second)
    return Groups(groups, near)


def _shingles(plain: str) -> np.ndarray:
    """Hashes of the words and pairs of words; of runs of four characters where there are few words."""
    words = _WORD.findall(plain)
    if len(words) >= 8:
        parts = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
    else:
        parts = [plain[start : start + 4] for start in range(max(1, len(plain) - 3))]
    return np.array([zlib.crc32(part.encode()) for part in parts], dtype=np.uint64)


def _signatures(shingles: list[np.ndarray]) -> np.ndarray:
    """Shape (len(shingles), BANDS * BAND), uint32."""
    found = MinHash.bulk(shingles, num_perm=BANDS * BAND, seed=1, hashfunc=int)
    return np.array([one.hashvalues for one in found], dtype=np.uint32)


def _joined(
    signatures: np.ndarray, rows: np.ndarray, exact: np.ndarray, at: Callable[[int], str], tell: Progress
) -> np.ndarray:
    """The first row of the group of each row, after the groups of near duplicates are joined."""
    parent = exact.copy()

    def top(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = int(parent[row])
        return row

    tried: set[tuple[int, int]] = set()
    text = lru_cache(KEPT)(at)
    for band in range(BANDS):
        for a, b in _pairs(np.ascontiguousarray(signatures[:, band * BAND : (band + 1) * BAND])):
            one, other = int(rows[a]), int(rows[b])
            if (one, other) in tried or (first := top(one)) == (second := top(other)):
                continue
            tried.add((one, other))
            if fuzz.ratio(text(one), text(other), score_cutoff=100 * NEAR):
                parent[max(first, second)] = min(first, second)
        tell(len(parent) * (band + 1) // BANDS, len(parent))
    return np.array([top(row) for row in range(len(parent))], dtype=np.int64)


def _pairs(band: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs (earlier, later) of rows whose values in this band are the same."""
    keys = band.view(np.dtype((np.void, band.dtype.itemsize * band.shape[1]))).ravel()
    _, codes = np.unique(keys, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        bucket = order[start:end]
        if len(bucket) <= ALL_PAIRS:
            yield from ((int(a), int(b)) for at, b in enumerate(bucket) for a in bucket[:at])
        else:
            for before, here in pairwise(bucket):
                yield int(bucket[0]), int(here)
                yield int(before), int(here)
