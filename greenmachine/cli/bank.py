"""``greenmachine bank``: store the values of many expressions on many networks, for searches."""

from __future__ import annotations

import json
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from greenmachine.cli.names import check_benchmark, completed
from greenmachine.cli.stopping import say_when_stopped
from greenmachine.errors import ConfigError

__all__ = ["app"]

app = typer.Typer(
    help="Store values of many expressions on many networks, for searches with `evolve --bank`.",
    no_args_is_help=True,
)

_Folder = Annotated[Path, typer.Argument(metavar="BANK", help="folder of the bank")]
_Backend = Annotated[
    str,
    typer.Option(
        help="where the workers run: loky (this machine), dask, dask:tcp://HOST:PORT, ray"
    ),
]
_Workers = Annotated[int, typer.Option(help="number of processes; -1 means one for each core")]
_Json = Annotated[bool, typer.Option("--json", help="print JSON for programs")]


@app.command("build")
def build(
    bank: _Folder,
    on: Annotated[
        list[str] | None,
        typer.Option(
            help="networks: a benchmark (nats-tss), one of its data sets (nats-tss/cifar100), "
            "all of them (nats-tss/all), or your own networks (my_space.py:accuracies.csv); "
            "repeat it for several",
            autocompletion=completed("benchmarks"),
        ),
    ] = None,
    networks: Annotated[
        int | None,
        typer.Option(
            min=1, help="number of random networks of each [default: those in the bank, or 1000]"
        ),
    ] = None,
    expressions: Annotated[
        list[str] | None,
        typer.Option(
            help="sources of expressions: zoo (all named proxies), random:300, random:300:7 "
            "(with a seed), the folder of a run, a named proxy, an exported file, an expression; "
            "repeat it for several [default for a new bank: zoo and random:300]",
        ),
    ] = None,
    passes: Annotated[
        str | None, typer.Option(help="passes, separated by commas [default: noise,ones]")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="number of images in each pass [default: 8]")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="build option of the benchmarks that have it: --option width=50"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, help="seed for weights, noise, networks and random expressions [default: 0]"
        ),
    ] = None,
    workers: _Workers = -1,
    backend: _Backend = "loky",
    as_json: _Json = False,
) -> None:
    """Capture networks and store the values of expressions on them, without the tensors.

    The bank stores one number per layer or per network. Its size is printed before anything is
    computed. Ctrl-C loses at most a few networks: the same command continues, and so does the
    command with only the folder. A command with the folder of a bank and other options adds
    networks or expressions.

    Examples:

      greenmachine bank build banks/tss --on nats-tss/cifar10 --networks 2000

      greenmachine bank build banks/tss

      greenmachine bank build banks/tss --on nats-tss/cifar100 --networks 2000

      greenmachine bank build banks/tss --expressions runs/first --expressions random:200:7

      greenmachine bank build banks/two --on nats-sss --on channel-resnet --option width=50

      greenmachine evolve --bank banks/tss
    """
    for task in on or []:
        check_benchmark(_benchmark(task))
    _build(
        bank,
        workers,
        backend,
        as_json,
        on=on or [],
        networks=networks,
        expressions=expressions or [],
        passes=None if passes is None else [name for name in passes.split(",") if name],
        batch=batch,
        options=_options(option) if option else None,
        seed=seed,
    )


@app.command("add")
def add(
    bank: _Folder,
    source: Annotated[
        list[str],
        typer.Option(
            "--from",
            help="the folder of a run, zoo, random:300:7, a named proxy, an exported file or an "
            "expression; repeat it for several",
        ),
    ],
    on: Annotated[
        list[str] | None,
        typer.Option(help="your own networks, named again to allow running their Python file"),
    ] = None,
    workers: _Workers = -1,
    backend: _Backend = "loky",
    as_json: _Json = False,
) -> None:
    """Add expressions to a bank; its networks are captured again for the new expressions.

    Example: greenmachine bank add banks/tss --from runs/first
    """
    for task in on or []:
        check_benchmark(_benchmark(task))
    _build(bank, workers, backend, as_json, on=on or [], expressions=source)


@app.command("info")
def info(bank: _Folder, as_json: _Json = False) -> None:
    """Show the content of a bank, and whether it is complete.

    Example: greenmachine bank info banks/tss
    """
    from greenmachine.bank import Bank

    _show(Bank(bank).summary(), as_json)


def _build(bank: Path, workers: int, backend: str, as_json: bool, **given: Any) -> None:
    from greenmachine.api.banks import build_bank
    from greenmachine.cli.console import plain_console
    from greenmachine.cli.display import bar
    from greenmachine.workers import backend as using
    from greenmachine.workers import check_workers

    check_workers(workers)
    console = plain_console(stderr=True)
    words = ["greenmachine", "bank", "build", str(bank)]
    for task in given["on"]:  # only the user of a command may name files that run code
        words += ["--on", task] if ".py:" in task else []
    line = shlex.join(words)
    bars: dict[str, Any] = {}
    with (
        say_when_stopped(f"stopped; continue with: {line}"),
        using(backend, workers),
        ExitStack() as shown,
    ):

        def progress(what: str, done: int, total: int) -> None:
            if what not in bars:
                shown.close()
                bars[what] = shown.enter_context(bar(console, what))
            bars[what](done, total)

        made = build_bank(
            bank,
            workers=workers,
            announce=lambda told: console.print(told, soft_wrap=True, highlight=False),
            progress=progress,
            **given,
        )
    _show(made.summary(), as_json)


def _show(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary))
        return
    state = "complete" if summary["complete"] else "not complete: build it again to continue"
    typer.echo(
        f"{summary['path']}: {summary['expressions']} expressions ({summary['of layers']} of "
        f"layers, {summary['of networks']} of networks), {summary['bytes'] / 1e6:.1f} MB, {state}"
    )
    typer.echo(
        f"passes {', '.join(summary['passes'])}, batch {summary['batch']}, seed {summary['seed']}"
    )
    for family in summary["families"]:
        options = "".join(f", {key} {value}" for key, value in family["options"].items())
        missing = "" if family["complete"] else ", not complete"
        typer.echo(
            f"  {family['task']}: {family['networks']} networks{options}, "
            f"{family['bytes'] / 1e6:.1f} MB{missing}"
        )


def _benchmark(task: str) -> str:
    from greenmachine.config import split_task

    return split_task(task)[0]


def _options(pairs: list[str]) -> dict[str, int]:
    options = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not name or not value.isdecimal():
            raise ConfigError(f"--option {pair}: write NAME=NUMBER, such as width=50")
        options[name] = int(value)
    return options
