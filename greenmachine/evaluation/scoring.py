"""Score many architectures with proxies; each network is built and captured once.

All proxies score a network while it is in memory. The workers return scores in order, and no
worker waits for the others. If there is a file to write, scores are stored as they arrive (see
``checkpoint.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from greenmachine.errors import ConfigError, RunError
from greenmachine.evaluation.checkpoint import PLACE, Parts
from greenmachine.evaluation.sweep import Sweep
from greenmachine.files import (
    FolderKind,
    alone_in,
    refuse_foreign,
    remove_leftovers,
    replace_file,
)
from greenmachine.language import Expression
from greenmachine.proxies import Proxy
from greenmachine.proxies.rank_sums import RankSum
from greenmachine.signals import CaptureSpec
from greenmachine.workers import Progress

__all__ = ["capture_spec", "score_networks", "score_to_file"]

_SETTINGS = ("benchmark", "dataset", "batch", "seed", "options")
"""Facts of a score file that decide which scores it has."""


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
    """Return the specification for capturing the signals that ``expressions`` read.

    Functions read no captured signals, so a specification for functions has no expressions.
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
    """Score networks, and return one row per network.

    Args:
        proxies: proxies by the name of their column. A proxy may be a text that ``resolve`` reads:
            a name, or an expression, for which higher is better.
        spec: capture specification; see :func:`capture_spec`.
        indices: indices of the architectures in the benchmark.
        distinct: whether to build architectures that compute the same function only once; all of
            them get the scores of the first one. Scores of architecture strings are not shared.
        seeds: number of seeds, beginning with that of ``spec``. Every network is built and scored
            with each. With several seeds the column of a proxy contains the mean, and further
            columns contain the scores of the seeds (``greenmachine.evaluation.score_file``).
        combined: rank sums of the columns over all ``indices``; each adds a column.
        workers: number of processes.
        progress: callback that gets the number of scored networks after every shard. With several
            seeds each network counts once per seed.
        announce: callback that gets a line for each failing proxy, with the number of failed
            networks and the first reason.

    Returns:
        ``index``, ``arch``, and one float64 column per proxy; NaN means that scoring failed.

    Raises:
        GreenMachineError: a text is not a proxy, ``distinct`` is used with a function, a proxy
            scores the architectures of another space, a build option is wrong, images are missing,
            a worker died, or every network failed.
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
    replace: bool = True,
    workers: int = -1,
    progress: Progress | None = None,
    announce: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Score networks as :func:`score_networks` does, write the table to ``out``, and return it.

    Until all networks are scored, the finished rows are in files in ``OUT.parts``. If the call is
    interrupted, the same call continues from them. The attributes of the file contain the
    benchmark, the data set, the settings, and the formula and direction of every column.

    Args:
        proxies: as for :func:`score_networks`, as are the other arguments.
        spec: what is captured of each network.
        indices: indices of architectures.
        out: the file.
        distinct: whether networks with the same function are scored once.
        seeds: number of seeds.
        combined: rank sums of these proxies.
        replace: whether a file is replaced whose scores the new one would not have.
        workers: number of processes; -1 means one for each core.
        progress: called with the number of scored networks, and that of all.
        announce: called with lines to print.

    Raises:
        GreenMachineError: as for :func:`score_networks`; or ``out`` has scores that would be lost,
            and ``replace`` is false; or the files in ``OUT.parts`` belong to other work, are
            damaged, or are being written by another command.
    """
    refuse_foreign(out, b'"proxies"', "score file")
    sweep = Sweep(proxies, spec, indices, distinct, seeds, combined)
    if not replace and out.is_file():
        _refuse_other(out, sweep)
    folder = out.with_name(f"{out.name}.parts")
    with alone_in(folder, FolderKind.PARTS) as held:
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
            raise RunError(f"files were removed from {folder}: run the same command again")
        table = sweep.table(rows, announce)
        table.attrs.update(sweep.facts())  # Parquet stores the attributes
        replace_file(out, lambda temporary: table.to_parquet(temporary, index=False))
        parts.remove()
    return table


def _refuse_other(out: Path, sweep: Sweep) -> None:
    """Raise a ConfigError if ``out`` has scores that the file of ``sweep`` would not have."""
    try:
        frame = pd.read_parquet(out)
    except (OSError, ValueError):  # damaged: nothing is lost
        return
    new, old = sweep.facts(), frame.attrs
    lost = [name for name in _SETTINGS if old.get(name) != new[name]]
    lost += [name for name in old.get("proxies", {}) if name not in new["proxies"]]
    if old.get("seeds", 1) > new["seeds"]:
        lost.append("seeds")
    if not set(frame["index"]) <= set(sweep.indices):
        lost.append("networks")
    if lost:
        raise ConfigError(
            f"{out} has scores that would be lost (other {', '.join(lost)}): write to another "
            "file, or remove it first"
        )
