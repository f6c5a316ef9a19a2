"""All named benchmarks: those of this project, and those that plugins register.

A plugin file registers its own::

    greenmachine.register_benchmark(
        "widths",
        table="widths.csv",                       # beside the plugin; or a pandas.DataFrame
        build=lambda arch: make_network(int(arch)),
        input_shape=(3, 32, 32),
        num_classes=10,
        images=load_images,
    )

Workers receive it with the plugin, and read its table on their machine.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor, nn

from greenmachine.benchmarks.base import Benchmark
from greenmachine.benchmarks.digits import LOADERS as EMBEDDED_LOADERS
from greenmachine.benchmarks.own_networks import own_benchmark
from greenmachine.benchmarks.table import checksum
from greenmachine.benchmarks.tables import TABLES
from greenmachine.benchmarks.user_table import read_accuracies
from greenmachine.errors import ConfigError, DataError, GreenMachineError, with_type
from greenmachine.networks.outputs import Output
from greenmachine.plugins import Plugin, loaded_plugins, when_forgotten

__all__ = ["BENCHMARKS", "Loader", "load_with_table", "register_benchmark", "table_of"]

Loader = Callable[[Path], Benchmark]
"""Takes the data folder and returns the benchmark."""

BENCHMARKS: dict[str, Loader] = {
    **EMBEDDED_LOADERS,
    **{name: table.load for name, table in TABLES.items()},
}
"""Loaders by name. The embedded benchmarks need no data folder."""

_NAME = re.compile(r"\w[\w.+-]*")


def register_benchmark(
    name: str,
    loader: Loader | None = None,
    *,
    table: str | Path | pd.DataFrame | None = None,
    build: Callable[..., nn.Module] | None = None,
    input_shape: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
    num_classes: int | Mapping[str, int] | None = None,
    images: Callable[..., tuple[Tensor, Tensor]] | None = None,
    output: Output | None = None,
    options: Mapping[str, int] | None = None,
    suggest: Callable[[Any], str | None] | None = None,
) -> None:
    """Register a benchmark; call this in a plugin. It is loaded at its first use.

    Args:
        name: letters, digits, ``-``, ``_`` and ``.``, such as ``my-space``.
        loader: takes the data folder and returns a ``Benchmark``; give it without other arguments.
        table: CSV or Parquet file, or data frame, with the columns ``arch`` and ``accuracy``, or
            ``arch`` and one column per data set (``greenmachine/benchmarks/user_table.py``). A
            relative path starts at the folder of the plugin's file.
        build: ``build(arch)`` or ``build(arch, dataset)`` returns the untrained network.
        input_shape: shape of one image, such as ``(3, 32, 32)``; or a mapping by data set.
        num_classes: number of classes; or a mapping by data set. Without it labels are not checked.
        images: ``images()`` or ``images(dataset)`` returns normalised images (n, *input_shape)
            and labels (n,), the same at every call. Only the data pass needs it.
        output: which part of what the networks return is their output; see ``score``.
        options: build options and their values, which ``build`` takes as keywords.
        suggest: ``suggest(trial)`` returns an architecture, or None if the choices are none;
            ``greenmachine search`` calls it with a trial of Optuna.

    Raises:
        ConfigError: the name is taken or not allowed, or the arguments are too few or too many.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name.endswith(".py"):
        raise ConfigError(
            f"benchmark {name!r}: a name consists of letters, digits, - and _, such as my-space"
        )
    if name in BENCHMARKS:
        raise ConfigError(f"there is a benchmark {name!r} already: choose another name")
    defined = {
        "table": table,
        "build": build,
        "input_shape": input_shape,
        "num_classes": num_classes,
        "images": images,
        "output": output,
        "options": options,
        "suggest": suggest,
    }
    given = {key: value for key, value in defined.items() if value is not None}
    if loader is not None and given:
        raise ConfigError(
            f"benchmark {name!r}: give a loader, or {', '.join(given)} without a loader"
        )
    missing = [key for key in ("table", "build", "input_shape") if key not in given]
    if loader is None and missing:
        raise ConfigError(f"benchmark {name!r} needs {', '.join(missing)}; or give only a loader")
    for key, value in {
        "loader": loader,
        "build": build,
        "images": images,
        "suggest": suggest,
    }.items():
        if value is not None and not callable(value):
            raise ConfigError(f"benchmark {name!r}: {key} is {value!r}: give a function")
    caller = sys._getframe(1).f_globals["__name__"]
    BENCHMARKS[name] = _Registered(name, str(caller), loader, given)


@dataclass(frozen=True, eq=False)
class _Registered:
    """A benchmark that a plugin registered; a ``Definition`` of its networks.

    It is pickled by its name, for a process that has the plugin.

    Attributes:
        name: name of the benchmark.
        module: name of the module that registered it.
        loader: makes it; None if it is made from ``defined``.
        defined: arguments of :func:`register_benchmark` by name.
    """

    name: str
    module: str
    loader: Loader | None
    defined: Mapping[str, Any] = field(repr=False)

    def __reduce__(self) -> tuple[Callable[[str], Loader], tuple[str]]:
        return _registered, (self.name,)

    def __call__(self, folder: Path) -> Benchmark:
        """Return the benchmark.

        Raises:
            ConfigError: it was registered outside of a plugin.
            DataError: the table or the definition is invalid.
        """
        plugin = self._plugin()
        if self.loader is not None:
            return self._loaded(self.loader, folder, plugin)
        home = _file(self.module)
        if (source := self.table) is not None:
            found = read_accuracies(source)
            content = checksum(source)
        else:
            source = home
            found = read_accuracies(self.defined["table"], f"the table of {self.place}")
            content = hashlib.sha256(found.frame.to_csv(index=False).encode()).hexdigest()
        return own_benchmark(
            self,
            found,
            name=self.name,
            space=self.name,
            source=source,
            checksum=_joined(content, plugin),
            folder=folder,
            options=self.defined.get("options", {}),
        )

    @property
    def table(self) -> Path | None:
        """The file of the table; None if it is a data frame, or if a loader reads it."""
        table = self.defined.get("table")
        if not isinstance(table, str | Path):
            return None
        return (_file(self.module).parent / Path(table).expanduser()).resolve()

    @property
    def place(self) -> str:
        """The name of the benchmark and its file, for messages."""
        return f"benchmark {self.name!r} of {_file(self.module)}"

    def spelled(self, name: str) -> str:
        """Return ``name``, because the arguments have these names."""
        return name

    def get(self, name: str) -> Any:
        """Return the argument ``name``; None if it was not given."""
        return self.defined.get(name)

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call the function ``name``, and return its result."""
        return self.defined[name](*args, **kwargs)

    def try_call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call the function ``name``, and return its result.

        Raises:
            DataError: the function raised an error.
        """
        try:
            return self.call(name, *args, **kwargs)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # it is anybody's code, and may call sys.exit
            raise DataError(
                f"{self.place}: {name}: {with_type(error, 300)}; correct the plugin"
            ) from error

    def _plugin(self) -> Plugin:
        for plugin in loaded_plugins():
            if plugin.owns(self.module):
                return plugin
        raise ConfigError(
            f"benchmark {self.name!r} was registered by {self.module}, which is not a plugin, so "
            "workers cannot load it: register it in a Python file, and load that as a plugin "
            "(--plugin FILE, or greenmachine.load_plugin)"
        )

    def _loaded(self, loader: Loader, folder: Path, plugin: Plugin) -> Benchmark:
        try:
            found = loader(folder)
        except (GreenMachineError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise DataError(
                f"{self.place}: loader: {with_type(error, 300)}; correct the plugin"
            ) from error
        if not isinstance(found, Benchmark):
            raise DataError(
                f"{self.place}: loader returned {type(found).__name__}, not a Benchmark"
            )
        return replace(found, name=self.name, checksum=_joined(found.checksum, plugin))


@when_forgotten
def _forget(gone: Callable[[str], bool]) -> None:
    for name, loader in list(BENCHMARKS.items()):
        if isinstance(loader, _Registered) and gone(loader.module):
            del BENCHMARKS[name]


def table_of(name: str) -> Path | None:
    """Return the table file of a plugin's benchmark ``name``; None for all others."""
    found = BENCHMARKS.get(name)
    return found.table if isinstance(found, _Registered) else None


def load_with_table(name: str, table: Path, folder: Path) -> Benchmark:
    """Return benchmark ``name`` of a plugin, with its table read from another path.

    Raises:
        DataError: there is no such benchmark in this process, or its table is damaged.
    """
    found = _registered(name)
    if isinstance(found, _Registered):
        found = replace(found, defined={**found.defined, "table": table})
    return found(folder)


def _registered(name: str) -> Loader:
    if name not in BENCHMARKS:
        raise DataError(f"no benchmark {name!r} in this process: load the plugin that has it")
    return BENCHMARKS[name]


def _file(module: str) -> Path:
    return Path(getattr(sys.modules.get(module), "__file__", None) or module)


def _joined(content: str, plugin: Plugin) -> str:
    """Return a checksum of a table and of the code that builds its networks."""
    return hashlib.sha256(f"{content}{plugin.sha256}".encode()).hexdigest()
