"""Read, merge and check the score files that ``greenmachine score --out`` writes.

A file has the column ``index`` (index of the architecture in its benchmark), sometimes ``arch``
(its string), and one column of numbers per proxy. A score that is missing or not finite is a
failure. ``attrs`` contains the facts of the file (``Sweep.facts``: benchmark, data set,
directions, ...).

If a proxy was scored with several seeds, its column contains the mean score, or NaN if one seed
failed. The column of a rank sum is the rank sum of the mean scores. The columns ``NAME.seed0``,
``NAME.seed1``, ... contain the scores of the seeds. So code that reads the columns of proxies reads
means.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pandas.api import types
from pydantic import BaseModel, ConfigDict, Field

from greenmachine.benchmarks import Benchmark
from greenmachine.benchmarks.table import read_table
from greenmachine.errors import ConfigError, DataError, one_line
from greenmachine.proxies import PROXIES
from greenmachine.proxies.rank_sums import split_commas

__all__ = [
    "COVERAGE",
    "check_rows",
    "direction_of",
    "joined_attrs",
    "read_scores",
    "score_columns",
    "seed_column",
    "seed_columns",
]

_BY_COLUMN = ("proxies", "directions")  # attributes with an entry for every column

COVERAGE = "coverage"
"""Column with the share of a network's weights that belong to convolutions and linear layers.

A file has this column only if the share is less than 1 for a network.
"""

KEYS = ("index", "arch", COVERAGE)
"""Columns that describe a network and are not scores."""

_SEED = re.compile(r"(.+)\.seed\d+", re.S)

_COMMAND = "greenmachine score PROXY... --out FILE"


def read_scores(paths: Sequence[Path]) -> pd.DataFrame:
    """Read the scores of one file, or of several files for the networks that are in all of them.

    Returns:
        ``index`` (int64), ``arch`` if a file has it, and one float64 column per proxy, in the row
        order of the first file. ``attrs`` are those of the first file, with the formulas and
        directions of all files.

    Raises:
        DataError: a file is missing or damaged, has no index or no scores, or has a column that is
            not numeric; or two files share a column, have no network in common, or belong to
            different benchmarks.
    """
    whole = _read(paths[0])
    for path in paths[1:]:
        frame = _read(path)
        shared = [name for name in score_columns(frame) if name in whole.columns]
        if shared:
            raise DataError(
                f"{path}: another file has the column {shared[0]} too; give one of them"
            )
        joined = whole.merge(frame, on="index", suffixes=("", "/other"), validate="1:1")
        if joined.empty:
            raise DataError(
                f"{path} has no network in common with the files before it; give files of the "
                "same networks"
            )
        if "arch/other" in joined.columns:
            if (joined["arch"] != joined["arch/other"]).any():
                raise DataError(
                    f"{path} is of another benchmark than the files before it; give files of "
                    "one benchmark"
                )
            joined = joined.drop(columns="arch/other")
        joined = joined.drop(columns=f"{COVERAGE}/other", errors="ignore")
        joined.attrs = joined_attrs(whole, frame)
        whole = joined
    return whole


def joined_attrs(first: pd.DataFrame, last: pd.DataFrame) -> dict[Any, Any]:
    """Return the attributes of ``first``, with the formulas and directions of both frames."""
    told = {key: {**last.attrs.get(key, {}), **first.attrs.get(key, {})} for key in _BY_COLUMN}
    return {**first.attrs, **{key: value for key, value in told.items() if value}}


def check_rows(frame: pd.DataFrame, benchmark: Benchmark) -> None:
    """Check that the rows are networks of ``benchmark``.

    Raises:
        DataError: the benchmark lacks an index, or has another architecture at this index.
    """
    hint = "name the benchmark of the scores with --on"
    for index in frame["index"]:
        if not 0 <= index < len(benchmark):
            raise DataError(f"{benchmark.name} has no network {index}: {hint}")
    if "arch" in frame.columns:
        for index, arch in zip(frame["index"], frame["arch"], strict=True):
            if arch != benchmark.archs[index]:
                raise DataError(f"network {index} of {benchmark.name} is not {arch}: {hint}")


def score_columns(frame: pd.DataFrame, chosen: str | None = None) -> list[str]:
    """Return the names of the chosen proxies of ``frame``, or of all its proxies.

    Args:
        frame: scores of :func:`read_scores`.
        chosen: names separated by commas; None takes all proxies. A comma in brackets belongs to an
            expression. The column of a seed (``nwot.seed0``) may be chosen too.

    Raises:
        ConfigError: a chosen column does not exist; the message names close matches.
    """
    known = [name for name in frame.columns if name not in KEYS]
    if chosen is None:
        of_seeds = {name for names in seed_columns(frame).values() for name in names}
        return [name for name in known if name not in of_seeds]
    names = split_commas(chosen)
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=3) or known
            raise ConfigError(f"the scores have no column {name!r}; they have {', '.join(close)}")
    return list(dict.fromkeys(names))


def seed_column(name: str, seed: int) -> str:
    """Return the name of the column for the scores of the proxy ``name`` with ``seed``."""
    return f"{name}.seed{seed}"


def seed_columns(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Return the columns of seeds by the name of their proxy; other proxies are left out."""
    found: dict[str, list[str]] = {}
    for column in frame.columns:
        told = _SEED.fullmatch(str(column))
        if told is not None and told[1] in frame.columns and told[1] not in KEYS:
            found.setdefault(told[1], []).append(str(column))
    return found


def direction_of(frame: pd.DataFrame, name: str) -> int:
    """Return the direction of a column of :func:`read_scores`.

    It is the direction recorded in the file, or that of the named proxy of this name, or 1 (higher
    is better). The column of a seed has the direction of its proxy.
    """
    known = frame.attrs.get("directions", {})
    told = known.get(name)
    of_seed = _SEED.fullmatch(name)
    if told is None and of_seed is not None and of_seed[1] in frame.columns:
        return direction_of(frame, of_seed[1])
    if told is not None:
        return int(told)
    return PROXIES.find(name).direction if name in PROXIES else 1


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise DataError(f"no scores at {path}; make them with `{_COMMAND}`")
    frame = read_table(path, _COMMAND)
    frame.columns = frame.columns.map(str)
    names = score_columns(frame)
    if "index" not in frame.columns or not names or frame.empty:
        raise DataError(f"{path} needs a column index, a column of scores, and rows")
    index = frame["index"]
    if not types.is_integer_dtype(index) or index.isna().any() or not index.is_unique:
        raise DataError(f"{path}: column index must hold integers, each once")
    names = [name for name in frame.columns if name not in KEYS]  # with the columns of seeds
    for name in names:
        held = frame[name].dtype
        if not types.is_numeric_dtype(held) or types.is_bool_dtype(held):
            raise DataError(f"{path}: column {name} holds {held}, not scores; leave it out")
    read = {name: frame[name] for name in KEYS if name in frame.columns}
    scores = {name: frame[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in names}
    checked = pd.DataFrame({**read, **scores}).astype({"index": np.int64})
    checked.attrs = _attributes(frame, path)
    return checked


class _Told(BaseModel):
    """Attributes of a score file that commands read; a file may have others too."""

    model_config = ConfigDict(extra="allow", strict=True)

    benchmark: str | None = None
    dataset: str | None = None
    proxies: dict[str, str] = {}
    directions: dict[str, Annotated[int, Field(ge=-1, le=1)]] = {}


def _attributes(frame: pd.DataFrame, path: Path) -> dict[Any, Any]:
    try:
        told = _Told.model_validate(frame.attrs)
        if 0 in told.directions.values():
            raise ValueError("a direction is 0, not 1 or -1")
    except ValueError as error:
        raise DataError(
            f"{path}: its attributes are not those of a score file ({one_line(error, 200)}); make "
            f"it again with `{_COMMAND}`"
        ) from None
    return dict(frame.attrs)
