"""How well the scores of a file rank, as ``greenmachine evaluate`` says."""

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
        scores: a score file of ``greenmachine score --out``, or several of the same networks.
        on: benchmark of the scores; None takes what the file says.
        dataset: data set; None takes that of the scores.
        target: which accuracy of the benchmark's table is the true one, such as ``"valid"``.
        columns: proxies, a list or a text with commas between them; None takes all.
        combine: rank sums of columns, such as ``"rank_sum(gm_tss, synflow)"``; see
            :mod:`greenmachine.proxies.rank_sums`. Each adds a row.
        live: only cells without dead operations (topology spaces).

    Returns:
        A row a proxy or baseline (in brackets), the best first: ``proxy``, ``direction``, ``tau``
        (Kendall's tau-b) with its ``standard_error``, ``spearman``, ``ndcg``, ``tau_best`` among
        the best tenth of the networks with its ``standard_error_best``, ``networks`` and
        ``failed``.

    Raises:
        DataError: a file is missing or damaged, or of another benchmark.
        ConfigError: there is no such column, a text is no rank sum, or there are fewer than three
            networks.

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
