"""Score the zoo, and what evolved, on networks of both NATS-Bench spaces and the three data sets.

What is scored, and in which order, is in ``plan.py``. The same call goes on after Ctrl-C, a kill,
or a reboot: what is scored lies in ``parts/``, a file of ``greenmachine score --out`` a piece,
until someone removes it. It goes on too from a folder of joined files alone, as a repository keeps
them: what they hold becomes parts again, if it was made as it would be made now. To make all anew,
give another folder.
"""

from __future__ import annotations

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

__all__ = ["join", "restore", "sweep"]

_SEED = 0


@dataclass(frozen=True)
class _Piece:
    """One file of the sweep."""

    round: int
    space: str
    dataset: str
    group: Group

    def path(self, folder: Path) -> Path:
        name = f"{self.space}-{self.dataset}-{self.group.name}-{self.round}.parquet"
        return folder / "parts" / name

    def fits(self, told: Mapping[str, Any], checksum: str) -> bool:
        """Whether a file that tells this of itself has scores as this piece would have them.

        Args:
            told: attributes of a score file.
            checksum: of the benchmark.
        """
        texts = told.get("proxies", {})
        return (
            all(texts.get(name) == resolve(name).text for name in self.group.proxies)
            and told.get("batch") == self.group.batch
            and told.get("seed") == _SEED
            and told.get("checksum") == checksum
        )


def sweep(stored: Stored, bar: Bar, workers: int = -1, plan: Plan = PLAN) -> None:
    """Score what is not scored, and join it to the files of ``stored`` after every round.

    Args:
        stored: where they are or will be.
        bar: shows the progress of a piece.
        workers: processes; -1 takes every core.
        plan: what is scored.

    Raises:
        GreenMachineError: data is missing, or no network could be sent through the passes.
    """
    samples = {space: plan.samples(len(stored.benchmarks[space])) for space in SPACES}
    for space in SPACES:
        for dataset in DATASETS:
            restore(stored, space, dataset, plan)
            join(stored, space, dataset, plan)
    for number in range(max(map(len, samples.values()))):
        for group in plan.groups:
            for dataset in group.datasets:
                for space in SPACES:
                    if number < len(samples[space]):
                        piece = _Piece(number, space, dataset, group)
                        if not piece.path(stored.folder).is_file():
                            _score(piece, samples[space][number], stored, bar, workers)
                            join(stored, space, dataset, plan)


def _score(piece: _Piece, chosen: list[int], stored: Stored, bar: Bar, workers: int) -> None:
    path = piece.path(stored.folder)
    stored.announce(f"{path.stem}: {', '.join(piece.group.proxies)}")
    found = [resolve(name) for name in piece.group.proxies]
    spec = capture_spec(
        piece.space,
        piece.dataset,
        [parse(proxy.expression) for proxy in found if isinstance(proxy, ExpressionProxy)],
        batch=piece.group.batch,
        seed=_SEED,
        options={},
    )
    with bar("networks") as told:
        score_to_file(
            {proxy.name: proxy for proxy in found},
            spec,
            chosen,
            path,
            workers=workers,
            progress=told,
            announce=stored.announce,
        )


def restore(stored: Stored, space: str, dataset: str, plan: Plan) -> None:
    """Write the parts that are missing and that the joined file of ``plan`` holds.

    Raises:
        DataError: the joined file or the manifest beside it is damaged.
    """
    path = stored.folder / f"{space}-{dataset}{plan.kind}.parquet"
    sources = _sources(path)
    if not sources:
        return
    held = read_scores([path])
    benchmark = stored.benchmarks[space]
    for number, chosen in enumerate(plan.samples(len(benchmark))):
        rows = held[held["index"].isin(chosen)]
        if len(rows) < len(chosen):
            continue
        for group in plan.groups:
            piece = _Piece(number, space, dataset, group)
            part = piece.path(stored.folder)
            told = next((t for t in sources if piece.fits(t, benchmark.checksum)), None)
            if told and not part.is_file() and set(group.proxies) <= set(rows.columns):
                found = rows[["index", *group.proxies]].reset_index(drop=True)
                found.attrs = {key: value for key, value in told.items() if key != "sha256"}
                replace_file(part, partial(found.to_parquet, index=False))


def _sources(path: Path) -> list[dict[str, Any]]:
    """Return what the parts of a joined file told of themselves; none where it has no manifest."""
    manifest = path.with_suffix(".json")
    if not (path.is_file() and manifest.is_file()):
        return []
    try:
        return list(read_json(manifest)["sources"].values())
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{manifest} is damaged: remove it and {path}, or mend it") from None


def join(stored: Stored, space: str, dataset: str, plan: Plan) -> None:
    """Write the file of ``plan``: of the groups in the first round, the whole rounds."""

    def path(number: int, group: Group) -> Path:
        return _Piece(number, space, dataset, group).path(stored.folder)

    begun = [g for g in plan.groups if dataset in g.datasets and path(0, g).is_file()]
    frames, sources = [], []
    for number in range(len(plan.samples(len(stored.benchmarks[space])))):
        paths = [path(number, group) for group in begun]
        if paths and all(path.is_file() for path in paths):
            frames.append(read_scores(paths))
            sources += paths
    if not frames:
        return
    whole = pd.concat(frames, ignore_index=True)
    whole.attrs = frames[0].attrs
    out = stored.folder / f"{space}-{dataset}{plan.kind}.parquet"
    # A sweep that has just begun must not undo one that went further.
    if out.is_file() and (held := parquet.ParquetFile(out).metadata.num_rows) > len(whole):
        stored.announce(f"{out} stays: it has {held} networks, and {len(whole)} are scored anew")
        return
    keep_scores(whole, out, sources)
    stored.announce(f"{out}: {len(whole)} networks")
