"""Kendall's tau-b of many score vectors against one vector of true accuracies.

tau-b = (C - D) / sqrt(U_x * U_y), where C and D count concordant and discordant pairs of networks
and U counts the pairs that are not tied in the scores (x) or in the truth (y). See M. G. Kendall,
"The treatment of ties in ranking problems", Biometrika 33 (1945). The values equal those of
``scipy.stats.kendalltau``, which is called for large samples and for few vectors, where it is
faster.

A population is evaluated a block at a time. Networks are sorted by truth, and scores are replaced
by small integer ranks in the layout (networks, rows). One comparison of the block with itself,
shifted by ``lag`` networks, then compares all pairs at that distance for all rows:

    lag 1: (0,1) (1,2) (2,3)      lag 2: (0,2) (1,3)      lag 3: (0,3)

For many networks, only those within a piece are compared in this way. Two neighbouring pieces, each
sorted, are then merged: the position of a score of the right piece shows how many scores of the
left piece are above it (W. R. Knight, "A computer method for calculating Kendall's tau with
ungrouped data", Journal of the American Statistical Association 61, 1966).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["TauReference", "directed_tau", "kendall_tau"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Ranks = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

# Measured: merging is faster above this many networks, and SciPy below this many rows.
_LARGEST_PAIRWISE: Final = 600
_FEWEST_ROWS: Final = 8
_PIECE: Final = 128
_MOST: Final = 2**16 - 1  # most networks, because ranks are uint16
_MOST_TIED: Final = 2**20  # most tied pairs in the truth; SciPy is called for more
# Rows at a time: a block of ranks fits the cache, and all buffers are smaller than 32 MB.
_BLOCK: Final = 256
_TIED_PAIRS: Final = 4096


class TauReference:
    """The true accuracies of one sample, prepared once and compared with many score vectors.

    Args:
        truth: (n,) true accuracies, finite.

    Raises:
        ValueError: if ``truth`` is not a finite vector.
    """

    def __init__(self, truth: npt.ArrayLike) -> None:
        self.truth: Floats = np.array(truth, dtype=np.float64)
        if self.truth.ndim != 1 or not np.isfinite(self.truth).all():
            raise ValueError("truth must be a vector of finite accuracies")
        n = len(self.truth)
        same = np.unique(self.truth, return_counts=True)[1]
        self._untied = (n * (n - 1) - int((same * (same - 1)).sum())) // 2
        self._order = np.argsort(self.truth, kind="stable")
        # Pairs of positions in the sorted truth that are tied there, a few thousand at a time.
        self._tied: list[tuple[Indices, Indices]] = []
        tied = n * (n - 1) // 2 - self._untied
        self._fast = n <= _LARGEST_PAIRWISE or (n <= _MOST and tied <= _MOST_TIED)
        if self._fast and tied:
            first, second = _tied_pairs(same)
            self._tied = [
                (first[i : i + _TIED_PAIRS], second[i : i + _TIED_PAIRS])
                for i in range(0, len(first), _TIED_PAIRS)
            ]

    def __len__(self) -> int:
        return len(self.truth)

    def __call__(self, scores: npt.ArrayLike) -> Floats:
        """Return tau-b of each row with the truth.

        Args:
            scores: (rows, n), float64. Infinities rank as extreme values.

        Returns:
            (rows,) tau-b in [-1, 1]; NaN for a row that is constant or contains a NaN, and for all
            rows if the truth is constant.

        Raises:
            ValueError: if ``scores`` is not a matrix with one column per true accuracy.
        """
        matrix = np.asarray(scores, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != len(self):
            raise ValueError(f"scores must have shape (rows, {len(self)}), not {matrix.shape}")
        tau = np.full(len(matrix), np.nan)
        if self._untied == 0:
            return tau
        constant = (matrix == matrix[:, :1]).all(axis=1)
        rows = np.flatnonzero(~(constant | np.isnan(matrix).any(axis=1)))
        if not self._fast or len(rows) < _FEWEST_ROWS:
            from scipy import stats  # importing takes half a second, which --help must not need

            for row in rows:
                tau[row] = stats.kendalltau(matrix[row], self.truth).statistic
            return tau
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            tau[block] = self._pairwise(_ranks(matrix[block][:, self._order]))
        return tau

    def directed(self, scores: npt.ArrayLike, direction: int) -> Floats:
        """Return tau-b of ``direction * scores``, where a failed network ranks last.

        A network whose score is not finite (NaN or infinite) ranks below all others in either
        direction, tied with the other failed ones. So ``directed(s, -1) == -directed(s, 1)`` is
        true only for rows without failures.

        Args:
            scores: (rows, n), float64.
            direction: 1 if a high score is good, -1 if a low score is good.

        Returns:
            (rows,) tau-b; NaN for a row in which all networks are tied.

        Raises:
            ValueError: if ``direction`` is not 1 or -1, or a shape is wrong.
        """
        if direction not in (1, -1):
            raise ValueError(f"direction must be 1 or -1, not {direction}")
        matrix = np.asarray(scores, dtype=np.float64)
        return self(np.where(np.isfinite(matrix), direction * matrix, -np.inf))

    def _pairwise(self, ranks: Ranks) -> Floats:
        """Tau-b from (n, rows) minimum ranks, sorted by truth."""
        falling = _falling(ranks) if len(ranks) <= _LARGEST_PAIRWISE else _falling_merged(ranks)
        # A minimum rank is the number of smaller scores: the sum counts the pairs not tied in x.
        untied = ranks.sum(axis=0, dtype=np.int64)
        net = untied - 2 * falling  # C - D, after the pairs tied in the truth are subtracted below
        for left, right in self._tied:
            first, second = ranks[left], ranks[right]
            net += np.count_nonzero(second < first, axis=0)
            net -= np.count_nonzero(second > first, axis=0)
        # In the order of SciPy's operations, so that a row has the same bits alone and in a block.
        tau = net / np.sqrt(untied.astype(np.float64)) / np.sqrt(float(self._untied))
        return np.asarray(np.clip(tau, -1.0, 1.0))


def kendall_tau(scores: npt.ArrayLike, truth: npt.ArrayLike) -> Floats:
    """Return tau-b of each row of ``scores`` (rows, n) with ``truth`` (n,): see `TauReference`."""
    return TauReference(truth)(scores)


def directed_tau(scores: npt.ArrayLike, truth: npt.ArrayLike, direction: int) -> Floats:
    """Return tau-b in one direction, failures last: see `TauReference.directed`."""
    return TauReference(truth).directed(scores, direction)


def _tied_pairs(counts: Indices) -> tuple[Indices, Indices]:
    """Return the pairs of positions that are tied in a sorted vector, from its runs' lengths."""
    starts = np.cumsum(counts) - counts
    found = [
        np.stack(np.triu_indices(count, k=1)) + start
        for start, count in zip(starts, counts, strict=True)
        if count > 1
    ]
    first, second = np.concatenate(found, axis=1)
    return first, second


def _falling(ranks: Ranks) -> Indices:
    """Return the number of discordant pairs of each column: (..., n, rows) -> (rows,)."""
    *more, n, rows = ranks.shape
    less = np.empty((*more, n, rows), dtype=np.bool_)
    counts = np.zeros((*more, n, rows), dtype=np.uint8)
    falling = np.zeros(rows, dtype=np.int64)
    axes = tuple(range(len(more) + 1))
    for lag in range(1, n):
        here = np.s_[..., 0 : n - lag, :]
        np.less(ranks[..., lag:, :], ranks[here], out=less[here])
        np.add(counts[here], less[here].view(np.uint8), out=counts[here])
        if lag % 255 == 0:  # before a count exceeds uint8
            falling += counts.sum(axis=axes, dtype=np.int64)
            counts[:] = 0
    falling += counts.sum(axis=axes, dtype=np.int64)
    return falling


def _falling_merged(ranks: Ranks) -> Indices:
    """Return the same number for (n, rows), by merging sorted pieces."""
    n, rows = ranks.shape
    size = _PIECE
    while size < n:
        size *= 2
    padded = np.full((size, rows), _MOST, dtype=np.uint16)  # last and largest: never discordant
    padded[:n] = ranks
    falling = _falling(padded.reshape(-1, _PIECE, rows))
    columns: npt.NDArray[np.uint32] = np.ascontiguousarray(padded.T).astype(np.uint32)
    width = _PIECE
    while width < size:
        # The last bit records the half of a score, so that of equal scores the left comes first.
        marked = (columns * np.uint32(2)).reshape(rows, -1, 2, width)
        marked[:, :, 1] |= 1
        merged = np.sort(marked.reshape(rows, -1, 2 * width), axis=-1)
        # If the j-th of the right half moves to place p, p - j of the left half are not above it.
        # Not a matrix product, for which NumPy would start threads.
        places = np.einsum("...j,j", (merged & 1).astype(np.float64), np.arange(2.0 * width))
        before = places - width * (width - 1) // 2
        falling += (width * width - before).sum(axis=-1).astype(np.int64)
        columns = merged // np.uint32(2)
        width *= 2
    return falling


def _ranks(scores: Floats) -> Ranks:
    """Ranks that count the smaller scores of a row: (rows, n) -> (n, rows), contiguous."""
    n = scores.shape[1]
    dtype = np.uint8 if n <= 256 else np.uint16
    order = np.argsort(scores, axis=1)
    ordered = np.take_along_axis(scores, order, axis=1)
    smaller = np.zeros(scores.shape, dtype=dtype)
    smaller[:, 1:] = np.arange(1, n, dtype=dtype) * (ordered[:, 1:] != ordered[:, :-1])
    np.maximum.accumulate(smaller, axis=1, out=smaller)
    ranks = np.empty_like(smaller)
    np.put_along_axis(ranks, order, smaller, axis=1)
    return np.ascontiguousarray(ranks.T)
