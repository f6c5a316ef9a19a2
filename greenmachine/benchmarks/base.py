"""A benchmark: a table of architectures with true accuracies, a builder, and images."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

from greenmachine.benchmarks.datasets import Images
from greenmachine.benchmarks.spaces import Space
from greenmachine.benchmarks.suggestions import Suggest
from greenmachine.benchmarks.table import ACCURACY
from greenmachine.errors import ConfigError, DataError
from greenmachine.neutral import neutral, seeded

__all__ = ["Benchmark"]


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A search space with the accuracy of every architecture.

    It can be pickled, but a worker should call ``load_benchmark(name, folder)`` itself.

    Attributes:
        name: the name for ``load_benchmark``, such as ``nats-tss``; with absolute paths if it names
            files.
        space: how architectures become networks.
        frame: the checked table; row i is architecture i.
        image_sets: the data sets, in the order of the tables.
        source: the file that ``frame`` was read from.
        checksum: SHA-256 of that file, and of ``code`` if there is any.
        folder: the data folder that contains the images.
        options: build options of this benchmark that differ from those of the space.
        code: Python files that define the networks, if they are the user's.
        passes: the passes of a run whose settings name none: noise, and data if images come with
            the benchmark.
        truth: which accuracy of the table is the true one: ``test``, ``valid``, ``test@12``, ...
        suggest: how a search chooses an architecture, if it differs from that of the space.
    """

    name: str
    space: Space
    frame: pd.DataFrame
    image_sets: tuple[Images, ...]
    source: Path
    checksum: str
    folder: Path
    options: Mapping[str, int] = field(default_factory=dict)
    code: tuple[Path, ...] = ()
    passes: tuple[str, ...] = ("noise",)
    truth: str = "test"
    suggest: Suggest | None = None

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the data sets."""
        return tuple(images.name for images in self.image_sets)

    @cached_property
    def archs(self) -> list[str]:
        """Architecture strings in index order."""
        return [str(arch) for arch in self.frame["arch"]]

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """(n,): equal for architectures that the table or its space calls isomorphic."""
        if "isomorph" not in self.frame.columns:
            return np.arange(len(self), dtype=np.int64)
        return self.frame["isomorph"].to_numpy(dtype=np.int64)

    @cached_property
    def functions(self) -> NDArray[np.int64]:
        """(n,): equal for architectures that compute the same function, isomorphic or not.

        Two of them are never in different samples of a run.
        """
        return self.groups if self.space.function is None else self.space.functions(self.archs)

    @cached_property
    def twins(self) -> NDArray[np.int64]:
        """(n,): the first architecture whose network computes the same from the same weights."""
        return self.space.twins(self.archs)

    @cached_property
    def live(self) -> NDArray[np.bool_]:
        """(n,): whether an architecture has no unused operation; see ``live_topology``.

        Raises:
            ConfigError: unused operations are not defined for this space.
        """
        if self.space.live is None:
            raise ConfigError(
                f"unused operations are not defined for {self.name}: use all its networks"
            )
        return np.array([self.space.live(arch) for arch in self.archs], dtype=np.bool_)

    def accuracy(self, dataset: str) -> NDArray[np.float64]:
        """Return the true accuracies after full training, (n,), in percent.

        ``truth`` determines which accuracies of the table they are.

        Raises:
            DataError: the benchmark has no such data set, or its table does not have this accuracy
                for every architecture.
        """
        column = f"{self._images(dataset).name}.{self.truth}"
        if self.frame.empty:
            raise DataError(
                f"{self.name} is a space without accuracies, which only `search` can use: give a "
                f"table too, {self.name}:accuracies.csv"
            )
        if column not in self.frame:
            raise DataError(
                f"{self.name} has no accuracy {column}; "
                f"of {dataset} it has {', '.join(self.targets(dataset))}"
            )
        found = self.frame[column].to_numpy(dtype=np.float64)
        if unknown := int(np.isnan(found).sum()):
            raise DataError(
                f"{self.name}: {column} is missing for {unknown} of {len(found)} architectures: "
                "use another target, or remove them from the table"
            )
        return found

    def targets(self, dataset: str) -> list[str]:
        """Return the kinds of accuracy that the table has for a data set: ``test``, ``valid``, ...

        Raises:
            DataError: the benchmark has no such data set.
        """
        prefix = f"{self._images(dataset).name}."
        names = [n.removeprefix(prefix) for n in self.frame.columns if n.startswith(prefix)]
        return [name for name in names if ACCURACY.fullmatch(name)]

    def with_target(self, target: str) -> Benchmark:
        """Return the benchmark with another accuracy of its table as the true one.

        Args:
            target: such as ``valid``, or ``test@12`` after 12 epochs; see :meth:`targets`.

        Raises:
            DataError: the table has this accuracy for no data set.
        """
        if not any(target in self.targets(dataset) for dataset in self.datasets):
            known = dict.fromkeys(t for dataset in self.datasets for t in self.targets(dataset))
            raise DataError(f"{self.name} has no accuracy {target!r}; it has {', '.join(known)}")
        return self if target == self.truth else replace(self, truth=target)

    def seed_accuracies(self, dataset: str) -> NDArray[np.float64]:
        """Return the accuracy for each training seed, (seeds, n), in percent.

        It is NaN for an architecture that was trained with fewer seeds than others. The result is
        (0, n) if the table has only means.

        Raises:
            DataError: the benchmark has no such data set.
        """
        prefix = f"{self._images(dataset).name}.{self.truth}.seed"
        names = sorted(
            (name for name in self.frame.columns if name.startswith(prefix)),
            key=lambda name: int(name.removeprefix(prefix)),
        )
        return self.frame[names].to_numpy(dtype=np.float64).T

    def index_of(self, arch: str | int) -> int:
        """Return the index of an architecture string, or ``arch`` itself if it is an index.

        Raises:
            DataError: there is no such architecture; the message suggests a similar one.
        """
        if isinstance(arch, str):
            if arch in self._index:
                return self._index[arch]
            close = difflib.get_close_matches(arch, self.archs, n=1, cutoff=0.8)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise DataError(f"{self.name} has no architecture {arch!r}{hint}")
        if not 0 <= arch < len(self):
            raise DataError(
                f"{self.name} has indices 0 to {len(self) - 1}, not {arch}, and architectures such "
                f"as {self.archs[0]}"
            )
        return int(arch)

    def input_shape(self, dataset: str) -> tuple[int, ...]:
        """Return the shape of one image: (channels, height, width), except in custom spaces."""
        return self._images(dataset).shape

    def num_classes(self, dataset: str) -> int:
        """Return the number of classes; 0 if a custom space does not define it."""
        return self._images(dataset).num_classes

    def build(self, index: int, dataset: str, *, seed: int = 0, **options: int) -> nn.Module:
        """Return the untrained network of architecture ``index``, on the CPU.

        Its weights depend only on ``seed`` and ``index``, whatever other threads draw and whatever
        torch's settings; torch's global generator is restored. ``options`` are those of the space,
        such as ``cells`` of ``nats-tss``.

        Raises:
            DataError: unknown index or data set.
            ConfigError: unknown option, or one that is not a positive number.
            Exception: whatever a custom space raises for an architecture.
        """
        return self._build(self.archs[self.index_of(index)], index, dataset, seed, options)

    def build_arch(self, arch: str, dataset: str, *, seed: int = 0, **options: int) -> nn.Module:
        """Return the untrained network of ``arch``, which need not be in the table.

        For an architecture of the table it is that of :meth:`build`. The weights of any other
        depend on ``seed`` and its text.
        """
        if (index := self._index.get(arch)) is None:
            index = int.from_bytes(hashlib.sha256(arch.encode()).digest()[:7])
        return self._build(arch, index, dataset, seed, options)

    def find(self, arch: str) -> int | None:
        """Return the index of ``arch``, or of one isomorphic to it; None if there is none."""
        if arch in self._index or self.space.canonical is None:
            return self._index.get(arch)
        return self._by_class.get(self.space.canonical(arch))

    def baseline_scores(
        self, dataset: str, indices: Sequence[int] | NDArray[np.int64] | None = None
    ) -> dict[str, NDArray[np.float64]]:
        """Return the baseline scores of networks, each (len(indices),).

        Args:
            dataset: data set whose images and number of classes the networks get.
            indices: indices of the architectures; None means all. A custom space builds each of
                them.

        Returns:
            Scores by name, NaN where a custom network cannot be built or run.
        """
        archs = self.archs if indices is None else [self.archs[int(i)] for i in indices]
        return self.costs(archs, dataset) | self.space.shape_scores(archs)

    def costs(
        self, archs: Sequence[str], dataset: str, options: Mapping[str, int] | None = None
    ) -> dict[str, NDArray[np.float64]]:
        """Return ``params`` and ``flops`` (millions) of any architectures, each (len(archs),)."""
        params, flops = self.space.costs(
            archs,
            image_size=self._images(dataset).size,
            **self._about(dataset),
            **self.settings(options or {}),
        )
        return {"params": params.astype(np.float64), "flops": flops}

    def images(self, dataset: str, batch: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Return (B, *input_shape) float32 normalised images and (B,) int64 labels, balanced.

        Raises:
            DataError: the images are missing or damaged; the message says what to do.
            ConfigError: there are fewer than ``batch`` images.
        """
        return self._images(dataset).draw(self.folder, batch, seed=seed)

    def settings(self, options: Mapping[str, int]) -> dict[str, int]:
        """Return all build options, with ``options`` replacing the defaults.

        Raises:
            ConfigError: unknown option, or one that is not a positive number.
        """
        settings = {**self.space.options, **self.options, **options}
        for name, value in settings.items():
            if name not in self.space.options:
                known = ", ".join(self.space.options) or "no options"
                raise ConfigError(f"{self.name} has no build option {name!r}; it has {known}")
            if value < 1:
                raise ConfigError(
                    f"build option {name} of {self.name} is {value}; choose 1 or more"
                )
        return settings

    @cached_property
    def _index(self) -> dict[str, int]:
        return {arch: row for row, arch in enumerate(self.archs)}

    @cached_property
    def _by_class(self) -> dict[str, int]:
        assert self.space.canonical is not None
        found: dict[str, int] = {}
        for row, arch in enumerate(self.archs):
            found.setdefault(self.space.canonical(arch), row)
        return found

    def _build(
        self, arch: str, number: int, dataset: str, seed: int, options: Mapping[str, int]
    ) -> nn.Module:
        settings = self.settings(options)
        about = self._about(dataset)
        with neutral(), seeded((seed * 1_000_003 + number) % 2**63):
            return self.space.build(arch, **about, **settings)

    def _about(self, dataset: str) -> dict[str, Any]:
        """Return the facts of a data set that the space needs to build a network."""
        name = {"dataset": dataset} if self.space.by_dataset else {}
        return {"num_classes": self.num_classes(dataset), **name}

    def _images(self, dataset: str) -> Images:
        for images in self.image_sets:
            if images.name == dataset:
                return images
        known = ", ".join(self.datasets)
        raise DataError(f"{self.name} has no data set {dataset!r}; it has {known}")
