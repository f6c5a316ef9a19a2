"""Regression trees as plain arrays: vectorised prediction over all trees, and their JSON.

The nodes of all trees are stored one after the other, each tree's root first. A node that splits
sends a network to its left child if the score is at most the threshold, else to its right child. A
leaf has feature -1 and the value to predict. A tree of one split over feature 2:

    node       0     1     2
    feature    2    -1    -1
    threshold  0.5   0     0
    left       1     0     0
    right      2     0     0
    value      0    71.5  88.0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Trees"]

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_FIELDS = ("feature", "threshold", "left", "right", "value")
_WALKERS = 1 << 18  # pairs of network and tree at a time; keeps buffers smaller than 10 MB


@dataclass(frozen=True, eq=False)
class Trees:
    """Trees whose mean is the prediction.

    Attributes:
        roots: (trees,) indices of the roots.
        feature: (nodes,) column that a node reads, -1 at a leaf.
        threshold: (nodes,) finite.
        left: (nodes,) index of the child for scores of at most the threshold.
        right: (nodes,) index of the other child.
        value: (nodes,) the prediction of a leaf.
    """

    roots: Counts
    feature: Counts
    threshold: Floats
    left: Counts
    right: Counts
    value: Floats

    def __len__(self) -> int:
        return len(self.roots)

    def predict(self, scores: Floats) -> Floats:
        """Return the mean over the trees, (networks,), for ``scores`` (networks, features).

        Minus infinity goes left everywhere. Scores must not be NaN.
        """
        mean = np.empty(len(scores))
        step = max(1, _WALKERS // len(self))
        for start in range(0, len(scores), step):
            block = scores[start : start + step]
            node = np.tile(self.roots, len(block))
            row = np.repeat(np.arange(len(block)), len(self))
            walking = np.flatnonzero(self.feature[node] >= 0)
            while walking.size:
                here = node[walking]
                low = block[row[walking], self.feature[here]] <= self.threshold[here]
                there = np.where(low, self.left[here], self.right[here])
                node[walking] = there
                walking = walking[self.feature[there] >= 0]
            mean[start : start + step] = self.value[node].reshape(len(block), -1).mean(axis=1)
        return mean

    def to_json(self) -> list[dict[str, list[float]]]:
        """Return one object of five lists per tree; children are counted from the tree's root."""
        ends = [*self.roots[1:].tolist(), len(self.feature)]
        trees = []
        for root, end in zip(self.roots.tolist(), ends, strict=True):
            here = slice(root, end)
            split = self.feature[here] >= 0
            tree = {name: getattr(self, name)[here] for name in _FIELDS}
            tree |= {side: np.where(split, tree[side] - root, 0) for side in ("left", "right")}
            trees.append({name: values.tolist() for name, values in tree.items()})
        return trees

    @classmethod
    def from_json(cls, trees: Any, features: int) -> Trees:
        """Return the trees that ``to_json`` wrote.

        Args:
            trees: any JSON value.
            features: number of columns that they may read.

        Raises:
            ValueError: ``trees`` is anything else; the message says what is wrong.
        """
        if not isinstance(trees, list) or not trees:
            raise ValueError("trees is not a list of trees")
        checked = []
        for number, tree in enumerate(trees):
            try:
                checked.append(_checked(tree, features))
            except ValueError as error:
                raise ValueError(f"tree {number}: {error}") from None
        return cls.of(checked)

    @classmethod
    def of(cls, trees: Sequence[dict[str, Any]]) -> Trees:
        """Combine single trees, each with five arrays and children counted from its root."""
        sizes = np.array([len(tree["feature"]) for tree in trees], dtype=np.int64)
        roots = np.cumsum(sizes) - sizes
        joined = {name: np.concatenate([tree[name] for tree in trees]) for name in _FIELDS}
        moved = np.repeat(roots, sizes)
        return cls(
            roots,
            joined["feature"],
            joined["threshold"],
            joined["left"] + moved,
            joined["right"] + moved,
            joined["value"],
        )


def _checked(tree: Any, features: int) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of one tree, after checking that it is a tree."""
    if not isinstance(tree, dict) or set(tree) != set(_FIELDS):
        raise ValueError(f"its keys are not {', '.join(_FIELDS)}")
    found = {name: _numbers(name, tree[name]) for name in _FIELDS}
    size = len(found["feature"])
    if any(len(values) != size for values in found.values()):
        raise ValueError("its arrays differ in length")
    for name in ("feature", "left", "right"):
        if found[name].dtype != np.int64:
            raise ValueError(f"{name} contains numbers that are not integers")
    if found["feature"].min() < -1 or found["feature"].max() >= features:
        raise ValueError(f"it reads features other than the {features} given")
    split = np.flatnonzero(found["feature"] >= 0)
    children = np.concatenate([found["left"][split], found["right"][split]])
    # Every node except the root is the child of exactly one earlier node, so there is no cycle.
    if (
        not np.array_equal(np.sort(children), np.arange(1, size))
        or (children <= np.tile(split, 2)).any()
    ):
        raise ValueError("its children are not those of a tree")
    found["threshold"] = found["threshold"].astype(np.float64)
    found["value"] = found["value"].astype(np.float64)
    return found


def _numbers(name: str, values: Any) -> npt.NDArray[Any]:
    array = np.array(values) if isinstance(values, list) and values else np.empty(0)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "if":
        raise ValueError(f"{name} is not a list of numbers")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains a number that is not finite")
    return array
