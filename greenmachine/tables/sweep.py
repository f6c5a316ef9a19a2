"""Score the zoo, and what evolved, on networks of both NATS-Bench spaces and the three data sets.

The 3,000 random networks of a space are those of ``greenmachine score --sample 3000 --seed 0``, the
same for every proxy and data set, at full depth. They are scored in three rounds of 1,000, drawn
evenly: all of the first round comes before any of the second, and in a round what costs little
before what costs much, so that a sweep that ends early leaves a smaller random sample of
everything, or of the cheap proxies. Batches hold 16 images, 8 where a proxy costs a backward pass
an image (``ntk``, ``gradsign``), and for evolved proxies as many as in their runs. ``epe_nas``
correlates within classes, of which a batch of 16 images has too few where there are more than ten:
CIFAR-10 only.

What evolved on NATS-Bench is scored on whole spaces: three rounds are those of the zoo, others
follow.

The same call goes on after Ctrl-C, a kill, or a reboot: what is scored lies in ``parts/``, a file
of ``greenmachine score --out`` a piece, until someone removes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pyarrow import parquet

from greenmachine.evaluation import capture_spec, keep_scores, read_scores, score_to_file
from greenmachine.language import parse
from greenmachine.proxies import ExpressionProxy, resolve
from greenmachine.tables.base import Bar
from greenmachine.tables.sources import DATASETS, FOUND, SPACES, Stored

__all__ = ["EVOLVED_PLAN", "PLAN", "Group", "Plan", "join", "sweep"]

# What one forward and one backward pass give, or less.
_FORWARD = (
    "params",
    "weight_count",
    "flops",
    "l2_norm",
    "grad_norm",
    "plain",
    "snip",
    "synflow",
    "logsynflow",
    "fisher",
    "fisher_broadcast",
    "jacov_noise",
    "nwot",
    "nwot_inputs",
    "meco",
    "meco_opt",
    "meco_modules",
    "meco_opt_modules",
    "meco_outputs",
    "meco_images",
    "meco_inputs",
    "zen",
    "az_expressivity",
    "az_progressivity",
    "az_trainability",
    "sed",
)

_EVOLVED = ("nats_tss_cifar10", "nats_sss_cifar10", "gm_tss", "gm_sss", "gm_any")


@dataclass(frozen=True)
class Group:
    """Proxies that are scored together.

    Attributes:
        name: in the file's name. Files are known by it: a group of other proxies needs another.
        proxies: names in the zoo.
        batch: images.
        datasets: where they are defined.
    """

    name: str
    proxies: tuple[str, ...]
    batch: int = 16
    datasets: tuple[str, ...] = DATASETS


@dataclass(frozen=True)
class Plan:
    """A sweep.

    Attributes:
        groups: of proxies.
        networks: of a space, or all where it has fewer.
        rounds: that the networks are scored in.
        whole: whether rounds as large follow these, until no network of the space is left.
        kind: what the names of its files have before ``.parquet``.
    """

    groups: tuple[Group, ...]
    networks: int
    rounds: int
    whole: bool = False
    kind: str = ""

    def samples(self, size: int) -> list[list[int]]:
        """Return by round the networks, ascending, of a space of ``size``."""
        rng = np.random.default_rng(0)
        chosen = rng.choice(size, min(size, self.networks), replace=False)
        rounds = np.array_split(rng.permutation(chosen), self.rounds)
        if self.whole:
            rest = rng.permutation(np.setdiff1d(np.arange(size), chosen))
            each = -(-self.networks // self.rounds)
            rounds += [rest[i : i + each] for i in range(0, len(rest), each)]
        return [sorted(int(i) for i in networks) for networks in rounds]


PLAN = Plan(
    groups=(
        Group("forward", _FORWARD),
        Group("gradient", ("jacov", "zico", "grasp")),
        Group("classes", ("epe_nas",), datasets=("cifar10",)),
        Group("embedded", ("digits_tss",), batch=8),
        Group("per-sample", ("ntk", "gradsign"), batch=8),
    ),
    networks=3000,
    rounds=3,
)
"""Of what knows no accuracy of these spaces."""

EVOLVED_PLAN = Plan(
    # As they were evolved: their exports score batches of this size too.
    groups=(Group("evolved", _EVOLVED, batch=4),),
    networks=3000,
    rounds=3,
    whole=True,
    kind=FOUND,
)
"""Of what evolved on them."""


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
    for number in range(max(map(len, samples.values()))):
        for group in plan.groups:
            for dataset in group.datasets:
                for space in SPACES:
                    if number < len(samples[space]):
                        piece = _Piece(number, space, dataset, group)
                        _score(piece, samples[space][number], stored, bar, workers)
                        join(stored, space, dataset, plan)


def _score(piece: _Piece, chosen: list[int], stored: Stored, bar: Bar, workers: int) -> None:
    path = piece.path(stored.folder)
    if path.is_file():
        return
    stored.announce(f"{path.stem}: {', '.join(piece.group.proxies)}")
    found = [resolve(name) for name in piece.group.proxies]
    spec = capture_spec(
        piece.space,
        piece.dataset,
        [parse(proxy.expression) for proxy in found if isinstance(proxy, ExpressionProxy)],
        batch=piece.group.batch,
        seed=0,
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
