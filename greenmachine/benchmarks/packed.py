"""A benchmark in the form in which tasks carry it to a worker, possibly on another machine.

A worker looks for the benchmark at the sender's path. If it is not there, or has another checksum,
the worker looks in its own data folder (``GREENMACHINE_DATA`` of the worker). Tables in the data
folder are not sent, because they may be large and have a licence. Files of the user are sent: the
Python file of a space with the modules beside it, its CSV, and the table that a plugin names. A
worker without these files unpacks them into its cache folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from greenmachine.benchmarks.base import Benchmark
from greenmachine.benchmarks.custom import custom_files, is_custom
from greenmachine.benchmarks.paths import data_folder
from greenmachine.benchmarks.registered import load_with_table, table_of
from greenmachine.errors import DataError, RunError
from greenmachine.files import replace_file

__all__ = ["PackedBenchmark", "cache_folder", "pack_benchmark"]

_MOST_BYTES = 2**22  # most bytes of files in a task; larger files must be on the workers


def cache_folder() -> Path:
    """Return the folder of ``GREENMACHINE_CACHE``, or the user's cache folder; it need not exist.

    Workers that do not see the folder of a run keep their shards there.
    """
    chosen = os.environ.get("GREENMACHINE_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("greenmachine"))


@dataclass(frozen=True)
class PackedBenchmark:
    """Everything that a worker needs to open a benchmark.

    Attributes:
        name: as for ``load_benchmark``, with absolute paths of the sender.
        folder: the sender's data folder. A worker process on the sender's machine keeps the
            environment in which it was started, so the sender's folder comes first.
        checksum: checksum of the benchmark.
        files: for each absolute path on the sender's machine, the content of the user's file.
    """

    name: str
    folder: Path
    checksum: str
    files: dict[Path, bytes] = field(default_factory=dict, repr=False)

    def open(self, load: Callable[[str, Path], Benchmark]) -> Benchmark:
        """Return the benchmark.

        Args:
            load: takes name and data folder; may return a benchmark that it loaded before.

        Raises:
            DataError: it is not on this machine.
            RunError: this machine has another version of it.
        """
        missing: DataError | None = None
        other = False
        for folder in dict.fromkeys((self.folder, data_folder().resolve())):
            try:
                found = load(self.name, folder)
            except DataError as error:
                missing = missing or error
                continue
            if found.checksum == self.checksum:
                return found
            other = True
        if self.files:
            return self._unpacked(load)
        if other or missing is None:
            raise RunError(
                f"a worker has another version of {self.name}: copy the data folder of the "
                "machine that sends the work to it, and set its GREENMACHINE_DATA"
            )
        raise missing

    def _unpacked(self, load: Callable[[str, Path], Benchmark]) -> Benchmark:
        home = cache_folder() / "benchmarks" / self.checksum[:32]
        placed = {}
        for path, content in self.files.items():
            # Two files may have the same name; modules are found beside the file that imports them.
            parent = hashlib.sha256(str(self._root(path)).encode()).hexdigest()[:8]
            placed[path] = home / parent / path.relative_to(self._root(path))
            if not placed[path].exists() or placed[path].read_bytes() != content:
                write = _writer(content)
                replace_file(placed[path], write)
        if is_custom(self.name):
            name = ":".join(str(placed[path]) for path in custom_files(self.name))
            return load(name, self.folder)
        (table,) = placed.values()
        return load_with_table(self.name, table, self.folder)

    def _root(self, path: Path) -> Path:
        """Return the folder relative to which ``path`` is unpacked."""
        if is_custom(self.name):
            python = custom_files(self.name)[0]
            if path.is_relative_to(python.parent):
                return python.parent
        return path.parent


def pack_benchmark(benchmark: Benchmark, folder: Path) -> PackedBenchmark:
    """Return ``benchmark`` in the form for a task; ``folder`` is the data folder."""
    paths: tuple[Path, ...] = ()
    if is_custom(benchmark.name):
        paths = (*benchmark.code, benchmark.source)
    elif (table := table_of(benchmark.name)) is not None:
        paths = (table,)
    try:
        files = {path: path.read_bytes() for path in paths}
    except OSError:
        files = {}  # one was removed since; workers look for it and raise the error
    if sum(map(len, files.values())) > _MOST_BYTES:
        files = {}
    return PackedBenchmark(benchmark.name, folder.resolve(), benchmark.checksum, files)


def _writer(content: bytes) -> Callable[[Path], None]:
    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    return write
