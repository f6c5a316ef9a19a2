"""How proxies rank networks of other families than those used in their search.

Scores are in the folder ``abroad`` of the stored scores: one file of ``greenmachine score --out``
for each family and group of proxies, which records its batch and its build options.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from greenmachine.benchmarks import Benchmark, load_benchmark
from greenmachine.errors import DataError
from greenmachine.evaluation import (
    capture_spec,
    check_rows,
    direction_of,
    read_scores,
    score_to_file,
)
from greenmachine.evaluation.ranking import ONE_SEED, common_seeds, seed_row
from greenmachine.fitness import directed_tau, tau_difference_error
from greenmachine.language import parse
from greenmachine.proxies import PROXIES, ArchitectureProxy, ExpressionProxy
from greenmachine.proxies.combinations import combined_scores
from greenmachine.tables.base import Bar, Column, Drawing, Table, long_table
from greenmachine.tables.plan import EVOLVED_PLAN, PLAN, Group
from greenmachine.tables.pool import Pool
from greenmachine.tables.ranking import at_once
from greenmachine.tables.sources import Stored

__all__ = ["BASELINES", "FAMILIES", "TABLE", "Family", "recompute"]

Floats = npt.NDArray[np.float64]

DATASET = "cifar10"
NETWORKS = 300
MEAN = "mean of the families"
WIDTH_NETWORKS = 40
AT_FULL_WIDTH = ("first", "evolved", "families", "banks")
"""Groups that are also scored on ``WIDTH_NETWORKS`` of these networks at full width."""

BASELINES = ("(params)", "(flops)", "l2_norm", "nwot_inputs")
"""Baselines with which every proxy is compared, on the same networks."""


@dataclass(frozen=True)
class Family:
    """Networks of one benchmark.

    Attributes:
        benchmark: name of the benchmark.
        options: build options, if the networks are not at full size.
    """

    benchmark: str
    options: Mapping[str, int] = field(default_factory=dict)

    def networks(self, benchmark: Benchmark) -> list[int]:
        """Return ``NETWORKS`` random networks, ascending; no two compute the same function."""
        classes = np.unique(benchmark.functions)
        size = min(NETWORKS, len(classes))
        return sorted(np.random.default_rng(0).choice(classes, size, replace=False).tolist())


# A network that takes more than three seconds at full width has a half or a quarter of it. The full
# widths are 128, 32 and 256 channels.
FAMILIES = (
    Family("nats-tss"),
    Family("nats-sss"),
    Family("nas-bench-101", {"width": 32}),
    Family("nas-bench-macro", {"width": 16}),
    Family("channel-resnet", {"width": 128}),
)

_FIRST = Group("first", ("l2_norm", "nwot_inputs", "synflow", "meco_inputs"))


def _rest(group: Group) -> Group:
    """Return a group without the proxies of the first one, and without architecture proxies.

    Architecture proxies read only the strings of NATS-Bench.
    """
    kept = tuple(
        name
        for name in group.proxies
        if name not in _FIRST.proxies and not isinstance(PROXIES.find(name), ArchitectureProxy)
    )
    return Group(group.name, kept, group.batch)


GROUPS = (_FIRST, *(_rest(group) for plan in (EVOLVED_PLAN, PLAN) for group in plan.groups))


@dataclass(frozen=True)
class _Piece:
    """Scores of a group of proxies on networks of a family, and their file."""

    path: Path
    benchmark: Benchmark
    options: Mapping[str, int]
    group: Group
    networks: list[int]

    @property
    def scored(self) -> bool:
        """Return whether the file has these scores, computed as they would be computed now."""
        if not self.path.is_file():
            return False
        frame = read_scores([self.path])
        told = frame.attrs
        texts = told.get("proxies", {})
        return (
            frame["index"].tolist() == self.networks
            and all(texts.get(name) == PROXIES.find(name).text for name in self.group.proxies)
            and told.get("batch") == self.group.batch
            and told.get("options") == dict(self.options)
            and told.get("checksum") == self.benchmark.checksum
        )

    def score(self, stored: Stored, bar: Bar, workers: int) -> None:
        """Compute the scores, continuing an incomplete file."""
        stored.announce(f"{self.path.stem}: {', '.join(self.group.proxies)}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        found = [PROXIES.find(name) for name in self.group.proxies]
        spec = capture_spec(
            self.benchmark.name,
            DATASET,
            [parse(proxy.expression) for proxy in found if isinstance(proxy, ExpressionProxy)],
            batch=self.group.batch,
            seed=0,
            options=self.options,
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

    def scores(self) -> pd.DataFrame:
        """Return the stored scores by network, (networks, proxies), higher is better."""
        frame = read_scores([self.path])
        check_rows(frame, self.benchmark)
        names = [name for name in self.group.proxies if name in frame.columns]
        signed = {
            name: direction_of(frame, name) * frame[name].to_numpy(dtype=np.float64)
            for name in names
        }
        return pd.DataFrame(signed, index=frame["index"].to_numpy())


def _pieces(stored: Stored, family: Family, benchmark: Benchmark) -> list[_Piece]:
    """Return what is scored of a family, one piece for each group."""
    networks = family.networks(benchmark)
    folder = stored.folder / "abroad"
    return [
        _Piece(
            folder / f"{family.benchmark}-{group.name}.parquet",
            benchmark,
            family.options,
            group,
            networks,
        )
        for group in GROUPS
    ]


def _at_full_width(family: Family, piece: _Piece) -> _Piece | None:
    """Return the same scores at full width on fewer networks; None if they are not wanted."""
    if not family.options or piece.group.name not in AT_FULL_WIDTH:
        return None
    path = piece.path.with_name(f"{piece.path.stem}-full.parquet")
    chosen = np.random.default_rng(0).permutation(piece.networks)[:WIDTH_NETWORKS]
    return replace(piece, path=path, options={}, networks=sorted(chosen.tolist()))


def _all_pieces(stored: Stored, family: Family, benchmark: Benchmark) -> list[_Piece]:
    """Return what is scored of a family, at the table's width and at full width."""
    pieces = _pieces(stored, family, benchmark)
    return [*pieces, *(wide for piece in pieces if (wide := _at_full_width(family, piece)))]


def recompute(stored: Stored, bar: Bar, workers: int = -1) -> None:
    """Score what is missing; after Ctrl-C or a kill, the same call continues.

    A family whose table is not in the data folder is left out, and a message says so.

    Raises:
        GreenMachineError: images are missing, a stored file is damaged, or no network of a family
            could be scored.
    """
    for family in FAMILIES:
        try:
            benchmark = load_benchmark(family.benchmark)
        except DataError as error:
            stored.announce(f"{family.benchmark} is left out: {error}")
            continue
        for piece in _all_pieces(stored, family, benchmark):
            if not piece.scored:
                piece.score(stored, bar, workers)


def _scored(stored: Stored, family: Family) -> list[_Piece]:
    """Return the pieces of a family that have a file; none if its table is not in the data."""
    try:
        benchmark = load_benchmark(family.benchmark)
    except DataError as error:
        stored.announce(f"{family.benchmark} is left out: {error}")
        return []
    there = [piece for piece in _pieces(stored, family, benchmark) if piece.path.is_file()]
    pieces = [piece for piece in there if piece.scored]
    for piece in there:
        if piece not in pieces:
            stored.announce(
                f"{piece.path} has scores of other formulas, networks or settings: it is left out; "
                "--recompute makes it again"
            )
    if not pieces:
        stored.announce(f"{family.benchmark} has no scores: its rows are left out")
    return pieces


def _pool(pieces: list[_Piece]) -> tuple[Pool, Floats]:
    """Return the networks of a family with all scores, and the accuracies of their seeds."""
    benchmark = pieces[0].benchmark
    frame = pd.concat([piece.scores() for piece in pieces], axis="columns", join="inner")
    indices = frame.index.to_numpy()
    scores = {str(name): frame[name].to_numpy() for name in frame}
    scores |= combined_scores(scores)
    baselines = benchmark.baseline_scores(DATASET, indices)
    scores |= {f"({name})": values for name, values in baselines.items()}
    accuracy = benchmark.accuracy(DATASET)[indices]
    return Pool(accuracy, scores), common_seeds(benchmark, DATASET, indices)


def _widths(family: Family, pieces: list[_Piece]) -> Iterator[dict[str, object]]:
    """Yield tau between the scores of the same networks at the table's width and at full width."""
    for piece in pieces:
        wide = _at_full_width(family, piece)
        if wide is None or not wide.scored:
            continue
        narrow, full = piece.scores().align(wide.scores(), join="inner", axis="index")
        for name in full:
            # Networks that failed at one width rank last there.
            one, other = (np.nan_to_num(each[name], nan=-np.inf) for each in (narrow, full))
            yield {
                "proxy": name,
                "protocol": "scored",
                "metric": "tau_of_widths",
                "mean": directed_tau(one[None], other, 1)[0],
                "std": np.nan,
                "n": 1,
                "networks": len(full),
            }


def _measures(pool: Pool, seeds: Floats) -> Iterator[dict[str, object]]:
    yield from at_once("scored", pool)
    names = list(pool.scores)
    taus = dict(zip(names, directed_tau(pool.matrix(), pool.accuracy, 1), strict=True))
    for base in BASELINES:
        if base not in pool.scores:
            continue
        for name in names:
            error = tau_difference_error(pool.scores[name], pool.scores[base], pool.accuracy)
            yield {
                "proxy": name,
                "protocol": "scored",
                "metric": f"tau_minus_{base.strip('()')}",
                "mean": taus[name] - taus[base],
                "std": error,
                "n": 1,
                "networks": len(pool),
            }
    if len(seeds) > 1:
        row = seed_row(seeds)
        errors = {"tau": row["standard_error"], "tau_best": row["standard_error_best"]}
        for metric in ("tau", "spearman", "ndcg", "tau_best"):
            yield {
                "proxy": ONE_SEED,
                "protocol": "scored",
                "metric": metric,
                "mean": row[metric],
                "std": errors.get(metric),
                "n": 1,
                "networks": len(pool),
            }


def _rows(stored: Stored) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    scored = {family.benchmark: (family, _scored(stored, family)) for family in FAMILIES}
    wanted = [
        (piece, piece.path.name.removeprefix(name))
        for name, (family, pieces) in scored.items()
        if pieces
        for piece in _all_pieces(stored, family, pieces[0].benchmark)
    ]
    there = {kind for piece, kind in wanted if piece.path.is_file()}
    for piece, kind in wanted:
        if kind in there and not piece.path.is_file():
            stored.announce(
                f"{piece.path} is missing: its proxies have no value there, and no mean"
            )
    for name, (family, pieces) in scored.items():
        if not pieces:
            continue
        found = (*_measures(*_pool(pieces)), *_widths(family, pieces))
        rows += [{"space": name, "dataset": DATASET, **row} for row in found]
    if not rows:
        raise DataError(
            f"{stored.folder / 'abroad'} has no scores: `greenmachine reproduce abroad "
            f"--recompute --scores {stored.folder}` makes them"
        )
    table = long_table(rows)
    return pd.concat([long_table(list(_means(table))), table], ignore_index=True)


def _means(table: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield the mean over the families of every value that is defined in all of them."""
    families = table["space"].nunique()
    accuracies = ("top_accuracy", "optimum", "regret")  # their mean over families has no meaning
    chosen = table[~table["metric"].isin(accuracies) & (table["proxy"] != ONE_SEED)]
    for (proxy, metric), part in chosen.groupby(["proxy", "metric"], sort=False):
        if len(part) == families and part["mean"].notna().all():  # tau of equal scores is NaN
            # Families are drawn independently, and so their errors are independent.
            error = float(np.sqrt((part["std"] ** 2).sum(skipna=False))) / families
            yield {
                "space": MEAN,
                "dataset": DATASET,
                "proxy": proxy,
                "protocol": "scored",
                "metric": metric,
                "mean": part["mean"].mean(),
                "std": error,
                "n": 1,
                "networks": part["networks"].sum(),
            }


TABLE = Table(
    name="abroad",
    title="Proxies on other families of networks",
    introduction=f"""\
{NETWORKS} random networks of every family on CIFAR-10, no two of which compute the same function.
Networks of NAS-Bench-101 have a quarter of their width, those of NAS-Bench-Macro and Channel-Bench
half of it, and those of NATS-Bench the full width. τ is Kendall's tau-b with the true accuracy, in
the direction stated for the proxy, with its jackknife standard error; networks without a score rank
last. `τ - …` is the difference from a baseline on the same networks, with the standard error of the
difference. `{ONE_SEED}` ranks by the accuracy of one training run and is compared with the mean of
the others, if a benchmark has several. A proxy can exceed it, because its score has no training
noise. Names in brackets are baselines. `gm_world` was selected on 200 networks of each family, and
some of them are in these samples; results/families has its τ without them. The other evolved
proxies (`gm_...`, `nats_...`) were selected on networks of NATS-Bench.

`τ with full width` is τ between the scores of {WIDTH_NETWORKS} of the narrower networks and of the
same networks at full width. `nDCG` is computed over all networks, with gain 2^accuracy - 1 and the
accuracy in percent.""",
    rows=_rows,
    columns=(
        Column("τ", "scored", "tau"),
        Column("ρ", "scored", "spearman"),
        Column("nDCG", "scored", "ndcg"),
        Column("τ best 10 %", "scored", "tau_best"),
        *(
            Column(f"τ - {base}", "scored", f"tau_minus_{base.strip('()')}", "+.3f")
            for base in BASELINES
        ),
        Column("τ with full width", "scored", "tau_of_widths"),
    ),
    drawing=Drawing(
        "Kendall's tau of proxies on families of networks", "Kendall's tau-b", "tau", ("scored",)
    ),
    recompute=recompute,
)
