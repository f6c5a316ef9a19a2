"""The embedded benchmarks: small versions of both NATS-Bench spaces, on composed digits.

They were trained by this project on two CPU cores. ``experiments/build_digits.py`` is the recipe;
``embedded/digits-tss.json`` and ``digits-sss.json`` record versions, seeds, standard deviations,
and the rank correlation between the two halves of the seeds. Accuracies are means over the seeds;
the columns ``digits.test.seed0`` … have the accuracy of each seed.

``digits-tss`` has random cells, one of each isomorphism class, at a quarter of the benchmark's
width and with one cell per stage instead of five. ``digits-sss`` has random widths from 2 to 8
instead of 8 to 64.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from greenmachine.benchmarks.base import Benchmark
from greenmachine.benchmarks.datasets import ImageSet
from greenmachine.benchmarks.spaces import SIZE, TOPOLOGY, Space
from greenmachine.benchmarks.suggestions import Suggest, suggest_small_size, suggest_topology
from greenmachine.benchmarks.table import TableSchema, checksum, load_table

__all__ = ["CELL_OPTIONS", "DIGITS", "EMBEDDED", "LOADERS"]

EMBEDDED = Path(__file__).with_name("embedded")
"""The folder of the tables, organised like a data folder: it contains ``images/digits.npz``."""

# Mean and standard deviation of the images on which the networks were trained.
DIGITS = ImageSet("digits", 10, 12, (74.5, 80.4, 71.4), (39.2, 44.5, 34.7))
CELL_OPTIONS = {"channels": 4, "cells": 1}

_REINSTALL = "pip install --force-reinstall greenmachine"


def load_digits_tss(folder: Path = EMBEDDED) -> Benchmark:
    """Return ``digits-tss``: random cells, test accuracy in percent, mean over twelve seeds.

    Raises:
        DataError: the installed table is damaged.
    """
    return _load("digits-tss", TOPOLOGY, CELL_OPTIONS, folder, suggest_topology)


def load_digits_sss(folder: Path = EMBEDDED) -> Benchmark:
    """Return ``digits-sss``: random widths, test accuracy in percent, mean over eight seeds.

    Raises:
        DataError: the installed table is damaged.
    """
    return _load("digits-sss", SIZE, {}, folder, suggest_small_size)


def _load(
    name: str, space: Space, options: dict[str, int], folder: Path, suggest: Suggest
) -> Benchmark:
    path = folder / f"{name}.parquet"
    schema = TableSchema((DIGITS.name,), isomorph=space.canonical is not None, command=_REINSTALL)
    frame = load_table(path, schema)
    return Benchmark(
        name,
        space,
        frame,
        (DIGITS,),
        path,
        checksum(path),
        folder,
        options,
        passes=("noise", "data"),
        suggest=suggest,
    )


LOADERS: dict[str, Callable[[Path], Benchmark]] = {
    # They come with the package, so the data folder, which other loaders read, is not used.
    "digits-tss": lambda _: load_digits_tss(),
    "digits-sss": lambda _: load_digits_sss(),
}
"""Loaders by name of the benchmark."""
