"""``greenmachine search``: find the networks that are best by proxies, costs or accuracies."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from greenmachine.cli.models import check_device
from greenmachine.cli.names import check_benchmark, check_file, completed
from greenmachine.cli.score import build_options
from greenmachine.cli.stopping import say_when_stopped

__all__ = ["search"]


def search(
    objectives: Annotated[
        list[str],
        typer.Argument(
            metavar="OBJECTIVE...",
            help="proxies, params, flops, accuracy, file.py:function, rank_sum(a, b), "
            "log_rank_sum(a, b); max: or min: before an objective sets its direction",
            autocompletion=completed("proxies", "rank_sums", more=("params", "flops", "accuracy")),
        ),
    ],
    on: Annotated[
        str,
        typer.Option(
            help="benchmark, or your own space: my_space.py, my_space.py:accuracies.csv",
            autocompletion=completed("benchmarks"),
        ),
    ] = "digits-tss",
    constraint: Annotated[
        list[str] | None,
        typer.Option(
            help="constraint such as 'params<=1e6' or 'flops<=100'; may be given several times"
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="number of networks to score [default: 500; exhaustive: all]"),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            help="random, tpe, nsga2, evolution (regularised) or exhaustive "
            "[default: evolution, or nsga2 for several objectives]"
        ),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="data set [default: its first]")] = None,
    target: Annotated[
        str | None,
        typer.Option(help="accuracy of the table to use as the true one [default: test]"),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(help="score file; its scores are used and not computed again"),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="database of the trials, such as sqlite:///search.db; several processes may share "
            "it [default: a file in --out]"
        ),
    ] = None,
    study: Annotated[str, typer.Option(help="name of the study in --storage")] = "greenmachine",
    out: Annotated[
        Path | None, typer.Option(help="folder [default: runs/search-BENCHMARK-SEED]")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=65_536, help="images per pass")] = 8,
    ask: Annotated[
        int,
        typer.Option(
            min=1,
            help="number of networks that the sampler suggests at once; results depend on it, but "
            "not on --workers",
        ),
    ] = 10,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**63 - 1, help="seed of the sampler, the weights and the noise"),
    ] = 0,
    option: Annotated[
        list[str] | None, typer.Option(help="build option of the benchmark: --option cells=2")
    ] = None,
    device: Annotated[
        str, typer.Option(help="device of the networks: cpu, cuda (every GPU), cuda:1, or auto")
    ] = "cpu",
    workers: Annotated[int, typer.Option(help="number of processes; -1 uses every core")] = -1,
    on_backend: Annotated[
        str,
        typer.Option(
            "--backend",
            help="where the workers run: loky (processes on this machine), dask, "
            "dask:tcp://HOST:PORT, ray, ray:HOST:PORT",
        ),
    ] = "loky",
    top: Annotated[int, typer.Option(min=1, help="number of networks to print")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Search a space for the best networks, with Optuna.

    With several objectives the result is the Pareto front. If the command is stopped, the same
    command continues. The folder contains result.json, trials.parquet, trials.csv, front.svg and
    report.html.

    A rank sum depends on the networks that the search has scored so far. A network counts as failed
    if one of the proxies of a rank sum fails.

    In your own space, suggest(trial) returns None if the choices are no architecture. If suggest or
    build raises an error, the network counts as failed. The search ends with exit code 1 if the
    first 20 networks, or later 64 in a row, fail with the same error.

    Examples:

      greenmachine search gm_tss --on nats-tss --trials 500

      greenmachine search synflow params --on nats-sss --constraint "flops<=100"

      greenmachine search nwot latency.py:milliseconds --on my_space.py --out found

      greenmachine search "rank_sum(nwot, synflow)" --storage sqlite:///search.db
    """
    check_benchmark(on)
    options = build_options(option or [])
    check_device(device)
    if scores is not None:
        check_file(scores, "scores", "make them with `greenmachine score --out`")

    from greenmachine.benchmarks import short_name
    from greenmachine.cli.console import plain_console
    from greenmachine.cli.display import bar, print_frame
    from greenmachine.search import search_networks

    name = short_name(on).replace(":", "-")
    folder = Path("runs") / f"search-{name}-{seed}" if out is None else out
    console = plain_console(stderr=True)
    say = partial(console.print, soft_wrap=True, highlight=False)
    ending = "stopped; the same command goes on from here"
    with say_when_stopped(ending), bar(console, "networks") as told:
        result = search_networks(
            objectives,
            on=on,
            constraints=constraint or [],
            dataset=dataset,
            target=target,
            trials=trials,
            sampler=sampler,
            seed=seed,
            batch=batch,
            ask=ask,
            options=options,
            device=device,
            scores=scores,
            storage=storage,
            study=study,
            out=folder,
            workers=workers,
            on_backend=on_backend,
            progress=told,
            announce=say,
        )
    print_frame(result.shown(result.best.head(top)), as_json)
    facts = result.facts()
    parts = [f"{number} {state}" for state, number in facts["trials"].items() if number]
    say(f"{facts['networks']} different networks; trials: {', '.join(parts)}")
    say(f"{folder / 'report.html'}: open it in a browser")
