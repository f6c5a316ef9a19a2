"""A sweep: which networks are built, what the workers are asked, which rows that makes.

Scores of architectures need no network: they are not in the rows but join the table at its end, and
where no other proxy is asked nothing is built.

With several seeds every network is built, and scored, once with each: weights, noise and mini-batch
are those of the seed. A proxy's score is the mean (see ``score_file.py``).

Every architecture has weights of its own, drawn from the seed and its index, so no two networks
leave the same signals. ``distinct`` shares them where nothing else differs: architectures that
compute the same from the same weights (``Benchmark.twins``) get the score of the first of them,
which is what they would score with its weights.
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

_FAILURES = "(failures)"  # column of the rows: JSON, empty where nothing failed
_COVERAGE = "(coverage)"  # column of the rows: see ``Scored``


class Sweep:
    """What is to be scored.

    Attributes:
        firsts: the networks to build, each once with a seed. None where every proxy scores
            architectures alone.
        copies: for every architecture asked for the place of its network in ``firsts``.
        columns: of a row, without its place.
        seeds: that are scored, from the seed of the specification on.
        places: number of rows: a row's place is that in ``firsts``, and one round of these follows
            the other, a round for each seed.
        combined: rank sums whose scores are added to the table.
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
        self.benchmark.settings(spec.options)  # also where no network would be built with them
        for proxy in self.proxies.values():
            if isinstance(proxy, ArchitectureProxy):
                checked_space(proxy, self.benchmark.space)
            elif isinstance(proxy, FunctionProxy):
                PROXIES.check_shared(proxy)
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
        """Names of the proxies whose scores are in the rows."""
        return [n for n, p in self.proxies.items() if not isinstance(p, ArchitectureProxy)]

    def identity(self) -> dict[str, Any]:
        """Return what makes two sweeps the same."""
        return {
            # An exported file may change: what it says counts, not its name.
            "proxies": {name: proxy.text for name, proxy in self.proxies.items()},
            "indices": self.indices,
            "distinct": self.distinct,
            "seeds": len(self.seeds),
            "spec": {**asdict(self.spec), "terminals": list(self.spec.terminals)},
            "checksum": self.benchmark.checksum,
            "plugins": sorted(self._plugins().values()),
        }

    def facts(self) -> dict[str, Any]:
        """Return what a score file tells of itself; JSON."""
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
        """Return the plugins that define a proxy, or what it is made of: SHA-256 by name."""
        modules: set[str | None] = set()  # a function of C may name none
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
            RunError: a worker died, or nothing is scored yet and every network fails.
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
            if alive:  # until then there is nothing worth keeping
                yield held
                held = []
            told(done, self.places)

    def _row(self, place: int, found: Scored) -> Row:
        texts = {name: self.proxies[name].text for name in self._of_networks}
        scores = {name: found.scores.get(text, np.nan) for name, text in texts.items()}
        failures = json.dumps(found.failures) if found.failures else ""
        return {PLACE: place, _FAILURES: failures, _COVERAGE: found.coverage, **scores}

    def table(self, rows: pd.DataFrame, announce: Callable[[str], None]) -> pd.DataFrame:
        """Return the rows of all architectures, in their order, and tell what failed."""
        # The networks of one seed after those of the other.
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
        if (shares < 1).any():  # of the built-in spaces it is 1 everywhere
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
        """Return the scores, NaN where they failed, and what is said of each failure."""
        scores = architecture_scores(proxy, self.benchmark.space, archs)
        finite = np.isfinite(scores)
        said = [f"the score is {score}" for score in scores[~finite]]
        return np.where(finite, scores, np.nan), said
