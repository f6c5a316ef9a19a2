"""Launch a run: from what is given to settings and a folder, and from those to a result."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from greenmachine.api.result import Result
from greenmachine.benchmarks import absolute_name, refuse_unnamed_code
from greenmachine.callbacks import Callback, Progress, add_callbacks
from greenmachine.config import RunConfig, load_config
from greenmachine.errors import ConfigError, one_line
from greenmachine.evolution import Run
from greenmachine.language import parse
from greenmachine.plugins import load_plugin
from greenmachine.proxies import resolve

__all__ = ["evolve", "launch", "settle"]

_FREE = ("workers", "backend", "callbacks", "evolution.generations")
"""Settings that a resumed run may have of its own, in order."""


def evolve(
    benchmark: str | Sequence[str] | None = None,
    *,
    config: str | Path | RunConfig | None = None,
    settings: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    resume: str | Path | None = None,
    plugins: Sequence[str | Path | ModuleType] = (),
    callbacks: Sequence[Callback | str | Mapping[str, Any]] = (),
    verbose: bool = False,
) -> Result:
    """Evolve a proxy: capture signals, breed expressions, test the champion.

    Interrupted, the same call goes on after the last whole generation, bit for bit; finished,
    it returns the result at once.

    Args:
        benchmark: its name, or ``my_space.py:accuracies.csv``, or several; default that of
            ``config``.
        config: settings: a YAML file, or a ``RunConfig``; default those of
            ``greenmachine/config/``.
        settings: changes of settings by dotted key, such as ``{"evolution.population": 50}``.
        out: folder of the run; default ``runs/NAME-SEED``.
        seed: of everything random; default that of ``config``.
        resume: folder of a run to go on with; it has its settings: give no others, but
            ``workers``, ``backend`` and ``callbacks``, on which no generation depends, and
            ``evolution.generations``: so a finished one is extended. Where the run has networks
            of a Python file, name them as ``benchmark`` again: a folder may come from anybody.
        plugins: files, names of installed plugins, or modules that bring words, passes and parts
            (``greenmachine/plugins.py``); a resumed run needs those of its files again.
        callbacks: that follow the run, besides those of its settings, as objects or as a file of
            settings holds them; one replaces those of its class. Those with a ``scheme`` are
            stored with the settings, for when the run is resumed.
        verbose: show progress on standard error, as the command line does.

    Returns:
        The result. Warns where networks of the test sample failed, or tau is undefined there.

    Raises:
        ConfigError: a setting is unknown, out of range, or does not fit the benchmark.
        DataError: the benchmark's data is missing or broken.
        RunError: the folder holds another run, or is damaged; workers died again and again.

    Example:
        >>> result = greenmachine.evolve("nats-tss", seed=1, settings={"passes": ["data"]})
        >>> result.best.expression, result.history, result.export("proxy.py")
        >>> greenmachine.evolve(config="experiments/single/nats_tss_cifar10.yaml", out="runs/tss")
        >>> greenmachine.evolve(["nats-tss", "nats-sss"])  # one proxy for both spaces
        >>> greenmachine.evolve(resume="runs/tss", verbose=True)
        >>> greenmachine.evolve(callbacks=[greenmachine.callbacks.EarlyStopping(patience=5)])
    """
    settled, folder = settle(
        benchmark,
        config=config,
        settings=settings,
        out=out,
        seed=seed,
        resume=resume,
        plugins=plugins,
        callbacks=callbacks,
    )
    own = [each for each in callbacks if isinstance(each, Callback) and not each.scheme]
    result = launch(settled, folder, *own, resume=resume is not None, verbose=verbose)
    for dataset, rows in result.facts["test"].items():
        if rows["champion"]["tau"] is None:
            warnings.warn(
                f"tau on {dataset} test is undefined: the champion ranks nothing there",
                stacklevel=2,
            )
        if failed := rows["champion"]["failed"]:
            total = rows["champion"]["networks"]
            warnings.warn(
                f"{failed} of {total} {dataset} test networks failed and rank below all others",
                stacklevel=2,
            )
    return result


def settle(
    benchmark: str | Sequence[str] | None = None,
    *,
    config: str | Path | RunConfig | None = None,
    settings: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    resume: str | Path | None = None,
    plugins: Sequence[str | Path | ModuleType] = (),
    callbacks: Sequence[Callback | str | Mapping[str, Any]] = (),
) -> tuple[RunConfig, Path]:
    """Return the settings and the folder that the arguments of :func:`evolve` mean."""
    changes = dict(settings or {})
    loaded = [load_plugin(plugin).name for plugin in plugins]
    if resume is not None:
        folder = Path(resume)
        if any(given is not None for given in (config, out, seed)) or not changes.keys() <= {
            *_FREE
        }:
            raise ConfigError(
                f"resume takes the settings of its run: give no others but {', '.join(_FREE)}"
            )
        known = Run.settings(folder)
        named = [benchmark] if isinstance(benchmark, str) else list(benchmark or [])
        if named and {*map(absolute_name, named)} != {*map(absolute_name, known.benchmarks)}:
            raise ConfigError(
                f"{folder} is a run on {', '.join(known.benchmarks)}: to resume it give no others"
            )
        refuse_unnamed_code(known.benchmarks, folder, named)
        return _followed(load_config(known, changes), callbacks), folder
    if benchmark is not None:
        changes["benchmark"] = benchmark
    if seed is not None:
        changes["seed"] = seed
    settled = load_config(Path(config) if isinstance(config, str) else config, changes, loaded)
    settled = _followed(settled, callbacks)
    if out is None:
        # A name is any text: as a folder it must not lead out of `runs`.
        name = re.sub(r"[^\w+.-]+", "_", settled.name).strip("._")[:100] or "run"
        out = Path("runs") / f"{name}-{settled.seed}"
    return settled, Path(out)


def _followed(
    config: RunConfig, callbacks: Sequence[Callback | str | Mapping[str, Any]]
) -> RunConfig:
    """Return the settings with those callbacks that a file can name."""
    try:
        named = [each for each in map(Callback.make, callbacks) if each.scheme]
    except ValueError as error:
        raise ConfigError(f"callbacks: {one_line(error)}") from None
    together = add_callbacks(config.callbacks, named)
    return config.model_copy(update={"callbacks": together}) if named else config


def launch(
    config: RunConfig,
    folder: Path,
    *callbacks: Callback,
    resume: bool = False,
    verbose: bool = False,
) -> Result:
    """Run, or go on, to the end.

    Args:
        config: see :func:`settle`.
        folder: of the run; made if missing.
        callbacks: that follow the run, besides those of ``config``.
        verbose: show progress.
        resume: go on with the run in ``folder``, with the seeds as they were when it began.
    """
    if verbose and not any(isinstance(each, Progress) for each in config.callbacks):
        callbacks = (Progress(), *callbacks)
    if resume:
        run = Run.resume(folder, *callbacks, config=config)
    else:
        seeds = [parse(resolve(text).expression) for text in config.evolution.seeds]
        run = Run(config, folder, seeds, *callbacks)
    return Result(folder, run.execute())
