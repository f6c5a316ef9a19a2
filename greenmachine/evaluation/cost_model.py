"""Estimate the cost of a sweep of scores: score a few networks, and scale their time.

These networks are chosen at equal distances in the sample, because their costs vary tenfold.
Workers slow each other down as in a run (``greenmachine.evolution.cost_model``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from greenmachine.evaluation.sweep import Sweep
from greenmachine.evaluation.worker import score_shard
from greenmachine.evolution.cost_model import (
    Forecast,
    Plan,
    process_memory,
    speed_up,
    times,
    working,
)
from greenmachine.neutral import neutral
from greenmachine.proxies import Proxy
from greenmachine.signals import CaptureSpec
from greenmachine.signals.network_capture import packed_benchmark
from greenmachine.signals.store import SHARD_NETWORKS

__all__ = ["estimate_sweep"]

_SCORED = 8  # networks


def estimate_sweep(
    proxies: Mapping[str, Proxy | str],
    spec: CaptureSpec,
    indices: Sequence[int],
    *,
    distinct: bool = False,
    seeds: int = 1,
    workers: int = -1,
    backend: str = "loky",
) -> Forecast:
    """Estimate the cost of ``score_networks`` with these arguments, without writing anything.

    Args:
        proxies: see ``score_networks``.
        spec: see ``score_networks``.
        indices: see ``score_networks``.
        distinct: see ``score_networks``.
        seeds: see ``score_networks``.
        workers: see ``score_networks``.
        backend: see ``greenmachine.workers.backend``.

    Raises:
        GreenMachineError: as for ``score_networks``.
    """
    began = time.monotonic()
    sweep = Sweep(proxies, spec, indices, distinct, seeds)
    start, task = times(backend, workers)
    networks = len(sweep.firsts)
    chosen = [sweep.firsts[place] for place in _spread(networks, _SCORED)]
    packed = packed_benchmark(spec.benchmark)
    work = (spec, sweep.expressions, sweep.functions)
    seconds = 0.0
    if chosen:
        with neutral():
            score_shard(*work, chosen[:1], packed)  # imports and other work that is done only once
            clock = time.process_time if spec.device == "cpu" else time.monotonic
            started = clock()
            score_shard(*work, chosen, packed)
            seconds = (clock() - started) / len(chosen)
    count = working(backend, workers)
    shards = -(-networks // SHARD_NETWORKS) * len(sweep.seeds)
    busy = max(1, min(count, shards))
    phases = {
        "start": start,
        "score": sweep.places * seconds / speed_up(busy),
        "communication": -(-shards // count) * task,
    }
    base = process_memory()
    return Forecast(
        plan=Plan(0, 0, len(sweep.indices), 0, 0, 0, 0, count, 0, shards, 0, 0),
        seconds=phases,
        total_seconds=sum(phases.values()),
        disk_bytes=8 * len(sweep.indices) * (2 + len(sweep.columns) * (len(sweep.seeds) + 1)),
        memory_bytes=round(base * (1 + (count if count > 1 else 0))),
        calibration_seconds=time.monotonic() - began,
    )


def _spread(networks: int, count: int) -> list[int]:
    return (
        [networks * number // count for number in range(count)]
        if networks >= count
        else [*range(networks)]
    )
