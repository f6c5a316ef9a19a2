"""Forests over proxies (GreenFactory, arXiv 2505.09344): fit them and measure how well they rank.

The measures are stored in ``forests.json`` beside the scores, so that the table needs no fitting.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from greenmachine.errors import DataError
from greenmachine.evaluation import try_forest
from greenmachine.files import read_json, sha256, write_json
from greenmachine.manifest import manifest
from greenmachine.tables.base import Bar
from greenmachine.tables.generalisation import unseen
from greenmachine.tables.inputs import INPUTS
from greenmachine.tables.sources import Scored, Stored

__all__ = ["METRICS", "Study", "fit_forests", "kept_forests"]

METRICS = ("tau", "r2", "mae")
_COMMAND = "`greenmachine reproduce greenfactory --recompute`"


@dataclass(frozen=True)
class Study:
    """The forests that are fitted.

    Attributes:
        train: numbers of networks in training, or shares up to 1.
        seeds: number of seeds of sample and forest.
        trees: number of trees of a forest.
    """

    train: tuple[float, ...] = (100, 1000, 0.8)
    seeds: int = 5
    trees: int = 100


STUDY = Study()


def fit_forests(stored: Stored, bar: Bar, workers: int = -1, study: Study = STUDY) -> None:
    """Fit every forest of the study that is not in ``forests.json``, and add it.

    The file is written after each space and data set, so that Ctrl-C loses at most one of them.

    Args:
        stored: the scores.
        bar: shows the progress.
        workers: number of threads; results do not depend on it.
        study: the forests to fit.

    Raises:
        GreenMachineError: there are no scores, or scikit-learn is not installed.
    """
    held = _held(stored)
    facts = {**asdict(study), "train": list(study.train), "scikit-learn": _version()}
    for scored in stored.scored:
        name = _name(scored)
        known = {"sources": _sources(scored), "study": facts}
        before = held.get(name, {}) if known.items() <= held.get(name, {}).items() else {}
        asked = {key: asdict(inputs) for key, inputs in INPUTS.items() if inputs.apply(scored)}
        if before.get("inputs") == asked:
            continue
        kept = {key for key in asked if before.get("inputs", {}).get(key) == asked[key]}
        rows = [row for row in before.get("rows", []) if row["proxy"] in kept]
        with bar(f"{name}, forests") as told:
            runs = list(_planned(scored, set(asked) - kept, study, stored))
            for number, (inputs, size, seed) in enumerate(runs):
                told(number, len(runs))
                rows += _fitted(scored, inputs, size, seed, study, workers)
        rows.sort(key=lambda row: list(asked).index(row["proxy"]))
        held[name] = {**known, "inputs": asked, "rows": rows}
        write_json(_path(stored), manifest(command=_COMMAND.strip("`"), forests=held))


def kept_forests(stored: Stored) -> Iterator[tuple[Scored, list[dict[str, Any]]]]:
    """Yield the measures of the forests in ``forests.json``, one row per forest and protocol.

    Forests of other scores than the stored ones are left out, and a message says so.

    Raises:
        DataError: there are none, or the file is damaged.
    """
    held, some = _held(stored), False
    for scored in stored.scored:
        found = held.get(_name(scored), {})
        if found.get("sources") == _sources(scored):
            some = True
            yield scored, found["rows"]
        else:
            stored.announce(f"{_name(scored)}: no forests of these scores; {_COMMAND} fits them")
    if not some:
        raise DataError(f"{stored.folder} has no forests: {_COMMAND} fits them, in minutes")


def _version() -> str | None:
    try:
        return version("scikit-learn")
    except PackageNotFoundError:  # fitting the first forest raises the error
        return None


def _planned(
    scored: Scored, asked: Collection[str], study: Study, stored: Stored
) -> Iterator[tuple[str, int, int]]:
    """Yield inputs, networks in training, and seed of every trial."""
    for inputs in [name for name in INPUTS if name in asked]:
        networks = len(INPUTS[inputs].networks(scored))
        for share in study.train:
            size = round(share * networks) if share <= 1 else int(share)
            if not 2 <= size < networks - 1:
                stored.announce(f"{_name(scored)}: {networks} networks are too few to fit {size}")
                continue
            for seed in range(study.seeds):
                yield inputs, size, seed


def _fitted(
    scored: Scored, inputs: str, size: int, seed: int, study: Study, workers: int
) -> list[dict[str, object]]:
    found = INPUTS[inputs]
    index = found.networks(scored)["index"].to_numpy()
    measures = try_forest(
        found.columns(scored),
        scored.benchmark.accuracy(scored.dataset)[index],
        scored.benchmark.groups[index],
        size,
        seed=seed,
        trees=study.trees,
        workers=workers,
        unseen=unseen(scored, index) if found.evolved else None,
    ).measures
    return [
        {
            "proxy": inputs,
            "train": size,
            "protocol": row["protocol"],
            "networks": row["networks"],
            **{metric: row[metric] for metric in METRICS},
        }
        for row in measures.to_dict("records")
    ]


def _path(stored: Stored) -> Path:
    return stored.folder / "forests.json"


def _name(scored: Scored) -> str:
    return f"{scored.benchmark.name}-{scored.dataset}"


def _sources(scored: Scored) -> dict[str, str]:
    return {path.name: sha256(path) for path in scored.paths.values()}


def _held(stored: Stored) -> dict[str, Any]:
    """Return the stored measures by space and data set; empty if there is no file."""
    path = _path(stored)
    if not path.is_file():
        return {}
    try:
        forests = read_json(path)["forests"]
        return {name: {**held, "rows": list(held["rows"])} for name, held in forests.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error}): remove it and run {_COMMAND}") from None
