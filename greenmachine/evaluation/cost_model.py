"""What a sweep of scores will cost, before it begins: some networks are scored, and that is scaled.

Networks are chosen at equal distances of the sample, because their costs vary tenfold. Workers slow
each other down as in a run (``greenmachine.evolution.cost_model``).
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
    """Return what ``score_networks`` with these arguments costs; writes nothing.

    Args:
        proxies: as for ``score_networks``, as for all but ``backend``.
        spec: see there.
        indices: see there.
        distinct: see there.
        seeds: see there.
        workers: see there.
        backend: see ``greenmachine.workers.backend``.

    Raises:
        GreenMachineError: see there.
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
            score_shard(*work, chosen[:1], packed)  # what is imported and built once
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
