"""The report of several runs side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from greenmachine.errors import ConfigError
from greenmachine.files import refuse_foreign, write_text
from greenmachine.reports.page import PAGE_MARK, leaves, render, shown
from greenmachine.reports.reading import read_record
from greenmachine.reports.record import SAMPLES, Record

__all__ = ["differing_settings", "labels", "write_comparison"]

_ABSENT = object()


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

    runs = dict(zip(labels(folders), map(read_record, folders), strict=True))
    refuse_foreign(out, PAGE_MARK, "report of greenmachine")
    first, *others = runs.values()
    page = render(
        "comparison.html",
        {"comparison": comparison_table({label: run.history for label, run in runs.items()})},
        runs=runs,
        comparable=all(run.identity == first.identity for run in others),
        taus=[(label, *_taus(run, name)) for label, run in runs.items() for name in run.datasets],
        convergence=comparison(list(runs)),
        settings=differing_settings([run.config for run in runs.values()]),
    )
    write_text(out, page)
    return out


def differing_settings(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the settings in which runs differ: for each dotted key, the text of each run.

    Args:
        configs: settings of the runs (``config.json``). A run that does not have a key, because it
            uses another kind of that part, has an empty text.
    """
    flat = [dict(leaves(config)) for config in configs]
    differing = {}
    for key in dict.fromkeys(key for settings in flat for key in settings):
        values = [settings.get(key, _ABSENT) for settings in flat]
        if all(value == values[0] for value in values):
            continue
        texts = ["" if value is _ABSENT else shown(value) for value in values]
        if len(set(texts)) == 1:  # long lists of one length
            kinds = [values.index(value) + 1 for value in values]
            texts = [f"{text}, as run {kind}" for text, kind in zip(texts, kinds, strict=True)]
        differing[key] = texts
    return differing


def labels(folders: Sequence[Path]) -> list[str]:
    """Return labels of the runs: names of the folders, or numbered paths if two are equal."""
    for named in ([f.resolve().name for f in folders], [str(f) for f in folders]):
        if len(set(named)) == len(named):
            return named
    return [f"{place}: {folder}" for place, folder in enumerate(folders, start=1)]


def _taus(run: Record, dataset: str) -> tuple[object, ...]:
    """Return data set, size, the champion's scores by sample, the best baseline and its score."""
    found = [run.tau.get(sample, {}).get(dataset, {}) for sample in SAMPLES]
    baselines = {n: s for n, s in found[-1].items() if n != "champion" and math.isfinite(s.tau)}
    best = max(baselines, key=lambda name: baselines[name].tau, default=None)
    scores = [of_sample.get("champion") for of_sample in found]
    return dataset, run.champion.size, scores, best, baselines[best] if best else None
