"""A bounded cache of vectors by canonical text.

What is kept is chosen at the reduction boundary and above it: one number per layer
(``LayerScalar``), a matrix per network (``NetworkMatrix``), one number per network
(``NetworkScalar``), eigenvalues. Keys are canonical texts, equality is that of the text, the bound
is in bytes, the least recently used entry goes first. Intermediate tensors are never kept: that
was measured to be slower.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor

__all__ = ["VectorCache"]


class VectorCache:
    """Least-recently-used cache of tensors.

    Attributes:
        hits: look-ups that found their vector.
        misses: look-ups that did not.
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
        """Bytes of all entries."""
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
        """Keep ``value``, dropping the least recently used entries over the bound.

        A value larger than the bound is not kept.
        """
        if key in self._entries:
            self._bytes -= self._entries.pop(key).nbytes
        self._entries[key] = value
        self._bytes += value.nbytes
        while self._bytes > self.limit_bytes:
            _, dropped = self._entries.popitem(last=False)
            self._bytes -= dropped.nbytes
