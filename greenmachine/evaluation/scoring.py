"""Scores of proxies over many architectures, captured once each, resumable, in a Parquet file.

Every part of the work is written as it is done, under ``OUT.parts``; at the end the parts become
``OUT`` and go. Interrupted, the same command goes on with the parts that are missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from greenmachine.benchmarks import data_folder
from greenmachine.engine import Evaluator
from greenmachine.errors import RunError
from greenmachine.files import read_json, replace_file, write_json
from greenmachine.language import Expression, parse
from greenmachine.proxies import ExpressionProxy, resolve
from greenmachine.proxies.functions import score_shard
from greenmachine.signals import CaptureSpec
from greenmachine.signals.sample import cached_benchmark
from greenmachine.signals.store import shard_places
from greenmachine.workers import Progress, run_tasks

__all__ = ["PART_NETWORKS", "capture_spec", "score_networks", "score_to_file"]

PART_NETWORKS = 256
"""Networks a part: what an interruption loses at most."""


def capture_spec(
    benchmark: str,
    dataset: str,
    expressions: Sequence[Expression],
    *,
    batch: int,
    seed: int,
    options: Mapping[str, int],
    device: str = "cpu",
) -> CaptureSpec:
    """Return what has to be captured for ``expressions``: the signals that they read.

    Functions read none: a specification for them alone has no expressions.
    """
    terminals = sorted(set().union(*(e.terminals for e in expressions)))
    return CaptureSpec(benchmark, dataset, tuple(terminals), batch, seed, dict(options), device)


def score_networks(
    proxies: Mapping[str, str],
    spec: CaptureSpec,
    indices: Sequence[int],
    *,
    workers: int = -1,
    progress: Progress | None = None,
    announce: Callable[[str], None] = lambda line: None,
    partial: bool = False,
) -> pd.DataFrame:
    """Return one row a network: ``index``, ``arch``, and a float64 column a proxy, NaN = failed.

    Networks are built once for all expressions, and once more for all functions.

    Args:
        proxies: by column name what ``resolve`` reads: an expression, or the name of a proxy.
        spec: see :func:`capture_spec`.
        indices: architectures of the benchmark.
        workers: processes.
        progress: told after every shard of networks.
        announce: told what failed, on how many networks, and the first reason.
        partial: the networks are a part of those wanted: all of them may fail.

    Raises:
        GreenMachineError: a text means no proxy, images are missing, a worker died, or no
            network could be sent through the passes of the expressions.
    """
    found = {name: resolve(text) for name, text in proxies.items()}
    trees = {n: parse(p.expression) for n, p in found.items() if isinstance(p, ExpressionProxy)}
    functions = {n: p.name for n, p in found.items() if not isinstance(p, ExpressionProxy)}
    columns: dict[str, NDArray[np.float64]] = {}
    sweeps = bool(trees) + bool(functions)
    if trees:
        evaluator = Evaluator.of_networks(spec, indices, workers=workers)
        scores = evaluator.scores([*trees.values()], _share(progress, 0, sweeps))
        columns |= zip(trees, scores, strict=True)
        failures = evaluator.failures
        if len(failures) == len(indices) and not partial:
            raise RunError(
                f"all {len(failures)} networks failed; the first: {next(iter(failures.values()))}"
            )
        if failures:
            announce(
                f"{len(failures)} of {len(indices)} networks failed; "
                f"the first: {next(iter(failures.values()))}"
            )
    if functions:
        told = _share(progress, sweeps - 1, sweeps)
        columns |= _function_columns(functions, spec, indices, workers, told, announce)
    archs = cached_benchmark(spec.benchmark).archs
    frame = pd.DataFrame({"index": list(indices), "arch": [archs[i] for i in indices]})
    for name in proxies:
        frame[name] = columns[name]
    return frame


def _share(progress: Progress | None, sweep: int, sweeps: int) -> Progress | None:
    """Return what tells ``progress`` of one of some sweeps over the same shards."""
    if progress is None:
        return None
    return lambda done, total: progress(sweep * total + done, sweeps * total)


def _function_columns(
    functions: Mapping[str, str],
    spec: CaptureSpec,
    indices: Sequence[int],
    workers: int,
    progress: Progress | None,
    announce: Callable[[str], None],
) -> dict[str, NDArray[np.float64]]:
    """Return the scores of every function, given by its name in the zoo, by column name."""
    folder = data_folder().resolve()
    names = list(functions.values())
    shards = [[index for _, index in places] for places in shard_places(indices)]
    parts = run_tasks(
        score_shard, [(names, spec, shard, folder) for shard in shards], workers, progress
    )
    rows = [row for part in parts for row in part]
    columns = {}
    for place, name in enumerate(functions):
        results = [row[place] for row in rows]
        messages = [result for result in results if isinstance(result, str)]
        if messages:
            announce(f"{name} failed on {len(messages)} of {len(rows)} networks: {messages[0]}")
        columns[name] = np.array([np.nan if isinstance(r, str) else r for r in results])
    return columns


def score_to_file(
    proxies: Mapping[str, str],
    spec: CaptureSpec,
    indices: Sequence[int],
    out: Path,
    *,
    workers: int = -1,
    progress: Progress | None = None,
    announce: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Score as :func:`score_networks`, part by part into ``out``, and return all rows.

    Raises:
        GreenMachineError: as there, or the parts beside ``out`` belong to other work.
    """
    folder = out.with_name(f"{out.name}.parts")
    identity = {
        # An exported file may change: what it says counts, not its name.
        "proxies": {name: resolve(text).text for name, text in proxies.items()},
        "indices": [int(i) for i in indices],
        "spec": {**asdict(spec), "terminals": list(spec.terminals)},
        "checksum": cached_benchmark(spec.benchmark).checksum,
    }
    described = folder / "identity.json"
    if described.exists() and read_json(described) != identity:
        raise RunError(f"{folder} holds parts of other work: remove it or choose another --out")
    write_json(described, identity)
    frames: list[pd.DataFrame] = []
    for start in range(0, len(indices), PART_NETWORKS):
        path = folder / f"part-{start:06d}.parquet"
        if not path.exists():
            part = indices[start : start + PART_NETWORKS]
            frame = score_networks(
                proxies, spec, part, workers=workers, announce=announce, partial=bool(frames)
            )
            replace_file(path, frame.to_parquet)
        frames.append(pd.read_parquet(path))
        if progress is not None:
            progress(min(start + PART_NETWORKS, len(indices)), len(indices))
    whole = pd.concat(frames, ignore_index=True)
    replace_file(out, lambda temporary: whole.to_parquet(temporary, index=False))
    shutil.rmtree(folder)
    return whole
