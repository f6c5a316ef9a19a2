"""A search for a proxy as an object, built from its parts."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from reprlib import repr as short
from types import ModuleType
from typing import Any, TypeAlias

import yaml

from greenmachine.api.result import Result
from greenmachine.benchmarks import absolute_name, refuse_unnamed_code
from greenmachine.callbacks import Callback, Progress, add_callbacks
from greenmachine.config import RunConfig, load_config, split_task, with_plugins
from greenmachine.errors import ConfigError, one_line
from greenmachine.evolution import Run
from greenmachine.evolution.cost_model import Forecast, estimate
from greenmachine.language import parse
from greenmachine.live import watched
from greenmachine.plugins import load_plugin
from greenmachine.proxies import resolve
from greenmachine.signals.registry import PASSES, Pass

__all__ = ["Search", "execute", "warn"]

PluginsLike: TypeAlias = str | Path | ModuleType | Iterable[str | Path | ModuleType]
CallbacksLike: TypeAlias = (
    Callback | str | Mapping[str, Any] | Iterable[Callback | str | Mapping[str, Any]]
)

_ONE = (str, Path, ModuleType, Mapping, Callback, Pass)
"""Types of a single value, for arguments that take one value or several."""

_FREE = ("workers", "backend", "callbacks", "bank", "evolution.generations")
"""Settings that may change when a run is resumed, in this order."""

_NAMED = (
    "bank",
    "target",
    "passes",
    "selection",
    "objective",
    "samples",
    "capture",
    "language",
    "evolution",
    "seed",
    "workers",
    "backend",
    "name",
)


class Search:
    """A search for a proxy, built from its tasks and its parts.

    A part is an object, or its form in a YAML file: ``selection="lexicase"``,
    ``{"scheme": "lexicase", "epsilon": 0.01}`` and ``Lexicase(epsilon=0.01)`` mean the same.

    Args:
        tasks: rankings that the proxy should predict, such as ``"nats-tss/cifar10"``. A task is a
            benchmark, or ``my_space.py:accuracies.csv``, and one of its data sets. A benchmark
            without a data set means its first data set; ``/all`` after it means all of them.
        config: settings to start from: a YAML file, or a ``RunConfig``.
        settings: changed settings by dotted key, such as ``{"evolution.population": 50}``.
        plugins: files, names of installed plugins, or modules that add primitives, passes and parts
            (``greenmachine/plugins.py``).
        callbacks: callbacks of the run, in addition to those of ``config``. A callback replaces
            those of its own class. Callbacks with a ``scheme`` are stored with the settings and
            used again when the run is resumed.
        parts: groups of settings by name: ``passes`` (names, or registered functions), ``bank``
            (a folder, see ``docs/how_to/bank.md``), ``selection``, ``objective``, ``target``,
            ``samples``, ``capture``, ``language``, ``evolution``, ``seed``, ``workers``,
            ``backend``, ``name``.

    Attributes:
        settings: all settings, checked.

    Raises:
        ConfigError: a setting is unknown or out of range, or a plugin cannot be loaded.

    Examples:
        >>> search = greenmachine.Search(
        ...     ["nats-tss/cifar10", "nats-sss/cifar100"],
        ...     passes=["noise"],
        ...     selection=greenmachine.selection.Lexicase(epsilon=0.01),
        ...     evolution={"population": 200},
        ...     callbacks=[greenmachine.callbacks.EarlyStopping(patience=5)],
        ...     seed=1,
        ... )
        >>> result = search.run("runs/first")
        >>> result = greenmachine.Search.resume("runs/first").run()
    """

    def __init__(
        self,
        tasks: str | Iterable[str] | None = None,
        *,
        config: str | Path | RunConfig | None = None,
        settings: Mapping[str, Any] | None = None,
        plugins: PluginsLike = (),
        callbacks: CallbacksLike = (),
        **parts: Any,
    ) -> None:
        loaded = [load_plugin(plugin).name for plugin in _listed("plugins", plugins)]
        changes: dict[str, Any] = {} if tasks is None else {"tasks": _listed("tasks", tasks)}
        if parts.get("passes") is not None:
            parts["passes"] = _pass_names(parts["passes"])
        if isinstance(parts.get("bank"), Path):
            parts["bank"] = str(parts["bank"])
        if unknown := parts.keys() - {*_NAMED}:
            raise ConfigError(f"Search has no {unknown.pop()}; it has {', '.join(_NAMED)}")
        changes |= {name: value for name, value in parts.items() if value is not None}
        given = _mapping(settings)
        changes |= {key: value for key, value in given.items() if key not in changes}
        source = Path(config) if isinstance(config, str) else config
        if not isinstance(source, Path | RunConfig | None):
            raise ConfigError(
                f"config: {short(config)} is neither the path of a YAML file nor a RunConfig"
            )
        self._resumed: Path | None = None
        self._take(load_config(source, changes, loaded), callbacks)

    @classmethod
    def resume(
        cls,
        folder: str | Path,
        *,
        tasks: str | Iterable[str] | None = None,
        settings: Mapping[str, Any] | None = None,
        plugins: PluginsLike = (),
        callbacks: CallbacksLike = (),
    ) -> Search:
        """Return the search of the run in ``folder``; :meth:`run` continues it.

        Args:
            folder: folder of a run.
            tasks: tasks of the run. They must be given again if the run uses networks of a Python
                file: a folder may come from another person, so no code is run from it unless you
                name this code.
            settings: settings that may change: ``workers``, ``backend``, ``callbacks`` and the
                folder of the ``bank``, which do not affect any generation, and
                ``evolution.generations``, which extends a finished run.
            plugins: plugins of the run that are files; they must be given again for the same
                reason.
            callbacks: see :class:`Search`.

        Raises:
            RunError: the folder contains no run, or a damaged one.
            ConfigError: a setting may not change, or code of the run is not named.
        """
        for plugin in _listed("plugins", plugins):
            load_plugin(plugin)
        changes = _mapping(settings)
        if not changes.keys() <= {*_FREE}:
            raise ConfigError(
                f"resume takes the settings of its run: give no others but {', '.join(_FREE)}"
            )
        known = Run.settings(Path(folder))
        named = [] if tasks is None else _listed("tasks", tasks)
        benchmarks = {absolute_name(split_task(task)[0]) for task in named}
        if named and benchmarks != {*map(absolute_name, known.benchmarks)}:
            raise ConfigError(
                f"{folder} is a run on {', '.join(known.benchmarks)}: to resume it give no others"
            )
        refuse_unnamed_code(known.benchmarks, Path(folder), benchmarks)
        search = cls.__new__(cls)
        search._resumed = Path(folder)
        search._take(load_config(known, changes), callbacks)
        return search

    @property
    def folder(self) -> Path:
        """Default folder of the run: ``runs/NAME-SEED``, or the folder of a resumed run."""
        if self._resumed is not None:
            return self._resumed
        # A name may be any text, so it is changed to a folder name that stays inside `runs`.
        name = re.sub(r"[^\w+.-]+", "_", self.settings.name).strip("._")[:100] or "run"
        return Path("runs") / f"{name}-{self.settings.seed}"

    def run(self, folder: str | Path | None = None, *, verbose: bool | None = None) -> Result:
        """Run the search to its end, or continue it.

        If the run was interrupted, the same call continues after the last complete generation, with
        the same results bit for bit. If the run is finished, the call returns its result at once.

        Args:
            folder: folder of the run, created if it is missing; by default :attr:`folder`.
            verbose: whether to show progress, as the command line does; None shows it in a notebook
                and on a terminal.

        Returns:
            The result. A warning reports networks of the test sample that failed, and an undefined
            tau.

        Raises:
            ConfigError: the settings do not fit the benchmarks.
            DataError: the benchmark's data is missing or broken.
            RunError: the folder contains another run or is damaged, or workers died repeatedly.
        """
        result = execute(self, folder, verbose=verbose)
        warn(result)
        return result

    def cost(self) -> Forecast:
        """Estimate the cost of the search from a short calibration, without making a run folder.

        Raises:
            ConfigError: the settings do not fit the benchmarks, or the search is a resumed one.
            DataError: the benchmark's data is missing or broken.
            RunError: the cluster does not answer.
        """
        if self._resumed is not None:
            raise ConfigError(
                "the estimate is that of a whole run: ask for it before the run is started"
            )
        return estimate(self._run(None, False)[1])

    def _run(self, folder: str | Path | None, verbose: bool | None) -> tuple[Path, Run]:
        """Return the folder of the run, and the run."""
        path = self.folder if folder is None else Path(folder)
        own = list(self._own)
        shown = any(isinstance(each, Progress) for each in (*self.settings.callbacks, *own))
        if (watched() if verbose is None else verbose) and not shown:
            own.insert(0, Progress())
        if self._resumed is not None:
            if path != self._resumed:
                raise ConfigError(f"this search goes on in {self._resumed}: give no other folder")
            return path, Run.resume(path, *own, config=self.settings)
        seeds = [parse(resolve(text).expression) for text in self.settings.evolution.seeds]
        return path, Run(self.settings, path, seeds, *own)

    def yaml(self) -> str:
        """Return the settings as YAML; ``Search(config=FILE)`` makes the same search from them.

        Callbacks of a class without a ``scheme`` cannot be written to a file, and are left out.
        """
        written = self.settings.model_dump(mode="json", exclude_unset=True)
        return str(yaml.safe_dump(written, sort_keys=False, allow_unicode=True))

    def __repr__(self) -> str:
        return f"<Search {self.settings.name!r}: {', '.join(self.settings.tasks)}>"

    def _take(self, config: RunConfig, callbacks: CallbacksLike) -> None:
        """Store the settings with the callbacks that have a scheme; keep the others separately."""
        try:
            made = [Callback.make(each) for each in _listed("callbacks", callbacks)]
        except ValueError as error:
            raise ConfigError(f"callbacks: {one_line(error)}") from None
        named = [each for each in made if each.scheme]
        self._own = [each for each in made if not each.scheme]
        together = add_callbacks(config.callbacks, named)
        config = config.model_copy(update={"callbacks": together}) if named else config
        self.settings = with_plugins(config)


def execute(
    search: Search, folder: str | Path | None = None, *, verbose: bool | None = None
) -> Result:
    """Run ``search`` as :meth:`Search.run` does, but without warnings.

    The callers print the result, which contains more detail than the warnings.
    """
    path, run = search._run(folder, verbose)
    return Result(path, run.execute())


def _listed(name: str, value: Any) -> list[Any]:
    """Return the value of the argument ``name``, one thing or several, as a list."""
    if isinstance(value, _ONE) or callable(value):
        return [value]
    if isinstance(value, Iterable):
        return list(value)
    raise ConfigError(f"{name}: {short(value)} is neither a list nor an item of one")


def _mapping(settings: Any) -> dict[str, Any]:
    if not isinstance(settings, Mapping | None):
        raise ConfigError(
            f"settings: {short(settings)} is no mapping such as {{'evolution.population': 50}}"
        )
    return dict(settings or {})


def _pass_names(passes: str | Iterable[str | Pass | Callable[..., Any]]) -> list[str]:
    """Return the names of passes that are given as names, registered functions or passes."""
    given = _listed("passes", passes)
    functions = {each.function: each.name for each in PASSES.values()}
    names = []
    for each in given:
        name = each.name if isinstance(each, Pass) else each
        if callable(name):
            if name not in functions:
                raise ConfigError(f"passes: {name!r} is not registered: see register_pass")
            name = functions[name]
        names.append(name)
    return names


def warn(result: Result) -> None:
    """Warn if networks of the test sample failed, or if tau is undefined there."""
    for dataset, rows in result.facts["test"].items():
        if rows["champion"]["tau"] is None:
            warnings.warn(
                f"tau on {dataset} test is undefined: the champion ranks nothing there",
                stacklevel=3,
            )
        if failed := rows["champion"]["failed"]:
            total = rows["champion"]["networks"]
            warnings.warn(
                f"{failed} of {total} {dataset} test networks failed and rank below all others",
                stacklevel=3,
            )
