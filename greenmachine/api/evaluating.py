"""Measure how well the scores of a file rank networks; ``greenmachine evaluate`` calls this."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from greenmachine.benchmarks import load_benchmark, refuse_unnamed_code
from greenmachine.errors import ConfigError
from greenmachine.evaluation import (
    check_rows,
    direction_of,
    rank_sums_of,
    read_scores,
    score_columns,
    tau_table,
)

__all__ = ["evaluate"]


def evaluate(
    scores: str | Path | Iterable[str | Path],
    *,
    on: str | None = None,
    dataset: str | None = None,
    target: str | None = None,
    columns: str | Iterable[str] | None = None,
    combine: str | Iterable[str] | None = None,
    live: bool = False,
) -> pd.DataFrame:
    """Measure how well scores rank networks by their true accuracy, beside baselines.

    Args:
        scores: a score file written by ``greenmachine score --out``, or several files with scores
            of the same networks.
        on: benchmark of the scores; None takes the one recorded in the file.
        dataset: data set with the true accuracies; None takes the data set of the scores.
        target: accuracy of the benchmark's table to compare with, such as ``"valid"``; None takes
            the benchmark's default.
        columns: names of proxies, as a list or as text separated by commas; None takes all.
        combine: rank sums of columns, such as ``"rank_sum(gm_tss, synflow)"``; see
            :mod:`greenmachine.proxies.rank_sums`. Each adds a row.
        live: whether to use only cells without dead operations (topology spaces).

    Returns:
        One row per proxy or baseline (names of baselines are in brackets), the best first. The
        columns are ``proxy``, ``direction``, ``tau`` (Kendall's tau-b) with its
        ``standard_error``, ``spearman``, ``ndcg``, ``tau_best`` (tau among the best tenth of the
        networks) with its ``standard_error_best``, ``networks`` and ``failed``.

    Raises:
        DataError: a file is missing or damaged, or belongs to another benchmark.
        ConfigError: a column does not exist, a text is not a rank sum, or there are fewer than
            three networks.

    Example:
        >>> table = greenmachine.evaluate("scores.parquet", target="valid")
        >>> table.set_index("proxy")["tau"]
        >>> greenmachine.evaluate("scores.parquet", combine="rank_sum(gm_tss, synflow)")
    """
    paths = [Path(each) for each in ([scores] if isinstance(scores, str | Path) else scores)]
    if not paths:
        raise ConfigError("name a score file: make one with `greenmachine score --out`")
    frame = read_scores(paths)
    if columns is None or isinstance(columns, str):
        names = score_columns(frame, columns)
    else:
        names = [name for text in columns for name in score_columns(frame, text)]
    sums = rank_sums_of(frame, [combine] if isinstance(combine, str) else combine or [])
    name = on or str(frame.attrs.get("benchmark", "digits-tss"))
    refuse_unnamed_code([name], paths[0], [on] if on else [])
    benchmark = load_benchmark(name)
    benchmark = benchmark if target is None else benchmark.with_target(target)
    check_rows(frame, benchmark)
    told = frame.attrs.get("dataset")
    known = told if told in benchmark.datasets else benchmark.datasets[0]
    directions = {name: direction_of(frame, name) for name in names}
    directions |= {joined.text: 1 for joined in sums}
    if live:
        frame = frame[benchmark.live[frame["index"]]]
    return tau_table(frame, benchmark, dataset or known, directions)
