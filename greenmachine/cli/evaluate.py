"""``greenmachine evaluate``: measure how well the scores of a file rank networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from greenmachine.cli.names import check_benchmark, check_scores, completed

__all__ = ["evaluate"]


def evaluate(
    scores: Annotated[
        list[Path],
        typer.Argument(metavar="SCORES...", help="Parquet files of `greenmachine score --out`"),
    ],
    on: Annotated[
        str | None,
        typer.Option(
            help="benchmark of the scores [default: the one recorded in the file]",
            autocompletion=completed("benchmarks"),
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="data set [default: that of the scores]")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="accuracy of the benchmark's table to compare with: valid, test@12, ... "
            "[default: test]"
        ),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="names of proxies, separated by commas [default: all]")
    ] = None,
    combine: Annotated[
        list[str] | None,
        typer.Option(
            help="combine columns by their ranks: rank_sum(a, b, ...), log_rank_sum(a, -b), "
            "az_nas; may be given several times"
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option("--live", help="use only cells without dead operations (topology spaces)"),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Measure how well scores rank networks by their true accuracy, beside baselines.

    The table contains Kendall's tau-b with its jackknife standard error, Spearman's rho, nDCG of
    the first 1,000 places, and tau among the best tenth of the networks. Failed networks rank last.

    The direction of a column is the one recorded in the file, or that of the named proxy with the
    name of the column. For any other column higher is better. AZ-NAS, VKDNW agg and regularised
    SWAP are added if the file has the columns that they combine.

    If the benchmark has several trainings of each network, the row `(one seed)` shows how well the
    accuracies of one training rank like the mean of the others. A proxy may do better than this
    row, because its score does not have the noise of a training.

    A rank sum is the sum of the networks' ranks by each column, and a log rank sum is the sum of
    the logarithms of these ranks. Each column counts in its own direction; `-` before a column
    turns its direction. Ties share the mean of their ranks, and failed networks have the lowest
    rank. A rank sum depends on the set of networks that is ranked.

    If a proxy was scored with several seeds (`greenmachine score --seeds 5`), its mean score is
    ranked, and a second table shows what a single seed achieves.

    Examples:

      greenmachine evaluate scores.parquet

      greenmachine evaluate scores.parquet --dataset cifar100 --live --json

      greenmachine evaluate scores.parquet --target valid

      greenmachine evaluate scores.parquet --combine "rank_sum(gm_tss, synflow)"

      greenmachine evaluate scores.parquet --columns synflow.seed0,synflow.seed1
    """
    if on is not None:
        check_benchmark(on)
    check_scores(scores)

    from greenmachine.api.evaluating import evaluate as measured
    from greenmachine.cli.display import print_frame, print_ranking

    table = measured(
        scores, on=on, dataset=dataset, target=target, columns=columns, combine=combine, live=live
    )
    if as_json:
        print_frame(table, as_json)
    else:
        print_ranking(table)
