"""From expressions to scores: the population as one graph over shards of networks.

Workers reduce the tensors of a shard to boundary values (the layer stage). This process caches
those values, aggregates them over layers and combines them (the network stage). Only texts, vectors
and small matrices are sent between processes. Results do not depend on the number of workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from greenmachine.benchmarks.packed import PackedBenchmark
from greenmachine.engine.cache import VectorCache
from greenmachine.engine.graph import LOWER_KINDS, TENSOR_KINDS, boundary_of
from greenmachine.engine.layer_stage import evaluate_shard
from greenmachine.engine.network_stage import Known, Layout, evaluate_vectors
from greenmachine.engine.resident import forget_resident, resident_shard
from greenmachine.errors import RunError
from greenmachine.language import Expression, canonical, parse
from greenmachine.neutral import neutral
from greenmachine.primitives.registry import NETWORK_MATRIX
from greenmachine.signals.network_capture import CaptureSpec, capture_shard, packed_benchmark
from greenmachine.signals.shard import Shard
from greenmachine.signals.shard_recipe import ShardRecipe
from greenmachine.signals.store import Store, shard_places
from greenmachine.workers import Progress, can_begin, remote, run_tasks, stream_tasks
from greenmachine.workers.gpus import is_gpu, on_gpus, visible_gpus

__all__ = ["Evaluator", "Source"]

Source = Path | ShardRecipe | tuple[CaptureSpec, list[tuple[int, int]], PackedBenchmark]
"""A shard: the layout file of a stored shard; a recipe for workers that may not see the file; or
what to capture when it is needed (spec, places, benchmark)."""

Part = tuple[list[int], list[int], dict[int, str], list[NDArray[np.float64]]]
"""Of one shard: its networks, their numbers of layers, failures, and boundary values."""

CACHE_BYTES = 2**29
_SHRINKS = (1, 8, 64)  # divisors of the chunk size, tried if a GPU has too little memory
MATRIX_BATCH = 16
"""Largest batch whose matrix over the batch is a boundary value, and so cached, for every layer. An
expression that differs only above such a matrix needs no tensor computation, which saves a quarter
of a run's tensor operations. Matrices of larger batches are too large for the cache."""


class Evaluator:
    """Computes the scores of expressions on one sample of networks.

    Args:
        sources: the shards of the sample.
        size: number of networks in the sample.
        workers: number of processes; -1 means one for each core.
        device: device on which the tensors of a shard are evaluated.
        matrices: whether to cache the matrix over the batch of every layer, for later scoring.
        cache_bytes: bound of the cache; ``parts`` has half of it in addition.
        clock: returns seconds: wall time, or ``time.process_time``.

    Attributes:
        cache: boundary values and scores by canonical text.
        parts: intermediate values between the boundary and the score, and spectra. They need no
            tensor computation, so they have a separate cache: a search makes many of them, and they
            must not displace boundary values.
        failures: error message of every network that failed, by position in the sample; known
            after the first scoring.
        evaluated: number of boundary expressions computed so far.
        seconds: time in which this process waited for them, by ``clock``.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        size: int,
        *,
        workers: int = 1,
        device: str = "cpu",
        matrices: bool = False,
        cache_bytes: int = CACHE_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.sources = list(sources)
        self.size = size
        self.workers = workers
        self.device = device
        self.cache = VectorCache(cache_bytes)
        self.parts = VectorCache(cache_bytes // 2)
        self.failures: dict[int, str] = {}
        self.evaluated = 0
        self.seconds = 0.0
        self._begun: tuple[list[Expression], Generator[Part, None, None]] | None = None
        self._below = TENSOR_KINDS if matrices else LOWER_KINDS
        self._layout: Layout | None = None

    @classmethod
    def of_store(
        cls,
        store: Store,
        *,
        workers: int = 1,
        device: str = "cpu",
        shards: Sequence[int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Evaluator:
        """Return an evaluator of a built store; with ``shards``, all other networks score NaN."""
        sources = store.sources
        return cls(
            sources if shards is None else [sources[number] for number in shards],
            len(store.indices),
            workers=workers,
            device=device,
            matrices=store.spec.batch <= MATRIX_BATCH,
            clock=clock,
        )

    @classmethod
    def of_networks(
        cls, spec: CaptureSpec, indices: Sequence[int], *, workers: int = 1
    ) -> Evaluator:
        """Return an evaluator that captures its networks at every scoring and keeps nothing.

        Use it to score a few expressions on many networks, in one call.
        """
        packed = packed_benchmark(spec.benchmark)
        sources = [(spec, places, packed) for places in shard_places(indices)]
        return cls(sources, len(indices), workers=workers, device=spec.device)

    def scores(
        self, expressions: Sequence[Expression], progress: Progress | None = None
    ) -> NDArray[np.float64]:
        """Return the scores, (expressions, networks); NaN where a network failed.

        Args:
            expressions: of kind ``NetworkScalar``.
            progress: called after every shard.

        Raises:
            RunError: a worker died, or the store is damaged.
        """
        forms = [canonical(expression) for expression in expressions]
        distinct = {form.text: form for form in forms}
        found = {text: self.cache.get(text) for text in distinct}
        missing = [distinct[text] for text, value in found.items() if value is None]
        if missing:
            known = Known(self.parts, self.cache)
            known.update(self._boundary(boundary_of(missing, self._below, known), progress))
            assert self._layout is not None
            with neutral():
                computed = evaluate_vectors(missing, known, self._layout, self.parts)
            for form, scores in zip(missing, computed.unbind(0), strict=True):
                kept = scores.clone()  # a view would keep the scores of all expressions in memory
                found[form.text] = kept
                self.cache.put(form.text, kept)
        rows = [value for form in forms if (value := found[form.text]) is not None]
        return torch.stack(rows).numpy() if rows else np.empty((0, self.size))

    def begin(self, expressions: Sequence[Expression]) -> None:
        """Begin the tensor computation of ``expressions`` in the workers, and return at once.

        The next :meth:`scores` that needs tensors waits for it; one that needs none does not. This
        does nothing before the first :meth:`scores`, on GPUs, with one worker, and on a backend
        other than joblib's default.
        """
        able = can_begin(self.workers, len(self.sources)) and not is_gpu(self.device)
        if self._layout is None or not able:
            return
        self._finish()
        known = Known(self.parts, self.cache)
        forms = [canonical(expression) for expression in expressions]
        forms = [form for form in forms if form.text not in known]
        missing = [b for b in boundary_of(forms, self._below, known) if b.text not in known]
        if missing:
            started = self.clock()
            tasks = self._tasks(missing)
            results = stream_tasks(_evaluate_source, tasks, self.workers, device=self.device)
            self._begun = missing, results
            self.seconds += self.clock() - started

    def cancel(self) -> None:
        """End what :meth:`begin` began; its results are lost."""
        begun, self._begun = self._begun, None
        if begun is not None:
            begun[1].close()

    def _finish(self) -> dict[str, Tensor]:
        """Return the boundary values of what was begun, which are then cached."""
        begun, self._begun = self._begun, None
        if begun is None:
            return {}
        started = self.clock()
        parts = list(begun[1])
        self.seconds += self.clock() - started
        return self._joined(begun[0], parts)

    def _boundary(self, boundary: list[Expression], progress: Progress | None) -> dict[str, Tensor]:
        """Return the value of every boundary expression over the whole sample."""
        vectors = {b.text: v for b in boundary if (v := self.cache.get(b.text)) is not None}
        if len(vectors) < len(boundary):
            vectors |= self._finish()
        missing = [b for b in boundary if b.text not in vectors]
        if not missing and self._layout is not None:
            return vectors
        tasks = self._tasks(missing)
        started = self.clock()
        if is_gpu(self.device) and not remote() and _all_stored(self.sources):
            stored = [task[:2] for task in tasks]
            parts = on_gpus(_evaluate_source, stored, visible_gpus(self.device), progress)
        else:
            parts = run_tasks(_evaluate_source, tasks, self.workers, progress, device=self.device)
        self.seconds += self.clock() - started
        return vectors | self._joined(missing, parts)

    def _tasks(self, boundary: Sequence[Expression]) -> list[tuple[Source, list[str], str]]:
        texts = [expression.text for expression in boundary]
        return [(source, texts, self.device) for source in self.sources]

    def _joined(self, boundary: Sequence[Expression], parts: Sequence[Part]) -> dict[str, Tensor]:
        """Return values over the whole sample from those of the shards, and cache them."""
        vectors = {}
        with neutral():  # not around the tasks: they may run in threads of this process
            if self._layout is None:
                counts = [0] * self.size
                for networks, layer_counts, failures, _ in parts:
                    self.failures |= failures
                    for network, count in zip(networks, layer_counts, strict=True):
                        counts[network] = count
                self._layout = Layout(counts)
            for place, expression in enumerate(boundary):
                pieces = [
                    (networks, torch.from_numpy(values[place])) for networks, _, _, values in parts
                ]
                per_layer = expression.kind != NETWORK_MATRIX
                value = self._layout.join(pieces, per_layer=per_layer)
                vectors[expression.text] = value
                self.cache.put(expression.text, value)
        self.evaluated += len(boundary)
        return vectors


def _evaluate_source(source: Source, texts: list[str], device: str) -> Part:
    """In a worker: return what a shard contributes to some boundary expressions."""
    shard = _opened(source, device)
    boundary = [parse(text, kind=None) for text in texts]
    with torch.no_grad():
        found = _evaluate(shard, boundary, device)
    values = [value.numpy() for value in found]
    return shard.networks, shard.layer_counts, shard.failures, values


def _evaluate(shard: Shard, boundary: list[Expression], device: str) -> list[Tensor]:
    for shrink in _SHRINKS:
        try:
            return evaluate_shard(shard, boundary, device, shrink=shrink)
        except torch.OutOfMemoryError:
            pass  # go on outside of the handler, which keeps the tensors of its frames alive
        forget_resident(device)
    raise RunError(
        f"{device} has too little memory for one layer of {len(boundary)} expressions: use a "
        "smaller batch, or --device cpu"
    )


def _all_stored(sources: Sequence[Source]) -> bool:
    return all(isinstance(source, Path) for source in sources)


def _opened(source: Source, device: str) -> Shard:
    if isinstance(source, Path):
        return resident_shard(source, device)
    return source.open() if isinstance(source, ShardRecipe) else capture_shard(*source)
