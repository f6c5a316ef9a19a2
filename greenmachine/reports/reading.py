"""From the files of a run's folder to its record, everything checked.

A folder of an unfinished run, or one that an older version wrote, lacks some files: what they
hold is None then. A file that is there and does not read is an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from greenmachine.benchmarks import short_name
from greenmachine.energy import ENERGY
from greenmachine.errors import RunError
from greenmachine.evolution.search import Famous
from greenmachine.files import read_json
from greenmachine.reports.record import (
    SAMPLES,
    Record,
    Score,
    Taus,
    benchmarks_of,
    datasets_of,
)
from greenmachine.reports.spending import spending_texts

__all__ = ["read_record"]

_HISTORY = [
    *("generation", "individuals", "best", "mean", "best_validation", "diversity"),
    *("mean_size", "largest_size", "evaluated", "cache_hits", "cache_misses", "seconds"),
]
_PLACE = ["dataset", "sample", "index", "accuracy", "champion"]
_Read = TypeVar("_Read")


def read_record(folder: Path) -> Record:
    """Return what the run in ``folder`` has left.

    Raises:
        RunError: the folder holds no run, one without a whole generation, or damaged files.
    """
    if not (folder / "config.json").is_file():
        raise RunError(f"{folder} holds no run (there is no config.json)")
    if not (folder / "hall_of_fame.json").is_file():
        raise RunError(f"{folder} has no whole generation yet: report it later")
    config = _load(folder / "config.json", _config)
    manifest = _load(folder / "manifest.json", _manifest)
    datasets = datasets_of(config, manifest)
    hall = _load(folder / "hall_of_fame.json", partial(_hall, datasets=len(datasets)))
    result = _load_any(
        folder / "result.json", partial(_result, champion=hall[0], datasets=datasets)
    )
    scores = partial(_scores, datasets=datasets)
    return Record(
        folder=folder,
        config=config,
        manifest=manifest,
        hall=hall,
        history=_load(folder / "history.csv", partial(_numbers, columns=_HISTORY)),
        result=result,
        tau=_taus(result, datasets) if result else _taus_so_far(hall[0], datasets),
        samples=_load(folder / "manifest.json", partial(_sizes, datasets=datasets)),
        scores=_load_any(folder / "scores.parquet", scores) if result else None,
        words=_load_any(
            folder / "words.csv", partial(_numbers, columns=["generation", "population"])
        ),
    )


def _load(path: Path, read: Callable[[Path], _Read]) -> _Read:
    try:
        return read(path)
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RunError(f"{path} is damaged or of another version ({reason})") from None


def _load_any(path: Path, read: Callable[[Path], _Read]) -> _Read | None:
    return _load(path, read) if path.exists() else None


def _config(path: Path) -> dict[str, Any]:
    config: dict[str, Any] = read_json(path)["config"]
    if missing := {"name", "benchmark", "seed", "datasets"} - set(config):
        raise ValueError(f"no {', '.join(sorted(missing))}")
    if not all(isinstance(config["evolution"][key], int) for key in ("population", "generations")):
        raise ValueError("population and generations are no numbers")
    if not config["datasets"] or not isinstance(config["datasets"], list):
        raise ValueError("no data sets")
    for name in benchmarks_of(config):
        short_name(name)
    return config


def _manifest(path: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = read_json(path)
    if set(manifest["samples"]) != set(SAMPLES) or "sha256" not in manifest["benchmark"]:
        raise ValueError("it does not name the samples and the benchmark")
    return manifest


def _sizes(path: Path, datasets: list[str]) -> dict[str, dict[str, int]]:
    """Return the networks of every sample and data set, from lists or numbers of them."""
    sizes: dict[str, dict[str, int]] = {}
    for sample, found in read_json(path)["samples"].items():
        sizes[sample] = {}
        for name in datasets:  # of several benchmarks each has its own: nats-tss/cifar10
            own = found[name.rpartition("/")[0]] if isinstance(found, dict) else found
            sizes[sample][name] = len(own) if isinstance(own, list) else int(own)
    return sizes


def _hall(path: Path, datasets: int) -> list[Famous]:
    hall = [Famous(**famous) for famous in read_json(path)]
    for famous in hall:
        if not isinstance(famous.expression, str) or famous.direction not in (1, -1):
            raise ValueError(f"{famous.expression!r}, {famous.direction!r}")
        numbers = [famous.size, famous.generation, famous.train, famous.validation]
        for sample in ("train", "validation"):
            numbers += famous.tau[sample]
            if len(famous.tau[sample]) != datasets:
                raise ValueError("not one tau a data set")
        if not all(isinstance(number, int | float) for number in numbers):
            raise ValueError("a number is missing")
    if not hall:
        raise ValueError("it is empty")
    return hall


def _result(path: Path, champion: Famous, datasets: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = read_json(path)
    best = result["best"]
    if (best["expression"], best["direction"]) != (champion.expression, champion.direction):
        raise ValueError("its champion is not the first of the hall of fame")
    if not all(isinstance(n, int | float) for n in (result["seconds"], result.get(ENERGY, 0))):
        raise ValueError("seconds or energy are no number")
    spending_texts(result)  # raises where the figures are damaged
    if any("champion" not in rows for s in _taus(result, datasets).values() for rows in s.values()):
        raise ValueError("a champion is missing")
    return result


def _taus(result: Mapping[str, Any], datasets: list[str]) -> Taus:
    """Return the rows of a result; older versions wrote those of the test sample alone."""
    taus: Taus = {}
    for sample in SAMPLES:
        taus[sample] = {}
        for name in datasets:
            alone = {"champion": {"tau": result["best"]["tau"][sample][name]}}
            rows = result[sample][name] if sample in result else alone
            taus[sample][name] = {score: _row(row) for score, row in rows.items()}
    return taus


def _taus_so_far(champion: Famous, datasets: list[str]) -> Taus:
    return {
        sample: {name: {"champion": Score(tau)} for name, tau in zip(datasets, values, strict=True)}
        for sample, values in champion.tau.items()
    }


def _row(row: Mapping[str, Any]) -> Score:
    tau, error = _number(row["tau"]), _number(row.get("standard_error"))
    return Score(tau, error, int(row.get("failed", 0)))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _numbers(path: Path, columns: list[str]) -> pd.DataFrame:
    """Return a CSV of numbers that has ``columns`` and at least one row."""
    frame = pd.read_csv(path).astype(float)
    if missing := [name for name in columns if name not in frame]:
        raise ValueError(f"no column {missing[0]}")
    if frame.empty or frame[columns].isna().to_numpy().any():
        raise ValueError("rows are missing or broken off")
    return frame


def _scores(path: Path, datasets: list[str]) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    if missing := [name for name in _PLACE if name not in frame]:
        raise ValueError(f"no column {missing[0]}")
    if "benchmark" in frame:
        frame["dataset"] = frame.pop("benchmark") + "/" + frame["dataset"]
    numbers = [name for name in frame if name not in ("dataset", "sample")]
    if set(zip(frame["dataset"], frame["sample"], strict=True)) != set(product(datasets, SAMPLES)):
        raise ValueError("not the samples of the run")
    frame = frame.astype(dict.fromkeys(numbers, float))
    if not frame["accuracy"].map(math.isfinite).all():
        raise ValueError("accuracies are missing")
    return frame
