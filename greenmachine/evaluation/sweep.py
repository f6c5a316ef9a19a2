"""A sweep: which networks are built, what the workers are asked, which rows that makes.

Every architecture has weights of its own, drawn from the seed and its index, so no two networks
leave the same signals. ``distinct`` shares them where nothing else differs: architectures that
compute the same from the same weights (``Benchmark.twins``) get the score of the first of them,
which is what they would score with its weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from greenmachine.benchmarks import data_folder
from greenmachine.errors import ConfigError, RunError
from greenmachine.evaluation.parts import PART_NETWORKS, PLACE, Row
from greenmachine.evaluation.shard import NETWORK, Scored, score_shard
from greenmachine.proxies import ExpressionProxy, FunctionProxy, resolve
from greenmachine.signals import CaptureSpec
from greenmachine.signals.sample import cached_benchmark
from greenmachine.signals.store import shard_places
from greenmachine.workers import Progress, stream_tasks

__all__ = ["Sweep"]

_FAILURES = "(failures)"  # column of the rows: JSON, empty where nothing failed


class Sweep:
    """What is to be scored.

    Attributes:
        firsts: the networks to build, each once; a row's place is the place here.
        copies: for every architecture asked for the place of its network in ``firsts``.
        columns: of a row, without its place.
    """

    def __init__(
        self,
        proxies: Mapping[str, str],
        spec: CaptureSpec,
        indices: Sequence[int],
        distinct: bool,
    ) -> None:
        self.proxies = {name: resolve(text) for name, text in proxies.items()}
        self.spec = spec
        self.indices = [int(index) for index in indices]
        self.benchmark = cached_benchmark(spec.benchmark)
        # A proxy under two names is asked once.
        self.expressions, self.functions = (
            list(dict.fromkeys(p.text for p in self.proxies.values() if isinstance(p, kind)))
            for kind in (ExpressionProxy, FunctionProxy)
        )
        if distinct and self.functions:
            # A function may read the modules themselves, and pools that reach nothing are some.
            raise ConfigError(
                f"distinct is for expressions alone: {self.functions[0]} is a function, "
                "score it without"
            )
        self.distinct = distinct
        twins = self.benchmark.twins if distinct else np.arange(len(self.benchmark))
        places: dict[int, int] = {}
        self.copies = [places.setdefault(int(twins[i]), len(places)) for i in self.indices]
        self.firsts = list(places)
        self.columns = [_FAILURES, *self.proxies]

    def identity(self) -> dict[str, Any]:
        """Return what makes two sweeps the same."""
        return {
            # An exported file may change: what it says counts, not its name.
            "proxies": {name: proxy.text for name, proxy in self.proxies.items()},
            "indices": self.indices,
            "distinct": self.distinct,
            "spec": {**asdict(self.spec), "terminals": list(self.spec.terminals)},
            "checksum": self.benchmark.checksum,
        }

    def rows(
        self, scored: AbstractSet[int], workers: int, progress: Progress | None
    ) -> Iterator[list[Row]]:
        """Yield the rows of the networks whose places are not in ``scored``.

        Raises:
            RunError: a worker died, or nothing is scored yet and every network fails.
        """
        missing = [place for place in range(len(self.firsts)) if place not in scored]
        shards = [
            [missing[number] for number, _ in shard]
            for shard in shard_places([self.firsts[place] for place in missing])
        ]
        folder = data_folder().resolve()
        tasks = [
            (self.spec, self.expressions, self.functions, [self.firsts[p] for p in shard], folder)
            for shard in shards
        ]
        told = progress or (lambda done, total: None)
        done = len(scored)
        told(done, len(self.firsts))
        held: list[Row] = []
        alive = bool(scored)
        stream = stream_tasks(score_shard, tasks, workers, device=self.spec.device)
        for shard, results in zip(shards, stream, strict=True):
            held += [self._row(*of) for of in zip(shard, results, strict=True)]
            done += len(shard)
            alive = alive or any(NETWORK not in found.failures for found in results)
            if not alive and (len(held) >= PART_NETWORKS or done == len(self.firsts)):
                first = json.loads(held[0][_FAILURES])[NETWORK]
                raise RunError(f"all {len(held)} networks failed; the first: {first}")
            if alive:  # until then there is nothing worth keeping
                yield held
                held = []
            told(done, len(self.firsts))

    def _row(self, place: int, found: Scored) -> Row:
        scores = {name: found.scores.get(p.text, np.nan) for name, p in self.proxies.items()}
        failures = json.dumps(found.failures) if found.failures else ""
        return {PLACE: place, _FAILURES: failures, **scores}

    def table(self, rows: pd.DataFrame, announce: Callable[[str], None]) -> pd.DataFrame:
        """Return the rows of all architectures, in their order, and tell what failed."""
        whole = rows.iloc[self.copies].reset_index(drop=True)
        failures = [json.loads(text) for text in whole[_FAILURES] if text]
        said = [failure[NETWORK] for failure in failures if NETWORK in failure]
        if said:
            announce(f"{len(said)} of {len(whole)} networks failed; the first: {said[0]}")
        for name, proxy in self.proxies.items():
            said = [failure[proxy.text] for failure in failures if proxy.text in failure]
            if said:
                announce(f"{name} failed on {len(said)} of {len(whole)} networks: {said[0]}")
        archs = [self.benchmark.archs[index] for index in self.indices]
        frame = pd.DataFrame({"index": self.indices, "arch": archs})
        for name in self.proxies:
            frame[name] = whole[name].to_numpy(dtype=np.float64)
        return frame
