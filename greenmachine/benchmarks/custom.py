"""Your own networks as a benchmark: a Python file that builds them, a CSV that judges them.

Its name is ``my_space.py:accuracies.csv``. The Python file defines

| name | what it is |
|---|---|
| ``build(arch)`` | returns the untrained ``nn.Module`` of an architecture, given as text |
| ``INPUT_SHAPE`` | shape of one image, such as ``(1, 8, 8)``, or ``(64,)`` for vectors |
| ``NUM_CLASSES`` | number of classes; optional, labels are checked against it |
| ``images()`` | normalised images and labels, the same at every call; only for the data pass |
| ``OUTPUT`` | optional: which of several returned things is the output (index, key, function) |

and the CSV has the columns that ``user_table.py`` describes. The one data set is called ``own``.
Weights are seeded where ``build`` draws from torch's generator, as every torch module does.
"""

from __future__ import annotations

import hashlib
import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from greenmachine.benchmarks.base import Benchmark
from greenmachine.benchmarks.datasets import balanced_order, checked_batch
from greenmachine.benchmarks.spaces import Space
from greenmachine.benchmarks.table import checksum
from greenmachine.benchmarks.user_file import UserFile
from greenmachine.benchmarks.user_table import read_accuracies
from greenmachine.errors import ConfigError, DataError
from greenmachine.networks import module_costs
from greenmachine.networks.outputs import pick_output
from greenmachine.neutral import neutral

__all__ = [
    "DATASET",
    "absolute_name",
    "is_custom",
    "load_custom",
    "refuse_unnamed_code",
    "short_name",
]

DATASET = "own"
"""Name of the one data set of such a benchmark."""

_MARK = ".py:"


def is_custom(name: str) -> bool:
    """Whether ``name`` names two files rather than a benchmark of the registry."""
    return _MARK in name


def absolute_name(name: str) -> str:
    """Return ``name`` with absolute paths, so that it holds in any folder and any process.

    The name of a registered benchmark is returned as it is.
    """
    if not is_custom(name):
        return name
    python, table = _paths(name)
    return f"{python}:{table}"


def refuse_unnamed_code(names: Iterable[str], source: Path, named: Iterable[str]) -> None:
    """Refuse to run a Python file that a data file names, and not whoever runs the command.

    Args:
        names: of the benchmarks that ``source`` tells of.
        source: a score file, or the folder of a run; it may come from anybody.
        named: benchmarks that the command line, the settings or the caller name.

    Raises:
        ConfigError: a benchmark that runs code is not among ``named``; the message says how to
            name it.
    """
    known = {absolute_name(name) for name in named}
    for name in names:
        if is_custom(name) and absolute_name(name) not in known:
            code = name.rpartition(":")[0]
            raise ConfigError(
                f"{source} names a Python file, {code}: if you trust it, run it with "
                f"--on {shlex.quote(name)}"
            )


def short_name(name: str) -> str:
    """Return ``name`` without the folders of its files, for a person to read."""
    if not is_custom(name):
        return name
    return ":".join(path.name for path in _paths(name))


def load_custom(name: str, folder: Path) -> Benchmark:
    """Return the benchmark of a Python file and a CSV.

    Args:
        name: ``FILE.py:FILE.csv``, split at the last ``.py:``.
        folder: the data folder; not used, all that such a benchmark needs is in its files.

    Raises:
        DataError: a file is missing, raises, or does not hold what it should.
    """
    python, table = _paths(name)
    file = UserFile(python)
    if not callable(file.get("build")):
        raise DataError(f"{python} has no function build(arch): write one that returns the network")
    images = CustomImages(DATASET, _num_classes(file), _input_shape(file), file)
    frame = read_accuracies(table, DATASET)
    networks = _Networks(file, images.shape)
    return Benchmark(
        name=f"{python}:{table}",
        space=Space(python.stem, None, networks.build, networks.costs, _no_scores),
        frame=frame,
        image_sets=(images,),
        source=table,
        checksum=hashlib.sha256(
            "".join(checksum(path) for path in (table, *file.files)).encode()
        ).hexdigest(),
        folder=folder,
        code=file.files,
        passes=("noise", "data") if callable(file.get("images")) else ("noise",),
    )


def _paths(name: str) -> tuple[Path, Path]:
    python, _, table = name.rpartition(_MARK)
    if not python or not table:
        raise DataError(f"{name} names no two files: write my_space.py:accuracies.csv")
    return Path(f"{python}.py").expanduser().resolve(), Path(table).expanduser().resolve()


def _input_shape(file: UserFile) -> tuple[int, ...]:
    shape = file.get("INPUT_SHAPE")
    example = "write the shape of one image, such as INPUT_SHAPE = (3, 32, 32), or (64,) of vectors"
    if shape is None:
        raise DataError(f"{file.path} has no INPUT_SHAPE: {example}")
    if not isinstance(shape, Sequence) or not shape or not all(map(_positive, shape)):
        raise DataError(f"{file.path}: INPUT_SHAPE is {shape!r}: {example}")
    return tuple(shape)


def _num_classes(file: UserFile) -> int:
    classes = file.get("NUM_CLASSES")
    if classes is not None and not _positive(classes):
        raise DataError(f"{file.path}: NUM_CLASSES is {classes!r}: write a whole number, 1 or more")
    return classes or 0


def _positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _no_scores(archs: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    return {}  # of an architecture that is any text nothing can be said without its network


@dataclass(frozen=True)
class _Networks:
    """The networks of a user's file; ``num_classes`` and ``image_size`` are its own affair."""

    file: UserFile
    shape: tuple[int, ...]

    def build(self, arch: str, **_: int) -> nn.Module:
        model = self.file.call("build", arch)
        if not isinstance(model, nn.Module):
            raise TypeError(f"build({arch!r}) returned {type(model).__name__}, not an nn.Module")
        if any(is_lazy(tensor) for tensor in [*model.parameters(), *model.buffers()]):
            with torch.no_grad():  # lazy layers get their weights when they see an image
                model(torch.zeros(2, *self.shape))
        if (output := self.file.get("OUTPUT")) is not None:
            model.register_forward_hook(lambda module, args, out: pick_output(out, output))
        return model

    def costs(
        self, archs: Sequence[str], **_: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (parameters, flops_m), each (len(archs),); NaN where a network fails."""
        with neutral(), torch.random.fork_rng(devices=[]):
            found = np.array([self._costs(arch) for arch in archs], dtype=np.float64)
        params, flops = found.reshape(-1, 2).T
        return params, flops

    def _costs(self, arch: str) -> tuple[float, float]:
        try:
            return module_costs(self.build(arch), self.shape)
        except KeyboardInterrupt:
            raise
        except BaseException:  # a network may raise anything; capture tells what it was
            return math.nan, math.nan


@dataclass(frozen=True)
class CustomImages:
    """What ``images()`` of a user's file returns.

    Attributes:
        name: of the data set.
        num_classes: labels are 0 to num_classes-1; 0 where the file does not say.
        shape: of one image.
        file: the user's file.
    """

    name: str
    num_classes: int
    shape: tuple[int, ...]
    file: UserFile

    @property
    def size(self) -> int:
        """Last length of an image."""
        return self.shape[-1]

    def draw(self, folder: Path, batch: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Return images (B, *shape) float32 and labels (B,) int64, as ``ImageSet.draw`` does.

        Raises:
            DataError: the file has no ``images``, or they are not what they should be.
            ConfigError: ``batch`` is not between 1 and the number of images.
        """
        images, labels = self._arrays
        checked_batch(batch, len(labels), self.name)
        chosen = torch.from_numpy(balanced_order(labels.numpy(), seed)[:batch])
        return images[chosen], labels[chosen]

    @cached_property
    def _arrays(self) -> tuple[Tensor, Tensor]:
        path = self.file.path
        if not callable(self.file.get("images")):
            raise DataError(
                f"{path} has no function images(), which the data pass needs: "
                "write one that returns (images, labels), or use other passes"
            )
        returned = self.file.try_call("images")
        try:
            images, labels = (torch.as_tensor(part).detach().cpu() for part in returned)
        except (TypeError, ValueError, RuntimeError) as error:
            raise DataError(f"{path}: images() must return (images, labels): {error}") from None
        expected = f"(n, {', '.join(map(str, self.shape))})"
        if images.shape[1:] != self.shape or not images.is_floating_point():
            raise DataError(
                f"{path}: images() returned images {tuple(images.shape)} of {images.dtype}; "
                f"return normalised floats {expected}"
            )
        if labels.shape != images.shape[:1] or labels.is_floating_point() or labels.is_complex():
            raise DataError(
                f"{path}: images() returned labels {tuple(labels.shape)} of {labels.dtype} for "
                f"{len(images)} images; return whole numbers (n,)"
            )
        if len(labels) == 0 or labels.min() < 0 or labels.max() >= (self.num_classes or math.inf):
            last = f"NUM_CLASSES - 1 = {self.num_classes - 1}" if self.num_classes else "above"
            raise DataError(f"{path}: images() must return labels from 0 to {last}")
        return images.float(), labels.long()
