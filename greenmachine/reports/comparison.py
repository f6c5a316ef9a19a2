"""The report of several runs side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from greenmachine.errors import ConfigError
from greenmachine.files import refuse_foreign, write_text
from greenmachine.reports.page import PAGE_MARK, render
from greenmachine.reports.reading import read_record
from greenmachine.reports.record import SAMPLES, Record

__all__ = ["write_comparison"]


def write_comparison(folders: Sequence[Path], out: Path) -> Path:
    """Write a comparison of runs as one self-contained HTML file.

    Args:
        folders: folders of at least two runs, finished or not.
        out: the file.

    Returns:
        The file.

    Raises:
        ConfigError: fewer than two folders.
        RunError: see :func:`~greenmachine.reports.report.write_report`.
    """
    if len(folders) < 2:
        raise ConfigError("a comparison needs at least two runs")
    from greenmachine.reports.charts import comparison, comparison_table

    runs = dict(zip(_labels(folders), map(read_record, folders), strict=True))
    refuse_foreign(out, PAGE_MARK, "report of greenmachine")
    first, *others = runs.values()
    page = render(
        "comparison.html",
        {"comparison": comparison_table({label: run.history for label, run in runs.items()})},
        runs=runs,
        comparable=all(run.identity == first.identity for run in others),
        taus=[(label, *_taus(run, name)) for label, run in runs.items() for name in run.datasets],
        convergence=comparison(list(runs)),
    )
    write_text(out, page)
    return out


def _labels(folders: Sequence[Path]) -> list[str]:
    """Return labels of the runs: names of the folders, or numbered paths if two are equal."""
    for labels in ([f.resolve().name for f in folders], [str(f) for f in folders]):
        if len(set(labels)) == len(labels):
            return labels
    return [f"{place}: {folder}" for place, folder in enumerate(folders, start=1)]


def _taus(run: Record, dataset: str) -> tuple[object, ...]:
    """Return data set, size, the champion's scores by sample, the best baseline and its score."""
    found = [run.tau.get(sample, {}).get(dataset, {}) for sample in SAMPLES]
    baselines = {n: s for n, s in found[-1].items() if n != "champion" and math.isfinite(s.tau)}
    best = max(baselines, key=lambda name: baselines[name].tau, default=None)
    scores = [of_sample.get("champion") for of_sample in found]
    return dataset, run.champion.size, scores, best, baselines[best] if best else None
