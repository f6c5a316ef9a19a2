"""GreenFactory's table (arXiv 2505.09344): what a forest over proxies is worth, three protocols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from greenmachine.benchmarks import Benchmark
from greenmachine.errors import DataError
from greenmachine.evaluation import score_columns, try_forest
from greenmachine.files import read_json, sha256, write_json
from greenmachine.fitness import tau_row
from greenmachine.manifest import manifest
from greenmachine.networks import OPERATIONS, parse_size, parse_topology
from greenmachine.proxies import EVOLVED, PROXIES
from greenmachine.tables.base import Bar, Column, Drawing, Table, long_table
from greenmachine.tables.published import FACTORY
from greenmachine.tables.sources import DATASETS, FOUND, Scored, Stored

__all__ = ["STUDY", "TABLE", "Study", "encoding", "fit_forests"]

_FACTORY, _ENCODING, _SPACE = "green_factory", "(encoding)", "green_factory_space"
_METRICS = ("tau", "r2", "mae")
_COMMAND = "`greenmachine reproduce greenfactory --recompute`"


@dataclass(frozen=True)
class Study:
    """Which forests are fitted.

    Attributes:
        train: numbers of networks in training, or shares up to 1.
        seeds: of sample and forest.
        trees: of a forest.
    """

    train: tuple[float, ...] = (100, 1000, 0.8)
    seeds: int = 5
    trees: int = 100


STUDY = Study()


def encoding(benchmark: Benchmark, indices: pd.Series[int]) -> pd.DataFrame:
    """Return what the architectures' strings say, (networks, features).

    It is the operation of every edge, one-hot, or the five widths.
    """
    archs = [benchmark.archs[index] for index in indices]
    if benchmark.name == "nats-sss":
        widths = np.array([parse_size(arch) for arch in archs])
        return pd.DataFrame({f"width {n}": column for n, column in enumerate(widths.T)})
    ops = np.array([parse_topology(arch) for arch in archs])
    return pd.DataFrame(
        {f"{op} {n}": column == op for n, column in enumerate(ops.T) for op in OPERATIONS},
        dtype=np.float64,
    )


def fit_forests(stored: Stored, bar: Bar, workers: int = -1, study: Study = STUDY) -> None:
    """Fit every forest of the study that ``forests.json`` does not have, and write it there.

    The file is written after each space and data set, so that Ctrl-C loses one of them at most.

    Args:
        stored: the scores.
        bar: shows the progress.
        workers: threads; results do not depend on it.
        study: what is fitted.

    Raises:
        GreenMachineError: there are no scores, or scikit-learn is not installed.
    """
    held = _held(stored)
    facts = {**asdict(study), "train": list(study.train), "scikit-learn": _version()}
    for scored in stored.scored:
        name = _name(scored)
        known = {"sources": _sources(scored), "study": facts}
        if known.items() <= held.get(name, {}).items():
            continue
        with bar(f"{name}, forests") as told:
            runs = list(_planned(scored, study, stored))
            rows: list[dict[str, object]] = []
            for number, (inputs, size, seed) in enumerate(runs):
                told(number, len(runs))
                rows += _fitted(scored, inputs, size, seed, study, workers)
        held[name] = {**known, "rows": rows}
        write_json(_path(stored), manifest(command=_COMMAND.strip("`"), forests=held))


def _version() -> str | None:
    try:
        return version("scikit-learn")
    except PackageNotFoundError:  # the first forest says what to install
        return None


def _planned(scored: Scored, study: Study, stored: Stored) -> Iterator[tuple[str, int, int]]:
    """Yield inputs, networks in training, and seed of every trial."""
    whole = scored.whole
    wider = whole is not None and len(whole) > len(scored.frame) and len(_proxies(whole)) > 0
    for inputs in (_FACTORY, _ENCODING, *[_SPACE] * wider):
        networks = len(_frame(scored, inputs))
        for share in study.train:
            size = round(share * networks) if share <= 1 else int(share)
            if not 2 <= size < networks - 1:
                stored.announce(f"{_name(scored)}: {networks} networks are too few to fit {size}")
                continue
            for seed in range(study.seeds):
                yield inputs, size, seed


def _frame(scored: Scored, inputs: str) -> pd.DataFrame:
    return scored.whole if inputs == _SPACE and scored.whole is not None else scored.frame


def _proxies(frame: pd.DataFrame) -> list[str]:
    """Return the columns that a forest may have: none that has seen accuracies of this space."""
    evolved = {proxy.name for proxy in EVOLVED}
    return [n for n in score_columns(frame) if n in PROXIES and n not in evolved]


def _fitted(
    scored: Scored, inputs: str, size: int, seed: int, study: Study, workers: int
) -> list[dict[str, object]]:
    frame = _frame(scored, inputs)
    encoded = inputs == _ENCODING
    columns = encoding(scored.benchmark, frame["index"]) if encoded else frame[_proxies(frame)]
    measures = try_forest(
        columns,
        scored.benchmark.accuracy(scored.dataset)[frame["index"]],
        scored.benchmark.groups[frame["index"]],
        size,
        seed=seed,
        trees=study.trees,
        workers=workers,
    ).measures
    return [
        {
            "proxy": inputs,
            "train": size,
            "protocol": row["protocol"],
            "networks": row["networks"],
            **{metric: row[metric] for metric in _METRICS},
        }
        for row in measures.to_dict("records")
    ]


def _path(stored: Stored) -> Path:
    return stored.folder / "forests.json"


def _name(scored: Scored) -> str:
    return f"{scored.benchmark.name}-{scored.dataset}"


def _sources(scored: Scored) -> dict[str, str]:
    return {path.name: sha256(path) for kind, path in scored.paths.items() if kind != FOUND}


def _held(stored: Stored) -> dict[str, Any]:
    """Return the stored forests' worth by space and data set; empty where there is no file."""
    path = _path(stored)
    if not path.is_file():
        return {}
    try:
        forests = read_json(path)["forests"]
        return {name: {**held, "rows": list(held["rows"])} for name, held in forests.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error}): remove it and run {_COMMAND}") from None


def _rows(stored: Stored) -> pd.DataFrame:
    held = _held(stored)
    rows: list[dict[str, object]] = []
    for scored in stored.scored:
        found = held.get(_name(scored), {})
        if found.get("sources") != _sources(scored):
            stored.announce(f"{_name(scored)}: no forests of these scores; {_COMMAND} fits them")
            continue
        rows += [{**scored.place, **row} for row in _summary(found["rows"], scored)]
    if not rows:
        raise DataError(f"{stored.folder} has no forests: {_COMMAND} fits them, in minutes")
    return long_table(rows)


def _summary(runs: list[Mapping[str, Any]], scored: Scored) -> Iterator[dict[str, object]]:
    published = dict(zip(DATASETS, FACTORY[scored.benchmark.name], strict=True))[scored.dataset]
    keys = ["proxy", "train", "protocol"]
    for (proxy, train, protocol), part in pd.DataFrame(runs).groupby(keys, sort=False):
        for metric in _METRICS:
            known = metric == "tau" and proxy != _ENCODING
            yield {
                "proxy": proxy,
                "train": train,
                "protocol": protocol,
                "metric": metric,
                "mean": part[metric].mean(),
                "std": part[metric].std(),
                "n": part[metric].count(),
                "published": published if known else None,
                "networks": part["networks"].mean(),
            }
    pool = scored.pool.only(lambda name: name.startswith("("))
    for name, scores in pool.scores.items():
        row = tau_row(scores, pool.accuracy, 1)
        yield {
            "proxy": name,
            "train": 0,
            "protocol": "all",
            "metric": "tau",
            "mean": row["tau"],
            "std": row["standard_error"],
            "n": 1,
            "networks": len(pool),
        }


TABLE = Table(
    name="greenfactory",
    title="GreenFactory",
    words="""\
A random forest over proxies predicts test accuracy; tau-b, R² and mean absolute error (percent) of
what it predicts, mean and standard deviation over the seeds of training sample and forest.
`green_factory` reads every proxy of the zoo that is scored, `green_factory_space` those that were
scored on all networks of the space; evolved proxies are left out. `(encoding)`, the score to beat,
is the same forest over the architecture's string alone: the operation of every edge, one-hot, or
the five widths. `train` networks are in training; trivial scores, in brackets, need none.

- `all`: every scored network, those of the training sample too.
- `held_out`: the networks not in training.
- `held_out_classes`: no cell in training is isomorphic to a held-out one (topology space only).

The published tau stands beside every protocol and number, for the paper's own are not known.""",
    rows=_rows,
    columns=(
        Column("τ all", "all", "tau"),
        Column("τ held out", "held_out", "tau"),
        Column("τ held-out classes", "held_out_classes", "tau"),
        Column("R² held out", "held_out", "r2"),
        Column("MAE held out", "held_out", "mae", ".2f"),
    ),
    drawing=Drawing(
        "Kendall's tau of forests over proxies",
        "Kendall's tau-b",
        "tau",
        ("held_out", "held_out_classes", "all"),
    ),
    recompute=fit_forests,
    keys=("proxy", "train"),
)
