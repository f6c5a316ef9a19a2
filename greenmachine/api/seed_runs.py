"""Run the same search with several seeds, one after the other, and summarise the results.

``FOLDER/seed-0``, ``FOLDER/seed-1``, ... are ordinary run folders. ``summary.json`` and
``summary.md`` are written after every run, so a stopped search has a summary too. They contain
only values that are read from the runs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from greenmachine.api.result import Result
from greenmachine.api.search import Search, execute
from greenmachine.config import load_config, with_plugins
from greenmachine.errors import RunError
from greenmachine.evaluation import check_seeds
from greenmachine.evaluation.seeds import deviation
from greenmachine.evolution import RunFolder
from greenmachine.files import (
    FolderKind,
    alone_in,
    read_sealed,
    remove_leftovers,
    write_sealed,
    write_text,
)

__all__ = [
    "SUMMARY",
    "SeedRuns",
    "evolve_seeds",
    "seeds_folder",
    "spread_text",
    "tau_text",
]

SUMMARY = FolderKind.SEEDS.mark
"""Name of the file with the results of all runs of a folder."""

_SAMPLES = ("train", "validation", "test")


@dataclass(frozen=True, repr=False)
class SeedRuns:
    """Finished runs that differ only in their seed.

    Attributes:
        folder: folder that contains the folders of the runs.
        facts: content of its ``summary.json``.

    Examples:
        >>> found = greenmachine.evolve("digits-tss", seeds=5)
        >>> found.tau.loc[("digits", "champion")]  # mean and deviation by sample
        >>> found.runs[0].best, found.table["expression"]
        >>> found.best.export("proxy.py")
    """

    folder: Path
    facts: Mapping[str, Any] = field(compare=False)

    @classmethod
    def open(cls, folder: str | Path) -> SeedRuns:
        """Return the finished runs in ``folder``.

        Raises:
            RunError: the folder has no ``summary.json``.
            DamagedError: ``summary.json`` is damaged.
        """
        path = Path(folder)
        if not (path / SUMMARY).is_file():
            raise RunError(
                f"{path} holds no {SUMMARY}: make one with `greenmachine evolve --seeds`"
            )
        return cls(path, read_sealed(path / SUMMARY, "run the same search again"))

    @cached_property
    def runs(self) -> list[Result]:
        """The results of the runs, by seed."""
        return [Result.open(self.folder / run["folder"]) for run in self.facts["runs"]]

    @property
    def best(self) -> Result:
        """The run whose champion has the highest mean tau on validation.

        The validation networks of two seeds differ, so this tau is only good enough for a choice.
        To report a result, use :attr:`tau`.
        """
        merits = [_mean_tau(run["tau"]["validation"].values()) for run in self.facts["runs"]]
        return self.runs[int(np.argmax(merits))]

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per run, indexed by seed: size, direction, tau, seconds and expression.

        The columns of tau have names such as ``test.cifar10``.
        """
        rows = [
            {
                "seed": run["seed"],
                "size": run["size"],
                "direction": run["direction"],
                **{
                    f"{sample}.{task}": math.nan if tau is None else tau
                    for sample in _SAMPLES
                    for task, tau in run["tau"][sample].items()
                },
                "seconds": run["seconds"],
                "expression": run["expression"],
            }
            for run in self.facts["runs"]
        ]
        return pd.DataFrame(rows).set_index("seed")

    @cached_property
    def tau(self) -> pd.DataFrame:
        """Mean and standard deviation (n - 1) of Kendall's tau-b over the runs.

        The index is (dataset, score), with the champion first and then the baselines. The columns
        are (sample, ``mean`` or ``deviation``). An undefined tau is left out of the mean.
        """
        taus = self.facts["tau"]
        rows = {
            (task, name): {
                (sample, what): _number(taus[sample][task][name][what])
                for sample in _SAMPLES
                for what in ("mean", "deviation")
            }
            for task in self.facts["tasks"]
            for name in taus["test"][task]
        }
        index = pd.MultiIndex.from_tuples(rows, names=["dataset", "score"])
        columns = pd.MultiIndex.from_product([_SAMPLES, ("mean", "deviation")])
        return pd.DataFrame([*rows.values()], index, columns)

    @property
    def seconds(self) -> float:
        """Wall time of all runs together, in seconds."""
        return float(self.facts["seconds"]["total"])

    def __repr__(self) -> str:
        taus = "; ".join(
            f"{task} {spread_text(rows['champion'])}"
            for task, rows in self.facts["tau"]["test"].items()
        )
        return (
            f"<SeedRuns {str(self.folder)!r}: {len(self.facts['runs'])} runs, tau of the champion "
            f"on the test sample, mean ± deviation: {taus}>"
        )


def seeds_folder(search: Search) -> Path:
    """Return the default folder of the runs of ``search`` with several seeds."""
    own = search.folder
    return own.with_name(f"{own.name.removesuffix(str(search.settings.seed))}seeds")


def evolve_seeds(
    search: Search,
    seeds: int,
    folder: str | Path | None = None,
    *,
    verbose: bool | None = None,
    announce: Callable[[str], None] = lambda line: None,
    finished: Callable[[Result], None] = lambda result: None,
) -> SeedRuns:
    """Run ``search`` with several seeds, one after the other, beginning with its own seed.

    If the call is interrupted, the same call continues the unfinished run. Finished runs are read
    and not repeated.

    Args:
        search: a new search, not a resumed one.
        seeds: number of seeds.
        folder: folder for the folders of the runs, created if it is missing; by default that of
            :func:`seeds_folder`.
        verbose: whether to show the progress of each run on standard error.
        announce: callback that gets a line when a run begins.
        finished: callback that gets the result of each run.

    Raises:
        ConfigError: ``seeds`` is less than 1, or the settings do not fit the benchmarks.
        RunError: the folder, or the folder of a seed, contains another run or other files.
    """
    first, number = search.settings.seed, check_seeds(seeds)
    path = seeds_folder(search) if folder is None else Path(folder)
    searches = {
        path / f"seed-{seed}": _with_seed(search, seed) for seed in range(first, first + number)
    }
    with alone_in(path, FolderKind.SEEDS) as held:
        remove_leftovers(path)
        # Check all folders before the first run begins: any of them may contain another run.
        for place, each in searches.items():
            if RunFolder(place).holds_run:
                each._run(place, False)[1].check()
        results: list[Result] = []
        for count, (place, each) in enumerate(searches.items(), start=1):
            announce(f"seed {each.settings.seed} ({count} of {number}): {place}")
            results.append(execute(each, place, verbose=verbose))
            finished(results[-1])
            if count < number and RunFolder([*searches][count]).finished:
                continue  # the summary is written after the last of the finished runs
            held.check()
            facts = _summary(results, [one.settings.seed for one in searches.values()])
            write_sealed(path / SUMMARY, facts, parents=False)
            write_text(path / "summary.md", "\n".join(_markdown(facts)), parents=False)
    return SeedRuns(path, facts)


def _with_seed(search: Search, seed: int) -> Search:
    other = copy.copy(search)
    other.settings = with_plugins(load_config(search.settings, {"seed": seed}))
    return other


def _summary(results: Sequence[Result], asked: Sequence[int]) -> dict[str, Any]:
    """Return the content of ``summary.json``."""
    first = results[0].facts
    seconds = [result.seconds for result in results]
    runs = [
        {
            "seed": seed,
            "folder": result.folder.name,
            **{name: result.facts["best"][name] for name in ("expression", "direction", "size")},
            "tau": result.facts["best"]["tau"],
            "objective": result.facts["best"]["objective"],
            "individuals": result.facts["individuals"],
            "generations": result.facts["generations"],
            "seconds": result.seconds,
        }
        for seed, result in zip(asked, results, strict=False)
    ]
    return {
        **{name: first[name] for name in ("name", "benchmarks", "tasks", "objective", "targets")},
        "seeds": list(asked),
        "finished": len(results),
        "tau": _means(results, "tau"),
        "objective_values": _means(results, "objective"),
        "seconds": {**_moments(seconds), "total": round(sum(seconds), 1)},
        "runs": runs,
    }


def _means(results: Sequence[Result], what: str) -> dict[str, Any]:
    """Return the mean and deviation over the runs, by sample, task and name of the score."""
    return {
        sample: {
            task: {
                name: _moments([r.facts[sample][task][name][what] for r in results])
                for name in rows
            }
            for task, rows in results[0].facts[sample].items()
        }
        for sample in _SAMPLES
    }


def _moments(values: Sequence[float | None]) -> dict[str, float | int | None]:
    """Return the mean and deviation of the defined values; None if the result is undefined."""
    found = [value for value in values if value is not None]
    numbers = {"mean": float(np.mean(found)) if found else math.nan, "deviation": deviation(found)}
    plain = {k: round(v, 6) if math.isfinite(v) else None for k, v in numbers.items()}
    return {**plain, "runs": len(found)}


def _markdown(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of ``summary.md``."""
    done, asked = facts["finished"], facts["seeds"]
    yield f"# {facts['name']}: seeds {', '.join(map(str, asked[:done]))}"
    yield ""
    if done < len(asked):
        yield f"{done} of {len(asked)} runs are finished.\n"
    for task in facts["tasks"]:
        yield f"Kendall's τ on {task}, mean ± standard deviation over the runs:\n"
        yield "| | train | validation | test |"
        yield "|---|---|---|---|"
        for name in facts["tau"]["test"][task]:
            cells = [spread_text(facts["tau"][sample][task][name]) for sample in _SAMPLES]
            yield f"| {name} | {' | '.join(cells)} |"
        yield ""
    seconds = facts["seconds"]
    yield f"Seconds of a run: {spread_text(seconds, 0)}; of all runs {seconds['total']}.\n"
    yield "| seed | size | test τ | seconds | champion |"
    yield "|---|---|---|---|---|"
    for run in facts["runs"]:
        taus = ", ".join(map(tau_text, run["tau"]["test"].values()))
        better = "" if run["direction"] > 0 else " (low is good)"
        formula = f"`{run['expression']}`{better}"
        yield f"| {run['seed']} | {run['size']} | {taus} | {run['seconds']} | {formula} |"
    yield ""


def tau_text(tau: float | None) -> str:
    """Format tau as text."""
    return "undefined" if tau is None else f"{tau:.3f}"


def spread_text(row: Mapping[str, float | None], digits: int = 3) -> str:
    """Format mean ± standard deviation as text."""
    if row["mean"] is None:
        return "undefined"
    spread = "undefined" if row["deviation"] is None else f"{row['deviation']:.{digits}f}"
    return f"{row['mean']:.{digits}f} ± {spread}"


def _mean_tau(taus: Any) -> float:
    known = [tau for tau in taus if tau is not None]
    return float(np.mean(known)) if known else -math.inf


def _number(value: float | None) -> float:
    return math.nan if value is None else value
