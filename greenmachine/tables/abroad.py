"""How proxies rank networks of other families than those used in their search.

Scores are in the folder ``abroad`` of the stored scores: one file of ``greenmachine score --out``
for each family and group of proxies, which records its batch and its build options.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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
    score_columns,
    score_to_file,
)
from greenmachine.evaluation.ranking import ONE_SEED, seed_row
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


# Baselines and discoveries come first, because a sweep may end early.
GROUPS = (_FIRST, *(_rest(group) for plan in (EVOLVED_PLAN, PLAN) for group in plan.groups))


def _path(stored: Stored, family: Family, group: Group) -> Path:
    return stored.folder / "abroad" / f"{family.benchmark}-{group.name}.parquet"


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
        networks = family.networks(benchmark)
        for group in GROUPS:
            path = _path(stored, family, group)
            if _fits(path, benchmark, family, group, networks):
                continue
            stored.announce(f"{path.stem}: {', '.join(group.proxies)}")
            path.parent.mkdir(parents=True, exist_ok=True)
            found = [PROXIES.find(name) for name in group.proxies]
            spec = capture_spec(
                family.benchmark,
                DATASET,
                [parse(proxy.expression) for proxy in found if isinstance(proxy, ExpressionProxy)],
                batch=group.batch,
                seed=0,
                options=family.options,
            )
            with bar("networks") as told:
                score_to_file(
                    {proxy.name: proxy for proxy in found},
                    spec,
                    networks,
                    path,
                    workers=workers,
                    progress=told,
                    announce=stored.announce,
                )


def _fits(
    path: Path, benchmark: Benchmark, family: Family, group: Group, networks: list[int]
) -> bool:
    """Return whether a file contains these scores, computed as they would be computed now."""
    if not path.is_file():
        return False
    frame = read_scores([path])
    told = frame.attrs
    texts = told.get("proxies", {})
    return (
        frame["index"].tolist() == networks
        and all(texts.get(name) == PROXIES.find(name).text for name in group.proxies)
        and told.get("batch") == group.batch
        and told.get("options") == dict(family.options)
        and told.get("checksum") == benchmark.checksum
    )


def _pool(stored: Stored, family: Family) -> tuple[Pool, Floats] | None:
    """Return the networks of a family with all scores, and the accuracies of their seeds.

    The result is None if the family has no scores, or if its table is not in the data folder.
    """
    paths = [path for group in GROUPS if (path := _path(stored, family, group)).is_file()]
    if not paths:
        stored.announce(f"{family.benchmark} has no scores: its rows are left out")
        return None
    try:
        benchmark = load_benchmark(family.benchmark)
    except DataError as error:
        stored.announce(f"{family.benchmark} is left out: {error}")
        return None
    frame = read_scores(paths)
    check_rows(frame, benchmark)
    indices = frame["index"].to_numpy()
    scores = {
        name: direction_of(frame, name) * frame[name].to_numpy(dtype=np.float64)
        for name in score_columns(frame)
    }
    scores |= combined_scores(scores)
    baselines = benchmark.baseline_scores(DATASET, indices)
    scores |= {f"({name})": values for name, values in baselines.items()}
    accuracy = benchmark.accuracy(DATASET)[indices]
    return Pool(accuracy, scores), benchmark.seed_accuracies(DATASET)[:, indices]


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
    for family in FAMILIES:
        found = _pool(stored, family)
        if found is not None:
            place = {"space": family.benchmark, "dataset": DATASET}
            rows += [{**place, **row} for row in _measures(*found)]
    if not rows:
        raise DataError(
            f"{stored.folder / 'abroad'} has no scores: `greenmachine reproduce abroad "
            f"--recompute --scores {stored.folder}` makes them"
        )
    table = long_table(rows)
    return pd.concat([long_table(list(_means(table))), table], ignore_index=True)


def _means(table: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield the mean over the families of every value that all of them have."""
    families = table["space"].nunique()
    accuracies = ("top_accuracy", "optimum", "regret")  # their mean over families has no meaning
    chosen = table[~table["metric"].isin(accuracies) & (table["proxy"] != ONE_SEED)]
    for (proxy, metric), part in chosen.groupby(["proxy", "metric"], sort=False):
        if len(part) == families:
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

`nDCG` is computed over all networks, with gain 2^accuracy - 1 and the accuracy in percent.""",
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
    ),
    drawing=Drawing(
        "Kendall's tau of proxies on families of networks", "Kendall's tau-b", "tau", ("scored",)
    ),
    recompute=recompute,
)
