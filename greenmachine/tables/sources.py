"""The data of the tables: stored scores of both NATS-Bench spaces.

For each space (nats-tss, nats-sss) and data set, a folder contains up to three files of
``greenmachine score --out``:

``<space>-<dataset>.parquet``          many proxies, usually on a random sample of the space
``<space>-<dataset>.all.parquet``      proxies that were scored on every network
``<space>-<dataset>.evolved.parquet``  proxies that this project's runs found, on as many networks
                                       as time allowed, those of the first file first

The tables compare proxies on the networks of the first file, and add the columns that only the
other files have. If a file is missing, a message says so, and its rows are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from greenmachine.benchmarks import Benchmark, load_benchmark
from greenmachine.errors import DataError
from greenmachine.evaluation import (
    check_rows,
    direction_of,
    joined_attrs,
    read_scores,
    score_columns,
)
from greenmachine.proxies import PROXIES, ArchitectureProxy, architecture_scores
from greenmachine.proxies.combinations import COMBINATIONS, combined_scores
from greenmachine.tables.pool import Pool

__all__ = ["AZ_NAS", "DATASETS", "EVERY", "FOUND", "SPACES", "Scored", "Stored"]

Floats = npt.NDArray[np.float64]

SPACES = ("nats-tss", "nats-sss")
DATASETS = ("cifar10", "cifar100", "imagenet16-120")

EVERY, FOUND = ".all", ".evolved"
"""Suffixes of the second and the third file before ``.parquet``."""

AZ_NAS = COMBINATIONS["az_nas"].components
"""Proxies whose ranks among the scored networks form AZ-NAS."""


@dataclass(frozen=True)
class Scored:
    """The scores of one space on one data set.

    Attributes:
        benchmark: the space.
        dataset: its data set.
        frame: result of ``read_scores``: the networks that the tables compare.
        whole: the same for every network of the space, from files that have all of them.
        evolved: the same for the networks on which evolved proxies were scored, a random sample or
            the whole space; ``frame`` if they have no file.
        paths: the files, by their suffix before ``.parquet``.
    """

    benchmark: Benchmark
    dataset: str
    frame: pd.DataFrame
    whole: pd.DataFrame | None
    evolved: pd.DataFrame
    paths: Mapping[str, Path]

    @property
    def place(self) -> dict[str, str]:
        """Space and data set, as columns of a table."""
        return {"space": self.benchmark.name, "dataset": self.dataset}

    @cached_property
    def live(self) -> npt.NDArray[np.bool_] | None:
        """(n,): which networks of ``pool`` have no unused operation; None if not defined."""
        return self._live(self.frame)

    @cached_property
    def live_space(self) -> npt.NDArray[np.bool_] | None:
        """The same for ``space``."""
        return self._live(self._every)

    @cached_property
    def pool(self) -> Pool:
        """The networks of ``frame`` with every proxy, their combinations, and the baselines."""
        return self._pool(self.frame)

    @cached_property
    def space(self) -> Pool:
        """Every network: baselines, proxies that build no network, proxies scored on all."""
        pool = self._pool(self._every)
        archs = [self.benchmark.archs[index] for index in self._every["index"]]
        unbuilt = {
            proxy.name: proxy.direction * architecture_scores(proxy, self.benchmark.space, archs)
            for proxy in PROXIES
            if isinstance(proxy, ArchitectureProxy) and proxy.name not in pool.scores
        }
        return Pool(pool.accuracy, {**pool.scores, **unbuilt})

    @cached_property
    def evolved_pool(self) -> Pool:
        """The networks of ``evolved`` with the proxies scored on them, and the baselines."""
        return self._pool(self.evolved)

    @property
    def _every(self) -> pd.DataFrame:
        every = pd.DataFrame({"index": np.arange(len(self.benchmark))})
        return every if self.whole is None else self.whole

    def _live(self, frame: pd.DataFrame) -> npt.NDArray[np.bool_] | None:
        known = self.benchmark.space.live is not None
        return np.asarray(self.benchmark.live[frame["index"]]) if known else None

    def _pool(self, frame: pd.DataFrame) -> Pool:
        indices = frame["index"].to_numpy()
        scores = {
            name: direction_of(frame, name) * frame[name].to_numpy(dtype=np.float64)
            for name in score_columns(frame)
        }
        scores |= combined_scores(scores)
        baselines = self.benchmark.baseline_scores(self.dataset, indices)
        scores |= {f"({name})": values for name, values in baselines.items()}
        return Pool(self.benchmark.accuracy(self.dataset)[indices], scores)


class Stored:
    """A folder of scores.

    Args:
        folder: folder of the score files.
        announce: called with a line for each file that is missing.
    """

    def __init__(self, folder: Path, announce: Callable[[str], None]) -> None:
        self.folder = folder
        self.announce = announce

    @cached_property
    def benchmarks(self) -> dict[str, Benchmark]:
        """Both spaces by name.

        Raises:
            DataError: a table is missing; the message says how to make it.
        """
        return {space: load_benchmark(space) for space in SPACES}

    @cached_property
    def scored(self) -> list[Scored]:
        """The scores in the folder.

        Raises:
            DataError: there are none, a file is damaged or has other networks, or the table of a
                space is missing.
        """
        found = []
        for space in SPACES:
            for dataset in DATASETS:
                here = self._read(space, dataset)
                if here is None:
                    path = self.folder / f"{space}-{dataset}.parquet"
                    self.announce(f"{path} is missing: its rows are left out")
                else:
                    found.append(here)
        if not found:
            raise DataError(
                f"{self.folder} has no scores: `greenmachine reproduce greenmachine --recompute "
                f"--scores {self.folder}` makes them"
            )
        return found

    @property
    def files(self) -> list[Path]:
        """The files of the tables: scores, measured costs, and fitted forests."""
        paths = [path for s in SPACES for d in DATASETS for path in self._paths(s, d).values()]
        others = [self.folder / name for name in ("cost.json", "forests.json")]
        abroad = sorted((self.folder / "abroad").glob("*.parquet"))
        return [*paths, *(path for path in others if path.is_file()), *abroad]

    def _paths(self, space: str, dataset: str) -> dict[str, Path]:
        # In this order: if two files have a column, that of the first is used.
        named = {k: self.folder / f"{space}-{dataset}{k}.parquet" for k in ("", FOUND, EVERY)}
        return {kind: path for kind, path in named.items() if path.is_file()}

    def _read(self, space: str, dataset: str) -> Scored | None:
        paths = self._paths(space, dataset)
        if not paths:
            return None
        for kind in ("", FOUND):
            if kind not in paths:
                path = self.folder / f"{space}-{dataset}{kind}.parquet"
                self.announce(f"{path} is missing: its proxies are left out")
        benchmark = self.benchmarks[space]
        frames = {kind: read_scores([path]) for kind, path in paths.items()}
        for kind, frame in frames.items():
            check_rows(frame, benchmark)
            frames[kind] = self._current(frame, paths[kind])
        if EVERY in frames and len(frames[EVERY]) < len(benchmark):
            raise DataError(
                f"{paths[EVERY]} has {len(frames[EVERY])} networks of {len(benchmark)}: "
                "score all of them"
            )
        (first, compared), *others = frames.items()
        for kind, frame in others:
            if compared["index"].isin(frame["index"]).all():
                compared = _joined(compared, frame)
            else:
                self.announce(
                    f"{paths[kind]} does not have all networks of {paths[first]}: it is left out"
                )
        full = [frame for frame in frames.values() if len(frame) == len(benchmark)]
        whole = reduce(_joined, full) if full else None
        return Scored(benchmark, dataset, compared, whole, frames.get(FOUND, compared), paths)

    def _current(self, frame: pd.DataFrame, path: Path) -> pd.DataFrame:
        """Return ``frame`` without the scores of proxies whose formula has changed."""
        told = frame.attrs.get("proxies", {})
        named = [name for name in told if name in PROXIES and name in frame.columns]
        old = [name for name in named if told[name] != PROXIES.find(name).text]
        if old:
            self.announce(f"{path}: the formula of {', '.join(old)} has changed: left out")
        return frame.drop(columns=old)


def _joined(first: pd.DataFrame, last: pd.DataFrame) -> pd.DataFrame:
    """Return ``first`` with the columns that only ``last`` has, for the networks of ``first``."""
    new = [name for name in score_columns(last) if name not in first.columns]
    joined = first.merge(last[["index", *new]], on="index", how="left", validate="1:1")
    joined.attrs = joined_attrs(first, last)
    return joined
