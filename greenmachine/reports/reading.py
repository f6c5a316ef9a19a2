"""Read and check the folder of a run.

An unfinished run has no result and no scores; both are None then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from greenmachine.errors import DamagedError, one_line
from greenmachine.evolution import Famous, RunFolder
from greenmachine.evolution.equations import equations
from greenmachine.reports.record import SAMPLES, Record, Score, Taus
from greenmachine.reports.spending import spending_texts

__all__ = ["read_record"]

_PLACE = ["task", "benchmark", "dataset", "sample", "index", "accuracy", "champion"]


def read_record(folder: Path) -> Record:
    """Read the run in ``folder``.

    Raises:
        RunError: the folder contains no run, one without a complete generation, or damaged files.
    """
    run = RunFolder(folder)
    hall = run.hall()
    config, made = run.description().config.model_dump(mode="json"), run.manifest()
    manifest = made.facts()
    datasets = [str(name) for name in manifest["tasks"]]
    saved = run.checkpoint()
    result = run.result() if run.finished else None
    try:
        _check(hall, result, datasets)
        return Record(
            folder=folder,
            config=config,
            manifest=manifest,
            hall=hall,
            history=pd.DataFrame(saved.history if saved else []).astype(float),
            result=result,
            tau=_taus(result, datasets) if result else _taus_so_far(hall[0], datasets),
            samples=_sizes(manifest["samples"], datasets),
            scores=_scores(run.scores(), datasets) if result else None,
            primitives=pd.DataFrame(saved.primitives if saved else []).fillna(0).astype(float),
            front=equations(saved) if saved else (),
        )
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise DamagedError(
            f"{folder} is damaged or from another version ({one_line(error, 200)}): run again in "
            "another --out"
        ) from None


def _check(hall: list[Famous], result: Mapping[str, Any] | None, datasets: list[str]) -> None:
    """Reject files that are each valid but do not belong to one run."""
    if any(len(hall[0].tau[sample]) != len(datasets) for sample in ("train", "validation")):
        raise ValueError("not one tau per data set")
    if result is None:
        return
    best = result["best"]
    if (best["expression"], best["direction"]) != (hall[0].expression, hall[0].direction):
        raise ValueError("the champion of result.json is not the first of the hall of fame")
    spending_texts(result)  # raises an error if the values are damaged
    if any("champion" not in rows for s in _taus(result, datasets).values() for rows in s.values()):
        raise ValueError("a champion is missing")


def _sizes(samples: Mapping[str, Any], datasets: list[str]) -> dict[str, dict[str, int]]:
    """Return the number of networks of every sample and data set."""
    sizes: dict[str, dict[str, int]] = {}
    for sample, found in samples.items():
        sizes[sample] = {}
        for name in datasets:  # nats-tss/cifar10 if there are several benchmarks
            only = [] if "/" in name else list(found.values())
            own = only[0] if only else found[name.rpartition("/")[0]]
            sizes[sample][name] = len(own) if isinstance(own, list) else int(own)
    return sizes


def _taus(result: Mapping[str, Any], datasets: list[str]) -> Taus:
    """Return the rows of a result, by sample, data set and name."""
    taus: Taus = {}
    for sample in SAMPLES:
        taus[sample] = {}
        for name in datasets:
            taus[sample][name] = {score: _row(row) for score, row in result[sample][name].items()}
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


def _scores(frame: pd.DataFrame, datasets: list[str]) -> pd.DataFrame:
    if missing := [name for name in _PLACE if name not in frame]:
        raise ValueError(f"no column {missing[0]}")
    frame["dataset"] = frame["task"]  # a report names the tasks
    numbers = [name for name in frame if name not in ("task", "benchmark", "dataset", "sample")]
    if set(zip(frame["dataset"], frame["sample"], strict=True)) != set(product(datasets, SAMPLES)):
        raise ValueError("not the samples of the run")
    frame = frame.astype(dict.fromkeys(numbers, float))
    if not frame["accuracy"].map(math.isfinite).all():
        raise ValueError("accuracies are missing")
    return frame
