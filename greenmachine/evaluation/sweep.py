"""A sweep: choose the networks to build, distribute them to the workers, and collect the rows.

Proxies that score architecture strings need no network. Their scores are not in the rows but are
added to the final table. If there are no other proxies, no network is built.

With several seeds every network is built and scored once per seed, with the weights, noise and
mini-batch of this seed. The score of a proxy is the mean (see ``score_file.py``).

Every architecture has its own weights, drawn from the seed and its index, so two networks never
have the same signals. With ``distinct``, architectures that compute the same function from the
same weights (``Benchmark.twins``) get the score of the first of them. With its weights they would
have exactly this score.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from greenmachine.errors import ConfigError, RunError
from greenmachine.evaluation.checkpoint import PART_NETWORKS, PLACE, Row
from greenmachine.evaluation.combining import with_rank_sums
from greenmachine.evaluation.score_file import COVERAGE
from greenmachine.evaluation.seeds import check_seeds, columns_of_seeds
from greenmachine.evaluation.worker import NETWORK, Scored, score_shard
from greenmachine.language import parse
from greenmachine.plugins import loaded_plugins
from greenmachine.primitives import vocabulary
from greenmachine.proxies import (
    PROXIES,
    ArchitectureProxy,
    ExpressionProxy,
    FunctionProxy,
    Proxy,
    architecture_scores,
    checked_space,
    resolve,
)
from greenmachine.proxies.rank_sums import RankSum
from greenmachine.signals import CaptureSpec
from greenmachine.signals.network_capture import cached_benchmark, packed_benchmark
from greenmachine.signals.registry import PASSES
from greenmachine.signals.store import shard_places
from greenmachine.workers import Progress, stream_tasks

__all__ = ["Sweep"]

_FAILURES = "(failures)"  # column of the rows: JSON, or empty if nothing failed
_COVERAGE = "(coverage)"  # column of the rows: see ``Scored``


class Sweep:
    """The work of a sweep: proxies, networks and seeds.

    Attributes:
        firsts: indices of the networks to build, once per seed. Empty if every proxy scores
            architecture strings.
        copies: for every requested architecture, the place of its network in ``firsts``.
        columns: names of the columns of a row, without its place.
        seeds: seeds to score with, beginning with the seed of the specification.
        places: number of rows. The rows of one seed, in the order of ``firsts``, are followed by
            those of the next seed.
        combined: rank sums to add to the table.
    """

    def __init__(
        self,
        proxies: Mapping[str, Proxy | str],
        spec: CaptureSpec,
        indices: Sequence[int],
        distinct: bool,
        seeds: int = 1,
        combined: Sequence[RankSum] = (),
    ) -> None:
        self.proxies: dict[str, Proxy] = {
            name: resolve(proxy) if isinstance(proxy, str) else proxy
            for name, proxy in proxies.items()
        }
        self.spec = spec
        self.indices = [int(index) for index in indices]
        self.benchmark = cached_benchmark(spec.benchmark)
        self.benchmark.settings(spec.options)  # checks the options even if no network is built
        for proxy in self.proxies.values():
            if isinstance(proxy, ArchitectureProxy):
                checked_space(proxy, self.benchmark.space)
            elif isinstance(proxy, FunctionProxy):
                PROXIES.check_shared(proxy)
        # A proxy with two names is computed once.
        self.expressions, self.functions = (
            list(dict.fromkeys(p.text for p in self.proxies.values() if isinstance(p, kind)))
            for kind in (ExpressionProxy, FunctionProxy)
        )
        if distinct and self.functions:
            # A function may read all modules, also those that do not reach the output.
            raise ConfigError(
                f"distinct is for expressions alone: {self.functions[0]} is a function, "
                "score it without"
            )
        self.distinct = distinct
        built = self.indices if self.expressions or self.functions else []
        twins = self.benchmark.twins if distinct and built else np.arange(len(self.benchmark))
        places: dict[int, int] = {}
        self.copies = [places.setdefault(int(twins[i]), len(places)) for i in built]
        self.firsts = list(places)
        self.columns = [_FAILURES, _COVERAGE, *self._of_networks]
        self.seeds = range(spec.seed, spec.seed + check_seeds(seeds))
        self.places = len(self.firsts) * len(self.seeds)
        self.combined = tuple(combined)

    @property
    def _of_networks(self) -> list[str]:
        """Names of the proxies that score networks; their scores are in the rows."""
        return [n for n, p in self.proxies.items() if not isinstance(p, ArchitectureProxy)]

    def identity(self) -> dict[str, Any]:
        """Return JSON that is equal for two sweeps of the same work."""
        return {
            # An exported file may change, so its content identifies it and not its name.
            "proxies": {name: proxy.text for name, proxy in self.proxies.items()},
            "indices": self.indices,
            "distinct": self.distinct,
            "seeds": len(self.seeds),
            "spec": {**asdict(self.spec), "terminals": list(self.spec.terminals)},
            "checksum": self.benchmark.checksum,
            "plugins": sorted(self._plugins().values()),
        }

    def facts(self) -> dict[str, Any]:
        """Return the attributes of the score file, as JSON."""
        return {
            "benchmark": self.benchmark.name,
            "dataset": self.spec.dataset,
            "batch": self.spec.batch,
            "seed": self.spec.seed,
            "seeds": len(self.seeds),
            "options": dict(self.spec.options),
            "device": self.spec.device,
            "distinct": self.distinct,
            "checksum": self.benchmark.checksum,
            "plugins": self._plugins(),
            "proxies": {
                **{name: proxy.text for name, proxy in self.proxies.items()},
                **{found.text: found.text for found in self.combined},
            },
            "directions": self._directions,
        }

    @property
    def _directions(self) -> dict[str, int]:
        told = {name: proxy.direction for name, proxy in self.proxies.items()}
        return told | {found.text: 1 for found in self.combined}

    def _plugins(self) -> dict[str, str]:
        """Return the SHA-256 by name of the plugins that define a proxy or parts of one."""
        modules: set[str | None] = set()  # a C function may have no module
        for proxy in self.proxies.values():
            if isinstance(proxy, ExpressionProxy):
                nodes = parse(proxy.expression).walk()
                modules |= {vocabulary[n.op].function.__module__ for n in nodes if n.args}
                modules |= {PASSES[p].function.__module__ for p in proxy.passes if p in PASSES}
            elif isinstance(proxy, FunctionProxy):
                modules |= {PROXIES.module(proxy.name), proxy.function.__module__}
            else:
                modules |= {function.__module__ for function in proxy.functions.values()}
        return {
            plugin.short: plugin.sha256
            for plugin in loaded_plugins()
            if any(plugin.owns(module) for module in modules if module)
        }

    def rows(
        self, scored: AbstractSet[int], workers: int, progress: Progress | None
    ) -> Iterator[list[Row]]:
        """Yield the rows of the networks whose places are not in ``scored``.

        Raises:
            RunError: a worker died, or every network failed so far.
        """
        if not self.firsts:
            return
        packed = packed_benchmark(self.spec.benchmark)
        shards: list[list[int]] = []
        tasks = []
        for number, seed in enumerate(self.seeds):
            first = number * len(self.firsts)
            missing = [p for p in range(first, first + len(self.firsts)) if p not in scored]
            spec = replace(self.spec, seed=seed)
            for shard in shard_places([self.firsts[place - first] for place in missing]):
                shards.append([missing[at] for at, _ in shard])
                networks = [network for _, network in shard]
                tasks.append((spec, self.expressions, self.functions, networks, packed))
        told = progress or (lambda done, total: None)
        done = len(scored)
        told(done, self.places)
        held: list[Row] = []
        alive = bool(scored)
        stream = stream_tasks(score_shard, tasks, workers, device=self.spec.device)
        for rows, results in zip(shards, stream, strict=True):
            held += [self._row(*of) for of in zip(rows, results, strict=True)]
            done += len(rows)
            alive = alive or any(NETWORK not in found.failures for found in results)
            if not alive and (len(held) >= PART_NETWORKS or done == self.places):
                why = json.loads(held[0][_FAILURES])[NETWORK]
                raise RunError(f"all {len(held)} networks failed; the first: {why}")
            if alive:  # rows are not stored before the first network succeeds
                yield held
                held = []
            told(done, self.places)

    def _row(self, place: int, found: Scored) -> Row:
        texts = {name: self.proxies[name].text for name in self._of_networks}
        scores = {name: found.scores.get(text, np.nan) for name, text in texts.items()}
        failures = json.dumps(found.failures) if found.failures else ""
        return {PLACE: place, _FAILURES: failures, _COVERAGE: found.coverage, **scores}

    def table(self, rows: pd.DataFrame, announce: Callable[[str], None]) -> pd.DataFrame:
        """Return the rows of all requested architectures in order, and announce failures."""
        # All networks of one seed, then all networks of the next.
        whole = rows.iloc[
            [
                number * len(self.firsts) + copy
                for number in range(len(self.seeds))
                for copy in self.copies
            ]
        ].reset_index(drop=True)
        asked = f"{len(whole)} networks"
        if len(self.seeds) > 1:
            asked = f"{len(whole)} scorings ({len(self.copies)} networks, {len(self.seeds)} seeds)"
        failures = [json.loads(text) for text in whole[_FAILURES] if text]
        said = [failure[NETWORK] for failure in failures if NETWORK in failure]
        if said:
            announce(f"{len(said)} of {asked} failed; the first: {said[0]}")
        archs = [self.benchmark.archs[index] for index in self.indices]
        columns: dict[str, Any] = {"index": self.indices, "arch": archs}
        shares = whole[_COVERAGE].to_numpy(dtype=np.float64)[: len(self.copies)]
        if (shares < 1).any():  # the share is 1 for all networks of the built-in spaces
            columns[COVERAGE] = shares
            announce(
                f"{int((shares < 1).sum())} of {len(archs)} networks use weights outside of "
                f"convolutions and linear layers: column {COVERAGE} ({shares.min():.1%} or more)"
            )
        for name, proxy in self.proxies.items():
            if isinstance(proxy, ArchitectureProxy):
                columns[name], said = self._of_architectures(proxy, archs)
                of = f"{len(archs)} networks"
            else:
                scores = whole[name].to_numpy(dtype=np.float64).reshape(len(self.seeds), -1)
                columns |= columns_of_seeds(name, scores, self.seeds)
                said = [failure[proxy.text] for failure in failures if proxy.text in failure]
                of = asked
            if said:
                announce(f"{name} failed on {len(said)} of {of}: {said[0]}")
        frame = pd.DataFrame(columns)
        return with_rank_sums(frame, self.combined, self._directions) if self.combined else frame

    def _of_architectures(
        self, proxy: ArchitectureProxy, archs: list[str]
    ) -> tuple[NDArray[np.float64], list[str]]:
        """Return the scores (NaN for a failure), and the message of each failure."""
        scores = architecture_scores(proxy, self.benchmark.space, archs)
        finite = np.isfinite(scores)
        said = [f"the score is {score}" for score in scores[~finite]]
        return np.where(finite, scores, np.nan), said
