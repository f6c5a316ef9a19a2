"""List the data of the package and of the data folder, and check that they are correct."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from greenmachine.benchmarks.base import Benchmark
from greenmachine.benchmarks.digits import DIGITS, EMBEDDED
from greenmachine.benchmarks.digits import LOADERS as EMBEDDED_LOADERS
from greenmachine.benchmarks.nats import IMAGE_SETS
from greenmachine.benchmarks.paths import image_path
from greenmachine.benchmarks.table import checksum, read_table
from greenmachine.benchmarks.tables import TABLES
from greenmachine.errors import DataError

__all__ = [
    "Check",
    "DataFile",
    "embedded_files",
    "inventory",
    "verify_benchmark",
    "verify_embedded",
    "verify_folder",
]

_IMAGES = {images.name: images for images in (*IMAGE_SETS, DIGITS)}


@dataclass(frozen=True)
class DataFile:
    """A file of the data folder. ``rows`` is None if the file is missing or damaged."""

    name: str
    path: Path
    present: bool
    rows: int | None
    size: int
    sha256: str


@dataclass(frozen=True)
class Check:
    """The outcome of one check: its subject, whether it passed, and what was found."""

    subject: str
    passed: bool
    detail: str


def inventory(folder: Path) -> list[DataFile]:
    """Return every file of ``folder`` that benchmarks read, and partial tables found there."""
    files: list[DataFile] = []
    for name, table in TABLES.items():
        files.append(_describe(name, folder, table.path(folder), table.schema.command))
        partial = table.partial_path(folder)
        if partial.is_file():
            files.append(_describe(f"{name}.partial", folder, partial, table.schema.command))
    files += [_describe(i.name, folder, image_path(folder, i.name), "") for i in IMAGE_SETS]
    return files


def embedded_files() -> list[DataFile]:
    """Return the tables and images that come with the package."""
    tables = [
        _describe(name, EMBEDDED, EMBEDDED / f"{name}.parquet", "") for name in EMBEDDED_LOADERS
    ]
    return [*tables, _describe(DIGITS.name, EMBEDDED, image_path(EMBEDDED, DIGITS.name), "")]


def verify_embedded() -> list[Check]:
    """Return the checks of what comes with the package."""
    checks: list[Check] = []
    for name, load in EMBEDDED_LOADERS.items():
        try:
            checks += verify_benchmark(load(EMBEDDED), whole=False)
        except DataError as error:
            checks.append(Check(name, False, str(error)))
    try:
        return [*checks, _verify_images(DIGITS.name, EMBEDDED)]
    except DataError as error:
        return [*checks, Check(f"{DIGITS.name} images", False, str(error))]


def _describe(name: str, folder: Path, path: Path, command: str) -> DataFile:
    if not path.is_file():
        return DataFile(name, path, present=False, rows=None, size=0, sha256="")
    rows: int | None = None
    try:
        if path.suffix == ".parquet":
            rows = len(read_table(path, command))
        else:
            rows = len(_IMAGES[name].read(folder)[1])
    except DataError:
        pass  # listed as damaged; `verify` gives the reason
    return DataFile(name, path, True, rows, path.stat().st_size, checksum(path))


def verify_folder(folder: Path) -> list[Check]:
    """Check every file present in ``folder``; a file that cannot be read fails.

    Raises:
        DataError: ``folder`` has no file of a benchmark.
    """
    checks: list[Check] = []
    for file in inventory(folder):
        if not file.present:
            continue
        try:
            if file.name in TABLES:
                checks += verify_benchmark(TABLES[file.name].load(folder))
            elif file.path.suffix == ".npz":
                checks.append(_verify_images(file.name, folder))
            else:
                detail = f"{file.rows} rows are not a complete benchmark; import complete files"
                checks.append(Check(file.name, False, detail))
        except DataError as error:
            checks.append(Check(file.name, False, str(error)))
    if not checks:
        raise DataError(f"no data in {folder}; make it with `greenmachine data import-nats SOURCE`")
    return checks


def verify_benchmark(benchmark: Benchmark, *, whole: bool = True) -> list[Check]:
    """Compare a loaded table with values computed from its architectures.

    It checks the number of rows if ``whole``, and the isomorphism classes. For every row it checks
    the columns that the table has: the canonical form or key of the architecture, and for every
    data set parameters, FLOPs, and the mean of the seeds' accuracies.
    """
    space, frame, archs = benchmark.space, benchmark.frame, benchmark.archs
    checks: list[Check] = []

    def check(subject: str, passed: bool, detail: str) -> None:
        checks.append(Check(f"{benchmark.name} {subject}", passed, detail))

    if whole and space.rows is not None:
        check("rows", len(archs) == space.rows, f"{len(archs)} of {space.rows}")
    if "isomorph" in frame.columns:
        differ = int(np.sum(space.isomorph(archs) != benchmark.groups))
        classes = len(np.unique(benchmark.groups))
        check("isomorph", differ == 0, f"{classes} classes, {differ} rows differ")
    for column in ("canonical", "key"):  # columns that are equal for isomorphic architectures
        if column in frame.columns and space.canonical is not None:
            pairs = zip(frame[column], archs, strict=True)
            differ = sum(str(told) != space.canonical(arch) for told, arch in pairs)
            check(column, differ == 0, f"{differ} of {len(archs)} rows differ")
    options = {**space.options, **benchmark.options}
    for images in benchmark.image_sets:
        params, flops = space.costs(
            archs, num_classes=images.num_classes, image_size=images.size, **options
        )
        # Only the linear layer, with which every one of these networks ends, has a bias.
        macs = np.rint(1e6 * flops) - images.num_classes
        for column, truth in (("params", params), ("flops_m", flops), ("flops", macs)):
            name = f"{images.name}.{column}"
            if name in frame.columns:
                values = frame[name].to_numpy(dtype=np.float64)
                # Half a unit of the sixth decimal, to which the tables are rounded, plus rounding.
                differ = int(np.sum(~(np.abs(values - truth) <= 6e-7)))
                check(name, differ == 0, f"{differ} of {len(values)} rows differ")
        seeds = benchmark.seed_accuracies(images.name)
        if len(seeds):
            known = np.isfinite(seeds)
            told = known.any(axis=0)  # an architecture may have a mean alone
            mean = np.where(known, seeds, 0).sum(axis=0)[told] / known.sum(axis=0)[told]
            off = np.abs(mean - benchmark.accuracy(images.name)[told])
            differ = int(np.sum(~(off <= 0.01)))  # the published means are rounded, some in halves
            least, most = known.sum(axis=0).min(), len(seeds)
            each = str(most) if least == most else f"{least} to {most}"
            check(f"{images.name} seeds", differ == 0, f"{each} per row, {differ} rows differ")
    return checks


def _verify_images(name: str, folder: Path) -> Check:
    images = _IMAGES[name]
    counts = np.bincount(images.read(folder)[1], minlength=images.num_classes)
    detail = f"{counts.sum()} images, {counts.min()} to {counts.max()} per class"
    return Check(f"{name} images", bool(counts.min() > 0), detail)
