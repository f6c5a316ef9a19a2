"""Scores of proxies over many architectures: each network is built and captured once.

While a network is at hand, every proxy that needs one scores it. Scores come back from the workers
in order and without a barrier; with a file to write, they go on disk as they come (see
``checkpoint.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from greenmachine.errors import RunError
from greenmachine.evaluation.checkpoint import IDENTITY, PLACE, Parts
from greenmachine.evaluation.sweep import Sweep
from greenmachine.files import alone_in, refuse_foreign, remove_leftovers, replace_file
from greenmachine.language import Expression
from greenmachine.proxies import Proxy
from greenmachine.proxies.rank_sums import RankSum
from greenmachine.signals import CaptureSpec
from greenmachine.workers import Progress

__all__ = ["capture_spec", "score_networks", "score_to_file"]


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
    proxies: Mapping[str, Proxy | str],
    spec: CaptureSpec,
    indices: Sequence[int],
    *,
    distinct: bool = False,
    seeds: int = 1,
    combined: Sequence[RankSum] = (),
    workers: int = -1,
    progress: Progress | None = None,
    announce: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Return one row a network: ``index``, ``arch``, and a float64 column a proxy, NaN = failed.

    Args:
        proxies: by column name a proxy, or a text that ``resolve`` reads: an expression, for which
            a high score counts as good, or a name.
        spec: see :func:`capture_spec`.
        indices: architectures of the benchmark.
        distinct: build architectures that compute the same once, and score them as the first of
            them. Scores of architectures are each one's own.
        seeds: how many seeds every network is built and scored with, from that of ``spec`` on. With
            several a column has the mean, and those of the seeds stand beside it
            (``greenmachine.evaluation.score_file``).
        combined: rank sums of the columns, each a column too, over all of ``indices``.
        workers: processes.
        progress: told how many networks are scored, after every shard; with several seeds each
            network counts once a seed.
        announce: told what failed, on how many networks, and the first reason.

    Raises:
        GreenMachineError: a text means no proxy, ``distinct`` is asked of a function, a proxy
            reads the architectures of another space, a build option is wrong, images are missing,
            a worker died, or no network could be sent through the passes.
    """
    sweep = Sweep(proxies, spec, indices, distinct, seeds, combined)
    rows = [row for shard in sweep.rows(set(), workers, progress) for row in shard]
    return sweep.table(pd.DataFrame(rows, columns=[PLACE, *sweep.columns]), announce)


def score_to_file(
    proxies: Mapping[str, Proxy | str],
    spec: CaptureSpec,
    indices: Sequence[int],
    out: Path,
    *,
    distinct: bool = False,
    seeds: int = 1,
    combined: Sequence[RankSum] = (),
    workers: int = -1,
    progress: Progress | None = None,
    announce: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Score as :func:`score_networks`, write the table to ``out``, and return it.

    Until all is scored the rows are in parts under ``OUT.parts``; the same call goes on there.
    The file tells benchmark, data set, settings, and formula and direction of every column.

    Raises:
        GreenMachineError: as there, or the parts belong to other work, are damaged, or another
            command writes them.
    """
    refuse_foreign(out, b'"proxies"', "score file")
    sweep = Sweep(proxies, spec, indices, distinct, seeds, combined)
    folder = out.with_name(f"{out.name}.parts")
    with alone_in(folder, IDENTITY, "parts of a sweep") as held:
        remove_leftovers(out.parent, out.name)
        parts = Parts(held, sweep.identity(), sweep.columns, sweep.places)
        scored = {int(place) for place in parts.read()[PLACE]}
        if sweep.firsts:
            times = f", {len(sweep.seeds)} seeds" if len(sweep.seeds) > 1 else ""
            announce(
                f"{len(sweep.copies)} networks, {len(sweep.firsts)} distinct{times}: "
                f"{len(scored)} scored before, {sweep.places - len(scored)} to go"
            )
        parts.collect(sweep.rows(scored, workers, progress))
        rows = parts.read()
        if len(rows) < sweep.places:
            raise RunError(f"parts are gone from {folder}: run the same command again")
        table = sweep.table(rows, announce)
        table.attrs.update(sweep.facts())  # Parquet keeps them
        replace_file(out, lambda temporary: table.to_parquet(temporary, index=False))
        parts.remove()
    return table
