"""``greenmachine data``: what is in the data folder, and how it gets there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenmachine.cli.names import check_file, completed, names
from greenmachine.errors import ConfigError, DataError

if TYPE_CHECKING:
    from greenmachine.benchmarks.checks import DataFile

__all__ = ["app"]

app = typer.Typer(
    help="Tables and images of the benchmarks, in the folder of GREENMACHINE_DATA.",
    no_args_is_help=True,
)

_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command("list")
def list_files(as_json: _Json = False) -> None:
    """List the data of the package and the files of the data folder: rows, size, SHA-256.

    Example: greenmachine data list
    """
    from greenmachine.benchmarks.checks import embedded_files, inventory
    from greenmachine.benchmarks.paths import data_folder

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
        typer.echo(f"  {file.name:20} missing")
        return
    rows = "damaged" if file.rows is None else f"{file.rows} rows"
    typer.echo(f"  {file.name:20} {rows:>12} {file.size / 2**20:>7.2f} MiB  {file.sha256[:16]}")


@app.command()
def verify(as_json: _Json = False) -> None:
    """Check every file: schema, parameters, FLOPs, isomorphism classes. Exit code 1 on a fault.

    Example: greenmachine data verify
    """
    from greenmachine.benchmarks.checks import verify_embedded, verify_folder
    from greenmachine.benchmarks.paths import data_folder

    checks = verify_embedded()
    try:
        checks += verify_folder(data_folder())
    except DataError as error:  # the data folder is empty, which the embedded benchmarks allow
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
    table: Annotated[
        Path, typer.Argument(help="A .parquet or .csv file with the columns of the benchmark.")
    ],
    name: Annotated[
        str,
        typer.Option(
            "--as",
            help=f"Name of the benchmark: {', '.join(names('data'))}.",
            autocompletion=completed("data"),
        ),
    ],
) -> None:
    """Check a table and copy it into the data folder.

    Example: greenmachine data add my-tss.csv --as nats-tss
    """
    if name not in names("data"):
        raise ConfigError(f"no table {name!r} to add; known: {', '.join(names('data'))}")
    check_file(table, "table", "give a .parquet or .csv file")

    from greenmachine.benchmarks.paths import data_folder
    from greenmachine.benchmarks.table import check_table, read_table, save_table
    from greenmachine.benchmarks.tables import TABLES

    schema = TABLES[name].schema
    frame = read_table(table, schema.command)
    check_table(frame, schema, source=table)
    path = TABLES[name].path(data_folder())
    save_table(frame, path)
    typer.echo(f"{len(frame)} rows in {path}")


@app.command("import-nats")
def import_nats_command(
    source: Annotated[
        Path, typer.Argument(help="The official folder or file, under its official name.")
    ],
) -> None:
    """Make the table of a space from the official NATS-Bench files.

    Example: greenmachine data import-nats ~/Downloads/NATS-tss-v1_0-3ffb9-simple
    """
    check_file(source, "NATS-Bench", "give the official folder or file")

    from greenmachine.benchmarks.nats_files import import_nats
    from greenmachine.benchmarks.paths import data_folder
    from greenmachine.benchmarks.tables import TABLES

    folder = data_folder()
    with _progress("architectures") as progress:
        path = import_nats(source, folder, progress)
    _wrote(path)
    if path in {table.partial_path(folder) for table in TABLES.values()}:
        typer.echo("some architectures are missing: this table cannot serve as a benchmark")


@app.command("import-nas-bench-101")
def import_nas_bench_101_command(
    source: Annotated[
        Path,
        typer.Argument(help="nasbench_only108.tfrecord or nasbench_full.tfrecord."),
    ],
) -> None:
    """Make the table of NAS-Bench-101 from its TFRecord; TensorFlow is not needed.

    The file of 108 epochs takes about five minutes on one core, the full file four times as long.
    Then the cells are compared with their keys and parameters for about three minutes.

    Example: greenmachine data import-nas-bench-101 ~/Downloads/nasbench_only108.tfrecord
    """
    check_file(source, "TFRecord", "give the TFRecord of NAS-Bench-101")

    from greenmachine.benchmarks.nas_benchmark_files import CELLS_101, import_nas_bench_101
    from greenmachine.benchmarks.paths import data_folder

    with _progress("bytes") as progress:
        path = import_nas_bench_101(source, data_folder(), progress)
    if _wrote(path) < CELLS_101:
        typer.echo(
            f"the published file has {CELLS_101:,} architectures: this table has only a part"
        )


@app.command("import-nas-bench-macro")
def import_macro_command(
    source: Annotated[Path, typer.Argument(help="nas-bench-macro_cifar10.json.")],
) -> None:
    """Make the table of NAS-Bench-Macro from its JSON file.

    Example: greenmachine data import-nas-bench-macro ~/Downloads/nas-bench-macro_cifar10.json
    """
    check_file(source, "table", "give nas-bench-macro_cifar10.json")

    from greenmachine.benchmarks.nas_benchmark_files import import_macro
    from greenmachine.benchmarks.paths import data_folder

    _wrote(import_macro(source, data_folder()))


@app.command("import-channel-bench")
def import_channel_command(
    source: Annotated[Path, typer.Argument(help="Results_ResNet.json.")],
) -> None:
    """Make the table of channel-resnet from the ResNet file of Channel-Bench-Macro.

    Example: greenmachine data import-channel-bench ~/Downloads/Results_ResNet.json
    """
    check_file(source, "table", "give Results_ResNet.json")

    from greenmachine.benchmarks.nas_benchmark_files import import_channel_resnet
    from greenmachine.benchmarks.paths import data_folder

    _wrote(import_channel_resnet(source, data_folder()))


def _wrote(path: Path) -> int:
    """Print which table was written, and return its number of architectures."""
    from pyarrow import parquet

    rows: int = parquet.ParquetFile(path).metadata.num_rows
    typer.echo(f"wrote {path}: {rows:,} architectures")
    return rows


@app.command("import-images")
def import_images_command(
    source: Annotated[Path, typer.Argument(help="cifar-10-python.tar.gz, or the folder.")],
    dataset: Annotated[str, typer.Argument(help="cifar10, cifar100 or imagenet16-120.")],
    count: Annotated[int, typer.Option(help="Images to keep, balanced over the classes.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed for drawing the images.")] = 0,
) -> None:
    """Import a balanced sample of training images from an official archive.

    Example: greenmachine data import-images cifar-10-python.tar.gz cifar10
    """
    check_file(source, "images", "give the official archive or its folder")

    from greenmachine.benchmarks.images import import_images
    from greenmachine.benchmarks.paths import data_folder

    path = import_images(source, dataset, data_folder(), count=count, seed=seed)
    typer.echo(f"wrote {path}")


@contextmanager
def _progress(noun: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(noun, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
