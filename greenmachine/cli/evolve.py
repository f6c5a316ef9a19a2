"""``greenmachine evolve``: launch a run, or go on with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from greenmachine.cli.display import Display
from greenmachine.config import load_config
from greenmachine.errors import ConfigError
from greenmachine.evolution import Run
from greenmachine.language import parse
from greenmachine.proxies import resolve

__all__ = ["evolve"]


def evolve(
    config: Annotated[
        Path | None, typer.Argument(help="settings in YAML; without it the defaults")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="change a setting: --set evolution.population=50"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="run folder [default: runs/NAME-SEED]")] = None,
    resume: Annotated[Path | None, typer.Option(help="go on with the run in this folder")] = None,
    seed: Annotated[int | None, typer.Option(help="seed of everything random")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="print result.json and no tables")
    ] = False,
) -> None:
    """Evolve a proxy: capture signals, breed expressions, test the champion.

    Ctrl-C loses nothing: --resume goes on after the last whole generation, bit for bit.

    Examples:

      greenmachine evolve experiments/nats_tss_cifar10.yaml --out runs/tss

      greenmachine evolve --set benchmark=nats-sss --set evolution.generations=5 --seed 3

      greenmachine evolve --resume runs/tss
    """
    console = Console(stderr=True)
    if resume is not None:
        if config is not None or change or out is not None or seed is not None:
            raise ConfigError("--resume takes the settings of its run: give no others")
        settings = Run.settings(resume)
        folder = resume
    else:
        overrides = _overrides(change or [])
        if seed is not None:
            overrides["seed"] = str(seed)
        settings = load_config(config, overrides)
        folder = out or Path("runs") / f"{settings.name}-{settings.seed}"
    display = Display(console, settings.evolution.generations, quiet=as_json)
    try:
        with display:
            if resume is not None:
                run = Run.resume(folder, display)
            else:
                seeds = [parse(resolve(text).expression) for text in settings.evolution.seeds]
                run = Run(settings, folder, seeds, display)
            result = run.execute()
    except KeyboardInterrupt:
        console.print(f"stopped; go on with: greenmachine evolve --resume {folder}")
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _show(Console(), result, folder)


def _overrides(changes: list[str]) -> dict[str, str]:
    pairs = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {change}: write KEY=VALUE, such as evolution.population=50")
        pairs[key] = value
    return pairs


def _show(console: Console, result: dict[str, Any], folder: Path) -> None:
    best = result["best"]
    better = "higher is better" if best["direction"] > 0 else "lower is better"
    console.print(f"\nchampion ({best['size']} nodes, {better}):")
    console.print(f"  {best['expression']}", style="bold green", soft_wrap=True)
    for dataset in result["datasets"]:
        tau = best["tau"]
        console.print(
            f"\nKendall's tau on {result['benchmark']} {dataset}: "
            f"train {tau['train'][dataset]:.3f}, validation {tau['validation'][dataset]:.3f}, "
            f"and on {result['samples']['test']} test networks:"
        )
        table = Table(box=None, show_header=False, pad_edge=False)
        for name, row in result["test"][dataset].items():
            style = "bold" if name == "champion" else ""
            table.add_row(
                f"  {name}", _number(row["tau"]), f"± {_number(row['standard_error'])}", style=style
            )
        console.print(table)
    console.print(
        f"\n{result['individuals']} individuals in {result['seconds']:.0f} s. "
        f"Next: greenmachine export {folder} --out proxy.py",
        soft_wrap=True,
    )


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
