"""Use functions of the user as columns, from a Python file or as objects.

A function of a file, such as ``costs.py:milliseconds``, has any of the parameters ``model``,
``arch`` and ``images``. A function that is given as an object is used as a proxy. It has any of
these parameters, ``labels`` and ``seed``; or it takes the network, its images and their labels in
this order.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from greenmachine.benchmarks import Benchmark
from greenmachine.benchmarks.user_file import UserFile
from greenmachine.errors import ConfigError
from greenmachine.proxies import FunctionProxy
from greenmachine.proxies.functions import as_number, evaluate_function, name_of
from greenmachine.signals import CaptureSpec
from greenmachine.signals.network_capture import build_network
from greenmachine.signals.passes import noise_images

__all__ = ["ArchFunction", "by_file", "check_file_function"]

_OF_FILES = ("model", "arch", "images")
_OF_OBJECTS = (*_OF_FILES, "labels", "seed")
_ORDER = ("model", "images", "labels")


@dataclass(frozen=True, eq=False)  # a function is equal only to itself
class ArchFunction:
    """A function that computes one number for an architecture.

    Attributes:
        proxy: proxy that contains the function.
        names: parameters that the function takes by name; empty if it takes them in order, and None
            if the user gave a proxy.
    """

    proxy: FunctionProxy
    names: tuple[str, ...] | None = None

    @classmethod
    def of(cls, function: Callable[..., Any] | FunctionProxy) -> ArchFunction:
        """Convert ``function`` for a search; a plain function gets noise, and higher is better.

        Raises:
            ConfigError: the function has an unknown parameter.
        """
        if isinstance(function, FunctionProxy):
            return cls(function)
        name = name_of(function)
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):  # a C function may have no signature
            parameters = {}.values()
        kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        needed = [p.name for p in parameters if p.default is p.empty and p.kind not in kinds]
        if parameters and all(each in _OF_OBJECTS for each in needed):
            names = tuple(each.name for each in parameters if each.name in _OF_OBJECTS)
        elif not parameters or len(needed) <= len(_ORDER) <= len(parameters):
            names = ()  # takes its arguments in order
        else:
            raise ConfigError(
                f"{name} takes {', '.join(needed)}: write a function of any of "
                f"{', '.join(_OF_OBJECTS)}, by these names, or of ({', '.join(_ORDER)})"
            )
        return cls(FunctionProxy(name=name, function=function, passes=("noise",)), names)

    def value(self, benchmark: Benchmark, spec: CaptureSpec, arch: str) -> float:
        """Compute the number for ``arch``; errors of the function are passed on."""
        proxy, names = self.proxy, self.names
        if names is not None:
            bare: Any = proxy.function

            def called(model: nn.Module, images: Any, labels: Any, seed: int) -> Any:
                have = dict(zip(_OF_OBJECTS, (model, arch, images, labels, seed), strict=True))
                by_name = {name: have[name] for name in names}
                return bare(**by_name) if names else bare(*(have[name] for name in _ORDER))

            proxy = replace(proxy, function=called)
        model = build_network(benchmark, arch, spec)
        images = labels = None
        if proxy.passes == ("data",):
            images, labels = benchmark.images(spec.dataset, spec.batch, seed=spec.seed)
        elif proxy.passes:
            images = noise_images((spec.batch, *benchmark.input_shape(spec.dataset)), spec.seed)
        return evaluate_function(proxy, model, images, labels, spec.seed).value


def by_file(source: str, benchmark: Benchmark, spec: CaptureSpec, arch: str) -> float:
    """Return the value of the function ``FILE.py:FUNCTION`` for ``arch``."""
    file, function = _user_function(source)
    given: dict[str, Any] = {}
    for name in inspect.signature(function).parameters:
        if name == "model":
            given[name] = build_network(benchmark, arch, spec).eval()
        elif name == "images":
            shape = (spec.batch, *benchmark.input_shape(spec.dataset))
            given[name] = noise_images(shape, spec.seed).to(spec.device)
        elif name == "arch":
            given[name] = arch
    return as_number(name_of(function), file.run(function, **given))


def check_file_function(source: str) -> None:
    """Check that ``FILE.py:FUNCTION`` exists and has only known parameters.

    Raises:
        ConfigError: the function is missing, or has an unknown parameter.
    """
    _user_function(source)


def _user_function(source: str) -> tuple[UserFile, Callable[..., Any]]:
    path, _, name = source.rpartition(":")
    stamp = Path(path).stat().st_mtime_ns if Path(path).is_file() else 0
    return _read_function(Path(path), name, stamp)


@lru_cache(maxsize=16)  # with the file's time, because the user may edit it between two searches
def _read_function(path: Path, name: str, stamp: int) -> tuple[UserFile, Callable[..., Any]]:
    file = UserFile(path)
    function = getattr(file.module, name, None)
    if not callable(function):
        raise ConfigError(f"{path} has no function {name}")
    for parameter in inspect.signature(function).parameters.values():
        needed = parameter.default is inspect.Parameter.empty
        if needed and parameter.name not in _OF_FILES:
            raise ConfigError(
                f"{path}: {name} takes {parameter.name}; it may take {', '.join(_OF_FILES)}, by "
                "these names"
            )
    return file, function
