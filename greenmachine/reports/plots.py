"""Plots of a run with matplotlib, for notebooks and papers: each draws into one Axes.

Matplotlib is the extra ``plot``, imported when a plot is drawn. Nothing global of it is changed,
and no window is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from greenmachine.errors import ConfigError
from greenmachine.reports.vega import colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_front", "plot_history", "plot_scores", "without_outliers"]


def plot_history(history: pd.DataFrame, objective: str, ax: Axes | None = None) -> Axes:
    """Draw the best and the mean fitness of every generation.

    Args:
        history: a row a generation: ``generation``, ``best``, ``best_validation``, ``mean``.
        objective: the name of what is maximised, for the axis.
        ax: to draw into; None makes a figure.
    """
    ax = _axes(ax)
    lines = {"best": "best on train", "best_validation": "best on validation"}
    for place, (column, label) in enumerate({**lines, "mean": "mean on train"}.items()):
        style = ":" if column == "mean" else "-"
        ax.plot(history["generation"], history[column], style, color=colour(place), label=label)
    ax.set_xlabel("generation")
    ax.set_ylabel(f"fitness ({objective})")
    _whole_numbers(ax)
    ax.legend(frameon=False)
    return ax


def plot_front(equations: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the Pareto front of tau against size.

    Args:
        equations: a row a formula: ``size`` in nodes, tau on ``train`` and ``validation``.
        ax: to draw into; None makes a figure.
    """
    ax = _axes(ax)
    ax.step(equations["size"], equations["train"], where="post", color=colour(0), lw=1)
    for place, sample in enumerate(("train", "validation")):
        ax.scatter(
            equations["size"], equations[sample], color=colour(place), label=sample, zorder=2
        )
    ax.set_xlabel("size, nodes")
    ax.set_ylabel("Kendall's tau")
    _whole_numbers(ax)
    ax.legend(frameon=False)
    return ax


def plot_scores(
    scores: pd.DataFrame, direction: int, title: str = "", ax: Axes | None = None
) -> Axes:
    """Draw the score of the champion against the accuracy of every network.

    Far outliers, more than three times the distance of the quartiles away from them, are drawn on
    the edge of the axis. Networks without a score are left out, and the title says how many.

    Args:
        scores: a row a network: ``champion`` and ``accuracy`` in percent.
        direction: 1 where a high score is good, -1 where a low one is.
        title: of the plot.
        ax: to draw into; None makes a figure.
    """
    ax = _axes(ax)
    values = scores["champion"].to_numpy(np.float64)
    finite = np.isfinite(values)
    near = without_outliers(values[finite])
    if len(near):
        values = np.clip(values, near.min(), near.max())
    ax.scatter(values[finite], scores["accuracy"][finite], s=12, alpha=0.6, color=colour(0))
    ax.set_xlabel(f"score of the champion ({'higher' if direction > 0 else 'lower'} is better)")
    ax.set_ylabel("accuracy, %")
    failed = int((~finite).sum())
    ax.set_title(f"{title}, {failed} failed" if failed else title)
    return ax


def without_outliers(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the values less than three times the distance of the quartiles away from them."""
    if len(values) == 0:
        return values
    low, high = np.quantile(values, [0.25, 0.75])
    reach = 3 * (high - low) or np.inf  # half of them are tied: no distance to go by
    near: npt.NDArray[np.float64] = values[(values >= low - reach) & (values <= high + reach)]
    return near


def _axes(ax: Axes | None) -> Any:
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ConfigError("plots need matplotlib: pip install 'greenmachine[plot]'") from None
    return pyplot.subplots(layout="constrained")[1]


def _whole_numbers(ax: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
