"""Part g: compare Kendall's tau of many score vectors with ``scipy.stats.kendalltau``."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from experiments.performance.report import Report
from greenmachine.fitness.kendall import TauReference

__all__ = ["measure_kendall"]

_CASES = ((100, 200), (200, 200), (15_625, 1))  # networks, rows
_REPEATS = 7


def measure_kendall(report: Report, seed: int) -> None:
    """Report the microseconds per vector of both, and their largest difference."""
    generator = np.random.default_rng(seed)
    for networks, rows in _CASES:
        truth = generator.normal(size=networks).round(2)  # some accuracies are equal
        scores = generator.normal(size=(rows, networks))
        scores[::2] = scores[::2].round(1)  # every other row has many ties
        reference = TauReference(truth)
        ours = _fastest(partial(reference, scores)) / rows
        scipys = _fastest(partial(_scipy, scores, truth)) / rows
        difference = np.abs(reference(scores) - _scipy(scores, truth)).max()
        case = f"{networks:,} networks, {rows} row{'s' if rows > 1 else ''}"
        report.add(
            "g",
            f"a vector of {case}",
            1e6 * ours,
            "us",
            f"scipy {1e6 * scipys:.1f} us, {scipys / ours:.1f}x; "
            f"largest difference {difference:.1e}, ties included",
        )
        if not difference <= 1e-12:
            raise ArithmeticError(f"tau of {case} differs from scipy's by {difference:.1e}")
        if networks < 1000:
            report.summary["kendall_us"] = max(report.summary.get("kendall_us", 0.0), 1e6 * ours)


def _scipy(scores: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([stats.kendalltau(row, truth).statistic for row in scores])


def _fastest(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of several calls, after one call that is not timed."""
    work()
    seconds = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
