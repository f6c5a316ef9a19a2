"""What a sweep has scored so far: Parquet files in a folder beside its result.

Every file holds some rows, each with its place in the sweep, and comes into being whole. So a
sweep that was killed at any moment goes on with the places that no file holds, whatever the
number of workers was.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from greenmachine.errors import RunError
from greenmachine.files import read_json, replace_file, write_json

__all__ = ["PART_NETWORKS", "PART_SECONDS", "PLACE", "Parts", "Row"]

PART_NETWORKS = 256
"""Networks a file at most, but for the last shard."""

PART_SECONDS = 30.0
"""A file is written after so long at the latest: what a kill loses, but for the shard at hand."""

PLACE = "(place)"

Row = dict[str, Any]
"""One network: its place in the sweep under ``PLACE``, and the other columns."""


class Parts:
    """The files of one sweep.

    Args:
        folder: where they are or will be.
        identity: what the sweep is; JSON.
        columns: of a row, without its place.
        size: rows of the whole sweep.

    Raises:
        RunError: the folder holds files of another sweep.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, Any], columns: Sequence[str], size: int
    ) -> None:
        self.folder = folder
        self.columns = [PLACE, *columns]
        self.size = size
        described = folder / "identity.json"
        if self._paths() and _read_identity(described) != identity:
            raise RunError(f"{folder} holds parts of other work: remove it or choose another --out")
        write_json(described, identity)

    def read(self) -> pd.DataFrame:
        """Return all rows so far, by place.

        Raises:
            RunError: a file is damaged, or holds something else.
        """
        frames = [pd.DataFrame({name: [] for name in self.columns})]
        seen: set[int] = set()
        for path in self._paths():
            try:
                frame = pd.read_parquet(path)
                places = set(frame[PLACE])
            except Exception as error:  # pyarrow's and pandas' own, of many kinds
                raise _unusable(path, type(error).__name__) from None
            known = list(frame.columns) == self.columns and places <= set(range(self.size))
            if not known or len(places) != len(frame) or places & seen:
                raise _unusable(path, "not rows of this sweep")
            seen |= places
            frames.append(frame)
        if len(frames) > 1:  # an empty one has no types
            del frames[0]
        return pd.concat(frames, ignore_index=True).sort_values(PLACE, ignore_index=True)

    def collect(self, shards: Iterable[list[Row]]) -> None:
        """Write what ``shards`` yields, a file every ``PART_NETWORKS`` or ``PART_SECONDS``.

        Where ``shards`` raises, what it has yielded is written first: Ctrl-C loses nothing.
        """
        pending: list[Row] = []
        written = time.monotonic()
        try:
            for rows in shards:
                pending += rows
                late = time.monotonic() - written >= PART_SECONDS
                if late or len(pending) >= PART_NETWORKS:
                    self._write(pending)
                    pending, written = [], time.monotonic()
        finally:
            if pending:
                self._write(pending)

    def remove(self) -> None:
        """Remove the folder: the files first, so that none ever stands without its identity."""
        for path in self._paths():
            path.unlink()
        shutil.rmtree(self.folder)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"))

    def _write(self, rows: list[Row]) -> None:
        frame = pd.DataFrame(rows, columns=self.columns)
        # Two files have no place in common, so none replaces another.
        path = self.folder / f"part-{np.min(frame[PLACE]):06d}.parquet"
        replace_file(path, lambda temporary: frame.to_parquet(temporary, index=False))


def _read_identity(path: Path) -> object:
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def _unusable(path: Path, why: str) -> RunError:
    return RunError(f"cannot use {path} ({why}): remove it, and its networks are scored again")
