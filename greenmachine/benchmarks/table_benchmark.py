"""A benchmark whose table is in the data folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from greenmachine.benchmarks.base import Benchmark
from greenmachine.benchmarks.datasets import ImageSet
from greenmachine.benchmarks.spaces import Space
from greenmachine.benchmarks.table import TableSchema, checksum, load_table, truth_of

__all__ = ["TableBenchmark"]


@dataclass(frozen=True)
class TableBenchmark:
    """The path of a benchmark's table, and its required columns.

    Attributes:
        name: the name for ``load_benchmark``.
        space: how its architectures become networks.
        place: path of the table, relative to the data folder.
        image_sets: the data sets.
        schema: schema of the table.
        key: a column that is equal for isomorphic architectures, if the table has no ``isomorph``.
    """

    name: str
    space: Space
    place: Path
    image_sets: tuple[ImageSet, ...]
    schema: TableSchema
    key: str | None = None

    def path(self, folder: Path) -> Path:
        """Return the path of the table in data folder ``folder``."""
        return folder / self.place

    def partial_path(self, folder: Path) -> Path:
        """Return the path of an incomplete table, which differs from that of a complete one."""
        return self.path(folder).with_suffix(".partial.parquet")

    def load(self, folder: Path) -> Benchmark:
        """Return the benchmark.

        Raises:
            DataError: the table in ``folder`` is missing or violates the schema.
        """
        path = self.path(folder)
        return self.of(load_table(path, self.schema), path, folder, checksum(path))

    def of(self, frame: pd.DataFrame, source: Path, folder: Path, digest: str = "") -> Benchmark:
        """Return the benchmark of a table in memory, which follows the schema.

        Args:
            frame: the table.
            source: its file, for messages.
            folder: the data folder.
            digest: checksum of the file.
        """
        truth = truth_of(frame, self.schema)
        if self.key is not None:
            codes, _ = pd.factorize(frame[self.key])
            rows = pd.Series(range(len(frame)))
            frame = frame.assign(isomorph=rows.groupby(codes).transform("min"))
        return Benchmark(
            name=self.name,
            space=self.space,
            frame=frame,
            image_sets=self.image_sets,
            source=source,
            checksum=digest,
            folder=folder,
            truth=truth,
        )
