"""``search_networks``: a search for networks in one call."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from greenmachine.benchmarks.suggestions import Suggest
from greenmachine.errors import ConfigError
from greenmachine.evaluation import read_scores
from greenmachine.files import alone_in
from greenmachine.live import bar
from greenmachine.proxies import Proxy
from greenmachine.search.goals import Objective
from greenmachine.workers import Progress, backend, check_workers

if TYPE_CHECKING:
    from greenmachine.search.result import SearchResult

__all__ = ["search_networks"]


def search_networks(
    objectives: Objective | Sequence[Objective],
    *,
    on: str = "digits-tss",
    constraints: str | Sequence[str] = (),
    dataset: str | None = None,
    target: str | None = None,
    trials: int | None = None,
    sampler: str | None = None,
    seed: int = 0,
    batch: int = 8,
    ask: int = 10,
    options: Mapping[str, int] | None = None,
    device: str = "cpu",
    suggest: Suggest | None = None,
    scores: str | Path | None = None,
    storage: str | None = None,
    study: str = "greenmachine",
    out: str | Path | None = None,
    workers: int = 1,
    on_backend: str = "loky",
    progress: Progress | None = None,
    announce: Callable[[str], None] = lambda line: None,
    verbose: bool | None = None,
) -> SearchResult:
    """Search a space for the networks that are best by proxies, costs or true accuracies.

    Stopped, the same call goes on where ``storage`` or ``out`` kept its trials, and finds what it
    would have found. Results do not depend on ``workers``.

    Args:
        objectives: one or several of: a proxy (name, expression, exported file, run folder),
            ``params``, ``flops`` (millions), ``accuracy`` (of the table), a function of yours as
            ``file.py:function``, which takes any of ``model``, ``arch`` and ``images`` by name,
            or ``rank_sum(a, b)``, ``log_rank_sum(a, b)``, ``az_nas``, ``vkdnw_agg``. Proxies and
            accuracies are maximised by their direction, costs and functions of files are minimised;
            ``max:`` or ``min:`` before one says otherwise. A proxy may be an object, such as
            ``Result.best``. A function that is an object is a proxy of which a high value is good;
            it takes any of ``model``, ``arch``, ``images``, ``labels`` and ``seed`` by name, or
            (model, images, labels). ``FunctionProxy(direction=-1, ...)`` minimises one.
        on: a benchmark, ``my_space.py:accuracies.csv``, or ``my_space.py`` alone. The file has
            ``suggest(trial)``, which returns an architecture, beside ``build(arch)``.
        constraints: such as ``"params<=1e6"``: networks that break one are not scored. It may name
            an objective that is an object.
        dataset: data set of the benchmark; None takes its first.
        target: which accuracy of the table is the true one.
        trials: networks to score in all; None is 500, or all of them (``exhaustive``).
        sampler: ``random``, ``tpe``, ``nsga2``, ``evolution`` (regularised) or ``exhaustive``;
            None takes ``evolution`` for one objective and ``nsga2`` for several.
        seed: of sampler, weights and noise.
        batch: images a pass.
        ask: networks asked for at once; results depend on it.
        options: build options of the benchmark.
        device: of the passes.
        suggest: takes a trial and returns an architecture, in place of the space's own: to search a
            part of a space.
        scores: a score file: its scores are used and not computed again.
        storage: database URL, such as ``sqlite:///search.db``; several processes may share it.
            None keeps the trials in ``out``, or in memory.
        study: name of the study in the storage.
        out: folder for result, trials, picture and report.
        workers: processes; -1 takes every core.
        on_backend: see ``greenmachine.workers.backend``.
        progress: called with (networks scored, networks in all).
        announce: called with lines about failures.
        verbose: draw a progress bar; None draws one in a notebook and on a terminal unless
            ``progress`` is given.

    Returns:
        The result: ``best``, ``front``, ``trials`` as data frames, ``study`` of Optuna.

    Raises:
        ConfigError: a setting is wrong, no network keeps the constraints, or Optuna is missing.
        DataError: the space has no ``suggest``, or its data is missing or broken.
        RunError: every network fails, or ``out`` holds something else.

    Example:
        >>> result = greenmachine.search_networks("nwot", on="digits-tss", trials=100)
        >>> greenmachine.search_networks(
        ...     ["synflow", "params"], on="my_space.py", constraints="flops<=100", out="found"
        ... )
        >>> greenmachine.search_networks(lambda model: len(list(model.modules())), trials=20)
    """
    try:  # here: it is an extra
        with warnings.catch_warnings():  # Optuna's tqdm misses ipywidgets in a notebook
            warnings.filterwarnings("ignore", "IProgress not found")
            from greenmachine.search.result import SearchResult
            from greenmachine.search.storage import open_storage
            from greenmachine.search.study import NetworkSearch, Settings
    except ImportError as error:
        if error.name != "optuna":
            raise
        raise ConfigError(
            "the search for networks needs Optuna: pip install 'greenmachine[search]'"
        ) from None
    check_workers(workers)
    folder = None if out is None else Path(out)
    settings = Settings(
        benchmark=on,
        objectives=_listed(objectives),
        constraints=(constraints,) if isinstance(constraints, str) else tuple(constraints),
        dataset=dataset,
        target=target,
        sampler=sampler,
        seed=seed,
        batch=batch,
        ask=ask,
        options=dict(options or {}),
        device=device,
    )
    known = None if scores is None else read_scores([Path(scores)])
    held = nullcontext() if folder is None else alone_in(folder, "result.json", "search")
    with held:
        search = NetworkSearch(
            settings,
            trials=trials,
            storage=open_storage(storage, folder),
            study=study,
            scores=known,
            suggest=suggest,
        )
        shown = progress is None if verbose is None else verbose
        drawn = bar("networks") if shown else nullcontext(progress)
        with drawn as told, backend(on_backend, workers):
            search.run(workers=workers, progress=told, announce=announce)
        result = SearchResult(search)
        if folder is not None:
            result.save(folder)
    return result


def _listed(objectives: Objective | Sequence[Objective]) -> tuple[Objective, ...]:
    if isinstance(objectives, str | Proxy) or callable(objectives):
        return (objectives,)
    if not isinstance(objectives, Iterable):
        raise ConfigError(f"objectives are {objectives!r}: give texts, proxies or functions")
    return tuple(objectives)
