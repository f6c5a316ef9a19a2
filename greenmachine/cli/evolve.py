"""``greenmachine evolve``: launch a run, or go on with one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenmachine.cli.names import check_benchmark, completed
from greenmachine.cli.stopping import say_when_stopped
from greenmachine.errors import ConfigError, one_line
from greenmachine.plugins import loaded_plugins

if TYPE_CHECKING:
    from rich.console import Console

    from greenmachine.api import Result, Search
    from greenmachine.config import RunConfig

__all__ = ["evolve"]


def evolve(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Argument(help="settings in YAML; without it the defaults")
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            help="networks to rank: a benchmark (nats-tss), one of its data sets "
            "(nats-tss/cifar100), all of them (nats-tss/all), or your own networks "
            "(my_space.py:accuracies.csv); may be repeated",
            autocompletion=completed("benchmarks"),
        ),
    ] = None,
    bank: Annotated[
        Path | None,
        typer.Option(
            help="search on the stored values of this bank (`greenmachine bank build`), without "
            "building networks; without --on, for all of its tasks"
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            help="language of the expressions: typed, or paper (the untyped functions of the "
            "published method) [default: typed]"
        ),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="change a setting: --set evolution.population=50"),
    ] = None,
    callback: Annotated[
        list[str] | None,
        typer.Option(
            help="a callback that follows the run: early_stopping, tensorboard, mlflow, wandb or "
            "progress, or with settings: '{scheme: early_stopping, patience: 5}'; may be repeated"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="run folder [default: runs/NAME-SEED]")] = None,
    resume: Annotated[Path | None, typer.Option(help="continue the run in this folder")] = None,
    seed: Annotated[int | None, typer.Option(help="random seed")] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="number of runs with consecutive seeds, starting at --seed: folders seed-0, "
            "seed-1, ... in --out [default: runs/NAME-seeds], and one summary",
        ),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="backend of the worker processes: loky, dask, dask:tcp://HOST:PORT, ray, "
            "ray:HOST:PORT [default: loky, processes on this machine]"
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="number of worker processes; -1: one per core [default: -1]")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="device for networks and expressions: cpu, cuda (all GPUs), cuda:1, or auto "
            "[default: cpu]"
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="print an estimate of networks, disk, memory and time, and do not run",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print result.json instead of tables")
    ] = False,
) -> None:
    """Evolve a proxy: capture signals, breed expressions, test the champion.

    Without arguments it runs on the embedded benchmark digits-tss, in about a minute. Ctrl-C
    loses nothing: --resume continues after the last complete generation, and the result is the
    same, bit for bit. A finished run continues if --set raises evolution.generations, or if the
    callback that ended it is replaced, or removed with --set callbacks=[]. With --seeds 5 it runs
    five times, and prints mean and standard deviation of tau over the runs (summary.json,
    summary.md); after an interruption, the same command continues.

    Examples:

      greenmachine evolve

      greenmachine evolve experiments/single/nats_tss_cifar10.yaml --out runs/tss

      greenmachine evolve --on nats-sss --set evolution.generations=5 --seed 3

      greenmachine evolve --on nats-tss --seeds 5 --out runs/tss-seeds

      greenmachine evolve experiments/paper_language/tss_cifar10.yaml --language typed

      greenmachine evolve --on my_space.py:accuracies.csv

      greenmachine evolve --on nats-tss/all --on nats-sss/cifar10

      greenmachine evolve --bank banks/tss --set evolution.generations=200

      greenmachine evolve --plugin my_words.py --set "passes=[noise, uniform]"

      greenmachine evolve --on nats-tss --device auto --dry-run

      greenmachine evolve --resume runs/tss

      greenmachine evolve --resume runs/tss --set evolution.generations=80

      greenmachine evolve --resume runs/own-0 --on my_space.py:accuracies.csv

      greenmachine evolve --callback tensorboard --callback '{scheme: early_stopping, patience: 5}'

      greenmachine evolve --resume runs/tss --callback '{scheme: early_stopping, seconds: 3600}'

      greenmachine evolve --resume runs/tss --backend dask:tcp://127.0.0.1:8786
    """
    if dry_run and resume is not None:
        raise ConfigError("--dry-run is for a run that has not begun: give it without --resume")
    if seeds is not None and resume is not None:
        raise ConfigError("--seeds: leave out --resume; the same command continues its runs")
    changes = _settings(change or [])
    changes |= {} if bank is None else {"bank": str(bank)}
    changes |= {} if language is None else {"language.name": language}
    changes |= {} if backend is None else {"backend": backend}
    changes |= {} if device is None else {"capture.device": device}
    changes |= {} if workers is None else {"workers": workers}
    settings = _checked(config, changes, on or [])
    if not dry_run and resume is None and settings.backend == "loky" and not settings.bank:
        from greenmachine.workers.early import early_workers

        context.with_resource(early_workers(settings.workers))

    from greenmachine.api.search import Search, execute
    from greenmachine.cli.console import plain_console

    brought: dict[str, Any] = {
        "settings": changes,
        "plugins": [plugin.name for plugin in loaded_plugins()],  # those of the command line
        "callbacks": [_value("--callback", text) for text in callback or []],
    }
    if resume is None:
        search = Search(on or None, config=config, seed=seed, **brought)
    elif any(given is not None for given in (config, out, seed)):
        raise ConfigError(
            "--resume takes the settings of its run: give no others (CONFIG, --out, --seed)"
        )
    else:
        search = Search.resume(resume, tasks=on or None, **brought)
    folder = search.folder if out is None else out
    if dry_run:
        from greenmachine.cli.display import print_cost

        with say_when_stopped("stopped; nothing was written"):
            found = search.cost()
        print_cost(found.facts() | ({} if seeds is None else {"runs": seeds}), as_json)
        return
    if seeds is not None:
        _run_seeds(search, seeds, out, as_json)
        return
    with say_when_stopped(f"stopped; go on with: {_resume_line(search.settings, folder)}"):
        result = execute(search, folder, verbose=not as_json)
    if as_json:
        typer.echo(json.dumps(result.facts))
    else:
        _show(plain_console(), result.facts, _export_line(search.settings, folder))


def _run_seeds(search: Search, seeds: int, out: Path | None, as_json: bool) -> None:
    """Run a search with several seeds, and print what they found."""
    from greenmachine.api.seed_runs import evolve_seeds
    from greenmachine.cli.console import plain_console
    from greenmachine.cli.display import print_seed_runs

    told = plain_console(stderr=True)
    say = partial(told.print, soft_wrap=True, highlight=False)

    def finished(result: Result) -> None:
        taus = ", ".join(f"{name} {_tau(rows)}" for name, rows in _champions(result.facts))
        say(f"tau on test: {taus}, in {result.seconds:.0f} s")

    with say_when_stopped("stopped; the same command goes on from here"):
        found = evolve_seeds(
            search, seeds, out, verbose=not as_json, announce=say, finished=finished
        )
    if as_json:
        typer.echo(json.dumps(found.facts))
    else:
        print_seed_runs(found.facts)
    say(f"{found.folder / 'summary.md'}; compare the runs: {_compare_line(found.folder)}")


def _champions(facts: Mapping[str, Any]) -> list[tuple[str, Mapping[str, float | None]]]:
    return [(task, rows["champion"]) for task, rows in facts["test"].items()]


def _compare_line(folder: Path) -> str:
    return shlex.join(["greenmachine", "report", "--compare", str(folder)])


def _checked(config: Path | None, changes: Mapping[str, Any], on: list[str]) -> RunConfig:
    """Return the settings; they and the benchmarks are checked before imports that take seconds."""
    from greenmachine.config import load_config

    settings = load_config(config, {**changes, **({"tasks": on} if on else {})})
    for name in settings.benchmarks:
        check_benchmark(name)
    return settings


def _resume_line(settings: RunConfig, folder: Path) -> str:
    """Return the command that goes on with a run, for a shell."""
    from greenmachine.benchmarks import is_custom

    words = ["greenmachine", "evolve", "--resume", str(folder)]
    for name in settings.benchmarks:  # files that run code are named by whoever runs them
        words += ["--on", name] if is_custom(name) else []
    return shlex.join([*words, *_plugin_words(settings)])


def _export_line(settings: RunConfig, folder: Path) -> str:
    """Return the command that exports the champion of a run, for a shell."""
    words = ["greenmachine", "export", str(folder), "--out", "proxy.py"]
    return shlex.join([*words, *_plugin_words(settings)])


def _plugin_words(settings: RunConfig) -> list[str]:
    """Return the options that name the plugins of a run that are files."""
    files = [name for name in settings.plugins if name.endswith(".py")]
    return [word for name in files for word in ("--plugin", name)]


def _settings(changes: list[str]) -> dict[str, Any]:
    """Return the settings of ``KEY=VALUE`` words; a value is read as in a YAML file."""
    settings = {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {change}: write KEY=VALUE, such as evolution.population=50")
        settings[key] = _value(f"--set {key}", text)
    return settings


def _value(option: str, text: str) -> Any:
    import yaml

    from greenmachine.config import NO_YAML

    try:
        return yaml.safe_load(text)
    except NO_YAML as error:
        reason = one_line(error, 100)
        raise ConfigError(f"{option}: {text!r} is not a YAML value ({reason})") from None


def _show(console: Console, result: Mapping[str, Any], following: str) -> None:
    from rich.table import Table

    from greenmachine.benchmarks import short_name
    from greenmachine.energy import Energy

    best = result["best"]
    better = "higher is better" if best["direction"] > 0 else "lower is better"
    console.print(f"\nchampion ({best['size']} nodes, {better}):")
    console.print(f"  {best['expression']}", style="bold green", soft_wrap=True)
    # With several benchmarks the name of a task contains its benchmark.
    several = len(result["benchmarks"]) > 1
    benchmark = "" if several else f"{short_name(result['benchmarks'][0])} "
    samples = list(result["samples"])
    for dataset in result["tasks"]:
        target = result["targets"][dataset]
        against = "" if target == "test" else f" ({target} accuracies)"
        sizes = ", ".join(
            f"{result[sample][dataset]['champion']['networks']} {sample}"
            for sample in result["samples"]
        )
        console.print(
            f"\nKendall's tau on {benchmark}{dataset}{against}, "
            f"{sizes} networks (± standard error):",
            soft_wrap=True,
        )
        table = Table(box=None, header_style="", pad_edge=False)
        table.add_column("")
        for sample in result["samples"]:
            table.add_column(sample, justify="right")
        for name in result["test"][dataset]:
            cells = [_tau(result[sample][dataset][name]) for sample in result["samples"]]
            table.add_row(f"  {name}", *cells, style="bold" if name == "champion" else "")
        console.print(table)
        if (scheme := result["objective"]["scheme"]) != "kendall":
            values = {sample: result["best"]["objective"][sample][dataset] for sample in samples}
            shown = ", ".join(
                f"{'undefined' if value is None else f'{value:.3f}'} on {sample}"
                for sample, value in values.items()
            )
            console.print(f"{scheme} of the champion: {shown}", soft_wrap=True, highlight=False)
    if "energy" in result:
        energy = Energy(**result["energy"]).text(result["seconds"])
        console.print(f"\nenergy: {energy}", soft_wrap=True, highlight=False)
    console.print(
        f"\n{result['individuals']} individuals in {result['seconds']:.0f} s. Next: {following}",
        soft_wrap=True,
    )


def _tau(row: Mapping[str, float | None]) -> str:
    if row["tau"] is None:
        return "undefined"
    error = row["standard_error"]
    return f"{row['tau']:.3f} ± {'undefined' if error is None else f'{error:.3f}'}"
