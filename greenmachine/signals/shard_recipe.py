"""Everything a worker needs to open a shard, or to capture it again if it cannot see the file.

A shard depends only on specification, seed and benchmark. A worker of a cluster that cannot see the
run's folder therefore captures the shard itself and keeps it in its own cache folder:

- The worker uses the run's file if it exists and has the right digest. If not, it uses the file in
  its cache folder; if that is missing or damaged, it captures the networks.
- A lock (``filelock``) on each file prevents two workers of one machine from capturing it twice.
- The size of the cache is limited (:data:`CACHE_LIMIT`, ``GREENMACHINE_CACHE_GB``). A shard that
  does not fit is captured again each time, which takes longer and does not change results.
- :func:`forget_stores` removes the shards of a run at its end. Those of a killed run stay for
  ``--resume``; the next capture on that machine removes them after :data:`STALE` seconds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock

from greenmachine.benchmarks.packed import PackedBenchmark, cache_folder
from greenmachine.errors import ConfigError, RunError
from greenmachine.files import remove_leftovers
from greenmachine.signals.network_capture import CaptureSpec, capture_layers
from greenmachine.signals.shard import LayerGroups, Shard, group_layers, stacked
from greenmachine.signals.shard_io import damage, open_shard, write_shard

__all__ = ["CACHE_LIMIT", "STALE", "ShardRecipe", "cache_limit", "forget_stores"]

CACHE_LIMIT = 50 * 10**9
"""Bytes that the shards of all runs may take in a worker's cache folder."""

STALE = 7 * 86_400
"""Seconds after which shards that were not opened are removed, when another one is captured."""

_FREE = 2**30  # bytes that stay free on the disk of the cache

_checked: set[Path] = set()  # cache files whose checksums this process has compared


@dataclass(frozen=True)
class ShardRecipe:
    """A shard of a store.

    Attributes:
        path: path of its layout, in the run's folder.
        spec: what is captured.
        places: the networks, as (position in the sample, index in the benchmark).
        benchmark: the benchmark, in the form that is sent to workers.
        store: digest of the whole store, which names its folder in a worker's cache.
        described: digest of the store's description; it tells a worker whether a folder is that of
            this run or another one of the same name.
        local: whether every worker runs on the sender's machine. A missing folder then means that
            it was removed, and ends the run.
    """

    path: Path
    spec: CaptureSpec
    places: list[tuple[int, int]]
    benchmark: PackedBenchmark
    store: str
    described: str
    local: bool

    @property
    def digest(self) -> str:
        """Digest of the content of the shard."""
        return hashlib.sha256(f"{self.store}{self.places}".encode()).hexdigest()

    @property
    def cached(self) -> Path:
        """Path of the layout in this machine's cache folder."""
        return _store_folder(self.store) / self.path.name

    def sees_run(self) -> bool:
        """Return whether this process can see the run's folder."""
        try:
            content = self.path.with_name("store.json").read_bytes()
        except OSError:
            return False
        return hashlib.sha256(content).hexdigest() == self.described

    def build(self) -> dict[int, str]:
        """In a worker: capture the shard if it does not exist; return its failures by position.

        Raises:
            GreenMachineError: the cause is not a network, but data, a build option or memory.
        """
        if self.local or self.sees_run():
            groups = self._captured()
            write_shard(self.path, groups, self._precision, self.digest)
            return groups.failures
        return self._from_cache().failures

    def open(self) -> Shard:
        """In a worker: return the shard, capturing it here if necessary.

        Raises:
            GreenMachineError: as for :meth:`build`.
        """
        try:
            return open_shard(self.path, self.digest)
        except RunError:
            return self._from_cache()

    @property
    def _precision(self) -> torch.dtype:
        found: torch.dtype = getattr(torch, self.spec.precision)
        return found

    def _captured(self) -> LayerGroups:
        return group_layers(capture_layers(self.spec, self.places, self.benchmark), self.spec.batch)

    def _from_cache(self) -> Shard:
        path = self.cached
        with suppress(RunError):
            return self._open_cached(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path.with_suffix(".lock"))
            lock.acquire()
        except OSError:  # the cache folder is not writable
            return self._in_memory(self._captured())
        try:
            with suppress(RunError):  # another worker may have captured it while we waited
                return self._open_cached(path)
            groups = self._captured()
            with suppress(OSError):  # a full disk, or the folder was removed
                if _make_room(groups.nbytes, path.parent):
                    remove_leftovers(path.parent, path.with_suffix(".safetensors").name)
                    write_shard(path, groups, self._precision, self.digest)
                    _checked.add(path)
                    return open_shard(path, self.digest)
            return self._in_memory(groups)
        finally:
            lock.release()

    def _open_cached(self, path: Path) -> Shard:
        """Open a file of the cache; raise a RunError if it is missing or damaged."""
        if path not in _checked:
            if (fault := damage(path)) is not None:
                raise RunError(fault)
            _checked.add(path)
        shard = open_shard(path, self.digest)
        with suppress(OSError):
            os.utime(path.parent)  # in use
        return shard

    def _in_memory(self, groups: LayerGroups) -> Shard:
        shard = stacked(groups)
        for stack in shard.stacks:
            for name, tensor in stack.tensors.items():
                if tensor.dtype == torch.float32:  # rounded as in a stored shard
                    stack.tensors[name] = tensor.to(self._precision)
        return shard


def cache_limit() -> int:
    """Return the number of bytes that the shards in a worker's cache folder may take.

    Raises:
        ConfigError: ``GREENMACHINE_CACHE_GB`` is not a number.
    """
    text = os.environ.get("GREENMACHINE_CACHE_GB")
    if not text:
        return CACHE_LIMIT
    try:
        return int(float(text) * 1e9)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"GREENMACHINE_CACHE_GB is {text!r}: give a number of gigabytes, such as 50"
        ) from None


def forget_stores(stores: Iterable[str]) -> None:
    """On a worker: remove the shards of some stores from this machine's cache folder."""
    for store in stores:
        folder = _store_folder(store)
        shutil.rmtree(folder, ignore_errors=True)
        _checked.difference_update({path for path in _checked if path.parent == folder})


def _store_folder(store: str) -> Path:
    # Another version of torch may draw other random numbers or round differently.
    whole = hashlib.sha256(f"{store}{torch.__version__}".encode()).hexdigest()
    return cache_folder() / "shards" / whole[:32]


def _make_room(size: int, ours: Path) -> bool:
    """Remove stores that were not used for long; return whether ``size`` bytes fit then."""
    used = 0
    for folder in ours.parent.iterdir():
        if folder != ours and time.time() - folder.stat().st_mtime > STALE:
            shutil.rmtree(folder, ignore_errors=True)
            continue
        used += sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return used + size <= cache_limit() and size + _FREE <= shutil.disk_usage(ours).free
