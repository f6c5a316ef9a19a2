"""Import the official NATS-Bench files into a Parquet table.

Two forms are supported: the folder of fast mode (``NATS-tss-v1_0-3ffb9-simple``, one file per
architecture) and the single file (``NATS-tss-v1_0-3ffb9.pickle.pbz2``). Two checks protect the user
from a forged file:

- The name must be an official one. The MD5 of the single file must begin or end with the five
  hexadecimal characters in that name (the authors do not document which end). Five characters
  detect a damaged file but not a forged one, and the files of a folder have no checksum.
- So every file is read by an unpickler that accepts only plain containers and numpy numbers
  (``pickles.py``). The result is passed to ``nats_bench``, which unpickles nothing.

The single file needs tens of GB of memory, because it contains the curves of all architectures. The
folder needs a few MB, so prefer it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from nats_bench import ArchResults

from greenmachine.benchmarks.nats import SIZE_TABLE, TOPOLOGY_TABLE
from greenmachine.benchmarks.pickles import load_compressed
from greenmachine.benchmarks.table import check_table, save_table
from greenmachine.benchmarks.table_benchmark import TableBenchmark
from greenmachine.errors import DataError

__all__ = ["OFFICIAL", "import_nats"]

OFFICIAL: dict[str, tuple[TableBenchmark, str]] = {
    "NATS-tss-v1_0-3ffb9": (TOPOLOGY_TABLE, "200"),
    "NATS-sss-v1_0-50262": (SIZE_TABLE, "90"),
}
"""Official base names: the benchmark, and the epochs of full training."""

# Our name of a data set, nats_bench's, and the names of its test and validation accuracies.
_METRICS: tuple[tuple[str, str, tuple[str, str], tuple[str, str]], ...] = (
    ("cifar10", "cifar10", ("cifar10", "ori-test"), ("cifar10-valid", "x-valid")),
    ("cifar100", "cifar100", ("cifar100", "x-test"), ("cifar100", "x-valid")),
    (
        "imagenet16-120",
        "ImageNet16-120",
        ("ImageNet16-120", "x-test"),
        ("ImageNet16-120", "x-valid"),
    ),
)


def import_nats(
    source: Path, out: Path, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Write the table of the official files in ``source`` into data folder ``out``.

    Accuracies are means over the training seeds, rounded to 6 decimals. If a folder does not have
    all architectures, the table is written to ``TableBenchmark.partial_path``, from which no
    benchmark is loaded.

    Args:
        source: the folder of fast mode or the single file, under its official name.
        out: the data folder.
        progress: called with (architectures done, architectures in total).

    Returns:
        The path of the table.

    Raises:
        DataError: ``source`` is not official, is damaged, or is another file.
    """
    table, epochs = _identify(source)
    archs, entries, count = _open(source)
    rows: list[dict[str, Any]] = []
    for index, entry in entries:
        try:
            rows.append({"index": index, "arch": archs[index]} | _row(entry, epochs))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"architecture {index} in {source} does not have the format of NATS-Bench 1.0 "
                f"({type(error).__name__}: {error}); download it again"
            ) from error
        if progress is not None:
            progress(len(rows), count)
    if not rows:
        raise DataError(f"{source} contains no architecture; download it again")
    frame = pd.DataFrame(rows)
    if table.schema.isomorph:
        isomorph = table.space.isomorph(archs)
        frame.insert(2, "isomorph", isomorph[frame["index"].to_numpy()])
    partial = table.partial_path(out)
    if len(rows) < len(archs):
        save_table(frame, partial)
        return partial
    check_table(frame, table.schema, source=source)
    path = table.path(out)
    save_table(frame, path)
    partial.unlink(missing_ok=True)
    return path


def _identify(source: Path) -> tuple[TableBenchmark, str]:
    """Return the benchmark and epochs of an official file or folder with a correct checksum."""
    if not source.exists():
        raise DataError(f"no file or folder {source}; give the official NATS-Bench download")
    suffix = "-simple" if source.is_dir() else ".pickle.pbz2"
    base = source.name.removesuffix(suffix)
    if source.name == base or base not in OFFICIAL:
        known = ", ".join(f"{name}-simple/ or {name}.pickle.pbz2" for name in OFFICIAL)
        raise DataError(f"{source.name} is not an official name; rename or download again: {known}")
    if source.is_file():
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "md5").hexdigest()
        tag = base.rpartition("-")[2]
        if not (digest.startswith(tag) or digest.endswith(tag)):
            raise DataError(
                f"{source} has MD5 {digest}, which neither begins nor ends with the {tag} of its "
                "name; download it again"
            )
    return OFFICIAL[base]


def _open(source: Path) -> tuple[list[str], Iterator[tuple[int, Any]], int]:
    """Return all architecture strings, the (index, results) present, and their number."""
    meta = load_compressed(source / "meta.pickle.pbz2" if source.is_dir() else source)
    if not isinstance(meta, dict) or not isinstance(meta.get("meta_archs"), list):
        raise DataError(f"{source} contains no list of architectures; download it again")
    archs = [str(arch) for arch in meta["meta_archs"]]
    if source.is_dir():
        named = re.compile(r"(\d+)\.pickle\.pbz2")
        files = {
            int(match[1]): path
            for path in source.iterdir()
            if (match := named.fullmatch(path.name))
        }
        entries = ((index, load_compressed(files[index])) for index in sorted(files))
        return archs, entries, len(files)
    results = meta.get("arch2infos")
    if not isinstance(results, dict):
        raise DataError(f"{source} contains no results; download it again")
    return archs, iter(sorted(results.items())), len(results)


def _row(entry: Mapping[str, Any], epochs: str) -> dict[str, Any]:
    """Return the columns of one architecture from its results by number of epochs."""
    full = ArchResults.create_from_state_dict(entry[epochs])
    short = ArchResults.create_from_state_dict(entry["12"])
    row: dict[str, Any] = {}
    for name, official, test, valid in _METRICS:
        for suffix, results in (("", full), ("@12", short)):
            for kind, (dataset, split) in (("test", test), ("valid", valid)):
                accuracy = results.get_metrics(dataset, split)["accuracy"]
                row[f"{name}.{kind}{suffix}"] = round(float(accuracy), 6)
        costs = full.get_compute_costs(official)
        row[f"{name}.params"] = round(costs["params"] * 1e6)
        row[f"{name}.flops_m"] = round(float(costs["flops"]), 6)
    return row
