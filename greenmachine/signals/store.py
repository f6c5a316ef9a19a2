"""The signal store: the signals of a sample of networks, on disk and memory-mapped.

A store is a folder. ``store.json`` describes what was captured, and each shard of networks has a
``shard-NNNN.safetensors`` and a ``shard-NNNN.json`` (see ``shard_io.py``). After an interruption,
building again checks the existing files against their checksums, and captures what is missing or
damaged.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from greenmachine.errors import DamagedError, RunError
from greenmachine.files import read_sealed, remove_leftovers, sha256, write_sealed
from greenmachine.neutral import neutral
from greenmachine.plugins import loaded_plugins
from greenmachine.signals.network_capture import (
    CaptureSpec,
    cached_benchmark,
    capture_network,
    packed_benchmark,
)
from greenmachine.signals.registry import PASSES, is_weight
from greenmachine.signals.shard_io import damage, shard_failures
from greenmachine.signals.shard_recipe import ShardRecipe, forget_stores
from greenmachine.workers import Progress, count_workers, on_every_worker, remote, run_tasks

__all__ = ["SHARD_BYTES", "SHARD_NETWORKS", "Store", "shard_places"]

DESCRIPTION = "store.json"

SHARD_NETWORKS = 8
"""Least number of networks in a shard. Results do not depend on it; it sets the size of tasks."""

SHARD_BYTES = 2**26
"""Small networks share a shard up to this size, or up to a quarter of the sample, because Python
code runs once per shard and operation."""


class Store:
    """The signals of a sample, in a folder.

    Args:
        folder: the folder, which need not exist yet.
        spec: what to capture.
        indices: the networks of the sample, as indices of the benchmark.
    """

    def __init__(self, folder: Path, spec: CaptureSpec, indices: Sequence[int]) -> None:
        self.folder = folder
        self.spec = spec
        self.indices = [int(i) for i in indices]
        self._elsewhere: dict[int, dict[int, str]] = {}  # failures of shards in workers' caches

    @cached_property
    def _shards(self) -> list[list[tuple[int, int]]]:
        return shard_places(self.indices, self._described()["shard_networks"])

    @property
    def paths(self) -> list[Path]:
        """The layout file of every shard, in order; available once building has begun."""
        # Absolute: workers may have started in another folder.
        folder = self.folder.resolve()
        return [folder / f"shard-{i:04d}.json" for i in range(len(self._shards))]

    @property
    def sources(self) -> Sequence[Path | ShardRecipe]:
        """The objects that workers open: paths on this machine, recipes on a cluster."""
        return self._recipes() if remote() else self.paths

    def _recipes(self) -> list[ShardRecipe]:
        described = sha256(self.folder / DESCRIPTION)
        plugins = [plugin.sha256 for plugin in loaded_plugins()]
        store = hashlib.sha256(f"{described}{plugins}".encode()).hexdigest()
        packed = packed_benchmark(self.spec.benchmark)
        return [
            ShardRecipe(path, self.spec, places, packed, store, described, not remote())
            for path, places in zip(self.paths, self._shards, strict=True)
        ]

    def forget(self) -> None:
        """Remove a built store from the caches of workers that cannot see the folder."""
        if remote() and (recipes := self._recipes()):
            on_every_worker(forget_stores, [recipes[0].store])

    def spread(self, networks: int) -> tuple[list[int], list[int]]:
        """Return the numbers of some evenly spread shards, and the positions of their networks.

        Args:
            networks: least number of networks in these shards, if there are so many.
        """
        count = min(len(self._shards), -(-networks // len(self._shards[0])))
        chosen = [number * len(self._shards) // count for number in range(count)]
        return chosen, [place for number in chosen for place, _ in self._shards[number]]

    def estimate_bytes(self, networks: int = 8) -> int:
        """Return an estimate of the size of the store, from some networks run at batch 2."""
        benchmark = cached_benchmark(self.spec.benchmark)
        # Sizes of networks vary tenfold over a space, so take evenly spaced ones of the sample.
        step = max(1, len(self.indices) // networks)
        chosen = self.indices[::step][:networks]
        small = replace(self.spec, batch=2)  # some normalisations refuse a single image
        single = [each for each in PASSES.values() if each.single]
        total = 0
        for index in chosen:
            with neutral():
                layers = capture_network(benchmark, index, small)
            for layer in layers if isinstance(layers, list) else ():
                for name, value in layer.signals.items():
                    one = is_weight(name) or any(name in each.terminals for each in single)
                    total += value.nbytes if one else value.nbytes * self.spec.batch // 2
        return total * len(self.indices) // max(1, len(chosen))

    def build(
        self,
        workers: int,
        *,
        announce: Callable[[str], None] = lambda line: None,
        progress: Progress | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Capture what is missing.

        Args:
            workers: number of processes.
            announce: called with a line that states the size, before anything is written.
            progress: called after every shard.
            check: called before the folder is made; it may raise an error to prevent that.

        Raises:
            RunError: the folder contains another sample, the disk is too small, or a worker died.
        """
        identity = {**asdict(self.spec), "terminals": list(self.spec.terminals)}
        identity["indices"] = self.indices
        identity["checksum"] = cached_benchmark(self.spec.benchmark).checksum
        self._keep_whole(workers, announce)
        whole = 0
        if (self.folder / DESCRIPTION).exists():
            if {**self._described(), "shard_networks": 0} != {**identity, "shard_networks": 0}:
                raise RunError(
                    f"{self.folder} contains signals of another sample: remove the folder"
                )
        else:
            whole = self.estimate_bytes()
            check()
            self.folder.mkdir(parents=True, exist_ok=True)
            if not remote():
                self._check_space(whole)
            count = len(self.indices)
            fitting = SHARD_BYTES * count // max(1, whole)
            identity["shard_networks"] = max(SHARD_NETWORKS, min(fitting, -(-count // 4)))
            write_sealed(self.folder / DESCRIPTION, identity, parents=False)
        missing = [i for i, path in enumerate(self.paths) if not path.exists()]
        if not missing:
            return
        size = (whole or self.estimate_bytes()) * len(missing) // len(self._shards)
        recipes = self._recipes()
        if self._seen(recipes[0], workers):
            free = self._check_space(size)
            where = f"in {self.folder} ({free / 1e9:.0f} GB free)"
        else:
            where = "in the cache folders of workers that cannot see the run's folder"
        announce(
            f"capturing {sum(len(self._shards[i]) for i in missing)} networks: "
            f"about {size / 1e9:.2f} GB {where}"
        )
        tasks = [(recipes[i],) for i in missing]
        found = run_tasks(_build_shard, tasks, workers, progress, device=self.spec.device)
        for number, failures in zip(missing, found, strict=True):
            if not recipes[number].path.exists():
                self._elsewhere[number] = failures

    def _seen(self, recipe: ShardRecipe, workers: int) -> bool:
        """Return whether the workers see the folder; a sample of them is asked."""
        if not remote():
            return True
        return all(run_tasks(_sees_run, [(recipe,)] * count_workers(workers), workers))

    def _keep_whole(self, workers: int, announce: Callable[[str], None]) -> None:
        """Remove the leftovers of a killed build, and files that differ from their checksums."""
        remove_leftovers(self.folder)
        if not (self.folder / DESCRIPTION).exists():
            return
        try:
            paths = [path for path in self.paths if path.exists()]
        except DamagedError as error:
            announce(f"{error}; all networks are captured again")
            (self.folder / DESCRIPTION).unlink()
            for path in self.folder.glob("shard-*.json"):
                path.unlink()
            return
        # Workers on other machines may not see the files.
        tasks = [(path,) for path in paths]
        faults = [damage(path) for path in paths] if remote() else run_tasks(damage, tasks, workers)
        for path, fault in zip(paths, faults, strict=True):
            if fault is not None:
                announce(f"{fault}; its networks are captured again")
                path.unlink()

    def _check_space(self, size: int) -> int:
        free = shutil.disk_usage(self.folder).free
        if size > free:
            raise RunError(
                f"{self.folder} has too little space: use smaller samples or another --out"
            )
        return free

    def _described(self) -> dict[str, Any]:
        path = self.folder / DESCRIPTION
        described = read_sealed(path, "continue with --resume, which captures it again")
        networks = described.get("shard_networks")
        if not isinstance(networks, int) or networks < 1:
            raise DamagedError(f"{path} is damaged (shard_networks is {networks!r})")
        return described

    @property
    def failures(self) -> dict[int, str]:
        """The error message of every network that failed, by position in the sample.

        It is available once the store is built.

        Raises:
            RunError: a file is missing or damaged.
        """
        found: dict[int, str] = {}
        for number, path in enumerate(self.paths):
            kept = self._elsewhere.get(number)
            found |= shard_failures(path) if kept is None else kept
        return found


def shard_places(
    indices: Sequence[int], networks: int | None = None
) -> list[list[tuple[int, int]]]:
    """Split a sample into shards of (position in the sample, index in the benchmark)."""
    places = list(enumerate(int(i) for i in indices))
    size = networks or SHARD_NETWORKS
    return [places[i : i + size] for i in range(0, len(places), size)]


def _build_shard(recipe: ShardRecipe) -> dict[int, str]:
    return recipe.build()


def _sees_run(recipe: ShardRecipe) -> bool:
    return recipe.sees_run()
