"""Scores from the vectors of a bank; no network is built and no tensor is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from greenmachine.bank.bank import Vectors
from greenmachine.engine import Evaluator
from greenmachine.engine.graph import LOWER_KINDS
from greenmachine.engine.network_stage import Layout
from greenmachine.language import Expression
from greenmachine.primitives.registry import LAYER_SCALAR, NETWORK_MATRIX
from greenmachine.workers import Progress

__all__ = ["BankEvaluator"]


class BankEvaluator(Evaluator):
    """Computes scores of expressions on some networks of a bank.

    Args:
        vectors: the values on the family.
        places: the networks of the sample, as positions in the family. A network may be in the
            sample several times; it is computed once.
        cache_bytes: see :class:`greenmachine.engine.Evaluator`.
    """

    def __init__(self, vectors: Vectors, places: Sequence[int], *, cache_bytes: int) -> None:
        different, self._repeats = np.unique(np.asarray(places, np.int64), return_inverse=True)
        places = different.tolist()
        super().__init__([], len(places), cache_bytes=cache_bytes)
        self._below = LOWER_KINDS | {NETWORK_MATRIX}
        self._vectors = vectors
        self._networks = different
        counts = vectors.layer_counts
        starts = np.concatenate([[0], np.cumsum(counts)])
        spans = [np.arange(starts[place], starts[place + 1]) for place in places]
        self._rows = np.concatenate(spans) if spans else np.empty(0, dtype=np.int64)
        self._order = list(range(len(places)))
        self._layout: Layout = Layout([counts[place] for place in places])
        self.failures = {
            number: vectors.failures[place]
            for number, place in enumerate(places)
            if place in vectors.failures
        }

    def scores(
        self, expressions: Sequence[Expression], progress: Progress | None = None
    ) -> NDArray[np.float64]:
        """Return the scores, (expressions, places); see :class:`greenmachine.engine.Evaluator`."""
        return super().scores(expressions, progress)[:, self._repeats]

    def _boundary(self, boundary: list[Expression], progress: Progress | None) -> dict[str, Tensor]:
        """Return the value of every boundary expression over the whole sample.

        Raises:
            RunError: the bank does not contain one of them.
        """
        vectors = {}
        for expression in boundary:
            value = self.cache.get(expression.text)
            if value is None:
                per_layer = expression.kind == LAYER_SCALAR
                rows = self._rows if per_layer else self._networks
                value = torch.from_numpy(self._vectors.read(expression.text)[rows])
                value = self._layout.join([(self._order, value)], per_layer=per_layer)
                self.cache.put(expression.text, value)
                self.evaluated += 1
            vectors[expression.text] = value
        return vectors
