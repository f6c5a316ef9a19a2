"""Store the finished rows of a sweep as Parquet files in a folder beside its result.

Every file contains some rows, each with its place in the sweep, and is written atomically. So a
sweep that was killed at any moment continues with the places that are in no file, also with
another number of workers.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from greenmachine.errors import DamagedError, RunError
from greenmachine.files import (
    LOCK,
    FolderKind,
    Held,
    read_sealed,
    remove_leftovers,
    replace_file,
    sha256,
    write_sealed,
)

__all__ = ["IDENTITY", "PART_NETWORKS", "PART_SECONDS", "PLACE", "Parts", "Row"]

IDENTITY = FolderKind.PARTS.mark
"""Name of the sealed file that identifies the sweep."""

PART_NETWORKS = 256
"""A file is written as soon as this number of networks is scored."""

PART_SECONDS = 30.0
"""A file is written at the latest after this time: a kill loses it and the unfinished shards."""

PLACE = "(place)"

Row = dict[str, Any]
"""The row of one network: its place in the sweep under ``PLACE``, and the other columns."""


_PART = re.compile(r"part-\d{6,}-[0-9a-f]{16}\.parquet")


class Parts:
    """The files of one sweep.

    The name of a file ends in the first 16 digits of its SHA-256, so damage is detected.

    Args:
        held: the folder, locked by this process.
        identity: JSON that identifies the sweep.
        columns: names of the columns of a row, without its place.
        size: number of rows of the whole sweep.

    Raises:
        RunError: the folder contains files of another sweep.
    """

    def __init__(
        self, held: Held, identity: Mapping[str, Any], columns: Sequence[str], size: int
    ) -> None:
        self.folder = held.folder
        self._held = held
        self.columns = [PLACE, *columns]
        self.size = size
        remove_leftovers(self.folder)
        described = self.folder / IDENTITY
        if self._paths() and _read_identity(described) != json.loads(json.dumps(identity)):
            raise RunError(
                f"{self.folder} holds parts of other work: remove it, or choose another --out"
            )
        write_sealed(described, identity, parents=False)

    def read(self) -> pd.DataFrame:
        """Return all finished rows, sorted by place.

        Raises:
            RunError: a file is damaged, or is not a file of this sweep.
        """
        frames = [pd.DataFrame({name: [] for name in self.columns})]
        seen: set[int] = set()
        for path in self._paths():
            try:
                if not path.stem.endswith(sha256(path)[:_DIGITS]):
                    raise _unusable(path, "it was changed since it was written")
                frame = pd.read_parquet(path)
                places = set(frame[PLACE])
            except DamagedError:
                raise
            except Exception as error:  # pyarrow and pandas raise errors of many types
                raise _unusable(path, type(error).__name__) from None
            known = list(frame.columns) == self.columns and places <= set(range(self.size))
            if not known or len(places) != len(frame) or places & seen:
                raise _unusable(path, "not rows of this sweep")
            seen |= places
            frames.append(frame)
        if len(frames) > 1:  # drop the empty frame, because its columns have no types
            del frames[0]
        return pd.concat(frames, ignore_index=True).sort_values(PLACE, ignore_index=True)

    def collect(self, shards: Iterable[list[Row]]) -> None:
        """Write the rows of ``shards``, one file per ``PART_NETWORKS`` or ``PART_SECONDS``.

        If ``shards`` raises an error, the rows before it are written first, so Ctrl-C does not lose
        a finished shard.
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
        """Remove the files of the sweep, and the folder if it contains nothing else.

        The parts are removed first, so that there are never parts without their identity.
        """
        self._held.check()
        for path in self._paths():
            path.unlink()
        (self.folder / IDENTITY).unlink(missing_ok=True)
        if [path.name for path in self.folder.iterdir()] == [LOCK]:
            (self.folder / LOCK).unlink()
            self.folder.rmdir()

    def _paths(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if _PART.fullmatch(path.name))

    def _write(self, rows: list[Row]) -> None:
        frame = pd.DataFrame(rows, columns=self.columns)
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        content = buffer.getvalue()
        digits = hashlib.sha256(content).hexdigest()[:_DIGITS]
        # Two files have no place in common, so no file replaces another.
        path = self.folder / f"part-{np.min(frame[PLACE]):06d}-{digits}.parquet"
        self._held.check()
        replace_file(path, lambda temporary: _write_bytes(temporary, content), parents=False)


_DIGITS = 16  # digits of the checksum in the name of a file


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _read_identity(path: Path) -> object:
    try:
        return read_sealed(path, "")
    except DamagedError:
        return None


def _unusable(path: Path, why: str) -> RunError:
    return DamagedError(f"cannot use {path} ({why}): remove it, and its networks are scored again")
