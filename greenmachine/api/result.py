"""The result of a finished run, read from its folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from greenmachine.errors import ConfigError, RunError
from greenmachine.evolution import Famous, RunFolder
from greenmachine.evolution.equations import Equation, equations
from greenmachine.evolution.run_files import Checkpoint
from greenmachine.export.run_export import export_run
from greenmachine.fitness import KendallTau
from greenmachine.proxies import ExpressionProxy
from greenmachine.proxies.resolve import read_run
from greenmachine.reports.plots import plot_front, plot_history, plot_scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Result"]

_ROW = ("objective", "tau", "standard_error", "networks", "failed")


@dataclass(frozen=True, repr=False)
class Result:
    """A finished run.

    Attributes:
        folder: folder of the run.
        facts: content of its ``result.json``.

    Examples:
        >>> result = greenmachine.Result.open("runs/tss")
        >>> result.best.expression, result.tau["validation"]["cifar10"]
        >>> result.test.loc["cifar10"]  # the champion beside the baselines
        >>> result.plot_history(), result.plot_front(), result.plot_scores()
        >>> greenmachine.score(model, result.best, shape=(8, 3, 32, 32))
        >>> result.equations()  # the best formula of each size
        >>> result.best.latex(), result.best.sympy(), result.best.tree().save("tree.svg")
    """

    folder: Path
    facts: Mapping[str, Any] = field(compare=False)

    @classmethod
    def open(cls, folder: str | Path) -> Result:
        """Return the result of the run in ``folder``.

        Raises:
            RunError: the folder contains no finished run, or a damaged one.
        """
        folder = Path(folder)
        read_run(folder)  # refuses an unfinished or damaged run
        return cls(folder, RunFolder(folder).result())

    @cached_property
    def best(self) -> ExpressionProxy:
        """The champion, chosen on the validation sample; its name is that of the folder."""
        return read_run(self.folder)

    @property
    def tau(self) -> dict[str, dict[str, float]]:
        """Kendall's tau-b of the champion, by sample and data set; NaN where undefined."""
        return _numbers(self.facts["best"]["tau"])

    @property
    def objective(self) -> dict[str, dict[str, float]]:
        """Objective of the champion, by sample and data set; NaN where undefined.

        It equals :attr:`tau` unless the run has another objective. The parsimony penalty is not
        subtracted.
        """
        return _numbers(self.facts["best"]["objective"])

    @cached_property
    def test(self) -> pd.DataFrame:
        """Results on the test sample: for every task the champion, then the baselines.

        The index is (dataset, score). The columns are ``objective``, ``tau``, ``standard_error``,
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
        """One row per generation: ``best``, ``mean``, ``best_validation``, ``diversity``, ..."""
        return pd.DataFrame(self._checkpoint().history)

    @cached_property
    def hall_of_fame(self) -> pd.DataFrame:
        """The best expressions on validation; the index is the rank that :meth:`export` takes.

        The columns are ``expression``, ``direction``, ``size`` in nodes, ``generation``, the
        fitness on ``train`` and ``validation``, and tau-b as ``train.cifar10``. If the objective of
        the run is not tau, its values have columns such as ``train.cifar10.ndcg_of_best``.
        """
        hall = RunFolder(self.folder).hall()
        scheme = self.facts["objective"]["scheme"]
        rows = [_famous(famous, self.facts["tasks"], scheme) for famous in hall]
        return pd.DataFrame(rows, pd.RangeIndex(1, len(rows) + 1, name="rank"))

    def equations(self) -> pd.DataFrame:
        """Return the Pareto front of tau against size, the smallest formula first.

        The columns are ``size`` in nodes; ``cost``, the number of forward and backward passes
        through a network; mean tau-b over the tasks on ``train`` and ``validation`` (NaN for a
        formula that was not evaluated on validation); ``direction``; and ``formula``.

        Raises:
            RunError: the checkpoint of the run is missing.
        """
        rows = [asdict(equation) for equation in equations(self._checkpoint())]
        return pd.DataFrame(rows, columns=[each.name for each in fields(Equation)])

    def plot_history(self, ax: Axes | None = None) -> Axes:
        """Draw the best and the mean fitness of every generation with matplotlib.

        Args:
            ax: axes to draw into; None makes a new figure.

        Returns:
            The axes; save the plot with ``axes.figure.savefig``.

        Raises:
            ConfigError: matplotlib is not installed.
            RunError: the checkpoint of the run is missing.
        """
        return plot_history(self.history, self.facts["objective"]["scheme"], ax)

    def plot_front(self, ax: Axes | None = None) -> Axes:
        """Draw the Pareto front of tau against size; see :meth:`equations`.

        Args:
            ax: axes to draw into; None makes a new figure.

        Returns:
            The axes.

        Raises:
            ConfigError: matplotlib is not installed.
            RunError: the checkpoint of the run is missing.
        """
        return plot_front(self.equations(), ax)

    def plot_scores(
        self, task: str | None = None, *, sample: str = "test", ax: Axes | None = None
    ) -> Axes:
        """Draw the champion's scores of the networks of a sample against their accuracies.

        Args:
            task: data set, as in :attr:`tau`; None takes the first.
            sample: ``"train"``, ``"validation"`` or ``"test"``.
            ax: axes to draw into; None makes a new figure.

        Returns:
            The axes. Far outliers are drawn at the edge.

        Raises:
            ConfigError: the run has no such task or sample, or matplotlib is not installed.
            RunError: the scores of the run are missing.
        """
        tasks = list(self.facts["tasks"])
        task = tasks[0] if task is None else task
        if task not in tasks or sample not in self.tau:
            raise ConfigError(
                f"the run has no {task!r} {sample!r}: its tasks are {', '.join(tasks)}, its "
                f"samples {', '.join(self.tau)}"
            )
        scores = RunFolder(self.folder).scores()
        chosen = scores[(scores["task"] == task) & (scores["sample"] == sample)]
        tau = self.tau[sample][task]
        title = f"{task}, {sample}: tau {'undefined' if math.isnan(tau) else f'{tau:.3f}'}"
        return plot_scores(chosen, self.best.direction, title, ax)

    @property
    def seconds(self) -> float:
        """Wall time of the whole run, in seconds."""
        return float(self.facts["seconds"])

    def export(self, path: str | Path, rank: int = 1, *, exact: bool = False) -> Path:
        """Write a proxy as one Python file that needs only torch, with a JSON file of its facts.

        Args:
            path: Python file to write; it must end in ``.py``. The JSON file is written beside it.
            rank: rank in the hall of fame. Rank 1 is the champion, the only expression that was
                evaluated on the test sample.
            exact: whether the file gives the same score as the engine, bit for bit. Such a file has
                about 1,400 lines. Otherwise it has about 150, and its scores agree to one part in a
                million.

        Returns:
            The path.

        Raises:
            ConfigError: ``path`` does not end in ``.py``, or the hall of fame has no such rank.
            RunError: files of the run are missing.
        """
        export_run(self.folder, Path(path), rank, exact=exact)
        return Path(path)

    def _checkpoint(self) -> Checkpoint:
        saved = RunFolder(self.folder).checkpoint()
        if saved is None:
            raise RunError(f"{self.folder} has lost its checkpoint.json: run again")
        return saved

    def _repr_html_(self) -> str:
        best = self.facts["best"]
        better = "higher is better" if best["direction"] > 0 else "lower is better"
        samples = list(self.tau)
        rows = [
            f"<tr><th>{escape(task)}</th><td>{escape(name)}</td>"
            + "".join(f"<td>{_tau(self.facts[sample][task].get(name))}</td>" for sample in samples)
            + "</tr>"
            for task in self.facts["tasks"]
            for name in self.facts["test"][task]
        ]
        head = "".join(f"<th>{sample}</th>" for sample in ("", "Kendall's tau", *samples))
        return (
            f"<p><code>{escape(best['expression'])}</code><br>{better}; {best['size']} nodes; "
            f"{escape(str(self.folder))}</p><table><thead><tr>{head}</tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table>"
        )

    def __repr__(self) -> str:
        champions = self.test.xs("champion", level="score")
        taus = "; ".join(
            f"{name} {row['tau']:.3f} ± {row['standard_error']:.3f}"
            for name, row in champions.iterrows()
        )
        best = self.facts["best"]  # reads no file, because the folder may have been deleted
        better = "higher" if best["direction"] > 0 else "lower"
        return (
            f"<Result {str(self.folder)!r}: {best['expression']}, {better} is better, "
            f"tau on the test sample: {taus}>"
        )


def _tau(row: Mapping[str, Any] | None) -> str:
    if row is None or row["tau"] is None:
        return "undefined" if row else ""
    error = row["standard_error"]
    return f"{row['tau']:.3f}" if error is None else f"{row['tau']:.3f} ± {error:.3f}"


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
