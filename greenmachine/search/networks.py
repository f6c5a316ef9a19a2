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
from greenmachine.files import FolderKind, alone_in
from greenmachine.live import bar
from greenmachine.proxies import Proxy
from greenmachine.search.goals import Objective
from greenmachine.workers import Progress, backend, check_workers
from greenmachine.workers.gpus import resolve_device

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

    If the call is interrupted, the same call continues from the trials in ``storage`` or ``out``,
    with the same results as without the interruption. Results do not depend on ``workers``.

    Args:
        objectives: one objective or several. An objective is a proxy (name, expression, exported
            file or run folder), ``params``, ``flops`` (millions), ``accuracy`` (from the table), a
            function of a file as ``file.py:function``, ``rank_sum(a, b)``, ``log_rank_sum(a, b)``,
            ``az_nas`` or ``vkdnw_agg``. A function of a file has any of the parameters ``model``,
            ``arch`` and ``images``. Proxies are optimised in their own direction, accuracies are
            maximised, and costs and functions of files are minimised; ``max:`` or ``min:`` before
            an objective changes this. A proxy may also be an object, such as ``Result.best``. A
            function that is an object is maximised; it has any of the parameters ``model``,
            ``arch``, ``images``, ``labels`` and ``seed``, or takes (model, images, labels). Use
            ``FunctionProxy(direction=-1, ...)`` to minimise it.
        on: a benchmark, ``my_space.py:accuracies.csv``, or only ``my_space.py``. The file defines
            ``build(arch)``, and ``suggest(trial)``, which returns an architecture. It returns None,
            or raises ``optuna.TrialPruned``, if the choices are no architecture. A network whose
            ``suggest`` or ``build`` raises another exception counts as failed.
        constraints: constraints such as ``"params<=1e6"``; networks that break one are not scored.
            A constraint may also name an objective that is an object.
        dataset: data set of the benchmark; None takes its first.
        target: accuracy of the table to use as the true one; None takes the benchmark's default.
        trials: number of networks to score; None is 500, or all networks for ``exhaustive``.
        sampler: ``random``, ``tpe``, ``nsga2``, ``evolution`` (regularised) or ``exhaustive``;
            None takes ``evolution`` for one objective and ``nsga2`` for several.
        seed: seed of the sampler, the weights and the noise.
        batch: images per pass.
        ask: number of networks that the sampler suggests at once; results depend on it.
        options: build options of the benchmark.
        device: device of the passes: ``cpu``, ``cuda``, ``cuda:1`` or ``auto``.
        suggest: function that takes a trial and returns an architecture or None. It replaces that
            of the space, for example to search a part of it.
        scores: score file; its scores are used and not computed again.
        storage: database URL, such as ``sqlite:///search.db``, which several processes may share.
            None stores the trials in ``out``, or in memory if ``out`` is None.
        study: name of the study in the storage.
        out: folder for the result, the trials, the figure and the report.
        workers: number of processes; -1 uses every core.
        on_backend: see ``greenmachine.workers.backend``.
        progress: callback that gets the number of scored networks and the number of all networks.
        announce: callback that gets lines about failures.
        verbose: whether to show a progress bar; None shows one in a notebook and on a terminal
            unless ``progress`` is given.

    Returns:
        The result, with the data frames ``best``, ``front`` and ``trials``, and Optuna's ``study``.

    Raises:
        ConfigError: a setting is wrong, no network satisfies the constraints, or Optuna is missing.
        DataError: the space has no ``suggest``, or its data is missing or broken.
        RunError: every network failed, or too many in a row with the same error; or ``out``
            contains other files.

    Example:
        >>> result = greenmachine.search_networks("nwot", on="digits-tss", trials=100)
        >>> greenmachine.search_networks(
        ...     ["synflow", "params"], on="my_space.py", constraints="flops<=100", out="found"
        ... )
        >>> greenmachine.search_networks(lambda model: len(list(model.modules())), trials=20)
    """
    try:  # imported here because Optuna is an optional dependency
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
    device = resolve_device(device, local=":" not in on_backend)
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
    held = nullcontext() if folder is None else alone_in(folder, FolderKind.SEARCH)
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
