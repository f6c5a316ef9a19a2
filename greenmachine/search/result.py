"""The result of a search for networks, and its files."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
import pandas as pd
from optuna.trial import TrialState

from greenmachine.files import FolderKind, replace_file, write_sealed, write_text
from greenmachine.manifest import manifest
from greenmachine.search.study import NetworkSearch
from greenmachine.search.trials import ARCH, FAILURE, INVALID, SCORES

__all__ = ["SearchResult", "pareto_front"]

_STATES = {
    TrialState.COMPLETE: "scored",
    TrialState.PRUNED: "not allowed",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True, repr=False)
class SearchResult:
    """The networks of a search.

    Attributes:
        search: the search that found them.

    Example:
        >>> result = greenmachine.search_networks("nwot", on="digits-tss", trials=100)
        >>> result.best.head(), result.front, result.trials, result.study.best_trial
    """

    search: NetworkSearch

    @property
    def study(self) -> optuna.Study:
        """Optuna's study, for its importances, plots and dashboard."""
        return self.search.study

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per finished trial, in order.

        The columns are ``trial`` (from 0, without the trials of a stopped search that were
        requested again), ``arch``, ``state`` (``scored``, ``not allowed`` or ``failed``), the
        columns that the search reads, the objectives (a rank sum is computed over all scored
        networks), values from the table (``index``, ``accuracy`` in percent, ``rank`` with 1 for
        the best, ``regret`` in percent), the parameters, and ``why``, the reason why a network is
        not allowed or failed. ``arch`` is empty if ``suggest(trial)`` raised an error.
        """
        search = self.search
        # If suggest(trial) raised an error there is no architecture, but a failure to report.
        told = [
            (place, t)
            for place, t in enumerate(search._all())
            if t.state in _STATES and (ARCH in t.user_attrs or FAILURE in t.user_attrs)
        ]
        texts = [column.text for column in search.columns]
        rows = []
        for place, trial in told:
            scores = trial.user_attrs.get(SCORES, {})
            why = trial.user_attrs.get(FAILURE, trial.user_attrs.get(INVALID, ""))
            rows.append(
                {
                    "trial": place,
                    "arch": trial.user_attrs.get(ARCH, ""),
                    "state": _STATES[trial.state],
                    **{text: scores.get(text) for text in texts if text != "accuracy"},
                    **{f"param: {name}": value for name, value in trial.params.items()},
                    "why": why,
                }
            )
        head = ["trial", "arch", "state", *(text for text in texts if text != "accuracy")]
        frame = pd.DataFrame(rows) if rows else pd.DataFrame(columns=[*head, "why"])
        numbers = dict.fromkeys(head[3:], float)
        frame = frame.astype(numbers)
        for name, values in (self._objectives(frame) | self._truth(frame)).items():
            frame[name] = values
        params = [name for name in frame.columns if str(name).startswith("param: ")]
        rest = [n for n in frame.columns if n not in (*head, *params, "why")]
        return frame[[*head, *rest, *params, "why"]]

    @cached_property
    def best(self) -> pd.DataFrame:
        """The scored networks without duplicates, the best first.

        With several objectives this is the front.
        """
        if len(self.search.goals) > 1:
            return self.front
        (goal,) = self.search.goals
        return self._distinct.sort_values(
            goal.text, ascending=goal.direction < 0, kind="stable", ignore_index=True
        )

    @cached_property
    def front(self) -> pd.DataFrame:
        """The Pareto front of the scored networks, sorted by the first objective."""
        goals, frame = self.search.goals, self._distinct
        signs = np.array([goal.direction for goal in goals])
        kept = pareto_front(frame[[goal.text for goal in goals]].to_numpy(float) * signs)
        return frame[kept].sort_values(
            [g.text for g in goals],
            ascending=[g.direction < 0 for g in goals],
            kind="stable",
            ignore_index=True,
        )

    def facts(self) -> dict[str, Any]:
        """Return the content of ``result.json``, without the versions."""
        states = self.trials["state"].value_counts()
        return {
            "search": self.search.identity(),
            "trials": {state: int(states.get(state, 0)) for state in _STATES.values()},
            "networks": len(self._distinct),
            "seconds": float(self.study.user_attrs.get("seconds", 0.0)),
            "best": _records(self.shown(self.best.head(10))),
            "front": _records(self.shown(self.front)),
        }

    def save(self, folder: str | Path) -> Path:
        """Write the files of the search; existing files of these names are replaced.

        The files are ``result.json``, ``trials.parquet``, ``trials.csv``, ``front.svg`` and
        ``report.html``.

        Returns:
            The folder.
        """
        from greenmachine.search.page import front_svg, page

        folder = Path(folder)
        parameters = [name for name in self.trials.columns if str(name).startswith("param: ")]
        frame = self.trials.astype(dict.fromkeys(parameters, str))
        replace_file(folder / "trials.parquet", lambda to: frame.to_parquet(to, index=False))
        replace_file(folder / "trials.csv", lambda to: frame.to_csv(to, index=False))
        write_text(folder / "front.svg", front_svg(self))
        write_text(folder / "report.html", page(self))
        write_sealed(folder / FolderKind.SEARCH.mark, manifest(**self.facts()))
        return folder

    def shown(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return ``frame`` with the columns for a reader: no parameters and no empty columns."""
        hidden = {"trial", "state", "why", "index"}
        return frame[
            [n for n in frame if n not in hidden and not str(n).startswith("param: ")]
        ].dropna(axis="columns", how="all")

    @cached_property
    def _distinct(self) -> pd.DataFrame:
        scored = self.trials[self.trials["state"] == "scored"]
        return scored.drop_duplicates("arch", ignore_index=True)

    def _objectives(self, frame: pd.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
        """Return the objectives that are not columns: rank sums, and those after ``max:``."""
        found = {}
        scored = frame["state"] == "scored"
        once = frame[scored].drop_duplicates("arch")
        for goal in self.search.goals:
            if goal.text in frame.columns or goal.text == "accuracy":
                continue
            table = {c.text: once[c.text].to_numpy(float) for c in goal.columns if c.text in once}
            if any(column.kind == "accuracy" for column in goal.columns):
                table["accuracy"] = self._truth(once)["accuracy"]
            by_arch = dict(zip(once["arch"], goal.values(table), strict=True))
            found[goal.text] = np.where(
                scored, frame["arch"].map(by_arch).to_numpy(float, na_value=np.nan), np.nan
            )
        return found

    def _truth(self, frame: pd.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
        benchmark = self.search.benchmark
        if not len(benchmark):
            return {}
        accuracy = benchmark.accuracy(self.search.dataset)
        places = [benchmark.find(arch) for arch in frame["arch"]]
        ranks = pd.Series(-accuracy).rank(method="min").to_numpy()
        known = np.array([-1 if place is None else place for place in places], dtype=int)

        def of(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
            return np.where(known >= 0, values[known], np.nan)

        return {
            "index": of(np.arange(len(accuracy), dtype=float)),
            "accuracy": of(accuracy),
            "rank": of(ranks),
            "regret": of(accuracy.max() - accuracy),
        }

    def __repr__(self) -> str:
        goals = ", ".join(goal.text for goal in self.search.goals)
        first = f", the first {self.best['arch'].iloc[0]}" if len(self.best) else ""
        return (
            f"<SearchResult {goals} on {self.search.settings.benchmark}: "
            f"{len(self._distinct)} networks{first}>"
        )

    def _repr_html_(self) -> str:
        return self.shown(self.best.head(10)).to_html(index=False, border=0, na_rep="–")


def pareto_front(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return (n,) whether a row is on the Pareto front.

    A row is on the front if no other row is at least as high in all objectives and higher in one.

    Args:
        values: (n, objectives), higher is better.
    """
    kept = np.ones(len(values), dtype=np.bool_)
    for place, row in enumerate(values):
        if kept[place]:
            beaten = (values <= row).all(axis=1) & (values < row).any(axis=1)
            kept &= ~beaten
    return kept


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return [
        {
            key: None if isinstance(v, float) and not math.isfinite(v) else v
            for key, v in row.items()
        }
        for row in rows
    ]
