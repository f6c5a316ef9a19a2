"""What a finished run has found, read from its folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from greenmachine.errors import RunError
from greenmachine.evolution import Famous, RunFolder
from greenmachine.export.run_export import export_run
from greenmachine.fitness import KendallTau
from greenmachine.proxies import ExpressionProxy
from greenmachine.proxies.resolve import read_run

__all__ = ["Result"]

_ROW = ("objective", "tau", "standard_error", "networks", "failed")


@dataclass(frozen=True, repr=False)
class Result:
    """A finished run.

    Attributes:
        folder: of the run.
        facts: the content of its ``result.json``.

    Example:
        >>> result = greenmachine.Result.open("runs/tss")
        >>> result.best.expression, result.tau["validation"]["cifar10"]
        >>> result.test.loc["cifar10"]  # the champion beside the baselines
        >>> result.history.plot("generation", ["best", "best_validation"])
        >>> greenmachine.score(model, result.best, shape=(8, 3, 32, 32))
    """

    folder: Path
    facts: Mapping[str, Any] = field(compare=False)

    @classmethod
    def open(cls, folder: str | Path) -> Result:
        """Return the result of the run in ``folder``.

        Raises:
            RunError: the folder holds no finished run, or one that is damaged.
        """
        folder = Path(folder)
        read_run(folder)  # refuses what is unfinished or damaged
        return cls(folder, RunFolder(folder).result())

    @cached_property
    def best(self) -> ExpressionProxy:
        """The champion, chosen on validation; it is called as its folder."""
        return read_run(self.folder)

    @property
    def tau(self) -> dict[str, dict[str, float]]:
        """Kendall's tau-b of the champion, by sample and data set; NaN where undefined."""
        return _numbers(self.facts["best"]["tau"])

    @property
    def objective(self) -> dict[str, dict[str, float]]:
        """What the search maximised, of the champion, by sample and data set; NaN where undefined.

        It is :attr:`tau` unless the run has another objective; parsimony is not subtracted.
        """
        return _numbers(self.facts["best"]["objective"])

    @cached_property
    def test(self) -> pd.DataFrame:
        """On the test sample: the champion, then the baselines, on every task.

        The index is (dataset, score); the columns are ``objective``, ``tau``, ``standard_error``,
        ``networks`` and ``failed``.
        """
        rows = {
            (dataset, name): [row[column] for column in _ROW]
            for dataset, scores in self.facts["test"].items()
            for name, row in scores.items()
        }
        index = pd.MultiIndex.from_tuples(rows, names=["dataset", "score"])
        frame = pd.DataFrame(list(rows.values()), index, list(_ROW))
        return frame.astype({"objective": float, "tau": float, "standard_error": float})

    @cached_property
    def history(self) -> pd.DataFrame:
        """A row a generation: ``best``, ``mean``, ``best_validation``, ``diversity``, ..."""
        saved = RunFolder(self.folder).checkpoint()
        if saved is None:
            raise RunError(f"{self.folder} has lost its checkpoint.json: run again")
        return pd.DataFrame(saved.history)

    @cached_property
    def hall_of_fame(self) -> pd.DataFrame:
        """The best on validation; the index is the rank that :meth:`export` takes.

        Columns: ``expression``, ``direction``, ``size``, ``generation``, the fitness on ``train``
        and ``validation``, and tau-b as ``train.cifar10``; where the run has another objective than
        tau, also its value as ``train.cifar10.ndcg_of_best``.
        """
        hall = RunFolder(self.folder).hall()
        scheme = self.facts["objective"]["scheme"]
        rows = [_famous(famous, self.facts["tasks"], scheme) for famous in hall]
        return pd.DataFrame(rows, pd.RangeIndex(1, len(rows) + 1, name="rank"))

    @property
    def seconds(self) -> float:
        """Wall time of the whole run, in seconds."""
        return float(self.facts["seconds"])

    def export(self, path: str | Path, rank: int = 1) -> Path:
        """Write a proxy as one Python file that needs only torch, and its facts as JSON beside.

        Args:
            path: ends in ``.py``.
            rank: place in the hall of fame; 1 is the champion, the only one judged on test.

        Returns:
            The path.

        Raises:
            ConfigError: ``path`` does not end in ``.py``, or the hall is shorter than ``rank``.
            RunError: the folder has lost its files.
        """
        export_run(self.folder, Path(path), rank)
        return Path(path)

    def __repr__(self) -> str:
        champions = self.test.xs("champion", level="score")
        taus = "; ".join(
            f"{name} {row['tau']:.3f} ± {row['standard_error']:.3f}"
            for name, row in champions.iterrows()
        )
        best = self.facts["best"]  # no file is read: the folder may be gone
        better = "higher" if best["direction"] > 0 else "lower"
        return (
            f"<Result {str(self.folder)!r}: {best['expression']}, {better} is better, "
            f"tau on the test sample: {taus}>"
        )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _numbers(samples: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, float]]:
    return {
        sample: {dataset: _number(value) for dataset, value in row.items()}
        for sample, row in samples.items()
    }


def _famous(famous: Famous, datasets: list[str], scheme: str) -> dict[str, Any]:
    row = famous.model_dump(exclude={"objective", "tau"})
    for sample, values in famous.tau.items():
        row |= {f"{sample}.{name}": tau for name, tau in zip(datasets, values, strict=False)}
    if scheme != KendallTau.scheme:
        for sample, values in famous.objective.items():
            named = zip(datasets, values, strict=False)
            row |= {f"{sample}.{name}.{scheme}": value for name, value in named}
    return row
