"""Scores of proxies over many architectures, captured once each, resumable, in a Parquet file.

Every part of the work is written as it is done, under ``OUT.parts``; at the end the parts become
``OUT`` and go. Interrupted, the same command goes on with the parts that are missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from greenmachine.engine import Evaluator
from greenmachine.errors import RunError
from greenmachine.files import read_json, replace_file, write_json
from greenmachine.language import Expression, parse
from greenmachine.signals import CaptureSpec
from greenmachine.signals.sample import cached_benchmark
from greenmachine.workers import Progress

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
    """Return what has to be captured for ``expressions``: the signals that they read."""
    terminals = sorted(set().union(*(e.terminals for e in expressions)))
    return CaptureSpec(benchmark, dataset, tuple(terminals), batch, seed, dict(options), device)


def score_networks(
    proxies: Mapping[str, str],
    spec: CaptureSpec,
    indices: Sequence[int],
    *,
    workers: int = -1,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Return one row a network: ``index``, ``arch``, and a float64 column a proxy, NaN = failed.

    Args:
        proxies: expression text by column name.
        spec: see :func:`capture_spec`.
        indices: architectures of the benchmark.
        workers: processes.
        progress: told after every shard of networks.

    Raises:
        RunError: a worker died.
    """
    evaluator = Evaluator.of_networks(spec, indices, workers=workers)
    scores = evaluator.scores([parse(text) for text in proxies.values()], progress)
    archs = cached_benchmark(spec.benchmark).archs
    frame = pd.DataFrame({"index": list(indices), "arch": [archs[i] for i in indices]})
    for name, row in zip(proxies, scores, strict=True):
        frame[name] = np.asarray(row)
    return frame


def score_to_file(
    proxies: Mapping[str, str],
    spec: CaptureSpec,
    indices: Sequence[int],
    out: Path,
    *,
    workers: int = -1,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score as :func:`score_networks`, part by part into ``out``, and return all rows.

    Raises:
        RunError: a worker died, or the parts beside ``out`` belong to other work.
    """
    folder = out.with_name(f"{out.name}.parts")
    identity = {
        "proxies": dict(proxies),
        "indices": [int(i) for i in indices],
        "spec": {**asdict(spec), "terminals": list(spec.terminals)},
        "checksum": cached_benchmark(spec.benchmark).checksum,
    }
    described = folder / "identity.json"
    if described.exists() and read_json(described) != identity:
        raise RunError(f"{folder} holds parts of other work: remove it or choose another --out")
    write_json(described, identity)
    frames = []
    for start in range(0, len(indices), PART_NETWORKS):
        path = folder / f"part-{start:06d}.parquet"
        if not path.exists():
            part = indices[start : start + PART_NETWORKS]
            frame = score_networks(proxies, spec, part, workers=workers)
            replace_file(path, frame.to_parquet)
        frames.append(pd.read_parquet(path))
        if progress is not None:
            progress(min(start + PART_NETWORKS, len(indices)), len(indices))
    whole = pd.concat(frames, ignore_index=True)
    replace_file(out, lambda temporary: whole.to_parquet(temporary, index=False))
    shutil.rmtree(folder)
    return whole
