"""A small folder of stored scores: both spaces invented, four of six files missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from greenmachine.benchmarks import load_benchmark
from greenmachine.tables import Stored, search
from greenmachine.workers import Progress

STORED = (("nats-tss", "cifar100"), ("nats-sss", "cifar10"))


@contextmanager
def no_bar(what: str) -> Iterator[Progress]:
    yield lambda done, total: None


def make_folder(made: Path) -> Path:
    """Fill a folder with scores of 200 networks a space."""
    rng = np.random.default_rng(0)
    for space, dataset in STORED:
        accuracy = load_benchmark(space).accuracy(dataset)
        index = np.sort(rng.choice(len(accuracy), 200, replace=False))
        frame = pd.DataFrame({"index": index})
        frame["nwot"] = accuracy[index] + rng.normal(0, 20, 200)
        frame.loc[3, "nwot"] = np.nan
        frame["meco_modules"] = accuracy[index] + rng.normal(0, 20, 200)
        frame["ntk"] = -accuracy[index] + rng.normal(0, 5, 200)  # low is good
        frame["mine"] = rng.normal(size=200)
        frame.to_parquet(made / f"{space}-{dataset}.parquet", index=False)
    return made


@pytest.fixture
def folder(synthetic_data: Path, tmp_path: Path) -> Path:
    (tmp_path / "scores").mkdir()
    return make_folder(tmp_path / "scores")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def stored(folder: Path, told: list[str]) -> Stored:
    return Stored(folder, told.append)


Change = Callable[[str, Callable[[pd.DataFrame], pd.DataFrame]], None]


@pytest.fixture
def change(folder: Path) -> Change:
    """Change a stored file by a function of its table."""

    def changed(name: str, work: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        path = folder / f"{name}.parquet"
        work(pd.read_parquet(path)).to_parquet(path, index=False)

    return changed


@pytest.fixture(autouse=True)
def few_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let table ``nas`` make fewer searches, which are many seconds of Optuna's time."""
    monkeypatch.setitem(search.SEARCHES, 100, 4)
    monkeypatch.setitem(search.SEARCHES, 1000, 2)
