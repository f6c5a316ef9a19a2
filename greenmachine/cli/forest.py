"""``greenmachine forest``: predict test accuracy by a random forest over proxies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenmachine.cli.names import check_benchmark, check_file, check_scores, completed
from greenmachine.errors import ConfigError
from greenmachine.files import refuse_foreign, replace_file

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

__all__ = ["app"]

app = typer.Typer(
    help="GreenFactory: predict test accuracy in percent by a random forest over many proxies.",
    no_args_is_help=True,
)

_Scores = Annotated[
    list[Path],
    typer.Argument(
        metavar="SCORES...",
        help="Parquet files of `greenmachine score --out`, which are joined by index",
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="print JSON instead of tables")]
_BEST = 10


@app.command()
def fit(
    scores: _Scores,
    on: Annotated[
        str,
        typer.Option(help="benchmark of the scores", autocompletion=completed("benchmarks")),
    ] = "digits-tss",
    dataset: Annotated[
        str | None, typer.Option(help="data set [default: the first of the benchmark]")
    ] = None,
    train: Annotated[
        str, typer.Option(help="networks to train on: a share (0.8, 1.0) or a number (1000)")
    ] = "0.8",
    seed: Annotated[int, typer.Option(min=0, help="seed for samples and forest")] = 0,
    trees: Annotated[int, typer.Option(min=1, help="number of trees of the forest")] = 100,
    features: Annotated[
        str | None,
        typer.Option(
            help="proxies, separated by commas [default: all except rank sums, which depend on the "
            "set of networks]"
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="JSON file of the forest")] = Path("forest.json"),
    workers: Annotated[
        int, typer.Option(help="number of threads; -1 means one for each core")
    ] = -1,
    as_json: _Json = False,
) -> None:
    """Fit a forest on a random sample, save it, and measure how well it ranks.

    It is measured in three protocols: `all` networks, including the training sample; networks that
    are `held_out`; and `held_out_classes`, with another forest whose training sample consists of
    whole classes of isomorphic cells, if there are any. R2 and MAE (in percent) compare predicted
    and true accuracies.

    Examples:

      greenmachine forest fit scores.parquet more.parquet --on nats-tss --train 1000

      greenmachine forest fit scores.parquet --features l2_norm,synflow --out small.json
    """
    refuse_foreign(out, b'"greenmachine forest"', "forest")
    check_benchmark(on)
    check_scores(scores)

    import pandas as pd

    from greenmachine.benchmarks import load_benchmark, short_name
    from greenmachine.cli.console import plain_console
    from greenmachine.cli.display import bar, print_frame
    from greenmachine.evaluation import (
        check_rows,
        read_scores,
        score_columns,
        sums_among,
        try_forest,
    )
    from greenmachine.manifest import manifest

    frame = read_scores(scores)
    names = score_columns(frame, features)
    if features is None:
        joined = {found.text for found in sums_among(names, frame.columns)}
        names = [name for name in names if name not in joined]
    benchmark = load_benchmark(on)
    check_rows(frame, benchmark)
    dataset = dataset or benchmark.datasets[0]
    index = frame["index"].to_numpy()
    console = plain_console(stderr=True)
    _tell_failures(console, frame, names)
    made = manifest()
    with bar(console, "trees") as told:
        trial = try_forest(
            frame[names],
            benchmark.accuracy(dataset)[index],
            benchmark.groups[index],
            _train_size(train, len(frame)),
            seed=seed,
            trees=trees,
            workers=workers,
            facts={
                "benchmark": short_name(benchmark.name),
                "dataset": dataset,
                "checksum": benchmark.checksum,
                "git": made["git"],
                "greenmachine": made["packages"]["greenmachine"],
            },
            progress=told,
        )
    trial.forest.save(out)
    shares = pd.DataFrame({"proxy": names, "importance": trial.forest.importances})
    shares = shares.sort_values("importance", ascending=False, ignore_index=True)
    if as_json:
        protocols = json.loads(trial.measures.to_json(orient="records", double_precision=15))
        importances = dict(zip(shares["proxy"], shares["importance"].tolist(), strict=True))
        typer.echo(json.dumps({"protocols": protocols, "importances": importances}))
    else:
        print_frame(trial.measures)
        typer.echo("")
        print_frame(shares)
    console.print(f"{trees} trees over {len(names)} proxies in {out}", soft_wrap=True)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(metavar="FOREST", help="file of `forest fit --out`")],
    scores: _Scores,
    out: Annotated[Path | None, typer.Option(help="Parquet file of all predictions")] = None,
    as_json: _Json = False,
) -> None:
    """Predict the test accuracy of scored networks, and show the best ten.

    The command needs no scikit-learn. `greenmachine evaluate` reads the file of predictions.

    Examples:

      greenmachine forest predict forest.json scores.parquet --out predicted.parquet
    """
    if out is not None:
        refuse_foreign(out, b"predicted_accuracy", "file of predictions")
    check_file(model, "forest", "make one with `greenmachine forest fit`")
    check_scores(scores)

    from greenmachine.cli.console import plain_console
    from greenmachine.cli.display import print_frame
    from greenmachine.evaluation import read_scores
    from greenmachine.forest import Forest

    forest = Forest.load(model)
    frame = read_scores(scores)
    console = plain_console(stderr=True)
    accuracy = forest.predict(frame)
    _tell_failures(console, frame, list(forest.features))
    table = frame[[name for name in ("index", "arch") if name in frame.columns]]
    table = table.assign(predicted_accuracy=accuracy)
    if out is not None:
        replace_file(out, lambda temporary: table.to_parquet(temporary, index=False))
    best = table.sort_values("predicted_accuracy", ascending=False, kind="stable").head(_BEST)
    print_frame(best, as_json)
    if out is not None:
        console.print(f"{len(table)} networks in {out}", soft_wrap=True)


def _train_size(text: str, networks: int) -> int:
    try:
        size = int(text) if text.isascii() and text.isdecimal() else round(float(text) * networks)
        if (text.isascii() and text.isdecimal()) or 0 < float(text) <= 1:
            return size
    except (ValueError, OverflowError):
        pass
    raise ConfigError(f"--train {text}: use a share above 0 and up to 1.0, or a number of networks")


def _tell_failures(console: Console, frame: pd.DataFrame, names: list[str]) -> None:
    import numpy as np

    for name in names:
        failed = int((~np.isfinite(frame[name].to_numpy())).sum())
        if failed:
            line = f"{name} failed on {failed} of {len(frame)} networks, which rank lowest"
            console.print(line, soft_wrap=True, highlight=False)
