"""Score the zoo and the evolved proxies on both NATS-Bench spaces and three data sets.

``plan.py`` defines what is scored, and in which order. After Ctrl-C, a kill or a reboot, the same
call
continues: finished scores are in ``parts/``, one file of ``greenmachine score --out`` per piece,
until they are removed by hand. It also continues from a folder that has only joined files, such as
that of a repository: their content is split into parts again, if it was computed as it would be
computed now. To compute everything again, use another folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow import parquet

from greenmachine.errors import DataError
from greenmachine.evaluation import capture_spec, keep_scores, read_scores, score_to_file
from greenmachine.files import read_json, replace_file
from greenmachine.language import parse
from greenmachine.proxies import ExpressionProxy, resolve
from greenmachine.tables.base import Bar
from greenmachine.tables.plan import PLAN, Group, Plan
from greenmachine.tables.sources import DATASETS, SPACES, Stored

__all__ = ["join", "sweep"]

_SEED = 0
_OF_PROXIES = ("proxies", "directions")
"""The facts of a part that are stored by the name of a proxy."""


@dataclass(frozen=True)
class _Piece:
    """A group of proxies on the networks of a round, and the file of their scores.

    Attributes:
        checksum: checksum of the benchmark.
        networks: the networks, ascending.
    """

    path: Path
    space: str
    dataset: str
    checksum: str
    group: Group
    networks: list[int]

    def fits(self, told: Mapping[Any, Any]) -> bool:
        """Return whether a file with these facts has the scores that this piece would have."""
        texts = told.get("proxies", {})
        return (
            all(texts.get(name) == resolve(name).text for name in self.group.proxies)
            and told.get("batch") == self.group.batch
            and told.get("seed") == _SEED
            and told.get("checksum") == self.checksum
        )

    @property
    def scored(self) -> bool:
        """Return whether the file exists, with these formulas and networks."""
        if not self.path.is_file():
            return False
        frame = read_scores([self.path])
        return self.fits(frame.attrs) and sorted(frame["index"]) == self.networks

    def score(self, stored: Stored, bar: Bar, workers: int) -> None:
        """Compute the scores, continuing an incomplete file."""
        stored.announce(f"{self.path.stem}: {', '.join(self.group.proxies)}")
        found = [resolve(name) for name in self.group.proxies]
        spec = capture_spec(
            self.space,
            self.dataset,
            [parse(proxy.expression) for proxy in found if isinstance(proxy, ExpressionProxy)],
            batch=self.group.batch,
            seed=_SEED,
            options={},
        )
        with bar("networks") as told:
            score_to_file(
                {proxy.name: proxy for proxy in found},
                spec,
                self.networks,
                self.path,
                workers=workers,
                progress=told,
                announce=stored.announce,
            )


def sweep(stored: Stored, bar: Bar, workers: int = -1, plan: Plan = PLAN) -> None:
    """Score what is missing, and join it to the files of ``stored`` after every piece.

    Args:
        stored: the folder of the files.
        bar: shows the progress of a piece.
        workers: number of processes; -1 means one for each core.
        plan: what is scored.

    Raises:
        GreenMachineError: data are missing, a stored file is damaged, or no network could be
            captured.
    """
    rounds = {
        (space, dataset): _rounds(stored, space, dataset, plan)
        for space in SPACES
        for dataset in DATASETS
    }
    for (space, dataset), pieces in rounds.items():
        _restore(_joined(stored, space, dataset, plan), pieces)
        join(stored, space, dataset, plan)
    for number in range(max(map(len, rounds.values()))):
        for group in plan.groups:
            for dataset in group.datasets:
                for space in group.spaces:
                    for piece in rounds[space, dataset][number : number + 1]:
                        if not piece[group.name].scored:
                            piece[group.name].score(stored, bar, workers)
                            join(stored, space, dataset, plan)


def _joined(stored: Stored, space: str, dataset: str, plan: Plan) -> Path:
    return stored.folder / f"{space}-{dataset}{plan.kind}.parquet"


def _rounds(stored: Stored, space: str, dataset: str, plan: Plan) -> list[dict[str, _Piece]]:
    """Return the pieces of each round, by the name of their group."""
    benchmark, parts = stored.benchmarks[space], stored.folder / "parts"
    return [
        {
            group.name: _Piece(
                parts / f"{space}-{dataset}-{group.name}-{number}.parquet",
                space,
                dataset,
                benchmark.checksum,
                group,
                networks,
            )
            for group in plan.groups
            if dataset in group.datasets and space in group.spaces
        }
        for number, networks in enumerate(plan.samples(len(benchmark)))
    ]


def _restore(joined: Path, rounds: list[dict[str, _Piece]]) -> None:
    """Write the missing parts whose content the joined file has.

    Raises:
        DataError: the joined file or the manifest beside it is damaged.
    """
    sources = _sources(joined)
    if not sources:
        return
    held = read_scores([joined])
    for pieces in rounds:
        for piece in pieces.values():
            rows = held[held["index"].isin(piece.networks)]
            told = next((told for told in sources if piece.fits(told)), None)
            names = ["index", *piece.group.proxies]
            whole = len(rows) == len(piece.networks) and set(names) <= set(rows.columns)
            if told and whole and not piece.path.is_file():
                found = rows[names].reset_index(drop=True)
                only = {key: {n: told[key][n] for n in piece.group.proxies} for key in _OF_PROXIES}
                found.attrs.update(told | only)
                replace_file(piece.path, partial(found.to_parquet, index=False))


def _sources(joined: Path) -> list[dict[str, Any]]:
    """Return the facts of the parts of a joined file; none if it has no manifest.

    Facts of parts that were computed alike are combined, because the groups may have changed since.
    """
    manifest = joined.with_suffix(".json")
    if not (joined.is_file() and manifest.is_file()):
        return []
    alike: dict[str, dict[str, Any]] = {}
    try:
        for told in read_json(manifest)["sources"].values():
            how = {key: told[key] for key in told if key not in (*_OF_PROXIES, "sha256")}
            one = alike.setdefault(json.dumps(how, sort_keys=True), how)
            for key in _OF_PROXIES:
                one[key] = {**one.get(key, {}), **told[key]}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{manifest} is damaged: remove it and {joined}, or repair it") from None
    return list(alike.values())


def join(stored: Stored, space: str, dataset: str, plan: Plan) -> None:
    """Write the file of ``plan``: the groups of the first round, and the complete rounds."""
    rounds = _rounds(stored, space, dataset, plan)
    begun = [name for name, piece in rounds[0].items() if piece.scored]
    frames, sources = [], []
    for pieces in rounds:
        chosen = [pieces[name] for name in begun]
        if chosen and all(piece.scored for piece in chosen):
            paths = [piece.path for piece in chosen]
            frames.append(read_scores(paths))
            sources += paths
    if not frames:
        return
    whole = pd.concat(frames, ignore_index=True)
    whole.attrs = frames[0].attrs
    out = _joined(stored, space, dataset, plan)
    # A new sweep must not replace a longer one with the same formulas.
    made = _sources(out)
    same = all(any(rounds[0][name].fits(told) for told in made) for name in begun)
    held = parquet.ParquetFile(out).metadata.num_rows if out.is_file() else 0
    if held > len(whole) and (same or not made):
        stored.announce(
            f"{out} stays: it has {held} networks, and only {len(whole)} are scored again so far"
        )
        return
    keep_scores(whole, out, sources)
    stored.announce(f"{out}: {len(whole)} networks")
