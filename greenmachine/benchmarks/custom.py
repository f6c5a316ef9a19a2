"""Your own networks as a benchmark: a Python file that builds them, and a CSV with accuracies.

Its name is ``my_space.py:accuracies.csv``. The Python file defines

| name | content |
|---|---|
| ``build(arch)`` | returns the untrained ``nn.Module`` of an architecture, given as text |
| ``INPUT_SHAPE`` | shape of one image, such as ``(1, 8, 8)``, or ``(64,)`` for vectors |
| ``NUM_CLASSES`` | number of classes; optional, labels are checked against it |
| ``images()`` | normalised images and labels, the same at every call; only for the data pass |
| ``suggest(trial)`` | returns an architecture for ``greenmachine search``, or None; see below |
| ``OUTPUT`` | optional: which part of the returned value is the output (index, key, function) |

and the CSV has the columns that ``user_table.py`` describes. If it has several data sets,
``INPUT_SHAPE`` and ``NUM_CLASSES`` may be mappings by data set, and ``build(arch, dataset)`` and
``images(dataset)`` may take the name of the data set.

``trial`` is a trial of Optuna. ``suggest`` returns None, or raises ``optuna.TrialPruned``, if the
choices are no architecture. A search for networks needs no CSV: ``my_space.py`` alone is a space
without accuracies. Weights depend on the seed if ``build`` draws from torch's generator, as every
torch module does.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from greenmachine.benchmarks.base import Benchmark
from greenmachine.benchmarks.own_networks import own_benchmark
from greenmachine.benchmarks.table import checksum
from greenmachine.benchmarks.user_file import UserFile
from greenmachine.benchmarks.user_table import UserTable, read_accuracies
from greenmachine.errors import ConfigError, DataError

__all__ = [
    "absolute_name",
    "custom_files",
    "is_custom",
    "is_space",
    "load_custom",
    "load_space",
    "refuse_unnamed_code",
    "short_name",
]

_MARK = ".py:"


def is_custom(name: str) -> bool:
    """Return whether ``name`` names files (a Python file, usually with a table)."""
    return _MARK in name or is_space(name)


def is_space(name: str) -> bool:
    """Return whether ``name`` is a Python file alone, without a table."""
    return name.endswith(".py") and _MARK not in name


def absolute_name(name: str) -> str:
    """Return ``name`` with absolute paths, so that it is valid in any folder and process.

    The name of a registered benchmark is returned unchanged.
    """
    if not is_custom(name):
        return name
    return ":".join(map(str, custom_files(name)))


def refuse_unnamed_code(names: Iterable[str], source: Path, named: Iterable[str]) -> None:
    """Refuse to run a Python file that only a data file names, and not the user.

    Args:
        names: names of the benchmarks in ``source``.
        source: a score file, or the folder of a run; it may come from anybody.
        named: benchmarks that the command line, the settings or the caller name.

    Raises:
        ConfigError: a benchmark that runs code is not among ``named``; the message says how to
            name it.
    """
    known = {absolute_name(name) for name in named}
    for name in names:
        if is_custom(name) and absolute_name(name) not in known:
            code = name.rpartition(_MARK)[0] + ".py" if _MARK in name else name
            raise ConfigError(
                f"{source} names a Python file, {code}: if you trust it, run it with "
                f"--on {shlex.quote(name)}"
            )


def short_name(name: str) -> str:
    """Return ``name`` without the folders of its files, for display."""
    if not is_custom(name):
        return name
    return ":".join(path.name for path in custom_files(name))


def load_custom(name: str, folder: Path) -> Benchmark:
    """Return the benchmark of a Python file and a CSV.

    Args:
        name: ``FILE.py:FILE.csv``, split at the last ``.py:``.
        folder: the data folder; not used, because all data of such a benchmark are in its files.

    Raises:
        DataError: a file is missing, raises an error, or has other content.
    """
    python, path = custom_files(name)
    file = UserFile(python)
    table = read_accuracies(path)
    return own_benchmark(
        file,
        table,
        name=f"{python}:{path}",
        space=python.stem,
        source=path,
        checksum=hashlib.sha256(
            "".join(checksum(each) for each in (path, *file.files)).encode()
        ).hexdigest(),
        folder=folder,
        code=file.files,
    )


def load_space(name: str, folder: Path) -> Benchmark:
    """Return the space of a Python file as a benchmark whose table is empty.

    Its data sets are the keys of ``INPUT_SHAPE`` if that is a mapping, else only ``images``.

    Raises:
        DataError: the file is missing, raises an error, or has other content.
    """
    (python,) = custom_files(name)
    file = UserFile(python)
    shapes = file.get("input_shape")
    datasets = tuple(map(str, shapes)) if isinstance(shapes, Mapping) and shapes else ("images",)
    columns: dict[str, list[str]] = {
        "index": [],
        "arch": [],
        **{f"{dataset}.test": [] for dataset in datasets},
    }
    frame = pd.DataFrame(columns).astype({"index": int, "arch": str})
    return own_benchmark(
        file,
        UserTable(frame, datasets, "test"),
        name=str(python),
        space=python.stem,
        source=python,
        checksum=hashlib.sha256("".join(map(checksum, file.files)).encode()).hexdigest(),
        folder=folder,
        code=file.files,
    )


def custom_files(name: str) -> tuple[Path, ...]:
    """Return the absolute paths of the Python file, and of the table, that ``name`` names.

    A space for a search has no table.

    Raises:
        DataError: it names neither.
    """
    if is_space(name):
        return (Path(name).expanduser().resolve(),)
    python, _, table = name.rpartition(_MARK)
    if not python or not table:
        raise DataError(f"{name} does not name two files: write my_space.py:accuracies.csv")
    return Path(f"{python}.py").expanduser().resolve(), Path(table).expanduser().resolve()
