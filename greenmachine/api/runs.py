"""``evolve``: a whole search in one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, overload

from greenmachine.api.result import Result
from greenmachine.api.search import CallbacksLike, PluginsLike, Search, warn
from greenmachine.api.seed_runs import SeedRuns, evolve_seeds
from greenmachine.config import RunConfig
from greenmachine.errors import ConfigError

__all__ = ["evolve"]


@overload
def evolve(
    tasks: str | Iterable[str] | None = None,
    *,
    config: str | Path | RunConfig | None = None,
    settings: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    seeds: None = None,
    resume: str | Path | None = None,
    plugins: PluginsLike = (),
    callbacks: CallbacksLike = (),
    verbose: bool | None = None,
) -> Result: ...


@overload
def evolve(
    tasks: str | Iterable[str] | None = None,
    *,
    config: str | Path | RunConfig | None = None,
    settings: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    seeds: int,
    plugins: PluginsLike = (),
    callbacks: CallbacksLike = (),
    verbose: bool | None = None,
) -> SeedRuns: ...


def evolve(
    tasks: str | Iterable[str] | None = None,
    *,
    config: str | Path | RunConfig | None = None,
    settings: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    seeds: int | None = None,
    resume: str | Path | None = None,
    plugins: PluginsLike = (),
    callbacks: CallbacksLike = (),
    verbose: bool | None = None,
) -> Result | SeedRuns:
    """Evolve a proxy: capture signals, evolve expressions, and test the champion.

    This function creates a :class:`~greenmachine.Search` and runs it.

    Args:
        tasks: one or several benchmarks or data sets of benchmarks, such as ``"nats-tss"``,
            ``"nats-tss/cifar100"`` or ``"my_space.py:accuracies.csv"``.
        config: settings to start from: a YAML file, or a ``RunConfig``.
        settings: changed settings by dotted key, such as ``{"evolution.population": 50}``.
        out: folder of the run; by default ``runs/NAME-SEED``. With ``seeds`` it is the folder of
            all runs; by default ``runs/NAME-seeds``.
        seed: seed of all random numbers; by default that of ``config``.
        seeds: number of runs, which are made one after the other with the seeds ``seed``,
            ``seed + 1``, ... If the call is interrupted, the same call continues.
        resume: folder of a run to continue; see ``Search.resume``.
        plugins: plugins to load; see ``Search``.
        callbacks: callbacks of the run; see ``Search``.
        verbose: whether to show progress, as the command line does; None shows it in a notebook and
            on a terminal.

    Returns:
        The result. With ``seeds`` all results, with mean and standard deviation of tau. A warning
        reports networks of the test sample that failed, and an undefined tau.

    Raises:
        ConfigError: a setting is unknown, out of range, or does not fit the benchmark.
        DataError: the benchmark's data is missing or broken.
        RunError: the folder contains another run or is damaged, or workers died repeatedly.

    Examples:
        >>> result = greenmachine.evolve("nats-tss", seed=1, settings={"passes": ["data"]})
        >>> result.best.expression, result.history, result.export("proxy.py")
        >>> greenmachine.evolve(config="experiments/single/nats_tss_cifar10.yaml", out="runs/tss")
        >>> greenmachine.evolve(["nats-tss", "nats-sss"])  # one proxy for both spaces
        >>> greenmachine.evolve(resume="runs/tss", verbose=False)
        >>> greenmachine.evolve("digits-tss", seeds=5).tau  # mean and deviation over five runs
        >>> greenmachine.evolve(callbacks=[greenmachine.callbacks.EarlyStopping(patience=5)])
    """
    if resume is None:
        search = Search(
            tasks,
            config=config,
            settings=settings,
            plugins=plugins,
            callbacks=callbacks,
            seed=seed,
        )
        if seeds is not None:
            return evolve_seeds(search, seeds, out, verbose=verbose, finished=warn)
        return search.run(out, verbose=verbose)
    if seeds is not None:
        raise ConfigError("runs with seeds continue by the same call: leave out resume")
    if any(given is not None for given in (config, out, seed)):
        raise ConfigError("resume takes the settings of its run: give no config, out or seed")
    search = Search.resume(
        resume, tasks=tasks, settings=settings, plugins=plugins, callbacks=callbacks
    )
    return search.run(verbose=verbose)
