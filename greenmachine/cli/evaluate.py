"""``greenmachine evaluate``: how well the scores of a file rank."""

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
            help="benchmark of the scores [default: what the file says]",
            autocompletion=completed("benchmarks"),
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="data set [default: that of the scores]")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="which accuracy of the benchmark's table counts: valid, test@12, ... "
            "[default: test]"
        ),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="proxies, with commas between them [default: all]")
    ] = None,
    combine: Annotated[
        list[str] | None,
        typer.Option(
            help="join columns by their ranks: rank_sum(a, b, ...), log_rank_sum(a, -b), az_nas; "
            "it depends on the set of networks that is ranked; again for another"
        ),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="only cells without dead operations (topology spaces)")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Measure how well scores rank networks by their true accuracy, beside baselines.

    Kendall's tau-b with its jackknife standard error, Spearman's rho, nDCG of the first 1,000
    places, and tau among the best tenth of the networks. Failed networks rank last. A column has
    the direction that the file tells, else that of the zoo's proxy of its name; of any other
    column higher is better. AZ-NAS, VKDNW agg and regularised SWAP are added where the columns
    that they join are there, and `(one seed)` where the benchmark has several trainings: how well
    the accuracy of one ranks like the mean of the others. A proxy may do better, because its score
    has not the noise of a training.

    A rank sum is the sum of the networks' ranks by each column, a log rank sum that of the ranks'
    logarithms, in the directions of the columns; `-` before a column turns it. Ties share the mean
    of their ranks, and failed networks the lowest one. It depends on the set of networks that is
    ranked.

    Where a proxy was scored with several seeds (`greenmachine score --seeds 5`), its mean score is
    ranked, and a second table says what one seed alone achieves.

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
