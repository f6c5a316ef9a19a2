"""The signal store: what the passes leave in a sample of networks, on disk, memory-mapped.

A store is a folder: ``store.json`` says what was captured, and each shard of networks has a
``shard-NNNN.safetensors`` and a ``shard-NNNN.json`` (see ``shard_io.py``). Building again after an
interruption checks what is there against its checksums, and captures what is missing or damaged.
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
"""Networks a shard at least; results do not depend on it, only the grain of parallel work does."""

SHARD_BYTES = 2**26
"""Small networks share a shard up to this size, or up to a quarter of the sample: Python runs once
a shard and operation."""


class Store:
    """A sample's signals in a folder.

    Args:
        folder: where the store is or will be.
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
        """The layout file of every shard, in order; once building has begun."""
        # Absolute: workers may have started in another folder.
        folder = self.folder.resolve()
        return [folder / f"shard-{i:04d}.json" for i in range(len(self._shards))]

    @property
    def sources(self) -> Sequence[Path | ShardRecipe]:
        """What the workers open: a path where they run on this machine, else also a recipe."""
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
        """Remove what workers that do not see the folder have in their caches; once it is built."""
        if remote() and (recipes := self._recipes()):
            on_every_worker(forget_stores, [recipes[0].store])

    def spread(self, networks: int) -> tuple[list[int], list[int]]:
        """Return the numbers of some shards, evenly spread, and the places of their networks.

        Args:
            networks: at least so many of them, if there are.
        """
        count = min(len(self._shards), -(-networks // len(self._shards[0])))
        chosen = [number * len(self._shards) // count for number in range(count)]
        return chosen, [place for number in chosen for place, _ in self._shards[number]]

    def estimate_bytes(self, networks: int = 8) -> int:
        """Return about how large the store will be, from some networks run at batch 2."""
        benchmark = cached_benchmark(self.spec.benchmark)
        # The size of a network varies tenfold over a space: an even choice of the sample.
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
            workers: processes.
            announce: told the size before anything is made.
            progress: told after every shard.
            check: called before the folder is made; raises where that must not be.

        Raises:
            RunError: the folder holds another sample, the disk is too small, or a worker died.
        """
        identity = {**asdict(self.spec), "terminals": list(self.spec.terminals)}
        identity["indices"] = self.indices
        identity["checksum"] = cached_benchmark(self.spec.benchmark).checksum
        self._keep_whole(workers, announce)
        whole = 0
        if (self.folder / DESCRIPTION).exists():
            if {**self._described(), "shard_networks": 0} != {**identity, "shard_networks": 0}:
                raise RunError(f"{self.folder} holds signals of another sample: remove the folder")
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
            where = "in the cache folders of workers that do not see the run's folder"
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
        """Whether the workers see the folder, as far as some that were asked know."""
        if not remote():
            return True
        return all(run_tasks(_sees_run, [(recipe,)] * count_workers(workers), workers))

    def _keep_whole(self, workers: int, announce: Callable[[str], None]) -> None:
        """Remove what a killed build left, and what is not as it was written."""
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
        # Workers elsewhere may not see the files.
        tasks = [(path,) for path in paths]
        faults = [damage(path) for path in paths] if remote() else run_tasks(damage, tasks, workers)
        for path, fault in zip(paths, faults, strict=True):
            if fault is not None:
                announce(f"{fault}; its networks are captured again")
                path.unlink()

    def _check_space(self, size: int) -> int:
        free = shutil.disk_usage(self.folder).free
        if size > free:
            raise RunError(f"{self.folder} has too little space: smaller samples or another --out")
        return free

    def _described(self) -> dict[str, Any]:
        path = self.folder / DESCRIPTION
        described = read_sealed(path, "go on with --resume, which captures it again")
        networks = described.get("shard_networks")
        if not isinstance(networks, int) or networks < 1:
            raise DamagedError(f"{path} is damaged (shard_networks is {networks!r})")
        return described

    @property
    def failures(self) -> dict[int, str]:
        """The message of every network that failed, by place in the sample; once it is built.

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
    """Split a sample into shards of (place in the sample, index in the benchmark)."""
    places = list(enumerate(int(i) for i in indices))
    size = networks or SHARD_NETWORKS
    return [places[i : i + size] for i in range(0, len(places), size)]


def _build_shard(recipe: ShardRecipe) -> dict[int, str]:
    return recipe.build()


def _sees_run(recipe: ShardRecipe) -> bool:
    return recipe.sees_run()
