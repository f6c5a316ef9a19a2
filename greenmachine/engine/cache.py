"""A bounded least-recently-used cache of vectors, by canonical text.

It keeps values at the reduction boundary and above it: one number per layer (``LayerScalar``), a
matrix per network (``NetworkMatrix``), one number per network (``NetworkScalar``), and
eigenvalues. The key is the canonical text of the expression, and the bound is a number of bytes.
Intermediate tensors are never kept, because that was slower in measurements.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor

__all__ = ["VectorCache"]


class VectorCache:
    """Least-recently-used cache of tensors.

    Attributes:
        hits: number of look-ups that found their vector.
        misses: number of look-ups that did not.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.hits = 0
        self.misses = 0
        self._bytes = 0
        self._entries: OrderedDict[str, Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def nbytes(self) -> int:
        """Number of bytes of all entries."""
        return self._bytes

    def get(self, key: str) -> Tensor | None:
        """Return the vector of ``key`` and count the look-up."""
        found = self._entries.get(key)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(key)
        return found

    def peek(self, key: str) -> Tensor | None:
        """Return the vector of ``key`` without counting the look-up."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: str, value: Tensor) -> None:
        """Store ``value``; remove the least recently used entries that exceed the bound.

        A value larger than the bound is not stored.
        """
        if key in self._entries:
            self._bytes -= self._entries.pop(key).nbytes
        self._entries[key] = value
        self._bytes += value.nbytes
        while self._bytes > self.limit_bytes:
            _, dropped = self._entries.popitem(last=False)
            self._bytes -= dropped.nbytes
