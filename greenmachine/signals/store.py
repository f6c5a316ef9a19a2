"""The signal store: what the passes leave in a sample of networks, on disk, memory-mapped.

A store is a folder: ``store.json`` says what was captured, and each shard of networks has a
``shard-NNNN.safetensors`` with its stacks and a ``shard-NNNN.json`` with their layout. The JSON
is written last and both atomically, so a shard whose JSON exists is whole: building again after
an interruption makes only the missing ones.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from greenmachine.benchmarks import data_folder
from greenmachine.errors import RunError
from greenmachine.files import read_json, replace_file, write_json
from greenmachine.signals.sample import (
    CaptureSpec,
    cached_benchmark,
    capture_network,
    capture_shard,
)
from greenmachine.signals.stack import Shard, Stack, is_weight
from greenmachine.workers import Progress, one_thread, run_tasks

__all__ = ["SHARD_NETWORKS", "Store", "open_shard", "shard_places"]

SHARD_NETWORKS = 16
"""Networks a shard; results do not depend on it, only the grain of parallel work does."""


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
        self._shards = shard_places(self.indices)

    @property
    def paths(self) -> list[Path]:
        """The layout file of every shard, in order."""
        # Absolute: workers may have started in another folder.
        folder = self.folder.resolve()
        return [folder / f"shard-{i:04d}.json" for i in range(len(self._shards))]

    def estimate_bytes(self, networks: int = 8) -> int:
        """Return about how large the store will be, from some networks run at batch 2."""
        benchmark = cached_benchmark(self.spec.benchmark)
        # The size of a network varies tenfold over a space: an even choice of the sample.
        step = max(1, len(self.indices) // networks)
        chosen = self.indices[::step][:networks]
        small = replace(self.spec, batch=2)  # some normalisations refuse a single image
        total = 0
        for index in chosen:
            with one_thread():
                layers = capture_network(benchmark, index, small)
            for layer in layers if isinstance(layers, list) else ():
                for name, value in layer.signals.items():
                    one = is_weight(name) or name.startswith("ones_")
                    total += value.nbytes if one else value.nbytes * self.spec.batch // 2
        return total * len(self.indices) // max(1, len(chosen))

    def build(
        self,
        workers: int,
        *,
        announce: Callable[[str], None] = lambda line: None,
        progress: Progress | None = None,
    ) -> None:
        """Capture what is missing.

        Args:
            workers: processes.
            announce: told the size before anything is made.
            progress: told after every shard.

        Raises:
            RunError: the folder holds another sample, the disk is too small, or a worker died.
        """
        identity = {**asdict(self.spec), "terminals": list(self.spec.terminals)}
        identity["indices"] = self.indices
        identity["checksum"] = cached_benchmark(self.spec.benchmark).checksum
        described = self.folder / "store.json"
        if described.exists() and _read_identity(described) != identity:
            raise RunError(f"{self.folder} holds signals of another sample: remove the folder")
        missing = [i for i, path in enumerate(self.paths) if not path.exists()]
        if not missing:
            return
        for abandoned in self.folder.glob(".shard-*.tmp"):  # of a build that was killed
            abandoned.unlink(missing_ok=True)
        size = self.estimate_bytes() * len(missing) // len(self._shards)
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        announce(
            f"capturing {sum(len(self._shards[i]) for i in missing)} networks: "
            f"about {size / 1e9:.2f} GB in {self.folder} ({free / 1e9:.0f} GB free)"
        )
        if size > free:
            raise RunError(f"{self.folder} has too little space: smaller samples or another --out")
        write_json(described, identity)
        folder, paths = data_folder().resolve(), self.paths
        tasks = [(self.spec, self._shards[i], folder, paths[i]) for i in missing]
        run_tasks(_build_shard, tasks, workers, progress)

    @property
    def failures(self) -> dict[int, str]:
        """The message of every network that failed, by place in the sample; once it is built.

        Raises:
            RunError: a file is missing or damaged.
        """
        # From the layouts alone: opening the tensors would read what nobody needs here.
        return {place: why for path in self.paths for place, why in _failures(path).items()}


def shard_places(indices: Sequence[int]) -> list[list[tuple[int, int]]]:
    """Split a sample into shards of (place in the sample, index in the benchmark)."""
    places = list(enumerate(int(i) for i in indices))
    return [places[i : i + SHARD_NETWORKS] for i in range(0, len(places), SHARD_NETWORKS)]


def _read_identity(path: Path) -> object:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged ({error}): remove {path.parent}") from None


def _build_shard(
    spec: CaptureSpec, places: list[tuple[int, int]], folder: Path, path: Path
) -> None:
    shard = capture_shard(spec, places, folder)
    tensors = {
        f"{number}.{name}": tensor.cpu()
        for number, stack in enumerate(shard.stacks)
        for name, tensor in stack.tensors.items()
    }
    replace_file(path.with_suffix(".safetensors"), lambda temporary: save_file(tensors, temporary))
    layout = {
        "networks": shard.networks,
        "layer_counts": shard.layer_counts,
        "batch": shard.batch,
        "stacks": [stack.rows.tolist() for stack in shard.stacks],
        "failures": shard.failures,
    }
    write_json(path, layout)


def open_shard(path: Path) -> Shard:
    """Open a shard of a store, its tensors memory-mapped.

    Raises:
        RunError: a file is missing or damaged.
    """
    failures = _failures(path)
    try:
        layout = read_json(path)
        stacks = [Stack(torch.tensor(rows), {}) for rows in layout["stacks"]]
        with safe_open(path.with_suffix(".safetensors"), framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 (not a dict)
                number, _, name = key.partition(".")
                stacks[int(number)].tensors[name] = file.get_tensor(key)
        return Shard(layout["networks"], layout["layer_counts"], layout["batch"], stacks, failures)
    except (*_DAMAGE, SafetensorError) as error:
        raise _damaged(path, error) from None


def _failures(path: Path) -> dict[int, str]:
    try:
        return {int(place): why for place, why in read_json(path)["failures"].items()}
    except _DAMAGE as error:
        raise _damaged(path, error) from None


_DAMAGE = (OSError, ValueError, TypeError, LookupError, AttributeError)


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(f"{path.parent} is damaged ({error}): remove that folder, then --resume")
