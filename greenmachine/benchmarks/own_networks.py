"""Benchmarks of networks that a user's own code builds.

A :class:`Definition` is a Python file or a call of ``register_benchmark``. Its values may depend on
the data set: a number or shape may be a mapping by data set, and a function with one more argument
receives the name of the data set.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from greenmachine.benchmarks.base import Benchmark
from greenmachine.benchmarks.datasets import balanced_order, checked_batch
from greenmachine.benchmarks.spaces import Space
from greenmachine.benchmarks.user_table import UserTable
from greenmachine.errors import DataError
from greenmachine.networks import module_costs
from greenmachine.networks.outputs import pick_output
from greenmachine.neutral import neutral

__all__ = ["Definition", "OwnImages", "Suggestion", "own_benchmark", "takes_dataset"]


class Definition(Protocol):
    """The definitions of a user. It can be pickled.

    The names are ``build``, ``suggest``, ``input_shape``, ``num_classes``, ``images`` and
    ``output``.
    """

    @property
    def place(self) -> str:
        """Where the definition is, for messages."""

    def spelled(self, name: str) -> str:
        """Return how ``name`` is written in the user's code."""

    def get(self, name: str) -> Any:
        """Return the value of ``name``; None if it is not defined."""

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call the function ``name``, and return its result."""

    def try_call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call the function ``name``, and return its result.

        Raises:
            DataError: the function raised an error.
        """


def own_benchmark(
    definition: Definition,
    table: UserTable,
    *,
    name: str,
    space: str,
    source: Path,
    checksum: str,
    folder: Path,
    code: tuple[Path, ...] = (),
    options: Mapping[str, int] | None = None,
) -> Benchmark:
    """Return the benchmark of a user's networks and table.

    Args:
        definition: definition of the networks.
        table: their accuracies.
        name: name of the benchmark.
        space: name of the space.
        source: as for :class:`Benchmark`.
        checksum: checksum of table and code.
        folder: the data folder.
        code: Python files that define the networks.
        options: keyword arguments of ``build``, and their values.

    Raises:
        DataError: the definition is incomplete or invalid.
    """
    place, spelled = definition.place, definition.spelled
    if not callable(definition.get("build")):
        raise DataError(f"{place} has no function build(arch): write one that returns the network")
    shapes = {dataset: _input_shape(definition, dataset) for dataset in table.datasets}
    classes = {dataset: _num_classes(definition, dataset) for dataset in table.datasets}
    by_dataset = takes_dataset(definition.get("build"), 1, options or ())
    if len(set(classes.values())) > 1 and not by_dataset:
        raise DataError(
            f"{place}: {spelled('num_classes')} depends on the data set, but build(arch) does not: "
            "write build(arch, dataset)"
        )
    networks = _Networks(definition, shapes)
    return Benchmark(
        name=name,
        space=Space(
            space,
            None,
            networks.build,
            networks.costs,
            _no_scores,
            options=dict(options or {}),
            by_dataset=True,
            suggest=Suggestion(definition) if definition.get("suggest") is not None else None,
        ),
        frame=table.frame,
        image_sets=tuple(
            OwnImages(dataset, classes[dataset], shapes[dataset], definition)
            for dataset in table.datasets
        ),
        source=source,
        checksum=checksum,
        folder=folder,
        code=code,
        passes=("noise", "data") if callable(definition.get("images")) else ("noise",),
        truth=table.truth,
    )


def takes_dataset(function: Callable[..., Any], given: int, options: Iterable[str] = ()) -> str:
    """Return how a function takes the data set: ``keyword``, ``place``, or ``""`` if it does not.

    It takes the data set if it has an argument ``dataset``, or if it needs more than ``given``
    arguments besides those called ``options``.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # of a function of C
        return ""
    placed = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    named = parameters.get("dataset")
    if named is not None and named.kind is not inspect.Parameter.POSITIONAL_ONLY:
        return "keyword"
    needed = [
        parameter
        for parameter in parameters.values()
        if parameter.kind in placed
        and parameter.default is parameter.empty
        and parameter.name not in options
    ]
    return "place" if len(needed) > given else ""


def _arguments(
    function: Callable[..., Any], dataset: str, *args: Any, **options: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments for ``function``, with the data set if it takes it."""
    how = takes_dataset(function, len(args), options)
    if how == "keyword":
        return args, {**options, "dataset": dataset}
    return (*args, dataset) if how == "place" else args, options


def _of_dataset(definition: Definition, name: str, dataset: str) -> Any:
    value = definition.get(name)
    if not isinstance(value, Mapping):
        return value
    if dataset not in value:
        raise DataError(
            f"{definition.place}: {definition.spelled(name)} has no data set {dataset} (it has "
            f"{', '.join(map(str, value)) or 'none'}); add it, or correct the column of the table"
        )
    return value[dataset]


def _input_shape(definition: Definition, dataset: str) -> tuple[int, ...]:
    shape = _of_dataset(definition, "input_shape", dataset)
    name = definition.spelled("input_shape")
    example = f"write the shape of one image, such as {name} = (3, 32, 32), or (64,) for vectors"
    if shape is None:
        raise DataError(f"{definition.place} has no {name}: {example}")
    if not isinstance(shape, Sequence) or not shape or not all(map(_positive, shape)):
        raise DataError(f"{definition.place}: {name} is {shape!r}: {example}")
    return tuple(shape)


def _num_classes(definition: Definition, dataset: str) -> int:
    classes = _of_dataset(definition, "num_classes", dataset)
    if classes is not None and not _positive(classes):
        name = definition.spelled("num_classes")
        raise DataError(
            f"{definition.place}: {name} is {classes!r}: write an integer of at least 1"
        )
    return classes or 0


def _positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _no_scores(archs: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    return {}  # the text of a custom architecture has no known meaning


@dataclass(frozen=True)
class _Networks:
    """The networks of a definition, with the number of classes and the size of the images."""

    definition: Definition
    shapes: Mapping[str, tuple[int, ...]]

    def build(self, arch: str, *, dataset: str, num_classes: int = 0, **options: int) -> nn.Module:
        args, named = _arguments(self.definition.get("build"), dataset, arch, **options)
        model = self.definition.call("build", *args, **named)
        if not isinstance(model, nn.Module):
            raise TypeError(f"build({arch!r}) returned {type(model).__name__}, not an nn.Module")
        if any(is_lazy(tensor) for tensor in [*model.parameters(), *model.buffers()]):
            with torch.no_grad():  # lazy layers get their weights when they see an image
                model(torch.zeros(2, *self.shapes[dataset]))
        if (output := self.definition.get("output")) is not None:
            model.register_forward_hook(lambda module, args, out: pick_output(out, output))
        return model

    def costs(
        self,
        archs: Sequence[str],
        *,
        dataset: str,
        num_classes: int = 0,
        image_size: int = 0,
        **options: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (parameters, flops_m), each (len(archs),); NaN where a network fails."""
        with neutral(), torch.random.fork_rng(devices=[]):
            found = np.array(
                [self._costs(arch, dataset, options) for arch in archs], dtype=np.float64
            )
        params, flops = found.reshape(-1, 2).T
        return params, flops

    def _costs(self, arch: str, dataset: str, options: Mapping[str, int]) -> tuple[float, float]:
        try:
            model = self.build(arch, dataset=dataset, **options)
            return module_costs(model, self.shapes[dataset])
        except KeyboardInterrupt:
            raise
        except BaseException:  # a network may raise anything; capturing it reports the error
            return math.nan, math.nan


@dataclass(frozen=True)
class Suggestion:
    """``suggest`` of a definition, called while its imports work.

    Its exceptions are passed on, because ``optuna.TrialPruned`` has a meaning for the search.
    """

    definition: Definition

    @property
    def function(self) -> Any:
        """The user's function."""
        return self.definition.get("suggest")

    def __call__(self, trial: Any) -> Any:
        """Return what the user's function returns."""
        return self.definition.call("suggest", trial)


@dataclass(frozen=True)
class OwnImages:
    """The images that ``images()`` of a definition returns.

    Attributes:
        name: name of the data set.
        num_classes: labels are 0 to num_classes-1; 0 if the definition does not have it.
        shape: shape of one image.
        definition: the user's definition.
    """

    name: str
    num_classes: int
    shape: tuple[int, ...]
    definition: Definition

    @property
    def size(self) -> int:
        """Last length of an image."""
        return self.shape[-1]

    def draw(self, folder: Path, batch: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Return images (B, *shape) float32 and labels (B,) int64, as ``ImageSet.draw`` does.

        Raises:
            DataError: there is no ``images``, or its result is invalid.
            ConfigError: ``batch`` is not between 1 and the number of images.
        """
        images, labels = self._arrays
        checked_batch(batch, len(labels), self.name)
        chosen = torch.from_numpy(balanced_order(labels.numpy(), seed)[:batch])
        return images[chosen], labels[chosen]

    @cached_property
    def _arrays(self) -> tuple[Tensor, Tensor]:
        path = self.definition.place
        function = self.definition.get("images")
        if not callable(function):
            raise DataError(
                f"{path} has no function images(), which the data pass needs: "
                "write one that returns (images, labels), or use other passes"
            )
        args, named = _arguments(function, self.name)
        returned = self.definition.try_call("images", *args, **named)
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
                f"{len(images)} images; return integers (n,)"
            )
        if len(labels) == 0 or labels.min() < 0 or labels.max() >= (self.num_classes or math.inf):
            name = self.definition.spelled("num_classes")
            last = f"{name} - 1 = {self.num_classes - 1}" if self.num_classes else "above"
            raise DataError(f"{path}: images() must return labels from 0 to {last}")
        return images.float(), labels.long()
