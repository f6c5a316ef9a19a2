"""``greenmachine data``: what is in the data folder, and how it gets there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from greenmachine.benchmarks.checks import (
    DataFile,
    embedded_files,
    inventory,
    verify_embedded,
    verify_folder,
)
from greenmachine.benchmarks.images import import_images
from greenmachine.benchmarks.nats import SCHEMAS
from greenmachine.benchmarks.nats_files import import_nats, partial_path
from greenmachine.benchmarks.paths import data_folder, table_path
from greenmachine.benchmarks.table import check_table, read_table, save_table
from greenmachine.errors import ConfigError, DataError

__all__ = ["app"]

app = typer.Typer(
    help="Tables and images of the benchmarks, in the folder of GREENMACHINE_DATA.",
    no_args_is_help=True,
)

_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command("list")
def list_files(as_json: _Json = False) -> None:
    """Show what came with the package and the files of the data folder: rows, size, SHA-256.

    Example: greenmachine data list
    """
    folder = data_folder()
    embedded, files = embedded_files(), inventory(folder)
    if as_json:
        found = [asdict(file) | {"path": str(file.path)} for file in [*embedded, *files]]
        typer.echo(json.dumps(found))
        return
    typer.echo("with the package")
    for file in embedded:
        _echo_file(file)
    typer.echo(f"{folder}")
    for file in files:
        _echo_file(file)


def _echo_file(file: DataFile) -> None:
    if not file.present:
        typer.echo(f"  {file.name:18} missing")
        return
    rows = "broken" if file.rows is None else f"{file.rows} rows"
    typer.echo(f"  {file.name:18} {rows:>12} {file.size / 2**20:>7.2f} MiB  {file.sha256[:16]}")


@app.command()
def verify(as_json: _Json = False) -> None:
    """Check every file: schema, parameters, FLOPs, isomorphism classes. Exit code 1 on a fault.

    Example: greenmachine data verify
    """
    checks = verify_embedded()
    try:
        checks += verify_folder(data_folder())
    except DataError as error:  # there is none, and none is needed for the embedded benchmarks
        typer.echo(str(error), err=True)
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks]))
    else:
        for check in checks:
            typer.echo(f"{'ok    ' if check.passed else 'FAILED'} {check.subject}: {check.detail}")
    if not all(check.passed for check in checks):
        raise typer.Exit(1)


@app.command()
def add(
    table: Annotated[Path, typer.Argument(help="A .parquet or .csv file with the columns.")],
    name: Annotated[str, typer.Option("--as", help="nats-tss or nats-sss.")],
) -> None:
    """Check a table and copy it into the data folder.

    Example: greenmachine data add my-tss.csv --as nats-tss
    """
    spaces = {f"nats-{space}": space for space in SCHEMAS}
    if name not in spaces:
        raise ConfigError(f"no table {name!r} to add; known: {', '.join(spaces)}")
    if not table.is_file():
        raise DataError(f"no table at {table}; give a .parquet or .csv file")
    space = spaces[name]
    frame = read_table(table, SCHEMAS[space].command)
    check_table(frame, SCHEMAS[space], source=table)
    path = table_path(data_folder(), space)
    save_table(frame, path)
    typer.echo(f"{len(frame)} rows in {path}")


@app.command("import-nats")
def import_nats_command(
    source: Annotated[Path, typer.Argument(help="The official folder or file, official name.")],
) -> None:
    """Make the table of a space from the official NATS-Bench files.

    Example: greenmachine data import-nats ~/Downloads/NATS-tss-v1_0-3ffb9-simple
    """
    folder = data_folder()
    with _progress("architectures") as progress:
        path = import_nats(source, folder, progress)
    typer.echo(f"wrote {path}")
    if path in {partial_path(folder, space) for space in SCHEMAS}:
        typer.echo("some architectures are missing: this table cannot serve as a benchmark")


@app.command("import-images")
def import_images_command(
    source: Annotated[Path, typer.Argument(help="cifar-10-python.tar.gz, or the folder.")],
    dataset: Annotated[str, typer.Argument(help="cifar10, cifar100 or imagenet16-120.")],
    count: Annotated[int, typer.Option(help="Images to keep, balanced over the classes.")] = 1000,
    seed: Annotated[int, typer.Option(help="Which images are drawn.")] = 0,
) -> None:
    """Keep a balanced sample of training images from an official archive.

    Example: greenmachine data import-images cifar-10-python.tar.gz cifar10
    """
    path = import_images(source, dataset, data_folder(), count=count, seed=seed)
    typer.echo(f"wrote {path}")


@contextmanager
def _progress(noun: str) -> Iterator[Callable[[int, int], None]]:
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(noun, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
